/*
 * explain.h - one causal story of a donation, for the person who is asked about it.
 *
 * It reads one snapshot, costs a bounded amount of work whatever the size of the book, and says what
 * it did not find. It never shows a donor's name, mail or message, an idempotency key of a caller, a
 * client secret or a request's bytes. docs/explain.md has the fields of its JSON.
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
 * `id`: of a pledge ("plg_..."), payment ("pay_..."), refund ("rfd_..."), dispute ("dsp_...") or
 * event ("evt_..."), also as UUID or 32 hex digits; or what the provider calls its payment, refund,
 * dispute or webhook event. Reads only; a repeat tells what became of it since.
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

CFA_END

#endif
