/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of back ends, and agent, come and go with the configuration. A back end that is
 * configured differently is not told: its processes end, and others are started in their place.
 */
#include "internal.h"

#include "os/loop.h"

enum { RETIRE_MS = 5000 /* to answer what it was asked */ };

static void retire(struct process *process)
{
	process->retired = true;
	process_tell(process, RETIRE_MS);
	if (process->state == PROCESS_DOWN)
		timer_stop(process->timer);
	else if (process->state != PROCESS_ENDING)
		timer_set(process->timer, (uint64_t)2 * RETIRE_MS);
}

static bool wanted(const struct graph_node *node, const struct config *config, uint16_t index)
{
	const struct config_backend *backend = config_backend_of(config, index);

	if (node->count == COUNT_AGENT)
		return config_needs_agent(config);
	return backend != NULL && index % CONFIG_BACKEND_PROCESSES_MAX < backend->processes;
}

static bool same(const struct graph_node *node, const struct config *before,
		 const struct config *now, uint16_t index)
{
	return node->count == COUNT_AGENT ||
	       config_backend_same(before, now, index / CONFIG_BACKEND_PROCESSES_MAX);
}

static bool is_there(const struct master *master, const struct graph_node *node, uint16_t index)
{
	for (size_t i = 0; i < master->process_count; i++) {
		const struct process *process = &master->processes[i];

		if (process->node == node && !process->retired && process->index == index)
			return true;
	}
	return false;
}

static void add(struct master *master, const struct graph_node *node, uint16_t index, bool start)
{
	struct process *process =
		is_there(master, node, index) ? NULL : process_add(master, node, index);

	if (process != NULL && start)
		process_start(process);
}

void follow_node(struct master *master, const struct graph_node *node, const struct config *before)
{
	const struct config *now = master->current->config;

	for (size_t i = 0; before != NULL && i < master->process_count; i++) {
		struct process *process = &master->processes[i];

		if (process->node == node && !process->retired &&
		    (!wanted(node, now, process->index) ||
		     !same(node, before, now, process->index)))
			retire(process);
	}
	if (node->count == COUNT_AGENT) {
		if (config_needs_agent(now))
			add(master, node, 0, before != NULL);
		return;
	}
	for (size_t backend = 0; backend < now->backend_count; backend++)
		for (uint32_t n = 0; n < now->backends[backend].processes; n++)
			add(master, node, config_backend_process(backend, n), before != NULL);
}

void follow_all(struct master *master, const struct config *before)
{
	for (size_t i = 0; i < graph_node_count; i++)
		if (graph_nodes[i].count == COUNT_BACKENDS || graph_nodes[i].count == COUNT_AGENT)
			follow_node(master, &graph_nodes[i], before);
}
