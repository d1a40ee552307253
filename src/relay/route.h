/* SPDX-License-Identifier: Apache-2.0 */
/* From a route of the configuration to the host, or the folder, that a job goes to. */
#ifndef POSTERN_RELAY_ROUTE_H
#define POSTERN_RELAY_ROUTE_H

#include "base/slice.h"

struct config_route;
struct job;
struct relay;

/* Sends the job on its way; route: NULL for mx. The job may be over when it returns. */
void job_route(struct job *job, const struct config_route *route);
/* The next of its hosts; none left: it is over. In delivery.c. */
void job_next_host(struct job *job);
/* "smtp.isp.example:587", "[::1]:smtp": the host without brackets. ERR_SYNTAX. */
enum err host_port_read(const char *text, char *host_out, size_t size, uint16_t *port_out);

#endif
