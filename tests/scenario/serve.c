/* SPDX-License-Identifier: Apache-2.0 */
/* "postern serve" without the rest of the command line. */
#include "master/master.h"

int main(int argc, char **argv)
{
	return master_main(argc, argv);
}
