/*
 * sys/platform.h - what an adapter may ask of the library, and what a host may put under it:
 * errors, memory, arenas, clock, randomness, log. Stable per minor version, for adapter authors.
 */
#ifndef CAREFORALL_SYS_PLATFORM_H
#define CAREFORALL_SYS_PLATFORM_H

#include <careforall/base.h>
#include <careforall/error.h>

CFA_BEGIN

/* ---- errors ---------------------------------------------------------------------------------- */

/*
 * Set this thread's error detail and return `status`, so that a failure is one statement.
 * `origin`, `field` (NULL: none) and `message` are copied and cut to their sizes; one line, no
 * secrets.
 */
CFA_API cfa_status cfa_error_set(cfa_status status, const char *origin, const char *field,
                                 int32_t native_code, const char *message);

/* The same with a printf format, for messages that carry a number or a rule. */
CFA_API cfa_status cfa_error_format(cfa_status status, const char *origin, const char *field,
                                    int32_t native_code, const char *format, ...)
#if defined(__GNUC__) && !defined(SWIG)
    __attribute__((format(printf, 5, 6)))
#endif
    ;

/* Make an error that was copied out with `cfa_error_last`, on this thread or another, this thread's
 * last one again. Returns its status. */
CFA_API cfa_status cfa_error_restore(const cfa_error *error);

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct cfa_allocator {
    size_t struct_size;
    void *user;
    void *(*allocate)(void *user, size_t size);
    void *(*reallocate)(void *user, void *memory, size_t size);
    void (*release)(void *user, void *memory);
} cfa_allocator;

/*
 * Use `allocator` (copied; NULL: malloc again) for everything the library allocates from now on.
 * Call it before any other function: memory is released through the allocator in force.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_allocator_set(const cfa_allocator *allocator);

/* Allocate through the library's allocator; NULL when out of memory. Released by `cfa_free`. */
CFA_API void *cfa_alloc(size_t size);
CFA_API void *cfa_realloc(void *memory, size_t size);

/* A region that only grows and is released as a whole. Used by one thread at a time. */
typedef struct cfa_arena cfa_arena;

CFA_API CFA_MUST_CHECK cfa_status cfa_arena_new(cfa_arena **out);
CFA_API void cfa_arena_free(cfa_arena *arena);
/* Forget everything but keep one block for reuse. */
CFA_API void cfa_arena_reset(cfa_arena *arena);
/* Zeroed memory aligned for any type, or NULL with CFA_ENOMEM set. A size of 0 gives a valid
 * pointer. */
CFA_API void *cfa_arena_alloc(cfa_arena *arena, size_t size);
/* A copy of the bytes with a NUL behind them (not counted), or NULL with CFA_ENOMEM set. */
CFA_API void *cfa_arena_copy(cfa_arena *arena, const void *data, size_t size);

/* ---- clock, randomness, log ------------------------------------------------------------------ */

typedef struct cfa_log_record {
    size_t struct_size;
    int32_t level;         /* CFA_LOG_* */
    const char *component; /* "engine", "storage.sqlite", ... */
    const char *event;     /* stable name: "commit_in_doubt", ... */
    const char *text;      /* one line; no secrets, no personal data */
} cfa_log_record;

enum { CFA_LOG_ERROR = 1, CFA_LOG_WARNING = 2, CFA_LOG_INFO = 3, CFA_LOG_DEBUG = 4 };

/*
 * The world under the engine. Absent functions fall back to the system's: CLOCK_REALTIME,
 * CLOCK_MONOTONIC, the kernel's randomness, no log. `log` may be called on any thread, must be
 * quick and must not call the library. Borrowed, with `self`, until the engine closes.
 */
typedef struct cfa_platform {
    size_t struct_size;
    void *self;
    int64_t (*now_us)(void *self);
    int64_t (*monotonic_us)(void *self);
    cfa_status (*random)(void *self, void *out, size_t size);
    void (*log)(void *self, const cfa_log_record *record);
    /* Let a little time pass (at most some 100 ms) before trying again; absent: sleep. */
    void (*pause)(void *self, int64_t duration_us);
} cfa_platform;

#define CFA_PLATFORM_INIT                                                                          \
    { sizeof(cfa_platform), NULL, NULL, NULL, NULL, NULL, NULL }

CFA_END

#endif
