/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a configuration, and what is asked of one. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/network.h"
#include "config/places.h"
#include "config/settings.h"

struct config *config_new(void)
{
	struct config *config = mem_alloc(sizeof(*config));

	for (size_t i = 0; i < config_section_count; i++)
		if (!config_sections[i].titled)
			section_defaults(&config_sections[i], config);
	return config;
}

void config_free(struct config **config)
{
	struct config *c = *config;

	if (c == NULL)
		return;
	for (size_t i = 0; i < config_section_count; i++) {
		const struct section *section = &config_sections[i];

		for (size_t n = 0; n < section_uses(section, c); n++)
			section_clear(section, section_base(section, c, n));
	}
	mem_free(c->listens);
	mem_free(c->relays);
	mem_free(c->routes);
	mem_free(c->certificates);
	mem_free(c->backends);
	places_free(&c->places);
	mem_free(c->tokens);
	mem_free(c->devices);
	MEM_FREE(*config);
}

const struct config_relay *config_relay_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->relay_count; i++)
		if (strcmp(config->relays[i].name, name) == 0)
			return &config->relays[i];
	return NULL;
}

const char *config_backend_type(enum backend_type type)
{
	return setting_find(section_find("backend"), "type")->words[type];
}

uint16_t config_backend_process(size_t backend, uint32_t number)
{
	return (uint16_t)(backend * CONFIG_BACKEND_PROCESSES_MAX + number);
}

const struct config_backend *config_backend_of(const struct config *config, uint16_t index)
{
	size_t backend = index / CONFIG_BACKEND_PROCESSES_MAX;

	return backend < config->backend_count ? &config->backends[backend] : NULL;
}

void config_state_path(const struct config *config, const char *name, char path_out[4096])
{
	snprintf(path_out, 4096, "%s/%s", config->state_dir, name);
}

void config_runtime_path(const struct config *config, const char *name, char path_out[4096])
{
	snprintf(path_out, 4096, "%s/%s", config->runtime_dir, name);
}

bool config_user(const struct config *config, const char *process, char user_out[256])
{
	snprintf(user_out, 256, "%.200s%s", config->user_prefix, process);
	return config->user_prefix[0] != '\0';
}

bool config_alert_user(const struct config *config, char user_out[256])
{
	if (config->alert.user == NULL)
		return config_user(config, "alert", user_out);
	snprintf(user_out, 256, "%.200s", config->alert.user);
	return true;
}

bool config_needs_agent(const struct config *config)
{
	for (size_t i = 0; i < config->token_count; i++)
		if (config->tokens[i].jwks_url != NULL || config->tokens[i].introspect_url != NULL)
			return true;
	return config->alert.webhook != NULL;
}

const char *config_domain(const struct config *config)
{
	return config->domain != NULL ? config->domain : config->hostname;
}

bool config_networks_have(const struct strings *networks, struct slice address)
{
	struct network network;

	for (size_t i = 0; i < networks->count; i++)
		if (network_read(slice_str(networks->items[i]), &network) == ERR_OK &&
		    network_has(&network, address))
			return true;
	return false;
}

static bool is_listener_of(const struct config_device *device, struct slice listener)
{
	for (size_t i = 0; i < device->listeners.count; i++)
		if (slice_is(listener, device->listeners.items[i]))
			return true;
	return device->listeners.count == 0;
}

size_t config_device_find(const struct config *config, struct slice listener, struct slice address)
{
	size_t i = 0;

	while (i < config->device_count &&
	       (!is_listener_of(&config->devices[i], listener) ||
		!config_networks_have(&config->devices[i].from, address)))
		i++;
	return i;
}

uint32_t config_load(uint32_t setting, uint32_t per_core, uint32_t cores)
{
	if (setting != CONFIG_LOAD_AUTO)
		return setting;
	return per_core * cores < UINT32_MAX / 100 ? per_core * cores * 100 : UINT32_MAX;
}
