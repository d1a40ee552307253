/* SPDX-License-Identifier: Apache-2.0 */
/* encode-config FILE: a configuration in the form in which master sends it to the others. */
#include <stdio.h>

#include "config/config.h"
#include "config/parse.h"

int main(int argc, char **argv)
{
	struct config *config = NULL;
	struct buf errors;
	struct buf out;
	int status = 1;

	buf_init(&errors, 65536);
	buf_init(&out, 1 << 20);
	if (argc == 2 && config_read(argv[1], &config, &errors) == ERR_OK &&
	    config_encode(config, &out) == ERR_OK &&
	    fwrite(buf_data(&out).ptr, 1, buf_len(&out), stdout) == buf_len(&out))
		status = 0;
	else
		fprintf(stderr, "%.*s\n", SLICE_ARG(buf_data(&errors)));
	config_free(&config);
	buf_release(&errors);
	buf_release(&out);
	return status;
}
