/*
 * error.h - what went wrong and what to do about it.
 *
 * The hundreds digit of a status is its class, and the class is what a caller switches on:
 *   INVALID    fix the call           PERMANENT  tell the user         CONFLICT  re-read, then
 *   decide
 *   TRANSIENT  retry: it certainly did not happen
 *   IN_DOUBT   it may have happened: same key again, or ask
 *   INTERNAL   report it
 * One table, CFA_STATUS_MAP, makes the codes, their names, their texts and docs/errors.md.
 */
#ifndef CAREFORALL_ERROR_H
#define CAREFORALL_ERROR_H

#include <careforall/base.h>

CFA_BEGIN

#define CFA_STATUS_MAP(X)                                                                          \
    X(CFA_OK, 0, "success")                                                                        \
    X(CFA_EINVAL, -101, "a value breaks its field's rule")                                         \
    X(CFA_ERANGE, -102, "a number is outside its range")                                           \
    X(CFA_ECURRENCY, -103, "the currency is unknown, or differs from the other amount's")          \
    X(CFA_EAMOUNT, -104, "the provider cannot represent or accept this amount")                    \
    X(CFA_ENOTSUP, -105, "this build, adapter or state does not support the request")              \
    X(CFA_EABI, -106, "the struct was built for a newer library")                                  \
    X(CFA_EMISUSE, -107, "the call itself is wrong: closed handle, after fork, missing output")    \
    X(CFA_ETOOLONG, -108, "a value is longer than its limit")                                      \
    X(CFA_EENCODING, -109, "text is not valid UTF-8, or holds a control character")                \
    X(CFA_ECARD, -110, "text looks like a card number, which must never enter")                    \
    X(CFA_EKEY, -111, "the idempotency key is missing or malformed")                               \
    X(CFA_ENOTFOUND, -201, "no such object")                                                       \
    X(CFA_EDECLINED, -202, "the provider refused the payment")                                     \
    X(CFA_ECLOSED, -203, "the campaign takes no more pledges")                                     \
    X(CFA_ESIGNATURE, -204, "the webhook's signature is missing, wrong or outside the window")     \
    X(CFA_ESCHEMA, -205, "the database belongs to a newer or foreign schema")                      \
    X(CFA_EREADONLY, -206, "the database or its directory cannot be written")                      \
    X(CFA_EMODE, -207, "the database is pinned to another mode, provider or account")              \
    X(CFA_EREFUSED, -208, "the sink refuses this one event for its own sake")                      \
    X(CFA_EEXISTS, -301, "an object with this key exists already")                                 \
    X(CFA_EKEYREUSE, -302, "the idempotency key was used with a different request")                \
    X(CFA_ESTATE, -303, "the object's state does not allow this")                                  \
    X(CFA_EVERSION, -304, "the object changed since it was read")                                  \
    X(CFA_EFENCED, -305, "another owner took the lease")                                           \
    X(CFA_EBUSY, -401, "another writer holds the database")                                        \
    X(CFA_EIO, -402, "the storage or the system failed before anything was done")                  \
    X(CFA_ETIMEOUT, -403, "the deadline passed before the work began")                             \
    X(CFA_EUNAVAILABLE, -404, "the provider, store or sink cannot be reached")                     \
    X(CFA_EQUEUE, -405, "the engine's queue is full")                                              \
    X(CFA_ENOSPACE, -406, "the disk or quota is full")                                             \
    X(CFA_ECLOSING, -407, "the engine is closing")                                                 \
    X(CFA_ECIRCUIT, -408, "the provider is out: its circuit breaker is open")                      \
    X(CFA_EINDOUBT, -501, "it may have happened: repeat with the same key, or ask")                \
    X(CFA_ENOMEM, -601, "out of memory; nothing was done")                                         \
    X(CFA_ECORRUPT, -602, "stored data breaks an invariant")                                       \
    X(CFA_EBUG, -603, "an internal check failed")

enum {
#define CFA_STATUS_ENUM(name, code, text) name = code,
    CFA_STATUS_MAP(CFA_STATUS_ENUM)
#undef CFA_STATUS_ENUM
};

typedef int32_t cfa_status_class;
enum {
    CFA_CLASS_OK = 0,
    CFA_CLASS_INVALID = 1,
    CFA_CLASS_PERMANENT = 2,
    CFA_CLASS_CONFLICT = 3,
    CFA_CLASS_TRANSIENT = 4,
    CFA_CLASS_IN_DOUBT = 5,
    CFA_CLASS_INTERNAL = 6
};

/* The detail of a failure. Never holds a secret or personal data. */
typedef struct cfa_error {
    size_t struct_size;
    cfa_status status;
    int32_t native_code;    /* the database's or system's own code, 0 if none */
    char origin[32];        /* "core.pledge", "storage.sqlite", ... */
    char field[48];         /* the input field at fault, "" if none */
    char message[256];      /* one line: what is wrong and the rule it breaks */
    int64_t retry_after_ms; /* when to try again at the earliest; 0: unspecified */
} cfa_error;

#define CFA_ERROR_INIT                                                                             \
    { sizeof(cfa_error), 0, 0, "", "", "", 0 }

/* Return a status' symbol, such as "CFA_EKEYREUSE"; "CFA_EBUG" for a number that is no status. */
CFA_API const char *cfa_status_name(cfa_status status);

/* Return a status' one-sentence meaning. */
CFA_API const char *cfa_status_text(cfa_status status);

/* Return the class of a status. Threading for these three: any thread. Since: 0.1. */
CFA_API cfa_status_class cfa_status_class_of(cfa_status status);

/*
 * Copy the detail of this thread's last failed call.
 *
 * Kept per thread and overwritten only by the next failure on it. `out->struct_size` must be set.
 * Expected: CFA_OK (with status CFA_OK inside when nothing failed yet); CFA_EABI.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_error_last(cfa_error *out);

/* Forget this thread's last failure. */
CFA_API void cfa_error_clear(void);

CFA_END

#endif
