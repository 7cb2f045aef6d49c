/*
 * api.h - what the public functions share: checking inputs, hashing keys, snapshots.
 */
#ifndef CFA_CORE_API_API_H
#define CFA_CORE_API_API_H

#include "core/decide/decide.h"
#include "core/decide/evidence.h"
#include "core/engine/calls.h"
#include "core/engine/engine.h"
#include "core/engine/log.h"
#include "core/engine/relay.h"

/* Copy a sized input struct into `out` (zeroed, `size` bytes). CFA_EABI for a larger one whose tail
 * is used, CFA_EINVAL for one that is smaller than `least`. */
CFA_MUST_CHECK cfa_status cfa__spec_take(void *out, size_t size, const void *given, size_t least,
                                         const char *origin);

/* The size of a struct as 0.1 had it, through its last field: what the oldest host passes. */
#define CFA__SIZE_THROUGH(type, field) (offsetof(type, field) + sizeof(((type *)NULL)->field))

/* One field of a fingerprint. */
typedef struct cfa__fingerprint_field {
    const char *name;
    cfa_slice value;
} cfa__fingerprint_field;

/* Check and hash a caller's key with its scope and the fingerprint of the request. */
CFA_MUST_CHECK cfa_status cfa__keyed_make(cfa__keyed *out, cfa_engine *engine, const char *scope,
                                          const char *key, cfa__keyed_command command,
                                          const cfa__fingerprint_field *fields, int32_t count);
/* Hash only, for look-ups. */
CFA_MUST_CHECK cfa_status cfa__keyed_find(cfa__keyed *out, cfa_engine *engine, const char *scope,
                                          const char *key);

/* Take a command with `input_size` zeroed bytes of input. */
CFA_MUST_CHECK cfa_status cfa__command_with_input(cfa__command **out, void **out_input,
                                                  cfa_engine *engine, cfa__decide decide,
                                                  size_t input_size, size_t output_size);
/* Copy a text into the command's memory; NULL stays null. */
CFA_MUST_CHECK cfa_status cfa__input_text(cfa_slice *out, cfa__command *command, const char *text);

/* A page's limit and its keyset start. */
CFA_MUST_CHECK cfa_status cfa__page_take(cfa_page *out, const cfa_page *given, const char *prefix,
                                         cfa__id *out_after);

/* Snapshots, made from records on the thread of the caller. */
CFA_MUST_CHECK cfa_status cfa__campaign_snapshot(cfa_campaign **out, const cfa__campaign *record,
                                                 bool replayed, int64_t position);
typedef struct cfa__pledge_parts {
    const cfa__pledge *pledge;
    const cfa__payment *payment;
    const cfa__donor *donor;   /* NULL: none */
    const cfa__answer *answer; /* NULL: none */
    bool replayed;
    int64_t position;
} cfa__pledge_parts;
CFA_MUST_CHECK cfa_status cfa__pledge_snapshot(cfa_pledge **out, const cfa__pledge_parts *parts);
CFA_MUST_CHECK cfa_status cfa__payment_snapshot(cfa_payment **out, const cfa__payment *record,
                                                int64_t position);

/* Read one payment with its newest position from a snapshot. */
CFA_MUST_CHECK cfa_status cfa__payment_read(cfa_payment **out, cfa_engine *engine,
                                            cfa__id payment_id, int64_t deadline_us);
/* A payment and a list of rows below it, from one snapshot; text lives in `arena`. */
typedef struct cfa__parts {
    const cfa_kind *kind;
    int32_t index;           /* begins with the payment's id */
    const void *key;         /* a record of the kind; */
    cfa__id *key_payment_id; /* the field of it that is set */
    cfa_arena *arena;        /* out: the caller frees it */
    const cfa__payment *payment;
    cfa_query query;
} cfa__parts;
/* Expected: CFA_OK; CFA_EINVAL (not a pay_ id); CFA_ENOTFOUND; TRANSIENT. `answer`: the caller's
 * output, checked not to be NULL. */
CFA_MUST_CHECK cfa_status cfa__parts_read(cfa__parts *parts, cfa_engine *engine,
                                          const char *payment_id, const void *answer);
/* The same as a list of snapshots in the order of `compare`; freed with its arena. */
typedef struct cfa__part_list {
    cfa_arena *arena;
    size_t size;
    void *items; /* each `item_size` bytes */
} cfa__part_list;
typedef struct cfa__part_view {
    size_t item_size;
    bool (*fill)(void *item, cfa_arena *arena, const void *record, const char *currency);
    int (*compare)(const void *a, const void *b); /* pointers to records, as for qsort */
} cfa__part_view;
CFA_MUST_CHECK cfa_status cfa__part_list_read(cfa__part_list **out, cfa__parts *parts,
                                              const cfa__part_view *view, cfa_engine *engine,
                                              const char *payment_id, const void *answer);
/* A kind of row below a payment that has an id of its own. */
typedef struct cfa__part_kind {
    const cfa_kind *kind;
    const char *prefix, *field; /* of its id, in text and in errors */
    size_t payment_at;          /* offset of the payment's id */
} cfa__part_kind;
/* Find one by its id, with its payment, in a snapshot that the caller ends; both are borrowed from
 * it. Expected: CFA_OK; CFA_EINVAL; CFA_ENOTFOUND; TRANSIENT, then nothing is to be ended. */
CFA_MUST_CHECK cfa_status cfa__part_find(cfa__reader **out_reader, const void **out,
                                         const cfa__payment **out_payment, cfa_engine *engine,
                                         const cfa__part_kind *part, const char *id,
                                         const void *answer);
/* Work on a payment until its state is settled or the deadline comes. */
CFA_MUST_CHECK cfa_status cfa__payment_await(cfa_engine *engine, cfa__id payment_id,
                                             int64_t deadline_us);

/* Wait for progress in this process, or a little while for that of another; returns the new
 * progress count. */
uint64_t cfa__wait_step(cfa_engine *engine, uint64_t seen, int64_t deadline_us);

/*
 * The status of a call whose work is committed but could not be shown, for want of memory or of the
 * store: it must not say that nothing was done. CFA_OK stays CFA_OK.
 */
CFA_MUST_CHECK cfa_status cfa__status_committed(cfa_status status, const char *origin);

/* ---- ports ----------------------------------------------------------------------------------- */

/* Reserve a completion on a port before its command is submitted. */
CFA_MUST_CHECK cfa_status cfa__completion_reserve(cfa_completion **out, cfa_port *port,
                                                  uint64_t token);
cfa_engine *cfa__port_engine(cfa_port *port);
/* Fill in the outcome: status with this command's error detail. */
void cfa__completion_fail(cfa_completion *completion, cfa_status status, const cfa_error *error);
void cfa__completion_set_pledge(cfa_completion *completion, cfa_pledge *pledge);
void cfa__completion_set_webhook(cfa_completion *completion, cfa_webhook_verdict verdict);
/* Hand it to its port, or drop it if the port is gone. */
void cfa__completion_deliver(cfa_completion *completion);
/* Give a reservation back when the submission failed. */
void cfa__completion_cancel(cfa_completion *completion);

#endif
