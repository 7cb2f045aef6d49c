/*
 * base.h - what every other header stands on: export and attribute macros, version, slices, ids.
 *
 * Conventions of the whole interface, stated once:
 *   - Outputs come first and are untouched when a call fails.
 *   - No function takes ownership of what it is given; inputs are copied before a call returns.
 *   - Results are immutable snapshots, independent of the engine; each has a `_free` of its own,
 *     and
 *     `_free(NULL)` does nothing. Text and slices read from a snapshot are borrowed until its
 *     `_free`.
 *   - Input structs begin with `struct_size`, set by their `_INIT` macro; zero is every field's
 *     default.
 *   - Time is microseconds since 1970-01-01 UTC and ends in `_us`; durations are milliseconds,
 *     `_ms`.
 *   - A `timeout_ms` of 0 means the engine's default, a negative one means "do not wait".
 */
#ifndef CAREFORALL_BASE_H
#define CAREFORALL_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define CFA_BEGIN extern "C" {
#define CFA_END }
#else
#define CFA_BEGIN
#define CFA_END
#endif

#if defined(__GNUC__) && !defined(SWIG)
#define CFA_API __attribute__((visibility("default")))
#define CFA_MUST_CHECK __attribute__((warn_unused_result))
#else
#define CFA_API
#define CFA_MUST_CHECK
#endif

#define CFA_VERSION_MAJOR 0
#define CFA_VERSION_MINOR 1
#define CFA_VERSION_PATCH 0
#define CFA_VERSION "0.1.0"

/* Bounds that are part of the contract; longer input is refused with CFA_ETOOLONG. */
#define CFA_ID_TEXT_SIZE 32   /* a TypeID with its final NUL: "plg_" and 26 characters */
#define CFA_KEY_BYTES_MAX 255 /* an idempotency key: visible ASCII */
#define CFA_SCOPE_BYTES_MAX 255
#define CFA_TITLE_BYTES_MAX 200
#define CFA_NAME_BYTES_MAX 200
#define CFA_EMAIL_BYTES_MAX 254
#define CFA_MESSAGE_BYTES_MAX 1000
#define CFA_REFERENCE_BYTES_MAX 200
#define CFA_METHOD_BYTES_MAX 200 /* a provider's payment method token */
#define CFA_URL_BYTES_MAX 500    /* where a hosted page sends the donor */
#define CFA_WEBHOOK_BYTES_MAX 1048576
#define CFA_EVENT_BYTES_MAX 65536
#define CFA_PAGE_LIMIT_MAX 1000
#define CFA_ACTOR_BYTES_MAX 200
#define CFA_REASON_BYTES_MAX 500

CFA_BEGIN

/* 0, or negative; see error.h for the classes. */
typedef int32_t cfa_status;

/* Bytes owned by somebody else. `data` may be NULL when `size` is 0. Frozen for ever. */
typedef struct cfa_slice {
    const void *data;
    size_t size;
} cfa_slice;

typedef struct cfa_engine cfa_engine;

/* One keyset page: `limit` rows (0: 100, at most CFA_PAGE_LIMIT_MAX) after the row whose id is
 * `after` (NULL: from the start). */
typedef struct cfa_page {
    size_t struct_size;
    const char *after;
    int32_t limit;
} cfa_page;

#define CFA_PAGE_INIT                                                                              \
    { sizeof(cfa_page), NULL, 0 }

/* Who asks for an administrative act and why, for the audit log (act.h), which is never erased:
 * name an account, not a person. Where a call takes one, NULL says nothing of either. */
typedef struct cfa_actor {
    size_t struct_size;
    const char *actor;  /* or NULL */
    const char *reason; /* or NULL */
} cfa_actor;

#define CFA_ACTOR_INIT                                                                             \
    { sizeof(cfa_actor), NULL, NULL }

/*
 * Return the running library's version, such as "0.1.0".
 * Threading: any thread. Since: 0.1.
 */
CFA_API const char *cfa_version(void);

/*
 * Write a fresh idempotency key, a time-ordered UUIDv7 as 36 characters and a NUL.
 *
 * Make the key before the first attempt and keep it until an answer came: a repeat with the same
 * key can never charge twice. Time-ordered keys also keep the key index small and fast.
 * `out_key`: at least 37 bytes.
 * Expected: CFA_OK; CFA_EIO when the system gave no randomness.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_key_new(char *out_key, size_t out_size);

/* Release memory that a function of this library documents as freed by `cfa_free`. */
CFA_API void cfa_free(void *memory);

CFA_END

#endif
