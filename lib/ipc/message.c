/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of messages.def. Each record and message becomes a row of field descriptors; one
 * walk over them sizes, writes, checks and describes. Structs are walked by the C layout rules
 * (each field at the next multiple of its alignment), so descriptors need no offsets.
 *
 * Invariants: encoding appends a whole frame or nothing; decoding never looks past the payload
 * and accepts only what uses all of it.
 */
#include "ipc/message.h"

#include <stdalign.h>
#include <string.h>

enum kind {
	KIND_U8,
	KIND_U16,
	KIND_U32,
	KIND_U64,
	KIND_I64,
	KIND_BOOL,
	KIND_TEXT,
	KIND_BYTES,
	KIND_LIST,
	KIND_REC
};

struct field {
	uint8_t kind;
	uint8_t record; /* of a list, or it is one: enum ipc_record */
	uint32_t max;   /* bytes, or records of a list */
	const char *name;
};

struct layout {
	const char *name;
	const struct field *fields;
	uint8_t count;
	bool bulk;
};

/* In memory and, for numbers, on the wire. */
static const struct {
	uint8_t size, align;
	const char *name;
} kinds[] = {
	[KIND_U8] = {sizeof(uint8_t), alignof(uint8_t), "u8"},
	[KIND_U16] = {sizeof(uint16_t), alignof(uint16_t), "u16"},
	[KIND_U32] = {sizeof(uint32_t), alignof(uint32_t), "u32"},
	[KIND_U64] = {sizeof(uint64_t), alignof(uint64_t), "u64"},
	[KIND_I64] = {sizeof(int64_t), alignof(int64_t), "i64"},
	[KIND_BOOL] = {sizeof(bool), alignof(bool), "bool"},
	[KIND_TEXT] = {sizeof(struct slice), alignof(struct slice), "text"},
	[KIND_BYTES] = {sizeof(struct slice), alignof(struct slice), "bytes"},
	[KIND_LIST] = {sizeof(struct ipc_list), alignof(struct ipc_list), "list"},
	[KIND_REC] = {0, 0, "record"}, /* sized by its record */
};

#define U8(name)                {KIND_U8, 0, 0, #name},
#define U16(name)               {KIND_U16, 0, 0, #name},
#define U32(name)               {KIND_U32, 0, 0, #name},
#define U64(name)               {KIND_U64, 0, 0, #name},
#define I64(name)               {KIND_I64, 0, 0, #name},
#define BOOL(name)              {KIND_BOOL, 0, 0, #name},
#define TEXT(name, max)         {KIND_TEXT, 0, max, #name},
#define BYTES(name, max)        {KIND_BYTES, 0, max, #name},
#define LIST(name, record, max) {KIND_LIST, IPC_REC_##record, max, #name},
#define REC(name, record)       {KIND_REC, IPC_REC_##record, 0, #name},
#define RECORD(name, ...)       static const struct field record_fields_##name[] = {__VA_ARGS__};
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	static const struct field message_fields_##name[] = {__VA_ARGS__};
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE

#define FIELD_COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

static const struct layout records[IPC_RECORD_END] = {
#define RECORD(name, ...)                                                                          \
	[IPC_REC_##name] = {#name, record_fields_##name, FIELD_COUNT(record_fields_##name), false},
#define MESSAGE(number, NAME, name, class, ...)
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};

#define IS_CONTROL false
#define IS_BULK    true

static const struct layout messages[IPC_TYPE_END] = {
#define RECORD(name, ...)
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	[number] = {#NAME, message_fields_##name, FIELD_COUNT(message_fields_##name), IS_##class},
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};

const char *ipc_type_name(uint16_t type)
{
	return ipc_type_known(type) ? messages[type].name : "?";
}

bool ipc_type_known(uint16_t type)
{
	return type < IPC_TYPE_END && messages[type].name != NULL;
}

bool ipc_type_bulk(uint16_t type)
{
	return ipc_type_known(type) && messages[type].bulk;
}

bool ipc_type_descriptor(uint16_t type)
{
	return type == IPC_PEER || type == IPC_LISTENER;
}

bool ipc_type_secret(uint16_t type)
{
	return type == IPC_IDENTITY || type == IPC_SECRET || type == IPC_FILE ||
	       type == IPC_AUTH_START || type == IPC_AUTH_TOKEN || type == IPC_INTROSPECT ||
	       type == IPC_CHECK || type == IPC_OP ||
	       type == IPC_OP_ROW; /* a password that was made for an account */
}

const char *ipc_role_name(enum ipc_role role)
{
	switch (role) {
	case IPC_MASTER:
		return "master";
	case IPC_SMTPD:
		return "smtpd";
	case IPC_AUTH:
		return "auth";
	case IPC_QUEUE:
		return "queue";
	case IPC_RELAY:
		return "relay";
	case IPC_AGENT:
		return "agent";
	case IPC_CONTROL:
		return "control";
	case IPC_CLI:
		return "cli";
	case IPC_BACKEND:
		return "backend";
	case IPC_ROLE_END:
		break;
	}
	return "?";
}

/* Of the structs of records. */
static const struct {
	size_t size, align;
} record_structs[IPC_RECORD_END] = {
#define RECORD(name, ...)                                                                          \
	[IPC_REC_##name] = {sizeof(struct rec_##name), alignof(struct rec_##name)},
#define MESSAGE(number, NAME, name, class, ...)
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};

/* The field's place in the struct; *offset moves past it. */
static size_t place(const struct field *field, size_t *offset)
{
	bool record = field->kind == KIND_REC;
	size_t align = record ? record_structs[field->record].align : kinds[field->kind].align;
	size_t at = (*offset + align - 1) & ~(align - 1);

	*offset = at + (record ? record_structs[field->record].size : kinds[field->kind].size);
	return at;
}

static enum err check_value(const struct field *field, struct slice value)
{
	if (value.len > field->max)
		return ERR_RANGE;
	if (field->kind == KIND_TEXT && value.len != 0 && memchr(value.ptr, 0, value.len) != NULL)
		return ERR_SYNTAX;
	return ERR_OK;
}

/* Adds the bytes that the fields need on the wire to *size. */
static enum err add_size(const struct layout *layout, const void *message, size_t *size)
{
	const char *base = message;
	size_t offset = 0;

	for (size_t i = 0; i < layout->count; i++) {
		const struct field *field = &layout->fields[i];
		const char *at = base + place(field, &offset);

		if (field->kind == KIND_TEXT || field->kind == KIND_BYTES) {
			struct slice value = *(const struct slice *)(const void *)at;
			enum err err = check_value(field, value);

			if (err != ERR_OK)
				return err;
			*size += sizeof(uint32_t) + value.len;
		} else if (field->kind == KIND_LIST) {
			const struct ipc_list *list = (const void *)at;

			if (list->count > field->max || list->bytes.len > IPC_FRAME_MAX)
				return ERR_RANGE;
			*size += 2 * sizeof(uint32_t) + list->bytes.len;
		} else if (field->kind == KIND_REC) {
			enum err err = add_size(&records[field->record], at, size);

			if (err != ERR_OK)
				return err;
		} else {
			*size += kinds[field->kind].size;
		}
	}
	return *size > IPC_FRAME_MAX - IPC_HEADER ? ERR_RANGE : ERR_OK;
}

static enum err measure(const struct layout *layout, const void *message, size_t *size_out)
{
	size_t size = 0;
	enum err err = add_size(layout, message, &size);

	if (err == ERR_OK)
		*size_out = size;
	return err;
}

static char *put(char *to, const void *data, size_t len)
{
	if (len != 0)
		memcpy(to, data, len);
	return to + len;
}

static char *put_u32(char *to, size_t value)
{
	uint32_t number = (uint32_t)value;

	return put(to, &number, sizeof(number));
}

/* Writes what measure has sized. */
static char *write_fields(const struct layout *layout, const void *message, char *to)
{
	const char *base = message;
	size_t offset = 0;

	for (size_t i = 0; i < layout->count; i++) {
		const struct field *field = &layout->fields[i];
		const char *at = base + place(field, &offset);

		if (field->kind == KIND_TEXT || field->kind == KIND_BYTES) {
			const struct slice *value = (const void *)at;

			to = put_u32(to, value->len);
			to = put(to, value->ptr, value->len);
		} else if (field->kind == KIND_LIST) {
			const struct ipc_list *list = (const void *)at;

			to = put_u32(to, list->count);
			to = put_u32(to, list->bytes.len);
			to = put(to, list->bytes.ptr, list->bytes.len);
		} else if (field->kind == KIND_REC) {
			to = write_fields(&records[field->record], at, to);
		} else {
			to = put(to, at, kinds[field->kind].size);
		}
	}
	return to;
}

enum err ipc_encode(uint16_t type, const void *message, uint16_t descriptors, struct buf *out)
{
	size_t size, room;
	char *to;
	enum err err;

	if (!ipc_type_known(type))
		return ERR_RANGE;
	err = measure(&messages[type], message, &size);
	if (err != ERR_OK)
		return err;
	if (buf_room(out) < IPC_HEADER + size)
		return ERR_FULL;
	err = buf_reserve(out, IPC_HEADER + size, &to, &room);
	if (err != ERR_OK)
		return err;
	to = put_u32(to, size);
	to = put(to, &type, sizeof(type));
	to = put(to, &descriptors, sizeof(descriptors));
	write_fields(&messages[type], message, to);
	buf_commit(out, IPC_HEADER + size);
	return ERR_OK;
}

static enum err take(struct slice *rest, size_t len, void *value_out)
{
	if (rest->len < len)
		return ERR_SYNTAX;
	memcpy(value_out, rest->ptr, len);
	*rest = slice_skip(*rest, len);
	return ERR_OK;
}

static enum err take_bytes(struct slice *rest, struct slice *value_out)
{
	uint32_t len;

	if (take(rest, sizeof(len), &len) != ERR_OK || len > rest->len)
		return ERR_SYNTAX;
	*value_out = slice_head(*rest, len);
	*rest = slice_skip(*rest, len);
	return ERR_OK;
}

static enum err read_list(const struct field *field, struct slice *rest, struct ipc_list *list_out);
static enum err read_fields(const struct layout *layout, struct slice *rest, void *to);

/* to: NULL only where a record is only checked. */
static enum err read_value(const struct field *field, struct slice *rest, char *to)
{
	unsigned char flag;
	struct slice value;
	enum err err;

	switch ((enum kind)field->kind) {
	case KIND_BOOL:
		if (take(rest, 1, &flag) != ERR_OK || flag > 1)
			return ERR_SYNTAX;
		*(bool *)(void *)to = flag == 1;
		return ERR_OK;
	case KIND_TEXT:
	case KIND_BYTES:
		err = take_bytes(rest, &value);
		if (err == ERR_OK)
			err = check_value(field, value);
		if (err == ERR_OK)
			*(struct slice *)(void *)to = value;
		return err;
	case KIND_LIST:
		return read_list(field, rest, (struct ipc_list *)(void *)to);
	case KIND_REC:
		return read_fields(&records[field->record], rest, to);
	default:
		return take(rest, kinds[field->kind].size, to);
	}
}

/* to: NULL checks only. */
static enum err read_fields(const struct layout *layout, struct slice *rest, void *to)
{
	size_t offset = 0;

	for (size_t i = 0; i < layout->count; i++) {
		const struct field *field = &layout->fields[i];
		alignas(struct ipc_list) char unused[sizeof(struct ipc_list)];
		size_t at = place(field, &offset);
		char *where = to != NULL                ? (char *)to + at
			      : field->kind != KIND_REC ? unused
							: NULL;
		enum err err = read_value(field, rest, where);

		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err read_list(const struct field *field, struct slice *rest, struct ipc_list *list_out)
{
	struct ipc_list list;
	struct slice inside;

	if (take(rest, sizeof(list.count), &list.count) != ERR_OK ||
	    take_bytes(rest, &list.bytes) != ERR_OK)
		return ERR_SYNTAX;
	if (list.count > field->max)
		return ERR_RANGE;
	inside = list.bytes;
	for (uint32_t i = 0; i < list.count; i++) {
		enum err err = read_fields(&records[field->record], &inside, NULL);

		if (err != ERR_OK)
			return err;
	}
	if (inside.len != 0)
		return ERR_SYNTAX;
	*list_out = list;
	return ERR_OK;
}

enum err ipc_decode(uint16_t type, struct slice payload, void *message_out)
{
	enum err err;

	if (!ipc_type_known(type))
		return ERR_SYNTAX;
	err = read_fields(&messages[type], &payload, message_out);
	if (err == ERR_OK && payload.len != 0)
		err = ERR_SYNTAX;
	return err;
}

void ipc_list_begin(struct ipc_list_builder *builder, size_t max)
{
	builder->count = 0;
	buf_init(&builder->bytes, max);
}

enum err ipc_list_add(struct ipc_list_builder *builder, enum ipc_record type, const void *record)
{
	size_t size, room;
	char *to;
	enum err err;

	err = measure(&records[type], record, &size);
	if (err != ERR_OK)
		return err;
	if (buf_room(&builder->bytes) < size)
		return ERR_FULL;
	err = buf_reserve(&builder->bytes, size, &to, &room);
	if (err != ERR_OK)
		return err;
	write_fields(&records[type], record, to);
	buf_commit(&builder->bytes, size);
	builder->count++;
	return ERR_OK;
}

struct ipc_list ipc_list_view(const struct ipc_list_builder *builder)
{
	return (struct ipc_list){builder->count, buf_data(&builder->bytes)};
}

void ipc_list_release(struct ipc_list_builder *builder)
{
	buf_release(&builder->bytes);
	builder->count = 0;
}

bool ipc_list_next(struct ipc_list *list, enum ipc_record type, void *record_out)
{
	if (list->count == 0 || type >= IPC_RECORD_END ||
	    read_fields(&records[type], &list->bytes, record_out) != ERR_OK)
		return false;
	list->count--;
	return true;
}

static enum err describe_fields(const struct layout *layout, struct buf *out)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < layout->count && err == ERR_OK; i++) {
		const struct field *field = &layout->fields[i];
		const char *comma = i != 0 ? ", " : "";

		if (field->kind == KIND_LIST)
			err = buf_printf(out, "%s%s: %u × %s", comma, field->name, field->max,
					 records[field->record].name);
		else if (field->kind == KIND_REC)
			err = buf_printf(out, "%s%s: %s", comma, field->name,
					 records[field->record].name);
		else if (field->max != 0)
			err = buf_printf(out, "%s%s: %s %u", comma, field->name,
					 kinds[field->kind].name, field->max);
		else
			err = buf_printf(out, "%s%s: %s", comma, field->name,
					 kinds[field->kind].name);
	}
	return err;
}

static enum err describe_message(uint16_t type, struct buf *out)
{
	const struct layout *layout = &messages[type];
	enum err err;

	err = buf_printf(out, "| %u | %s | %s | ", type, layout->name,
			 layout->bulk ? "BULK" : "CONTROL");
	if (err == ERR_OK)
		err = describe_fields(layout, out);
	if (err == ERR_OK)
		err = buf_append_str(out, " |\n");
	return err;
}

enum err ipc_describe(struct buf *out)
{
	enum err err;

	err = buf_append_str(out, "| Number | Message | Class | Fields: most bytes or records |\n"
				  "|---|---|---|---|\n");
	for (unsigned i = 0; i < IPC_TYPE_END && err == ERR_OK; i++)
		if (messages[i].name != NULL)
			err = describe_message((uint16_t)i, out);
	if (err == ERR_OK)
		err = buf_append_str(out, "\n| Record | Fields |\n|---|---|\n");
	for (unsigned i = 0; i < IPC_RECORD_END && err == ERR_OK; i++) {
		err = buf_printf(out, "| %s | ", records[i].name);
		if (err == ERR_OK)
			err = describe_fields(&records[i], out);
		if (err == ERR_OK)
			err = buf_append_str(out, " |\n");
	}
	return err;
}
