/*
 * facts.h - what a provider says, taken in: checked, copied, and kept as JSON.
 */
#ifndef CFA_CORE_DECIDE_FACTS_H
#define CFA_CORE_DECIDE_FACTS_H

#include <careforall/sys/provider.h>
#include <stdbool.h>

/* In the flags of a webhook's facts: they only name the object, whose state is to be read. */
#define CFA__FACT_FETCH 131072

/*
 * Copy facts with everything in them. Text that cannot be stored is dropped; `*out_field` names what
 * makes the facts as a whole unusable, and `*out` is then without any.
 */
CFA_MUST_CHECK cfa_status cfa__facts_take(cfa_facts *out, cfa_arena *arena, const cfa_facts *given,
                                          const char **out_field);
/* The text if it is bounded UTF-8 without control characters, else NULL. */
const char *cfa__clean_text(const char *text);
/* The same for a page's address, which may be long. */
const char *cfa__clean_url(const char *url);

/* Facts as JSON for the webhook row, and back. Text lives in `arena`. */
CFA_MUST_CHECK cfa_status cfa__facts_encode(cfa_slice *out, cfa_arena *arena,
                                            const cfa_facts *facts);
CFA_MUST_CHECK cfa_status cfa__facts_decode(cfa_facts *out, cfa_arena *arena, cfa_slice json);

#endif
