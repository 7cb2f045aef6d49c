/*
 * input.c - what every public call does with what it is given: sized structs, keys, texts, pages.
 */
#include "core/api/api.h"
#include "util/secure.h"
#include "util/text.h"

#include <assert.h>
#include <string.h>

#define ORIGIN "core.input"

cfa_status cfa__spec_take(void *out, size_t size, const void *given, size_t least,
                          const char *origin) {
    size_t given_size = 0;
    if (given != NULL)
        memcpy(&given_size, given, sizeof given_size);
    if (given == NULL || given_size < least)
        return cfa_error_set(CFA_EINVAL, origin, "struct_size", 0,
                             "start from the struct's _INIT macro");
    for (size_t i = size; i < given_size; i++) {
        if (((const char *)given)[i] != 0)
            return cfa_error_set(CFA_EABI, origin, "struct_size", 0, "built for a newer library");
    }
    memset(out, 0, size);
    memcpy(out, given, given_size < size ? given_size : size);
    return CFA_OK;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static cfa_status check_key(const char *key) {
    size_t size = key == NULL ? 0 : strlen(key);
    if (size == 0)
        return cfa_error_set(CFA_EKEY, ORIGIN, "key", 0, "an idempotency key is required");
    if (size > CFA_KEY_BYTES_MAX) {
        return cfa_error_format(CFA_EKEY, ORIGIN, "key", 0,
                                "an idempotency key has at most %d characters", CFA_KEY_BYTES_MAX);
    }
    for (size_t i = 0; i < size; i++) {
        if (key[i] < 0x21 || key[i] > 0x7e) {
            return cfa_error_set(CFA_EKEY, ORIGIN, "key", 0,
                                 "an idempotency key holds visible ASCII characters only");
        }
    }
    return CFA_OK;
}

cfa_status cfa__keyed_find(cfa__keyed *out, cfa_engine *engine, const char *scope,
                           const char *key) {
    cfa_status status = check_key(key);
    if (status == CFA_OK)
        status = cfa__text_check(scope, ORIGIN, "scope", CFA_SCOPE_BYTES_MAX, false, false);
    if (status != CFA_OK)
        return status;
    memset(out, 0, sizeof *out);
    cfa_slice text = { key, strlen(key) };
    bool of_host = scope == NULL || scope[0] == '\0';
    out->scope_hash =
        of_host ? engine->host_scope : cfa__book_hash(engine, "scope", cfa__slice(scope));
    out->time_ordered = cfa__id_parse_uuid7(&out->digest, key, text.size);
    if (!out->time_ordered) {
        out->digest = cfa__book_hash(engine, "key", text);
        /* Never mistaken for a UUIDv7: the version nibble says 8. */
        out->digest.bytes[6] = (uint8_t)((out->digest.bytes[6] & 0x0f) | 0x80);
    }
    out->generation_hint = atomic_load(&engine->generation);
    return CFA_OK;
}

cfa_status cfa__keyed_make(cfa__keyed *out, cfa_engine *engine, const char *scope, const char *key,
                           cfa__keyed_command command, const cfa__fingerprint_field *fields,
                           int32_t count) {
    assert(count <= CFA__FINGERPRINT_FIELDS_MAX);
    cfa_status status = cfa__keyed_find(out, engine, scope, key);
    if (status != CFA_OK)
        return status;
    out->command = command;
    out->field_count = count;
    out->fingerprint[0] = CFA__FINGERPRINT_VERSION;
    for (int32_t i = 0; i < count; i++) {
        out->field_names[i] = fields[i].name;
        cfa__hash_short(out->fingerprint + 1 + i * CFA__FINGERPRINT_PART, engine->fingerprint_key,
                        fields[i].value);
    }
    return CFA_OK;
}

/* ---- commands -------------------------------------------------------------------------------- */

cfa_status cfa__command_with_input(cfa__command **out, void **out_input, cfa_engine *engine,
                                   cfa__decide decide, size_t input_size, size_t output_size) {
    cfa__command *command;
    cfa_status status = cfa__command_new(&command, engine, decide, output_size);
    if (status != CFA_OK)
        return status;
    void *input = cfa_arena_alloc(command->arena, input_size);
    if (input == NULL) {
        cfa__command_release(engine, command);
        return CFA_ENOMEM;
    }
    command->input = input;
    *out_input = input;
    *out = command;
    return CFA_OK;
}

cfa_status cfa__input_text(cfa_slice *out, cfa__command *command, const char *text) {
    *out = (cfa_slice){ NULL, 0 };
    if (text == NULL)
        return CFA_OK;
    out->size = strlen(text);
    out->data = cfa_arena_copy(command->arena, text, out->size);
    return out->data == NULL ? CFA_ENOMEM : CFA_OK;
}

cfa_status cfa__status_committed(cfa_status status, const char *origin) {
    if (status == CFA_OK)
        return CFA_OK;
    return cfa_error_format(CFA_EINDOUBT, origin, NULL, 0,
                            "it is done but could not be shown (%s): repeat with the same key",
                            cfa_status_name(status));
}

cfa_status cfa__page_take(cfa_page *out, const cfa_page *given, const char *prefix,
                          cfa__id *out_after) {
    cfa_page page = CFA_PAGE_INIT;
    cfa_status status = CFA_OK;
    if (given != NULL)
        status =
            cfa__spec_take(&page, sizeof page, given, CFA__SIZE_THROUGH(cfa_page, limit), ORIGIN);
    if (status != CFA_OK)
        return status;
    if (page.limit == 0)
        page.limit = 100;
    if (page.limit < 0 || page.limit > CFA_PAGE_LIMIT_MAX) {
        return cfa_error_format(CFA_ERANGE, ORIGIN, "limit", 0, "limit must be 1 to %d",
                                CFA_PAGE_LIMIT_MAX);
    }
    *out_after = CFA__ID_NULL;
    if (page.after != NULL)
        status = cfa__id_parse(out_after, prefix, page.after, "after");
    *out = page;
    return status;
}
