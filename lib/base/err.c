/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

const char *err_name(enum err err)
{
	switch (err) {
	case ERR_OK:
		return "no error";
	case ERR_AGAIN:
		return "try again";
	case ERR_EOF:
		return "closed by the other end";
	case ERR_FULL:
		return "limit reached";
	case ERR_SYNTAX:
		return "syntax error";
	case ERR_RANGE:
		return "out of range";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_EXISTS:
		return "exists already";
	case ERR_DENIED:
		return "denied";
	case ERR_IO:
		return "input/output error";
	case ERR_NO_SPACE:
		return "no space left";
	case ERR_CORRUPT:
		return "damaged data";
	case ERR_BUSY:
		return "busy";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_INTERNAL:
		return "internal error";
	}
	return "unknown error";
}
