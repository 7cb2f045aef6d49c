/*
 * explain.h - one causal story of a donation, for the person who is asked about it; and what is
 * stuck or strange in a book, with the next safe action for each.
 *
 * Both read one snapshot, cost a bounded amount of work whatever the size of the book, and say what
 * they did not look at. Neither shows a donor's name, mail or message, an idempotency key of a
 * caller, a client secret or a request's bytes. docs/explain.md has the fields of their JSON.
 */
#ifndef CAREFORALL_EXPLAIN_H
#define CAREFORALL_EXPLAIN_H

#include <careforall/base.h>
#include <careforall/engine.h>

CFA_BEGIN

typedef int32_t cfa_explain_format;
enum {
    CFA_EXPLAIN_TEXT = 1, /* for a terminal, 100 columns */
    CFA_EXPLAIN_JSON = 2, /* one object; members are only ever added */
    CFA_EXPLAIN_HTML = 3  /* one page without scripts that loads nothing */
};

/* ---- one donation ---------------------------------------------------------------------------- */

typedef struct cfa_story cfa_story;

/*
 * Tell everything that is known about one donation, in the order in which it happened.
 *
 * `id`: of a pledge ("plg_..."), payment ("pay_..."), refund ("rfd_..."), dispute ("dsp_..."),
 * event ("evt_...") or webhook ("whk_..."), also as UUID or 32 hex digits; the position
 * of an event; what the provider calls its payment, refund, dispute or webhook event; the key of a
 * call; or a call as an audit writes it, "pay_.../2". Blanks around it do not count. Reads only; a
 * repeat tells what became of it since.
 * `*out`: owned, `cfa_story_free`.
 * Expected: CFA_OK; CFA_EINVAL (no such kind of id); CFA_ENOTFOUND; TRANSIENT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_explain(cfa_story **out, cfa_engine *engine, const char *id,
                                              int32_t timeout_ms);

/* Write a story. `*out_text`: ends with a NUL, freed by `cfa_free`. Expected: CFA_OK; CFA_EINVAL;
 * CFA_ENOMEM. */
CFA_API CFA_MUST_CHECK cfa_status cfa_story_write(char **out_text, const cfa_story *story,
                                                  cfa_explain_format format);
/* "pay_..." of the payment that the story is about; NULL when it is about none. */
CFA_API const char *cfa_story_payment_id(const cfa_story *story);
CFA_API void cfa_story_free(cfa_story *story);

/* ---- a whole book ---------------------------------------------------------------------------- */

typedef struct cfa_checkup cfa_checkup;

typedef int32_t cfa_finding_severity;
enum {
    CFA_FINDING_NOTE = 1,    /* worth knowing; nothing has to be done */
    CFA_FINDING_WARNING = 2, /* will become worse when nobody acts */
    CFA_FINDING_CRITICAL = 3 /* money, or the news of it, stands still now */
};

#define CFA_FINDING_IDS_MAX 20 /* listed of each finding; `count` counts all that were seen */

/* One thing that is stuck or strange. Text is borrowed. */
typedef struct cfa_finding_view {
    size_t struct_size;
    const char *code; /* "operation_in_doubt", ...: stable; docs/explain.md lists them */
    cfa_finding_severity severity;
    int64_t count;
    const char *const *ids; /* what it is about: ids, names of sinks */
    int32_t id_count;       /* at most CFA_FINDING_IDS_MAX */
    int64_t age_us;         /* of the oldest; 0: it has no age */
    const char *text;       /* one sentence */
    const char *action;     /* the next safe action: a command of careforall-server, or words */
    int32_t safe;           /* non-zero: `cfa_doctor_do` does it */
} cfa_finding_view;

typedef struct cfa_doctor_spec {
    size_t struct_size;
    int32_t deep;       /* non-zero: read every payment and parked webhook, however many */
    int32_t timeout_ms; /* for the snapshot, not for a deep reading */
    /* What only the host can see, such as the size of its files: listed with the rest. Copied. */
    const cfa_finding_view *const *host_findings;
    int32_t host_finding_count;
} cfa_doctor_spec;

#define CFA_DOCTOR_SPEC_INIT                                                                       \
    { sizeof(cfa_doctor_spec), 0, 0, NULL, 0 }

/*
 * List everything that is stuck or strange, the most urgent first. Reads only.
 *
 * Without `deep` the cost is bounded: at most some ten thousand rows are read, of those that can be
 * stuck, most overdue first; what was left out is said in the checkup.
 * `*out`: owned, `cfa_checkup_free`. `spec`: NULL for defaults.
 * Expected: CFA_OK (look at the size); TRANSIENT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_doctor(cfa_checkup **out, cfa_engine *engine,
                                             const cfa_doctor_spec *spec);
CFA_API size_t cfa_checkup_size(const cfa_checkup *checkup);
/* Borrowed from the checkup; NULL beyond its size. */
CFA_API const cfa_finding_view *cfa_checkup_at(const cfa_checkup *checkup, size_t index);
/* As `cfa_story_write`. */
CFA_API CFA_MUST_CHECK cfa_status cfa_checkup_write(char **out_text, const cfa_checkup *checkup,
                                                    cfa_explain_format format);
CFA_API void cfa_checkup_free(cfa_checkup *checkup);

/*
 * Do the next safe action of a finding, for all that it is about: ask the provider again, let a
 * sink go on, deliver dead letters again, bring the totals up to date.
 *
 * Durable when it returns, and safe to repeat: nothing here can charge, refund, cancel or capture.
 * Calls to the provider are brought forward, and made by whoever drives the book. `*out_done`: how
 * many things were acted on; 0 when there was nothing to do.
 * `code`: of a finding; `by`: who asks, or NULL. Expected: CFA_OK; CFA_EINVAL (no such code);
 * CFA_ENOTSUP (a person must decide); TRANSIENT; CFA_EINDOUBT.
 * Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_doctor_do(int64_t *out_done, cfa_engine *engine,
                                                const char *code, const cfa_doctor_spec *spec,
                                                const cfa_actor *by);

CFA_END

#endif
