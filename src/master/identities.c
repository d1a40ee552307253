/* SPDX-License-Identifier: Apache-2.0 */
#include "identities.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/disk.h"
#include "os/os.h"

static void add(struct identities *identities, const char *label, const char *certificate,
		const char *key, bool found)
{
	identities->items =
		mem_resize(identities->items, (identities->count + 1) * sizeof(*identities->items));
	identities->items[identities->count++] =
		(struct identity_files){mem_strdup(label), mem_strdup(certificate),
					mem_strdup(key != NULL ? key : certificate), found};
}

struct search {
	const char *folder;
	struct identities *identities;
};

/* What has no certificate in it, certbot's README for one, is nothing to us. */
static void look_at(void *arg, const char *name)
{
	const struct search *search = arg;
	char certificate[OS_PATH_MAX], key[OS_PATH_MAX];

	if (name[0] == '.' || search->identities->count > IDENTITIES_MAX)
		return;
	if (snprintf(certificate, sizeof(certificate), "%s/%s/fullchain.pem", search->folder,
		     name) >= (int)sizeof(certificate) ||
	    snprintf(key, sizeof(key), "%s/%s/privkey.pem", search->folder, name) >=
		    (int)sizeof(key) ||
	    !file_exists(certificate))
		return;
	add(search->identities, name, certificate, key, true);
}

static int by_label(const void *a, const void *b)
{
	const struct identity_files *x = a, *y = b;

	return strcmp(x->label, y->label);
}

enum err identities_list(const struct config *config, struct identities *identities_out, char *why)
{
	const char *folder = config->tls.folder;
	struct identities identities = {0};
	struct search search = {folder, &identities};
	size_t named = config->certificate_count + 1;
	enum err err = ERR_OK;

	add(&identities, "", config->tls.certificate, config->tls.key, false);
	for (size_t i = 0; i < config->certificate_count; i++)
		add(&identities, config->certificates[i].name, config->certificates[i].certificate,
		    config->certificates[i].key, false);
	if (folder != NULL) {
		err = file_each(folder, look_at, &search);
		if (err != ERR_OK)
			os_explain_file(folder, errno, why, IDENTITIES_WHY_MAX);
		/* Folders come in any order; which of two equals is taken should not change. */
		qsort(identities.items + named, identities.count - named, sizeof(*identities.items),
		      by_label);
	}
	if (err == ERR_OK && identities.count > IDENTITIES_MAX) {
		snprintf(why, IDENTITIES_WHY_MAX, "there are more than %d certificates",
			 IDENTITIES_MAX);
		err = ERR_RANGE;
	}
	if (err != ERR_OK)
		identities_release(&identities);
	else
		*identities_out = identities;
	return err;
}

void identities_release(struct identities *identities)
{
	for (size_t i = 0; i < identities->count; i++) {
		mem_free(identities->items[i].label);
		mem_free(identities->items[i].certificate);
		mem_free(identities->items[i].key);
	}
	mem_free(identities->items);
	*identities = (struct identities){0};
}
