/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of back ends come and go with the configuration. One that is configured differently
 * is not told: its processes end, and others are started in their place.
 */
#include "internal.h"

#include "os/loop.h"

enum { RETIRE_MS = 5000 /* to answer what it was asked */ };

static const struct graph_node *backend_node(void)
{
	for (size_t i = 0; i < graph_node_count; i++)
		if (graph_nodes[i].count == COUNT_BACKENDS)
			return &graph_nodes[i];
	return NULL;
}

static void retire(struct process *process)
{
	process->retired = true;
	process_tell(process, RETIRE_MS);
	if (process->state == PROCESS_DOWN)
		timer_stop(process->timer);
	else if (process->state != PROCESS_ENDING)
		timer_set(process->timer, (uint64_t)2 * RETIRE_MS);
}

static bool wanted(const struct config *config, uint16_t index)
{
	const struct config_backend *backend = config_backend_of(config, index);

	return backend != NULL && index % CONFIG_BACKEND_PROCESSES_MAX < backend->processes;
}

static bool is_there(const struct master *master, uint16_t index)
{
	for (size_t i = 0; i < master->process_count; i++) {
		const struct process *process = &master->processes[i];

		if (process->node->count == COUNT_BACKENDS && !process->retired &&
		    process->index == index)
			return true;
	}
	return false;
}

void backends_follow(struct master *master, const struct config *before)
{
	const struct config *now = master->current->config;

	for (size_t i = 0; before != NULL && i < master->process_count; i++) {
		struct process *process = &master->processes[i];

		if (process->node->count == COUNT_BACKENDS && !process->retired &&
		    (!wanted(now, process->index) ||
		     !config_backend_same(before, now,
					  process->index / CONFIG_BACKEND_PROCESSES_MAX)))
			retire(process);
	}
	for (size_t backend = 0; backend < now->backend_count; backend++) {
		for (uint32_t n = 0; n < now->backends[backend].processes; n++) {
			uint16_t index = config_backend_process(backend, n);
			struct process *process =
				is_there(master, index)
					? NULL
					: process_add(master, backend_node(), index);

			if (process != NULL && before != NULL)
				process_start(process);
		}
	}
}
