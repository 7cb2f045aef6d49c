/*
 * reversal.h - money that goes back, and what is kept of it: refunds, disputes, fraud warnings and
 * fees as facts. Pure, like object.c, whose helpers these objects are read with.
 */
#ifndef CFA_ADAPTERS_STRIPE_REVERSAL_H
#define CFA_ADAPTERS_STRIPE_REVERSAL_H

#include "adapters/stripe/stripe.h"

/* ---- object.c: parts that every object is read with ------------------------------------------ */

/* CFA_EINVAL naming the field. */
CFA_MUST_CHECK cfa_status cfa__stripe_malformed(const char *object, const char *field);
/* Copy a text that may be NULL. One that is longer than any of Stripe's is dropped. */
CFA_MUST_CHECK cfa_status cfa__stripe_keep(const char **out, const char *text, cfa_arena *arena);
/* The same for an id, which there must be. */
CFA_MUST_CHECK cfa_status cfa__stripe_keep_id(const char **out, const char *text,
                                              const char *object, cfa_arena *arena);
/* An amount in the object's currency, not below 0; 0 when absent. */
CFA_MUST_CHECK cfa_status cfa__stripe_amount(cfa_money *out, const cfa__json *object,
                                             const char *kind, const char *name, bool required);
/* The id of a member that is an id or an expanded object; NULL when absent. */
const char *cfa__stripe_id(const cfa__json *object, const char *name);

/* ---- reversal.c ------------------------------------------------------------------------------ */

/* What of a payment is still to be listed, before all its reversals are named. */
enum { CFA__STRIPE_REFUNDS = 1, CFA__STRIPE_DISPUTES = 2 };

/*
 * The fee and the refunds that an expanded charge brings, into the facts of its payment, whose
 * captured amount they hold already. `*out_unread`: what it does not tell, or not all of.
 */
CFA_MUST_CHECK cfa_status cfa__stripe_charge_reversals(cfa_facts *facts, uint32_t *out_unread,
                                                       const cfa__json *charge, int64_t moment_us,
                                                       cfa_arena *arena);
/* The same for the charge of an intent, or of a page's intent. */
CFA_MUST_CHECK cfa_status cfa__stripe_object_reversals(cfa_facts *facts, uint32_t *out_unread,
                                                       const cfa__json *object, int64_t moment_us,
                                                       cfa_arena *arena);
/*
 * All refunds, or all disputes, of the payment that the facts are about. `*out_all`: false when the
 * list goes on, or one is in a state that is not known here; then no facts are added.
 */
CFA_MUST_CHECK cfa_status cfa__stripe_refunds(cfa_facts *facts, bool *out_all,
                                              const cfa__json *list, int64_t moment_us,
                                              cfa_arena *arena);
CFA_MUST_CHECK cfa_status cfa__stripe_disputes(cfa_facts *facts, bool *out_all,
                                               const cfa__json *list, int64_t moment_us,
                                               cfa_arena *arena);

/*
 * One of them alone, as webhooks and the answer to a REFUND bring it. `out->ref` is NULL when it
 * belongs to no payment intent. `*out_tells`: false when the payment is to be read instead.
 */
CFA_MUST_CHECK cfa_status cfa__stripe_refund(cfa_facts *out, bool *out_tells,
                                             const cfa__json *refund, int64_t moment_us,
                                             cfa_arena *arena);
/* `event_type`: what is told about the dispute; NULL: nothing but what the object says. */
CFA_MUST_CHECK cfa_status cfa__stripe_dispute(cfa_facts *out, bool *out_tells,
                                              const cfa__json *dispute, const char *event_type,
                                              int64_t moment_us, cfa_arena *arena);
/* The fee that a balance transaction shows, into the facts of its payment; nothing where it cannot be
 * held exactly. */
void cfa__stripe_row_fee(cfa_facts *facts, const cfa__json *row);
CFA_MUST_CHECK cfa_status cfa__stripe_warning(cfa_facts *out, const cfa__json *warning,
                                              int64_t moment_us, cfa_arena *arena);

#endif
