/* SPDX-License-Identifier: Apache-2.0 */
/*
 * master: "postern serve". It reads the configuration, binds ports, opens what only root may
 * read, starts all other processes and keeps them alive. It parses nothing that comes from the
 * network.
 */
#ifndef POSTERN_MASTER_MASTER_H
#define POSTERN_MASTER_MASTER_H

/* argv[0] is "serve"; options: -c FILE. Returns the exit status. */
int master_main(int argc, char **argv);

#endif
