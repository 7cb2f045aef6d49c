/*
 * audit.h - the books recomputed: every total from the contributions, those from the payments' facts,
 * those from what webhooks and calls brought, against the log; and the first difference by name, with
 * what it comes from.
 *
 * An audit reads one snapshot and writes nothing. It works on a book that is in use, and on a copy of
 * its file. Memory is bounded whatever the size of the book; docs/audit.md lists the checks.
 */
#ifndef CAREFORALL_AUDIT_H
#define CAREFORALL_AUDIT_H

#include <careforall/base.h>
#include <careforall/engine.h>
#include <careforall/reconcile.h>
#include <careforall/sys/storage.h>

CFA_BEGIN

typedef struct cfa_audit cfa_audit;

enum {
    CFA_AUDIT_ERROR = 1,  /* a number, or the proof of one, is wrong */
    CFA_AUDIT_WARNING = 2 /* no number is wrong, but somebody should look */
};

typedef struct cfa_audit_spec {
    size_t struct_size;
    const char *campaign_id; /* only its payments and totals, not the log; NULL: the whole book */
    /* The provider's own record, to be compared with the book in the same snapshot, as a
     * reconciliation does: what differs is a finding, "provider." and its code. Of a whole book only,
     * and not `moving`. NULL: none. */
    const cfa_reconcile_spec *record;
    /* Asked before each page of rows and every so many objects of the record, with how many rows were
     * read so far; non-zero ends the audit with CFA_ECLOSING. NULL: nobody ends it. */
    int32_t (*stop)(void *self, int64_t rows);
    void *stop_self;
} cfa_audit_spec;

#define CFA_AUDIT_SPEC_INIT                                                                        \
    { sizeof(cfa_audit_spec), NULL, NULL, NULL, NULL }

/*
 * Audit the book of an engine, which goes on working.
 *
 * Reads one snapshot for as long as it takes, so that a number and what it is made of are of one
 * moment; a SQLite file's log cannot be cut meanwhile and grows by what is committed. Audit a copy
 * when that is too much.
 * A record that cannot be compared because the book is damaged is not; the report says why, and the
 * damage is a finding.
 * `*out`: owned, `cfa_audit_free`. `spec`: borrowed until the call returns, NULL for defaults.
 * Expected: CFA_OK (look at `cfa_audit_differences`); CFA_EINVAL; CFA_ENOTFOUND (no such campaign);
 * CFA_ECORRUPT (a row cannot be read at all; the message names it); CFA_ECLOSING (`stop` said so);
 * CFA_ENOMEM; TRANSIENT; with a record what `cfa_reconcile_engine` expects. Threading: any thread.
 * Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_audit_engine(cfa_audit **out, cfa_engine *engine,
                                                   const cfa_audit_spec *spec);

/*
 * The same without an engine: for a copy of a book, opened read-only. The schema must be this
 * library's; `storage->ops->migrate` is called, which of a read-only storage changes nothing.
 * `storage`: borrowed until the call returns.
 * Expected: as above; CFA_ESCHEMA (an older or newer book, or none).
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_audit_storage(cfa_audit **out, const cfa_storage *storage,
                                                    const cfa_audit_spec *spec);

/* How many differences there are, those included that are not listed; 0: the books are clean. */
CFA_API int64_t cfa_audit_differences(const cfa_audit *audit);
/* The newest log position that was read. */
CFA_API int64_t cfa_audit_position(const cfa_audit *audit);
/* Rows of a table that were read, by its name without "cfa_", such as "payment". */
CFA_API int64_t cfa_audit_rows(const cfa_audit *audit, const char *table);

/* One difference. Text is borrowed from the audit. */
typedef struct cfa_audit_finding {
    size_t struct_size;
    const char *check;                    /* stable: "totals.counter", docs/audit.md */
    int32_t severity;                     /* CFA_AUDIT_* */
    const char *rule;                     /* what should be true */
    const char *subject;                  /* "pay_...", "pay_.../3", "position 17", ... */
    const char *payment_id, *campaign_id; /* NULL when there is none */
    const char *field;                    /* NULL when it is about the whole */
    const char *expected, *found;
    const char *const *causes; /* from the campaign's total down to what brought the fact */
    size_t cause_count;
} cfa_audit_finding;

/* Listed differences, causes before what follows from them: the first is the one to look at. */
CFA_API size_t cfa_audit_size(const cfa_audit *audit);
/* NULL beyond the size. */
CFA_API const cfa_audit_finding *cfa_audit_at(const cfa_audit *audit, size_t index);

/* The whole report as one JSON object, and for people to read. Borrowed until the free. */
CFA_API const char *cfa_audit_json(const cfa_audit *audit);
CFA_API const char *cfa_audit_text(const cfa_audit *audit);
CFA_API void cfa_audit_free(cfa_audit *audit);

CFA_END

#endif
