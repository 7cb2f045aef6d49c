/*
 * records.h - every kind of record, described once. From these lists come the C structs, the tables
 * of both databases, the memory store and docs/schema.md.
 *
 * F(type, name, flags, since, doc); the order is the column order; fields are only ever appended
 * with a higher `since`. Indexes are in records.c. Nothing here knows a database.
 */
#ifndef CFA_CORE_RECORDS_H
#define CFA_CORE_RECORDS_H

#include <careforall/sys/storage.h>
#include "util/id.h"

#define CFA__SCHEMA_VERSION 4

typedef char cfa__currency[4];
#define CFA__TYPE_INT int64_t
#define CFA__TYPE_ID cfa__id
#define CFA__TYPE_TEXT cfa_slice
#define CFA__TYPE_BYTES cfa_slice
#define CFA__TYPE_CURRENCY cfa__currency

/* One row: what the database is pinned to. */
#define CFA__BOOK_FIELDS(F)                                                                        \
    F(INT, id, 0, 1, "always 1")                                                                   \
    F(ID, book_id, 0, 1, "names this book in event sources")                                       \
    F(INT, incarnation, 0, 1, "raised when a restore takes positions back")                        \
    F(BYTES, secret, 0, 1, "32 bytes: key of the hashes of scopes, keys and donor references")     \
    F(INT, livemode, 0, 1, "1: real money; pinned at the first start with a provider")             \
    F(TEXT, provider, CFA_FIELD_NULLABLE, 1, "provider's name, pinned with livemode")              \
    F(TEXT, account, 0, 1, "provider account")                                                     \
    F(INT, key_generation, 0, 1, "current generation of key_recent")                               \
    F(INT, keys_moved, 0, 1, "to the permanent table; its change is seen by whoever binds a key")  \
    F(INT, created_us, 0, 1, "first start")                                                        \
    F(INT, version, 0, 1, "counts updates")                                                        \
    F(INT, act_count, 0, 3, "rows of act")                                                         \
    F(BYTES, act_hash, CFA_FIELD_NULLABLE, 3, "of the newest act; the next one holds it")          \
    F(INT, filled, 0, 4, "schema version whose new columns were filled in older rows")             \
    F(INT, reconciled_from_us, 0, 4, "time that was found equal to the provider's record, from")   \
    F(INT, reconciled_until_us, 0, 4, "the same, its end; 0: never")                               \
    F(INT, reconciled_at_us, 0, 4, "when that was recorded")

#define CFA__CAMPAIGN_FIELDS(F)                                                                    \
    F(ID, id, 0, 1, "cmp_")                                                                        \
    F(TEXT, title, 0, 1, "shown to donors")                                                        \
    F(TEXT, currencies, 0, 1, "accepted codes, sorted, comma-separated")                           \
    F(INT, goal_minor, 0, 1, "0: no goal")                                                         \
    F(CURRENCY, goal_currency, CFA_FIELD_NULLABLE, 1, "of the goal")                               \
    F(INT, deadline_us, 0, 1, "0: none")                                                           \
    F(INT, late_rule, 0, 1, "cfa_late_rule")                                                       \
    F(INT, state, 0, 1, "cfa_campaign_state")                                                      \
    F(INT, sequence, 0, 1, "of its newest event")                                                  \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(INT, updated_us, 0, 1, "")                                                                   \
    F(INT, version, 0, 1, "counts updates; what If-Match compares")

/* The only place of personal data. One row per pledge, so that it can be erased. */
#define CFA__DONOR_FIELDS(F)                                                                       \
    F(ID, id, 0, 1, "one per pledge")                                                              \
    F(ID, person_id, 0, 1, "dnr_: equal for equal references, else equal to id")                   \
    F(TEXT, reference, CFA_FIELD_NULLABLE, 1, "the host's id of the donor; erasable")              \
    F(TEXT, name, CFA_FIELD_NULLABLE, 1, "erasable")                                               \
    F(TEXT, email, CFA_FIELD_NULLABLE, 1, "erasable")                                              \
    F(TEXT, message, CFA_FIELD_NULLABLE, 1, "erasable")                                            \
    F(INT, visibility, 0, 1, "cfa_visibility")                                                     \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(INT, erased_us, 0, 1, "0: not erased")                                                       \
    F(INT, version, 0, 1, "counts updates")

#define CFA__PLEDGE_FIELDS(F)                                                                      \
    F(ID, id, 0, 1, "plg_")                                                                        \
    F(ID, campaign_id, 0, 1, "")                                                                   \
    F(ID, payment_id, 0, 1, "")                                                                    \
    F(ID, donor_id, 0, 1, "")                                                                      \
    F(INT, amount_minor, 0, 1, "promised")                                                         \
    F(CURRENCY, currency, 0, 1, "")                                                                \
    F(INT, created_us, 0, 1, "")

#define CFA__PAYMENT_FIELDS(F)                                                                     \
    F(ID, id, 0, 1, "pay_")                                                                        \
    F(ID, pledge_id, 0, 1, "")                                                                     \
    F(ID, campaign_id, 0, 1, "")                                                                   \
    F(ID, person_id, 0, 1, "dnr_")                                                                 \
    F(INT, amount_minor, 0, 1, "asked for")                                                        \
    F(CURRENCY, currency, 0, 1, "")                                                                \
    F(TEXT, provider, 0, 1, "")                                                                    \
    F(TEXT, account, 0, 1, "")                                                                     \
    F(TEXT, ref, CFA_FIELD_NULLABLE, 1, "the provider's id, once known")                           \
    F(INT, state, 0, 1, "cfa_payment_state, computed from the facts below")                        \
    F(INT, flags, 0, 1, "CFA_PAYMENT_FLAG_*")                                                      \
    F(INT, durable, 0, 1, "facts: SUCCEEDED, CANCELED, EXPIRED; 65536: some were quarantined")     \
    F(INT, authorized_minor, 0, 1, "fact: most ever reported as held; 0: only captures were")      \
    F(INT, captured_minor, 0, 1, "fact: most ever captured")                                       \
    F(INT, hold, 0, 1, "fact: twice the attempt of the newest hold, plus 1 once it was lost")      \
    F(TEXT, cancel_reason, CFA_FIELD_NULLABLE, 1, "fact")                                          \
    F(INT, canceled_us, 0, 1, "fact: earliest provider time of the cancel or expiry; 0: unknown")  \
    F(INT, volatile_fact, 0, 1, "facts of the newest attempt: NEEDS_ACTION, PROCESSING, FAILED")   \
    F(INT, volatile_attempt, 0, 1, "attempt the volatile fact is of")                              \
    F(INT, volatile_us, 0, 1, "provider time of the volatile fact")                                \
    F(TEXT, failure_code, CFA_FIELD_NULLABLE, 1, "of the volatile fact")                           \
    F(INT, expires_us, 0, 1, "when an unpaid payment is cancelled at the provider")                \
    F(INT, sequence, 0, 1, "of its newest event")                                                  \
    F(INT, capture_manual, 0, 1, "1: authorize first, capture by a command")                       \
    F(INT, transition_count, 0, 1, "")                                                             \
    F(INT, operation_count, 0, 1, "")                                                              \
    F(BYTES, trace, CFA_FIELD_NULLABLE, 1, "W3C traceparent of the request that made it")          \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(INT, updated_us, 0, 1, "")                                                                   \
    F(INT, version, 0, 1, "raised by any change at or below the payment")                          \
    F(TEXT, origin_ref, CFA_FIELD_NULLABLE, 2, "the provider's object that ref grew out of")       \
    F(INT, requested_minor, 0, 3, "sum of refunds asked for, not known to the provider yet")       \
    F(INT, refunded_minor, 0, 3, "sum of refunds that are under way or done")                      \
    F(INT, withdrawn_minor, 0, 3, "sum of what disputes took")                                     \
    F(INT, reinstated_minor, 0, 3, "sum of what came back of it")                                  \
    F(INT, exposed_minor, 0, 3, "sum of what disputes took, or may still take; not refundable")    \
    F(INT, refund_count, 0, 3, "")                                                                 \
    F(INT, dispute_count, 0, 3, "")                                                                \
    F(INT, open_count, 0, 3, "refunds and disputes that are not over; probes go on")               \
    F(INT, fee_minor, 0, 3, "fact: the provider's fee, in the currency it settles in")             \
    F(CURRENCY, fee_currency, CFA_FIELD_NULLABLE, 3, "of the fee")

/* The walk through the states. Insert only. */
#define CFA__TRANSITION_FIELDS(F)                                                                  \
    F(ID, payment_id, 0, 1, "")                                                                    \
    F(INT, number, 0, 1, "1, 2, 3, ... per payment")                                               \
    F(INT, from_state, 0, 1, "0: did not exist")                                                   \
    F(INT, to_state, 0, 1, "")                                                                     \
    F(TEXT, rule, 0, 1, "P01 to L02, docs/payment-states.md")                                      \
    F(INT, implied, 0, 1, "1: no evidence named this step")                                        \
    F(ID, cause_id, CFA_FIELD_NULLABLE, 1, "operation or webhook that brought the fact")           \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(ID, subject_id, CFA_FIELD_NULLABLE, 3, "the refund or dispute whose states these are")

/* A provider call: recorded before it is made. */
#define CFA__OPERATION_FIELDS(F)                                                                   \
    F(ID, payment_id, 0, 1, "")                                                                    \
    F(INT, number, 0, 1, "1, 2, 3, ... per payment")                                               \
    F(INT, call, 0, 1, "CFA_CALL_*; RETRIEVE: the payment's standing probe")                       \
    F(INT, attempt, 0, 1, "a new one only when the provider proved the old did nothing")           \
    F(TEXT, idempotency_key, 0, 1, "sent to the provider")                                         \
    F(BYTES, body, 0, 1, "exact request bytes")                                                    \
    F(TEXT, method, CFA_FIELD_NULLABLE, 1, "payment method token")                                 \
    F(INT, amount_minor, 0, 1, "")                                                                 \
    F(INT, state, 0, 1, "cfa__operation_state")                                                    \
    F(INT, due_us, 0, 1, "when to act next; the lease's end while leased; 0: closed")              \
    F(ID, lease_owner, CFA_FIELD_NULLABLE, 1, "engine that works on it")                           \
    F(INT, lease_epoch, 0, 1, "raised by each lease; fences a late owner")                         \
    F(INT, tries, 0, 1, "calls made")                                                              \
    F(INT, first_sent_us, 0, 1, "0: never; guards re-use of the key")                              \
    F(INT, last_sent_us, 0, 1, "newest time that the call itself, not a look-up, was sent")        \
    F(INT, outcome, 0, 1, "CFA_OUTCOME_* of the newest call")                                      \
    F(INT, stored, 0, 1, "1: a repeat brings the same answer; 2: the same error; 3: read again")   \
    F(TEXT, code, CFA_FIELD_NULLABLE, 1, "provider's code of the newest call")                     \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(INT, updated_us, 0, 1, "")                                                                   \
    F(INT, version, 0, 1, "counts updates")                                                        \
    F(ID, refund_id, CFA_FIELD_NULLABLE, 3, "REFUND: which one it makes")

/* A refund. One that we asked for has no ref until the provider names it. */
#define CFA__REFUND_FIELDS(F)                                                                      \
    F(ID, id, 0, 3, "rfd_")                                                                        \
    F(ID, payment_id, 0, 3, "")                                                                    \
    F(INT, amount_minor, 0, 3, "in the payment's currency")                                        \
    F(TEXT, ref, CFA_FIELD_NULLABLE, 3, "the provider's id, once known")                           \
    F(INT, origin, 0, 3, "1: asked for here, 2: made at the provider, 3: late rule, 4: fraud")     \
    F(TEXT, reason, CFA_FIELD_NULLABLE, 3, "the caller's")                                         \
    F(INT, state, 0, 3, "cfa_refund_state, computed from the facts below")                         \
    F(INT, durable, 0, 3, "facts: 1 seen, 2 succeeded, 4 canceled, 8 failed, 16 rejected")         \
    F(INT, waiting_us, 0, 3, "fact: provider time of the newest PENDING or REQUIRES_ACTION")       \
    F(INT, waiting_action, 0, 3, "fact: 1: that was REQUIRES_ACTION")                              \
    F(TEXT, failure_code, CFA_FIELD_NULLABLE, 3, "fact")                                           \
    F(INT, operation_number, 0, 3, "the call that makes it; 0: not made here")                     \
    F(INT, created_us, 0, 3, "")                                                                   \
    F(INT, updated_us, 0, 3, "")                                                                   \
    F(INT, version, 0, 3, "counts updates")

/* A dispute, one per round. */
#define CFA__DISPUTE_FIELDS(F)                                                                     \
    F(ID, id, 0, 3, "dsp_")                                                                        \
    F(ID, payment_id, 0, 3, "")                                                                    \
    F(TEXT, ref, 0, 3, "the provider's id")                                                        \
    F(INT, amount_minor, 0, 3, "fact: most ever disputed, in the payment's currency")              \
    F(INT, state, 0, 3, "cfa_dispute_state: the furthest that was reported")                       \
    F(INT, withdrawn_minor, 0, 3, "fact: most ever taken")                                         \
    F(INT, reinstated_minor, 0, 3, "fact: most ever given back")                                   \
    F(INT, fee_minor, 0, 3, "fact: most ever charged for it, booked apart")                        \
    F(CURRENCY, fee_currency, CFA_FIELD_NULLABLE, 3, "of the fee")                                 \
    F(TEXT, reason, CFA_FIELD_NULLABLE, 3, "fact")                                                 \
    F(INT, evidence_due_us, 0, 3, "fact: latest that was told; 0: none")                           \
    F(INT, created_us, 0, 3, "")                                                                   \
    F(INT, updated_us, 0, 3, "")                                                                   \
    F(INT, version, 0, 3, "counts updates")

/* What a person did, other than giving: who, why, before and after. Insert only; each row holds the
 * hash of the one before it. */
#define CFA__ACT_FIELDS(F)                                                                         \
    F(INT, number, 0, 3, "1, 2, 3, ... per book")                                                  \
    F(TEXT, action, 0, 3, "\"campaign.update\", \"refund.create\", ...")                           \
    F(TEXT, subject, 0, 3, "what it was done to: an id or a name")                                 \
    F(TEXT, actor, CFA_FIELD_NULLABLE, 3, "who, as the host named them")                           \
    F(TEXT, reason, CFA_FIELD_NULLABLE, 3, "why, in their words")                                  \
    F(BYTES, before, CFA_FIELD_NULLABLE, 3, "JSON")                                                \
    F(BYTES, after, CFA_FIELD_NULLABLE, 3, "JSON")                                                 \
    F(INT, created_us, 0, 3, "")                                                                   \
    F(BYTES, previous_hash, CFA_FIELD_NULLABLE, 3, "of the act before; null for the first")        \
    F(BYTES, hash, 0, 3, "BLAKE2b-256 of all of the above")

/* An idempotency key and what it made, for ever. Insert only. Time-ordered keys go here at once,
 * random ones in key order when their generation has passed. */
#define CFA__KEY_FIELDS(F)                                                                         \
    F(ID, digest, 0, 1, "the key itself if a UUIDv7, else a keyed hash of scope and key")          \
    F(ID, scope_hash, 0, 1, "keyed hash of the caller's scope")                                    \
    F(INT, command, 0, 1, "cfa__keyed_command")                                                    \
    F(BYTES, fingerprint, 0, 1, "format version, then 8 bytes of keyed hash per field")            \
    F(ID, resource_id, 0, 1, "what the command made or changed: pledge, campaign, payment")        \
    F(INT, created_us, 0, 1, "")

/* The same for random keys of the newest two generations: keeps their random inserts in a small
 * tree. */
#define CFA__KEY_RECENT_FIELDS(F)                                                                  \
    F(INT, generation, 0, 1, "")                                                                   \
    CFA__KEY_FIELDS(F)

/* A pledge's answer, fixed once in the commit that stores the provider's object; dropped after 30
 * days. */
#define CFA__ANSWER_FIELDS(F)                                                                      \
    F(ID, pledge_id, 0, 1, "")                                                                     \
    F(BYTES, body, 0, 1, "JSON, the same bytes for every repeat")                                  \
    F(TEXT, client_secret, CFA_FIELD_NULLABLE, 1, "as in the body; kept nowhere else")             \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(TEXT, redirect_url, CFA_FIELD_NULLABLE, 2, "as in the body; kept nowhere else")

/* A provider's object, and whether it is ours yet. The row that parking and binding both write. */
#define CFA__PROVIDER_OBJECT_FIELDS(F)                                                             \
    F(TEXT, provider, 0, 1, "")                                                                    \
    F(TEXT, account, 0, 1, "")                                                                     \
    F(TEXT, ref, 0, 1, "the provider's id")                                                        \
    F(ID, payment_id, CFA_FIELD_NULLABLE, 1, "null: seen in a webhook, not bound yet")             \
    F(INT, parked_count, 0, 1, "webhooks that ever waited for the binding")                        \
    F(INT, drained_count, 0, 1, "of them applied since")                                           \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(INT, version, 0, 1, "counts updates")                                                        \
    F(ID, part_id, CFA_FIELD_NULLABLE, 3, "the payment's refund or dispute that it is")            \
    F(INT, waiting_us, 0, 4, "when the oldest webhook came that waits; 0: none does")

/* A webhook event: stored once, with its normalised facts and its verdict. */
#define CFA__WEBHOOK_FIELDS(F)                                                                     \
    F(TEXT, provider, 0, 1, "")                                                                    \
    F(TEXT, account, 0, 1, "")                                                                     \
    F(TEXT, event_id, 0, 1, "the provider's")                                                      \
    F(ID, id, 0, 1, "whk_: named as the cause of transitions")                                     \
    F(TEXT, event_type, 0, 1, "the provider's")                                                    \
    F(TEXT, ref, CFA_FIELD_NULLABLE, 1, "provider object it is about")                             \
    F(ID, payment_id, CFA_FIELD_NULLABLE, 1, "once known")                                         \
    F(INT, verdict, 0, 1, "cfa_webhook_verdict")                                                   \
    F(BYTES, facts, CFA_FIELD_NULLABLE, 1, "normalised, JSON")                                     \
    F(BYTES, body_hash, CFA_FIELD_NULLABLE, 1, "BLAKE2b-256 of the raw body")                      \
    F(INT, received_us, 0, 1, "")                                                                  \
    F(INT, version, 0, 1, "counts updates")

/* A webhook that waits for its object to be bound, in order of arrival. Insert only. */
#define CFA__PARKED_FIELDS(F)                                                                      \
    F(TEXT, provider, 0, 1, "")                                                                    \
    F(TEXT, account, 0, 1, "")                                                                     \
    F(TEXT, ref, 0, 1, "")                                                                         \
    F(INT, number, 0, 1, "1, 2, 3, ... per object")                                                \
    F(TEXT, event_id, 0, 1, "")

/* The outbox. Insert only; positions dense and commit-ordered. */
#define CFA__EVENT_FIELDS(F)                                                                       \
    F(INT, position, 0, 1, "1, 2, 3, ... in commit order")                                         \
    F(ID, id, 0, 1, "evt_: CloudEvents id")                                                        \
    F(INT, type, 0, 1, "cfa__event_type, docs/events.md")                                          \
    F(INT, subject_kind, 0, 1, "kind id of the subject: campaign or payment")                      \
    F(ID, subject_id, 0, 1, "partition key")                                                       \
    F(INT, sequence, 0, 1, "1, 2, 3, ... per subject")                                             \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(BYTES, trace, CFA_FIELD_NULLABLE, 1, "W3C traceparent")                                      \
    F(BYTES, payload, 0, 1, "JSON, final bytes")

/* Events of joined host transactions, waiting for their position. */
#define CFA__STAGED_FIELDS(F)                                                                      \
    F(ID, id, 0, 1, "evt_; time-ordered")                                                          \
    F(INT, type, 0, 1, "")                                                                         \
    F(INT, subject_kind, 0, 1, "")                                                                 \
    F(ID, subject_id, 0, 1, "")                                                                    \
    F(INT, sequence, 0, 1, "")                                                                     \
    F(INT, created_us, 0, 1, "")                                                                   \
    F(BYTES, trace, CFA_FIELD_NULLABLE, 1, "")                                                     \
    F(BYTES, payload, 0, 1, "")

/* The circuit breaker of a provider's account: one row, written on transitions only. No row: it
 * never opened. */
#define CFA__BREAKER_FIELDS(F)                                                                     \
    F(TEXT, provider, 0, 2, "")                                                                    \
    F(TEXT, account, 0, 2, "")                                                                     \
    F(ID, id, 0, 2, "brk_: subject of its events")                                                 \
    F(INT, state, 0, 2, "1: closed, 2: open, 3: half open")                                        \
    F(INT, retry_us, 0, 2, "open: when one call may try; half open: until when it has time")       \
    F(INT, opened_us, 0, 2, "start of the newest outage")                                          \
    F(INT, sequence, 0, 2, "of its newest event")                                                  \
    F(INT, updated_us, 0, 2, "")                                                                   \
    F(INT, version, 0, 2, "counts updates")

/* A sink's or subscription's cursor. */
#define CFA__SINK_FIELDS(F)                                                                        \
    F(TEXT, name, 0, 1, "")                                                                        \
    F(INT, acknowledged, 0, 1, "position of the contiguous prefix that is delivered")              \
    F(INT, epoch, 0, 1, "raised by each owner; fences the earlier one")                            \
    F(ID, owner, CFA_FIELD_NULLABLE, 1, "engine that leads it")                                    \
    F(INT, lease_until_us, 0, 1, "")                                                               \
    F(INT, updated_us, 0, 1, "")                                                                   \
    F(INT, version, 0, 1, "counts updates")                                                        \
    F(INT, paused, 0, 2, "cfa_cursor_state: 1 by an operator, 2 by the sink's failure")            \
    F(INT, paused_us, 0, 2, "since when; 0: not paused")                                           \
    F(TEXT, reason, CFA_FIELD_NULLABLE, 2, "why it is paused")                                     \
    F(INT, refused, 0, 2, "position that the sink refuses for now; 0: none")                       \
    F(INT, refused_tries, 0, 2, "of that position")                                                \
    F(INT, refused_us, 0, 2, "its first refusal")                                                  \
    F(INT, dead_count, 0, 2, "rows of dead_letter, requeued ones included")                        \
    F(INT, requeued_count, 0, 2, "of them, to be delivered again")

/* An event that a sink refused for its own sake, set aside. Its position is at or below the
 * cursor's, unless that was rewound. */
#define CFA__DEAD_LETTER_FIELDS(F)                                                                 \
    F(TEXT, sink, 0, 2, "")                                                                        \
    F(INT, position, 0, 2, "of the event")                                                         \
    F(INT, requeued, 0, 2, "1: to be delivered again, out of order")                               \
    F(INT, tries, 0, 2, "")                                                                        \
    F(INT, code, 0, 2, "the sink's own code of the newest refusal")                                \
    F(TEXT, reason, CFA_FIELD_NULLABLE, 2, "the sink's words")                                     \
    F(INT, first_us, 0, 2, "first refusal")                                                        \
    F(INT, last_us, 0, 2, "newest refusal")                                                        \
    F(INT, version, 0, 2, "counts updates")

/* What one payment contributes to its campaign's totals: replaced only by a later sequence. */
#define CFA__CONTRIBUTION_FIELDS(F)                                                                \
    F(ID, payment_id, 0, 1, "")                                                                    \
    F(ID, campaign_id, 0, 1, "")                                                                   \
    F(ID, pledge_id, 0, 1, "")                                                                     \
    F(ID, person_id, 0, 1, "")                                                                     \
    F(CURRENCY, currency, 0, 1, "")                                                                \
    F(INT, sequence, 0, 1, "of the newest event applied")                                          \
    F(INT, state, 0, 1, "cfa_payment_state")                                                       \
    F(INT, pledged_minor, 0, 1, "")                                                                \
    F(INT, authorized_minor, 0, 1, "")                                                             \
    F(INT, raised_minor, 0, 1, "")                                                                 \
    F(INT, refunded_minor, 0, 1, "")                                                               \
    F(INT, disputed_minor, 0, 1, "")                                                               \
    F(INT, created_us, 0, 1, "when the pledge was made: orders the public list")                   \
    F(INT, version, 0, 1, "counts updates")

/* Sums of the contributions of one campaign and currency. */
#define CFA__TOTALS_FIELDS(F)                                                                      \
    F(ID, campaign_id, 0, 1, "")                                                                   \
    F(CURRENCY, currency, 0, 1, "")                                                                \
    F(INT, pledged_minor, 0, 1, "")                                                                \
    F(INT, authorized_minor, 0, 1, "")                                                             \
    F(INT, raised_minor, 0, 1, "")                                                                 \
    F(INT, refunded_minor, 0, 1, "")                                                               \
    F(INT, disputed_minor, 0, 1, "")                                                               \
    F(INT, donation_count, 0, 1, "payments with money raised")                                     \
    F(INT, donor_count, 0, 1, "distinct donors among them")                                        \
    F(INT, position, 0, 1, "newest event that changed this row")                                   \
    F(INT, updated_us, 0, 1, "")                                                                   \
    F(INT, version, 0, 1, "counts changes")

/* How many raised donations a donor has in a campaign and currency: counts distinct donors
 * exactly. */
#define CFA__SUPPORTER_FIELDS(F)                                                                   \
    F(ID, campaign_id, 0, 1, "")                                                                   \
    F(CURRENCY, currency, 0, 1, "")                                                                \
    F(ID, person_id, 0, 1, "")                                                                     \
    F(INT, donation_count, 0, 1, "")                                                               \
    F(INT, version, 0, 1, "counts updates")

/* K(number, name, FIELDS, doc): saved in this order, so nothing deadlocks by habit. */
#define CFA__KIND_MAP(K)                                                                           \
    K(1, book, CFA__BOOK_FIELDS, "what the database is pinned to")                                 \
    K(2, campaign, CFA__CAMPAIGN_FIELDS, "what people give to")                                    \
    K(3, key, CFA__KEY_FIELDS, "idempotency keys, for ever")                                       \
    K(4, key_recent, CFA__KEY_RECENT_FIELDS, "random idempotency keys of late")                    \
    K(5, donor, CFA__DONOR_FIELDS, "personal data, erasable")                                      \
    K(6, pledge, CFA__PLEDGE_FIELDS, "promises")                                                   \
    K(7, answer, CFA__ANSWER_FIELDS, "the fixed answers to pledges")                               \
    K(8, payment, CFA__PAYMENT_FIELDS, "payment intents and what is known of them")                \
    K(9, transition, CFA__TRANSITION_FIELDS, "each payment's walk through the states")             \
    K(10, operation, CFA__OPERATION_FIELDS, "provider calls, recorded before they are made")       \
    K(11, provider_object, CFA__PROVIDER_OBJECT_FIELDS, "which payment a provider's object is")    \
    K(12, webhook, CFA__WEBHOOK_FIELDS, "provider events, once each")                              \
    K(13, parked, CFA__PARKED_FIELDS, "webhooks that wait for their object")                       \
    K(14, sink, CFA__SINK_FIELDS, "cursors into the log")                                          \
    K(15, contribution, CFA__CONTRIBUTION_FIELDS, "each payment's part of the totals")             \
    K(16, totals, CFA__TOTALS_FIELDS, "sums per campaign and currency")                            \
    K(17, supporter, CFA__SUPPORTER_FIELDS, "distinct donors per campaign and currency")           \
    K(18, staged, CFA__STAGED_FIELDS, "events of joined transactions, before the log")             \
    K(19, event, CFA__EVENT_FIELDS, "the outbox: an insert-only log")                              \
    K(20, breaker, CFA__BREAKER_FIELDS, "circuit breakers of providers' accounts")                 \
    K(21, dead_letter, CFA__DEAD_LETTER_FIELDS, "events that a sink refused, set aside")           \
    K(22, refund, CFA__REFUND_FIELDS, "money that goes back")                                      \
    K(23, dispute, CFA__DISPUTE_FIELDS, "money that donors' banks ask back")                       \
    K(24, act, CFA__ACT_FIELDS, "what persons did, each chained to the one before")

#define CFA__FIELD_MEMBER(type, name, flags, since, doc) CFA__TYPE_##type name;
#define CFA__KIND_STRUCT(number, name, FIELDS, doc)                                                \
    typedef struct cfa__##name {                                                                   \
        FIELDS(CFA__FIELD_MEMBER)                                                                  \
    } cfa__##name;                                                                                 \
    extern const cfa_kind cfa__##name##_kind;
CFA__KIND_MAP(CFA__KIND_STRUCT)
#undef CFA__KIND_STRUCT
#undef CFA__FIELD_MEMBER

/* Secondary indexes, by their position in the kind's index table (0 is always the primary key). */
enum {
    CFA__PLEDGE_BY_CAMPAIGN = 1,       /* campaign_id, id */
    CFA__OPERATION_BY_DUE = 1,         /* due_us, payment_id, number; sparse */
    CFA__OBJECT_BY_WAITING = 1,        /* waiting_us, provider, account, ref; sparse */
    CFA__CONTRIBUTION_BY_CAMPAIGN = 1, /* campaign_id, created_us, payment_id */
    CFA__DEAD_LETTER_BY_REQUEUED = 1,  /* requeued, sink, position; sparse */
    CFA__WEBHOOK_BY_PAYMENT = 1,       /* payment_id, received_us, event_id; sparse */
    CFA__WEBHOOK_BY_ID = 2,            /* id */
    CFA__REFUND_BY_PAYMENT = 1,        /* payment_id, id */
    CFA__DISPUTE_BY_PAYMENT = 1        /* payment_id, id */
};

/* Every record fits here: for keys that are built generically. */
typedef union cfa__any_record {
#define CFA__RECORD_MEMBER(number, name, FIELDS, doc) cfa__##name name;
    CFA__KIND_MAP(CFA__RECORD_MEMBER)
#undef CFA__RECORD_MEMBER
} cfa__any_record;

/* Write the key of a kind whose primary key is one id. */
void cfa__key_of_id(cfa__any_record *out, const cfa_kind *kind, cfa__id id);
/* Of the oldest webhook that waits for an object, if one does; of the webhook that such a row is
 * about. Their text is that of what they are made of. */
cfa__parked cfa__parked_key(const cfa__provider_object *object);
cfa__webhook cfa__webhook_key(const cfa__parked *parked);

/* All of the above, for `migrate`. */
extern const cfa_schema cfa__schema;

#endif
