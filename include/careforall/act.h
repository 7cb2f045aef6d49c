/*
 * act.h - the audit log: what persons did other than giving, by whom and why, before and after.
 *
 * Every call that changes something of a campaign, a cursor, a dead letter or a donor's data, takes
 * held money into the totals, or asks for a refund, a capture or a cancellation appends one act in
 * its own commit; a repeat and a call that changes nothing append none. Acts are never changed and
 * never erased, so nothing in them is personal data: `before` and `after` hold none, and hosts put
 * none into `cfa_actor`.
 *
 * Each act holds the hash of the one before it, and the book's row the number and the hash of the
 * newest. So `cfa_act_verify` sees an act that was altered, removed, added or moved. Who can write
 * to the database can also compute the whole chain anew: against them, keep the newest hash
 * somewhere else from time to time.
 *
 * The hash is BLAKE2b-256, without a key, of these parts, each preceded by its size in 8 bytes, low
 * byte first (numbers are 8 bytes in that order too, null is an empty part):
 *   "careforall.act.v1"; the book's id, 16 bytes; number; action; subject; five digits, 1 where
 *   actor, reason, before, after and the hash before are not null, else 0; actor; reason; before;
 *   after; created_us; the hash before, 32 bytes.
 */
#ifndef CAREFORALL_ACT_H
#define CAREFORALL_ACT_H

#include <careforall/base.h>

CFA_BEGIN

#define CFA_ACT_HASH_TEXT_SIZE 65 /* 64 hex digits and a NUL */

typedef struct cfa_act_list cfa_act_list;

/* An act. Actions: "book.reconcile", "campaign.create", "campaign.update", "campaign.end",
 * "cursor.rewind", "cursor.requeue", "cursor.pause", "cursor.resume", "donor.erase",
 * "payment.accept", "payment.capture", "payment.cancel", "refund.create". */
typedef struct cfa_act_view {
    size_t struct_size;
    int64_t number; /* 1, 2, 3, ... per book */
    const char *action;
    const char *subject; /* an id, a cursor's name, or "book" */
    const char *actor;   /* or NULL: the host named nobody */
    const char *reason;  /* or NULL */
    const char *before;  /* JSON, or NULL */
    const char *after;   /* JSON, or NULL */
    int64_t created_us;
    const char *previous_hash; /* 64 hex digits; NULL: of the first */
    const char *hash;
} cfa_act_view;

/*
 * Read acts behind a number, oldest first, at most `limit` (0: 100). `*out`: owned.
 * Expected: CFA_OK; CFA_ERANGE; TRANSIENT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_act_page(cfa_act_list **out, cfa_engine *engine,
                                               int64_t after_number, int32_t limit);
CFA_API size_t cfa_act_list_size(const cfa_act_list *list);
/* Borrowed from the list; NULL beyond its size. */
CFA_API const cfa_act_view *cfa_act_list_at(const cfa_act_list *list, size_t index);
CFA_API void cfa_act_list_free(cfa_act_list *list);

/* What is wrong with the audit log. */
typedef int32_t cfa_act_fault;
#define CFA_ACT_FAULT_MAP(X)                                                                       \
    X(NONE, 0, "every act is as it was written")                                                   \
    X(ALTERED, 1, "the act's hash is not that of its fields")                                      \
    X(UNLINKED, 2, "the act does not hold the hash of the one before it")                          \
    X(MISSING, 3, "there is no act of this number")                                                \
    X(ADDED, 4, "the book never wrote an act of this number")                                      \
    X(HEAD, 5, "the book holds another hash of its newest act")

enum {
#define CFA_ACT_FAULT_ENUM(name, code, text) CFA_ACT_##name = code,
    CFA_ACT_FAULT_MAP(CFA_ACT_FAULT_ENUM)
#undef CFA_ACT_FAULT_ENUM
};

/* "ALTERED", ...; "" for a number that is no fault. */
CFA_API const char *cfa_act_fault_name(cfa_act_fault fault);
/* One line about it. */
CFA_API const char *cfa_act_fault_text(cfa_act_fault fault);

typedef struct cfa_act_report {
    size_t struct_size;
    int64_t count;       /* acts that were read */
    int64_t head_count;  /* acts that the book's row counts */
    int32_t head_agrees; /* non-zero: the last act is the newest one of the book's row */
    cfa_act_fault fault; /* the first one in order of numbers */
    int64_t number;      /* of the act it is about; 0: none */
    char head_hash[CFA_ACT_HASH_TEXT_SIZE]; /* of the newest act, by the book's row; "": none */
} cfa_act_report;

#define CFA_ACT_REPORT_INIT                                                                        \
    { sizeof(cfa_act_report), 0, 0, 0, 0, 0, "" }

/*
 * Compute the chain of all acts anew, in one snapshot and bounded memory, and tell the first fault.
 *
 * Reads only. `out`: start from its _INIT macro; filled also when there is a fault, which is no
 * failure of the call. Expected: CFA_OK (look at the fault); TRANSIENT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_act_verify(cfa_act_report *out, cfa_engine *engine);

CFA_END

#endif
