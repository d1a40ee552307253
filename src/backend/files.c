/* SPDX-License-Identifier: Apache-2.0 */
/* Back ends that are a file with hashes. */
#include "backend.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"
#include "os/sandbox.h"
#include "passwd_file.h"

static struct {
	struct passwd_file *file;
	char folder[OS_PATH_MAX]; /* where it lies */
} files;

static enum err start(const struct config *config, const struct config_backend *section, char *why)
{
	/* In the order of enum hash_scheme. */
	static const char *const SCHEMES[] = {"CRYPT",  "SSHA",          "SSHA256",    "SSHA512",
					      "PBKDF2", "SCRAM-SHA-256", "SCRAM-SHA-1"};

	(void)why;
	files.file =
		passwd_file_new(section->file, SCHEMES[section->scheme], config_domain(config));
	return ERR_OK;
}

/* The folder, as the file may be replaced. */
static void set_sandbox(const struct config_backend *section, struct sandbox *sandbox_out)
{
	static const char *folders[2];
	const char *slash = strrchr(section->file, '/');
	size_t len = slash == NULL || slash == section->file ? 1 : (size_t)(slash - section->file);

	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES};
	(void)slice_copy(slice_of(section->file, len), files.folder, sizeof(files.folder));
	if (os_file_stamp(files.folder).inode != 0) {
		folders[0] = files.folder;
		sandbox_out->read_folders = folders;
	}
}

static void check(const struct config_backend *section, const struct backend_question *question,
		  struct backend_answer *answer)
{
	(void)section;
	passwd_file_check(files.file, question, os_wall_ms(), answer);
}

int main(int argc, char **argv)
{
	static const struct backend_driver PASSWD_FILE = {
		.type = BACKEND_PASSWD_FILE,
		.may_be_root = true,
		.start = start,
		.sandbox = set_sandbox,
		.check = check,
	};
	static const struct backend_driver *const DRIVERS[] = {&PASSWD_FILE, NULL};
	int status = backend_main(argc, argv, DRIVERS);

	passwd_file_free(&files.file);
	return status;
}
