/*
 * sandbox.h - what every part of the sandbox shares: the program's state, one call, and the few
 * helpers for JSON, randomness and time. Everything runs on one thread. Running out of memory ends
 * the process: the books are consistent at every commit, so a restart goes on where it stood.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <jansson.h>
#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BODY_BYTES_MAX = 256 * 1024,
    ID_BYTES = 80,
    ACCOUNT_BYTES = 64,
    KEY_BYTES_MAX = 255,
    HEADERS_MAX = 8,
    METADATA_KEYS_MAX = 50,
    HOLD_S = 7 * 24 * 3600,
    SESSION_S = 24 * 3600,
    KEY_KEPT_S = 24 * 3600
};

typedef struct sandbox_options {
    const char *host;
    int port;
    const char *books;
    const char *secret_key;
    const char *api_version;
    const char *public_url; /* NULL: the address listened on */
    const char *webhook_url, *webhook_secret;
    bool webhook_thin;
    bool allow_remote, quiet;
    bool seeded;
    uint64_t seed;
    const char *settle_in; /* currency of the balance; NULL: that of each payment */
    int async_ms;          /* what Stripe does "later" happens after this much of the clock */
} sandbox_options;

typedef struct sandbox {
    sandbox_options options;
    uv_loop_t loop;
    struct store *store;
    struct http_front *http;
    struct sender *sender;
    struct faults *faults;
    struct endpoints *endpoints;
    uv_timer_t job_timer;
    uint64_t random_state;
    int64_t clock_offset_us;
    char base_url[256];
    /* What the events of this moment name as their cause; "" when nobody asked. */
    char cause_request[ID_BYTES];
    char cause_key[KEY_BYTES_MAX + 1];
} sandbox;

typedef struct call_header {
    const char *name;
    char *value;
} call_header;

/* One request and its reply. Inputs are borrowed for the time of the call. */
typedef struct call {
    sandbox *box;
    const char *method, *path;
    const char *authorization, *idempotency_key, *content_type;
    const char *account_header, *version_header;
    char *query; /* as sent, owned, may be NULL */
    const char *body;
    size_t body_size;

    json_t *params; /* form arguments, nested */
    char account[ACCOUNT_BYTES];
    char request_id[ID_BYTES];
    bool publishable; /* authenticated by the publishable key */
    bool executing;   /* parameters are fine: the reply is kept under the idempotency key */

    int status;
    json_t *error; /* set by call_fail */
    char *text;    /* the reply, owned */
    size_t text_size;
    const char *text_type;
    call_header headers[HEADERS_MAX];
    int header_count;
} call;

/* ---- replies -------------------------------------------------------------------------------- */

/* Refuse: `type`, `code` (may be NULL) and `param` (may be NULL) as Stripe names them. NULL. */
json_t *call_fail(call *c, int status, const char *type, const char *code, const char *param,
                  const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Add a field to the error that was just set; takes the reference. */
void call_error_set(call *c, const char *key, json_t *value);
void call_header_add(call *c, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Copy `text` as the reply. */
void call_text(call *c, int status, const char *type, const char *text);
/* Take the reference and write it as the reply. */
void call_json(call *c, int status, json_t *value);

/* ---- memory and text ------------------------------------------------------------------------ */

/* The pointer itself; ends the process when it is NULL. */
void *must(void *pointer);
void format_text(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
char *allocate_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool text_integer(const char *text, int64_t *out);
bool text_equal(const char *a, const char *b); /* NULL equals only NULL */
bool text_starts(const char *text, const char *prefix);

/* ---- JSON ----------------------------------------------------------------------------------- */

const char *doc_string(const json_t *doc, const char *key); /* NULL when not a string */
int64_t doc_integer(const json_t *doc, const char *key);
bool doc_true(const json_t *doc, const char *key);
void doc_set(json_t *doc, const char *key, json_t *value); /* takes the reference */
void doc_set_string(json_t *doc, const char *key, const char *value);
void doc_set_integer(json_t *doc, const char *key, int64_t value);
json_t *doc_hidden(json_t *doc); /* the sandbox's own notes in an object, borrowed */
const char *doc_account(json_t *doc);
json_t *string_or_null(const char *text);
/* A fresh copy of an object that a literal writes down as JSON, with ' in place of ". */
json_t *shape(const char *text);
/* json_pack that ends the process instead of returning NULL. */
json_t *pack(const char *format, ...);

/* ---- randomness and time -------------------------------------------------------------------- */

uint64_t random_next(sandbox *box);
uint32_t random_below(sandbox *box, uint32_t limit);
/* `prefix` and `length` letters and digits. */
void random_id(sandbox *box, char out[ID_BYTES], const char *prefix, int length);

int64_t clock_us(const sandbox *box);
int64_t clock_s(const sandbox *box);

#endif
