/*
 * reconcile.h - our books against the provider's own record, object by object: what is missing on
 * either side, what differs, who knows more; and a repair that only tells the engine what the
 * provider says.
 *
 * The record comes from a reader, such as `cfa_stripe_export_open`'s of an exported file: no network
 * and no key is needed. Memory is bounded whatever its size; docs/reconcile.md lists the codes.
 */
#ifndef CAREFORALL_RECONCILE_H
#define CAREFORALL_RECONCILE_H

#include <careforall/base.h>
#include <careforall/engine.h>
#include <careforall/sys/provider.h>
#include <careforall/sys/storage.h>

CFA_BEGIN

/* What an object of the record is about. */
enum {
    CFA_RECONCILE_PAYMENT = 0,
    CFA_RECONCILE_REFUND = 1,
    CFA_RECONCILE_DISPUTE = 2,
    /* Only counted: nothing that a book has, such as a payout; and one of the three above without a
     * name to find it by. */
    CFA_RECONCILE_OTHER = 3,
    CFA_RECONCILE_UNNAMED = 4
};

/* Rows of reports: they are compared, and never repaired from. */
enum {
    CFA_RECONCILE_REPORT = 1, /* about a payment as it stands */
    /* About one movement of the provider's balance: it names its payment, refund or dispute by what
     * it has, tells no state, and its absence proves nothing of what moved no money. A repair tells
     * the fee and the settlement of one that names the payment's object, and nothing else. */
    CFA_RECONCILE_MOVEMENT = 2
};

/* One object of the provider's record. */
typedef struct cfa_reconcile_object {
    size_t struct_size;
    int32_t kind;     /* CFA_RECONCILE_* */
    int32_t livemode; /* 0 or 1; negative: not told */
    int32_t whole;    /* non-zero: it states all that the provider knows of the payment's money */
    int32_t summary;  /* 0, or CFA_RECONCILE_REPORT or _MOVEMENT: a row of a report */
    int64_t refunded_minor; /* of the payment so far; negative: not told */
    int64_t line;           /* of the file that it was read from; 0: none */
    int64_t
        as_of_us;    /* by the book's clock it stood so then, or later; 0: not told. The book is not
                       * ahead for what it learnt since */
    cfa_facts facts; /* what it says; last, because it grows */
} cfa_reconcile_object;

/*
 * The record, in any order: write the next object and return CFA_OK, or CFA_ENOTFOUND at the end,
 * behind which it begins again; anything else ends the work with that status. Text is borrowed
 * until the next call.
 */
typedef cfa_status (*cfa_reconcile_next)(void *self, cfa_reconcile_object *out);

typedef struct cfa_reconcile_spec {
    size_t struct_size;
    cfa_reconcile_next next; /* required */
    void *next_self;
    /* What was made here in this time must be in the record, of each kind that the record has at
     * all; 0, 0: nothing must. It should lie well inside the time that the record is of. */
    int64_t from_us, until_us;
    int32_t all_ours; /* non-zero: objects that do not name a payment of ours are missing here,
                       * too; else they are only counted */
    /* Non-zero: the record changes while it is read, and reading it takes long: each object is
     * judged in a snapshot of its own, and none is held during `next`. */
    int32_t moving;
    int32_t all_kinds;    /* non-zero: what the record has nothing of does not exist; else it proves
                        * nothing of a kind that it brings no object of */
    const char *provider; /* whose record it is, such as "stripe": a book of another one is refused.
                           * NULL: not told */
} cfa_reconcile_spec;

#define CFA_RECONCILE_SPEC_INIT                                                                    \
    { sizeof(cfa_reconcile_spec), NULL, NULL, 0, 0, 0, 0, 0, NULL }

/* Objects of one record, all kinds together: bounds the memory to 8 bytes each. */
#define CFA_RECONCILE_OBJECTS_MAX 16000000
/* Differences that are listed of each code; all are counted. */
#define CFA_RECONCILE_LISTED_MAX 100

typedef struct cfa_reconciliation cfa_reconciliation;

/*
 * Compare a book that is in use, or a copy of one, opened read-only. Reads one snapshot, the record
 * once, and writes nothing.
 * `*out`: owned, `cfa_reconciliation_free`. `spec`, `storage`: borrowed until the call returns.
 * Expected: CFA_OK (look at `cfa_reconciliation_differences`); CFA_EINVAL; CFA_EMODE (the record is
 * of the other mode or of another provider); CFA_ERANGE (too many objects); CFA_ENOMEM; TRANSIENT;
 * CFA_ESCHEMA for a storage; what `next` failed with.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_reconcile_engine(cfa_reconciliation **out, cfa_engine *engine,
                                                       const cfa_reconcile_spec *spec);
CFA_API CFA_MUST_CHECK cfa_status cfa_reconcile_storage(cfa_reconciliation **out,
                                                        const cfa_storage *storage,
                                                        const cfa_reconcile_spec *spec);

/*
 * Tell the engine every object of the record that says more than the book knows, each as an event
 * of its own, as if its webhook came now. No number is ever written otherwise.
 *
 * Durable when it returns. A repeat changes nothing: the event's id is made of what the object says.
 * Left alone are objects whose payment is not known, that contradict the book, and rows of reports.
 * Begin with a comparison: it proves that the whole record can be read and is of the book's mode.
 * `*out_repaired`: how many objects told the book something. `timeout_ms`: of each one.
 * Expected: CFA_OK; CFA_EINVAL; CFA_ENOTSUP (the engine has no provider); CFA_EMODE; TRANSIENT;
 * CFA_EINDOUBT; what `next` failed with. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_reconcile_repair(int64_t *out_repaired, cfa_engine *engine,
                                                       const cfa_reconcile_spec *spec,
                                                       int32_t timeout_ms);

/* ---- against the provider itself -------------------------------------------------------------- */

typedef struct cfa_reconcile_live_spec {
    size_t struct_size;
    int64_t from_us;    /* what the provider created since, and a while before; required */
    int64_t until_us;   /* and before this time, until the year 9999; 0: up to ten minutes ago */
    int32_t repair;     /* non-zero: repair where something can be told, then compare again */
    int32_t all_ours;   /* as in cfa_reconcile_spec */
    int32_t timeout_ms; /* of all of it; 0: an hour */
    /* Asked before each page and between tries; non-zero ends the work. NULL: nobody ends it. */
    int32_t (*stop)(void *self);
    void *stop_self;
    const cfa_actor *by; /* who asks, for the act of a clean comparison; borrowed, or NULL */
} cfa_reconcile_live_spec;

#define CFA_RECONCILE_LIVE_SPEC_INIT                                                               \
    { sizeof(cfa_reconcile_live_spec), 0, 0, 0, 0, 0, NULL, NULL, NULL }

/*
 * Compare the book with what its provider lists of a window, repair it, compare it again. Pages are
 * read on this thread, one after the other, each tried again a few times; no transaction is held
 * meanwhile. docs/reconcile.md says what is listed, and what must be there.
 *
 * Durable when it returns: what a repair told, and, when no difference is left, that they were
 * compared (`cfa_reconcile_record`). A repeat tells what is new since. `*out`: of the last
 * comparison, owned, `cfa_reconciliation_free`. `*out_repaired`: as of cfa_reconcile_repair; may be
 * NULL. `spec`: copied.
 * Expected: CFA_OK (look at `cfa_reconciliation_differences`); CFA_EINVAL; CFA_ENOTSUP (no provider,
 * one that lists nothing, or that refuses to: the text says which); CFA_EUNAVAILABLE (a page could
 * not be had); CFA_ETIMEOUT; CFA_ECLOSING (`stop` said so); CFA_EMODE; CFA_ERANGE; CFA_ENOMEM;
 * TRANSIENT and CFA_EINDOUBT of the store. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_reconcile_live(cfa_reconciliation **out,
                                                     int64_t *out_repaired, cfa_engine *engine,
                                                     const cfa_reconcile_live_spec *spec);

/* The same record for a comparison of one's own: a source for `cfa_reconcile_spec.next`, which wants
 * `moving` and `all_kinds` with it. Used by one thread at a time, freed before the engine closes. */
typedef struct cfa_reconcile_listing cfa_reconcile_listing;

/*
 * Begin to list; nothing is asked of the provider yet. `spec`: copied; its time runs from now.
 * Expected: CFA_OK; CFA_EINVAL; CFA_ENOTSUP; CFA_ENOMEM. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_reconcile_listing_open(cfa_reconcile_listing **out,
                                                             cfa_engine *engine,
                                                             const cfa_reconcile_live_spec *spec);
CFA_API cfa_status cfa_reconcile_listing_next(void *self, cfa_reconcile_object *out);
/* Write the time of our book that must be in it; 0, 0 when it is too short for any. */
CFA_API void cfa_reconcile_listing_window(const cfa_reconcile_listing *listing,
                                          int64_t *out_from_us, int64_t *out_until_us);
CFA_API void cfa_reconcile_listing_free(cfa_reconcile_listing *listing);

/* ---- reports --------------------------------------------------------------------------------- */

/* How many differences there are, those included that are not listed; 0: the books agree. */
CFA_API int64_t cfa_reconciliation_differences(const cfa_reconciliation *report);
/* How many of one code; 0 for a text that is no code. */
CFA_API int64_t cfa_reconciliation_count(const cfa_reconciliation *report, const char *code);
/* How many of them a repair from this record would tell the engine about. */
CFA_API int64_t cfa_reconciliation_repairable(const cfa_reconciliation *report);
/* Objects that were read, and of them those that name no payment of ours. */
CFA_API int64_t cfa_reconciliation_objects(const cfa_reconciliation *report);
CFA_API int64_t cfa_reconciliation_foreign(const cfa_reconciliation *report);
/* Of them, what was only counted: CFA_RECONCILE_OTHER, and CFA_RECONCILE_UNNAMED. */
CFA_API int64_t cfa_reconciliation_other(const cfa_reconciliation *report);
CFA_API int64_t cfa_reconciliation_unnamed(const cfa_reconciliation *report);

/* One difference. Text is borrowed from the report. */
typedef struct cfa_reconcile_difference {
    size_t struct_size;
    const char *code;       /* "missing_here", ...: stable; docs/reconcile.md lists them */
    const char *kind;       /* "payment", "refund" or "dispute" */
    const char *id;         /* ours, "pay_...", "rfd_..." or "dsp_..."; NULL: not known here */
    const char *payment_id; /* ours, of the payment; NULL: not known */
    const char *ref;        /* the provider's id; NULL: not told */
    const char *field;      /* NULL when it is about the whole */
    const char *expected;   /* what the provider says */
    const char *found;      /* what the book says */
    int64_t line;           /* of the record; 0: none */
    int32_t repairable;     /* non-zero: a repair from this record tells the engine */
} cfa_reconcile_difference;

/* Listed differences, by code. */
CFA_API size_t cfa_reconciliation_size(const cfa_reconciliation *report);
/* NULL beyond the size. */
CFA_API const cfa_reconcile_difference *cfa_reconciliation_at(const cfa_reconciliation *report,
                                                              size_t index);
/* What the book is pinned to: for whoever opens it to repair. "" for no provider. */
CFA_API const char *cfa_reconciliation_provider(const cfa_reconciliation *report);
CFA_API const char *cfa_reconciliation_account(const cfa_reconciliation *report);
CFA_API int32_t cfa_reconciliation_livemode(const cfa_reconciliation *report);
/* The whole report as one JSON object, and for people to read. Borrowed until the free. */
CFA_API const char *cfa_reconciliation_json(const cfa_reconciliation *report);
CFA_API const char *cfa_reconciliation_text(const cfa_reconciliation *report);
CFA_API void cfa_reconciliation_free(cfa_reconciliation *report);

/* ---- recording ------------------------------------------------------------------------------- */

/*
 * Write down that the books were compared: an act ("book.reconcile": the time, the objects, the
 * differences by code) of the audit log, and, when there is no difference, the time that was found
 * equal, until which `cfa_doctor` takes the books for compared.
 *
 * That time is what of `from_us` to `until_us` lay before the comparison. One that overlaps or meets
 * the known one extends it, a later one replaces it, an earlier one apart changes nothing. Without a
 * time that was looked for, or with a record without any payment, nothing was proved, and only the
 * act is written.
 *
 * Durable when it returns. A repeat with the same report writes nothing: the report is its own key.
 * `by`: who asks, or NULL. Expected: CFA_OK; CFA_EINVAL (a report of another book); TRANSIENT;
 * CFA_EINDOUBT (repeat it). Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_reconcile_record(cfa_engine *engine,
                                                       const cfa_reconciliation *report,
                                                       const cfa_actor *by, int32_t timeout_ms);

CFA_END

#endif
