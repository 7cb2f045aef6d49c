/*
 * testkit/fault.h - a storage that passes everything to another one and fails where it is told to.
 */
#ifndef CAREFORALL_TESTKIT_FAULT_H
#define CAREFORALL_TESTKIT_FAULT_H

#include <careforall/sys/storage.h>

CFA_BEGIN

typedef struct cfa_fault_storage cfa_fault_storage;

/* Which call is about to be made, in the order of `cfa_storage_ops`. */
enum {
    CFA_FAULT_SESSION_OPEN = 1,
    CFA_FAULT_BEGIN,
    CFA_FAULT_COMMIT,
    CFA_FAULT_ROLLBACK,
    CFA_FAULT_LOAD,
    CFA_FAULT_SAVE,
    CFA_FAULT_CHANGES
};

/* What to do with it. */
enum {
    CFA_FAULT_PASS = 0,
    CFA_FAULT_FAIL = 1,          /* return `status`; nothing is passed on (a commit rolls back) */
    CFA_FAULT_DOUBT_DONE = 2,    /* COMMIT: commit, then report CFA_EINDOUBT */
    CFA_FAULT_DOUBT_NOT_DONE = 3 /* COMMIT: roll back, then report CFA_EINDOUBT */
};

/* Decides each call; `out_status` is read for CFA_FAULT_FAIL. Called on the calling thread under a
 * lock of the wrapper; may leave by longjmp to simulate a crash (then only
 * `cfa_fault_storage_crash` may follow). */
typedef int32_t (*cfa_fault_decide)(void *user, int32_t call, uint64_t number,
                                    cfa_status *out_status);

/* Wrap `inner` (borrowed). `out->ops->close` frees the wrapper, not `inner`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_fault_storage_new(cfa_storage *out,
                                                        cfa_fault_storage **out_control,
                                                        const cfa_storage *inner,
                                                        cfa_fault_decide decide, void *user);
/* Number of calls so far. */
CFA_API uint64_t cfa_fault_storage_calls(const cfa_fault_storage *control);
/* Roll back and close every open session of the inner store, as the death of the process would. */
CFA_API void cfa_fault_storage_crash(cfa_fault_storage *control);

CFA_END

#endif
