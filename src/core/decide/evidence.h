/*
 * evidence.h - what handlers share: emitting events, applying facts to a payment, binding a
 * provider's object, fixing an answer. Pure, over drafts of the working set.
 */
#ifndef CFA_CORE_DECIDE_EVIDENCE_H
#define CFA_CORE_DECIDE_EVIDENCE_H

#include <careforall/refund.h>
#include "core/decide/decide.h"
#include "core/decide/event_registry.h"
#include "core/decide/facts.h"

/* Emit an event about a payment as it stands in `payment`, whose sequence it raises. */
CFA_MUST_CHECK cfa_status cfa__emit_payment(cfa__working_set *set, cfa__payment *payment,
                                            cfa__event_type type);
/* The same about a payment's refund or dispute; one of the two is NULL. */
CFA_MUST_CHECK cfa_status cfa__emit_reversal(cfa__working_set *set, cfa__payment *payment,
                                             cfa__event_type type, const cfa__refund *refund,
                                             const cfa__dispute *dispute);
/* The same about a campaign. */
CFA_MUST_CHECK cfa_status cfa__emit_campaign(cfa__working_set *set, cfa__campaign *campaign,
                                             cfa__event_type type);

/* The same about a provider's account. */
CFA_MUST_CHECK cfa_status cfa__emit_breaker(cfa__working_set *set, cfa__breaker *breaker,
                                            cfa__event_type type);

/* Append one row to a payment's transition log; `subject_id`: the refund or dispute whose states
 * these are, else null. */
CFA_MUST_CHECK cfa_status cfa__log_transition(cfa__working_set *set, cfa__payment *payment,
                                              int64_t from, int64_t to, const char *rule,
                                              bool implied, cfa__id cause_id, cfa__id subject_id);
/* Log and tell what leaves the state as it is. */
CFA_MUST_CHECK cfa_status cfa__log_notice(cfa__working_set *set, cfa__payment *payment,
                                          const char *rule, cfa__event_type event,
                                          cfa__id cause_id);

/* What somebody told us, and who makes the calls that it may give rise to. */
typedef struct cfa__evidence {
    const cfa_facts *facts;
    cfa__id cause_id; /* null: a reply */
    const cfa_provider *provider;
    bool refunds_suspects; /* what its card's issuer suspects of fraud goes back */
} cfa__evidence;

/* Run facts through the machines: drafts, transition log and events. `facts->ref` must be the
 * payment's own or NULL, else they are quarantined. */
CFA_MUST_CHECK cfa_status cfa__evidence_apply(cfa__working_set *set, cfa__payment *payment,
                                              const cfa__evidence *evidence,
                                              cfa_webhook_verdict *out_verdict, bool *out_probe);

/* The part of that which is about refunds and disputes. `*verdict` is raised from STALE to APPLIED,
 * or to QUARANTINED. */
CFA_MUST_CHECK cfa_status cfa__reversals_apply(cfa__working_set *set, cfa__payment *payment,
                                               const cfa__evidence *evidence,
                                               cfa_webhook_verdict *verdict);

/* What the campaign's late rule makes of money that was captured just now, or turned out to be
 * late. */
typedef struct cfa__lateness {
    bool is_late;
    bool is_untold; /* only the campaign's end makes it late: no machine said so */
    bool is_held;
    int64_t goes_back_minor; /* 0: none of it */
} cfa__lateness;

/* Judge a payment that facts were merged into, and set its flags LATE and HELD; nothing is told
 * yet. */
CFA_MUST_CHECK cfa_status cfa__late_judge(cfa__working_set *set, cfa__payment *payment,
                                          const cfa__payment *before, cfa__lateness *out);
/* Log and tell it, and ask for the refund. */
CFA_MUST_CHECK cfa_status cfa__late_apply(cfa__working_set *set, cfa__payment *payment,
                                          const cfa__evidence *evidence,
                                          const cfa__lateness *lateness);

/* As the machine does for facts that it quarantines: the mismatch is kept, so that the flag stays. */
CFA_MUST_CHECK cfa_status cfa__conflict_note(cfa__working_set *set, cfa__payment *payment,
                                             cfa__id cause_id);

/* Record that the provider's objects `facts->ref` and `facts->origin_ref` are this payment, and
 * apply the webhooks that waited for them. The payment is known by its first object until that is
 * named as the origin of another. `*out_ours` is false when one is another payment's: then only the
 * conflict is noted. */
CFA_MUST_CHECK cfa_status cfa__object_bind(cfa__working_set *set, cfa__payment *payment,
                                           const cfa__evidence *evidence, bool *out_ours);

/* Apply facts about an object that is bound to this payment, whichever of its objects it is. */
CFA_MUST_CHECK cfa_status cfa__object_apply(cfa__working_set *set, cfa__payment *payment,
                                            const cfa__evidence *evidence,
                                            cfa_webhook_verdict *out_verdict);

/* Record a refund of a payment's draft, with its reservation and its call. */
CFA_MUST_CHECK cfa_status cfa__refund_append(cfa__working_set *set, const cfa_provider *provider,
                                             cfa__payment *payment, const cfa__refund *refund,
                                             cfa__refund **out);
/* The same by a rule, of what is left, at most so much. Nothing when nothing is, or the provider
 * cannot. */
CFA_MUST_CHECK cfa_status cfa__refund_by_rule(cfa__working_set *set, const cfa_provider *provider,
                                              cfa__payment *payment, cfa_refund_origin origin,
                                              int64_t most_minor);
/* The provider refused to make a refund that was asked for, or proved that it never did. */
CFA_MUST_CHECK cfa_status cfa__refund_reject(cfa__working_set *set, cfa__payment *payment,
                                             cfa__id refund_id, const char *code);

struct cfa__buffer;
/* What every answer begins with. */
void cfa__answer_head(struct cfa__buffer *json, const cfa__pledge *pledge);
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
