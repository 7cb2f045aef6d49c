/*
 * evidence.h - what handlers share: emitting events, applying facts to a payment, binding a
 * provider's object, fixing an answer. Pure, over drafts of the working set.
 */
#ifndef CFA_CORE_DECIDE_EVIDENCE_H
#define CFA_CORE_DECIDE_EVIDENCE_H

#include "core/decide/decide.h"
#include "core/decide/event_registry.h"

/* Emit an event about a payment as it stands in `payment`, whose sequence it raises. */
CFA_MUST_CHECK cfa_status cfa__emit_payment(cfa__working_set *set, cfa__payment *payment,
                                            cfa__event_type type);
/* The same about a campaign. */
CFA_MUST_CHECK cfa_status cfa__emit_campaign(cfa__working_set *set, cfa__campaign *campaign,
                                             cfa__event_type type);

/* The same about a provider's account. */
CFA_MUST_CHECK cfa_status cfa__emit_breaker(cfa__working_set *set, cfa__breaker *breaker,
                                            cfa__event_type type);

/* Append one step to a payment's transition log. */
CFA_MUST_CHECK cfa_status cfa__log_transition(cfa__working_set *set, cfa__payment *payment,
                                              cfa_payment_state from, cfa_payment_state to,
                                              const char *rule, bool implied, cfa__id cause_id);

/* Run facts through the payment machine: draft, transition log and events. `facts->ref` must be the
 * payment's own or NULL, else they are quarantined. */
CFA_MUST_CHECK cfa_status cfa__evidence_apply(cfa__working_set *set, cfa__payment *payment,
                                              const cfa_facts *facts, cfa__id cause_id,
                                              cfa_webhook_verdict *out_verdict, bool *out_probe);

/* Record that the provider's objects `facts->ref` and `facts->origin_ref` are this payment, and
 * apply the webhooks that waited for them. The payment is known by its first object until that is
 * named as the origin of another. `*out_ours` is false when one is another payment's: then only the
 * conflict is noted. */
CFA_MUST_CHECK cfa_status cfa__object_bind(cfa__working_set *set, cfa__payment *payment,
                                           const cfa_facts *facts, bool *out_ours);

/* Apply facts about an object that is bound to this payment, whichever of its objects it is. */
CFA_MUST_CHECK cfa_status cfa__object_apply(cfa__working_set *set, cfa__payment *payment,
                                            const cfa_facts *facts, cfa__id cause_id,
                                            cfa_webhook_verdict *out_verdict);

/* In the flags of a webhook's facts: they only name the object, whose state is to be read. */
#define CFA__FACT_FETCH 131072

/* Drop text of facts that cannot be stored, end their currency; false when the facts as a whole are
 * unusable. */
bool cfa__facts_clean(cfa_facts *facts);
/* The text if it is bounded UTF-8 without control characters, else NULL. */
const char *cfa__clean_text(const char *text);
/* The same for a page's address, which may be long. */
const char *cfa__clean_url(const char *url);

/* Normalised facts as JSON for the webhook row, and back. Text lives in the batch's arena. */
CFA_MUST_CHECK cfa_status cfa__facts_encode(cfa_slice *out, cfa_arena *arena,
                                            const cfa_facts *facts);
CFA_MUST_CHECK cfa_status cfa__facts_decode(cfa_facts *out, cfa_arena *arena, cfa_slice json);

/* Build the answer of a pledge as its final bytes. `client_secret` and `redirect_url` may be
 * NULL. */
CFA_MUST_CHECK cfa_status cfa__answer_build(cfa_slice *out, cfa_arena *arena,
                                            const cfa__pledge *pledge, const cfa__payment *payment,
                                            const char *client_secret, const char *redirect_url);

/* Read the newest log position, as of before this batch. */
CFA_MUST_CHECK cfa_status cfa__read_head(cfa__working_set *set, int64_t *out_position);

/* A slice of a NUL-terminated text; null for NULL. */
cfa_slice cfa__slice(const char *text);
/* A NUL-terminated copy of a slice; NULL for null. CFA_ENOMEM is told by `*failed`. */
const char *cfa__text_of(cfa_arena *arena, cfa_slice slice, bool *failed);
bool cfa__slices_equal(cfa_slice a, cfa_slice b);

#endif
