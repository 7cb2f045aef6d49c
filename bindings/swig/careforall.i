/*
 * careforall.i - what the bindings wrap, in every language: an allow-list over the public headers.
 *
 * The generated layer is private; typed packages written by hand stand on it (../python, ../go). No
 * line here belongs to one language. Each language file must define these typemaps:
 *
 *   cfa_status                 a failure in the language's way, its detail copied inside the call
 *   const char *               text in; none is NULL. A NUL inside becomes U+0001, which every
 *                              rule for text refuses, naming the field
 *   char **out                 text out, released by cfa_free
 *   cfa_money, cfa_money *out  by value
 *   cfa_slice                  bytes
 *   cfa_X *, cfa_X **out       an opaque handle that the typed layer frees
 *   int32_t, uint32_t, int64_t, uint64_t, size_t and their `*out`
 *   const cfa_event_view *, const cfa_cursor_view *, const cfa_letter_view *, const cfa_act_view *,
 *   const cfa_call *, const cfa_totals_row *, const cfa_reconcile_difference *
 *                              a copy; none is NULL
 *   cfa_act_report *           out, started from its _INIT macro
 *
 * and %blocking(name) for functions that may wait. ../python/tests/test_coverage.py fails when an
 * exported function is neither wrapped here nor listed in skipped.txt.
 */
%module native

%{
#include <careforall/adapters/memory.h>
#include <careforall/adapters/play.h>
#include <careforall/adapters/sqlite.h>
#include <careforall/careforall.h>
#include <string.h>
%}

%insert("header") "source.h"
%insert("header") "shim.h"
%insert("header") "record.h"

%include <stdint.i>

#if defined(SWIGPYTHON)
%include "python.i"
#elif defined(SWIGGO)
%include "go.i"
#endif

/* ---- the allow-list: everything is ignored, then named again without its prefix ------------- */

%rename("$ignore", regextarget = 1, fullname = 1) "^(cfa|CFA|CAREFORALL|shim)_.*$";

%define %wrap(name)
%rename(name) cfa_##name;
%enddef

%define %wrap_shim(name)
%rename(name) shim_##name;
%enddef

%define %wrap_constant(name)
%rename(name) CFA_##name;
%enddef

/* base, error, money */
%wrap(version)
%wrap(free)
%wrap_shim(key_new)
%wrap(status_name)
%wrap(status_text)
%wrap(status_class_of)
%wrap(money_make)
%wrap(money_parse)
%wrap_shim(money_format)
%wrap(money_add)
%wrap(money_sub)
%wrap(money_compare)
%wrap(currency_exponent)
%wrap(money_rules_stripe)
%wrap(money_check)

/* engine */
%wrap_shim(memory_storage_new)
%wrap_shim(storage_free)
%wrap_shim(engine_open)
%wrap(engine_close)
%wrap(engine_tick)
%wrap(engine_next_due_ms)
%wrap(engine_descriptor)
%wrap(engine_statistics)
%wrap(runner_start)
%wrap(runner_stop)
%blocking(shim_engine_open)
%blocking(cfa_engine_close)
%blocking(cfa_engine_tick)
%blocking(cfa_runner_start)
%blocking(cfa_runner_stop)

/* campaigns */
%wrap_shim(campaign_create)
%wrap_shim(campaign_update)
%wrap_shim(campaign_end)
%wrap(campaign_get)
%wrap_shim(campaign_page)
%wrap(campaign_list_size)
%wrap(campaign_list_at)
%wrap(campaign_list_next)
%wrap(campaign_list_free)
%wrap(campaign_id)
%wrap(campaign_title)
%wrap(campaign_currencies)
%wrap(campaign_goal)
%wrap(campaign_deadline_us)
%wrap(campaign_late_rule)
%wrap(campaign_state_of)
%wrap(campaign_state_name)
%wrap(campaign_version)
%wrap(campaign_created_us)
%wrap(campaign_updated_us)
%wrap(campaign_replayed)
%wrap(campaign_position)
%wrap(campaign_free)
%blocking(shim_campaign_create)
%blocking(shim_campaign_update)
%blocking(shim_campaign_end)
%blocking(cfa_campaign_get)
%blocking(shim_campaign_page)

/* pledges and donors */
%wrap_shim(pledge_create)
%wrap(pledge_get)
%wrap(pledge_find)
%wrap_shim(pledge_page)
%wrap(pledge_list_size)
%wrap(pledge_list_at)
%wrap(pledge_list_next)
%wrap(pledge_list_free)
%wrap_shim(donor_erase)
%wrap(pledge_id)
%wrap(pledge_campaign_id)
%wrap(pledge_payment_id)
%wrap(pledge_amount)
%wrap(pledge_state)
%wrap(pledge_created_us)
%wrap(pledge_donor_id)
%wrap(pledge_donor_name)
%wrap(pledge_donor_email)
%wrap(pledge_donor_message)
%wrap(pledge_visibility)
%wrap(pledge_replayed)
%wrap(pledge_pending)
%wrap(pledge_answer)
%wrap(pledge_client_secret)
%wrap(pledge_redirect_url)
%wrap(pledge_position)
%wrap(pledge_free)
%blocking(shim_pledge_create)
%blocking(cfa_pledge_get)
%blocking(cfa_pledge_find)
%blocking(shim_pledge_page)
%blocking(shim_donor_erase)

/* payments and webhooks */
%wrap(payment_get)
%wrap(payment_wait)
%wrap_shim(payment_accept)
%wrap_shim(payment_capture)
%wrap_shim(payment_cancel)
%wrap(payment_id)
%wrap(payment_pledge_id)
%wrap(payment_campaign_id)
%wrap(payment_state_of)
%wrap(payment_state_name)
%wrap(payment_flags)
%wrap(payment_amount)
%wrap(payment_authorized)
%wrap(payment_captured)
%wrap(payment_refunded)
%wrap(payment_disputed)
%wrap(payment_refundable)
%wrap(payment_fee)
%wrap(payment_ref)
%wrap(payment_failure_code)
%wrap(payment_sequence)
%wrap(payment_created_us)
%wrap(payment_updated_us)
%wrap(payment_position)
%wrap(payment_free)
%wrap(payment_history)
%wrap(transition_list_size)
%wrap(transition_from)
%wrap(transition_to)
%wrap(transition_rule)
%wrap(transition_implied)
%wrap(transition_at_us)
%wrap(transition_list_free)
%wrap(webhook_receive)
%wrap_shim(webhook_accept)
%wrap(webhook_verdict_name)
%blocking(cfa_payment_get)
%blocking(cfa_payment_wait)
%blocking(shim_payment_accept)
%blocking(shim_payment_capture)
%blocking(shim_payment_cancel)
%blocking(cfa_payment_history)
%blocking(cfa_webhook_receive)
%blocking(shim_webhook_accept)

/* refunds and disputes */
%wrap_shim(refund_create)
%wrap(refund_get)
%wrap(refund_list_of)
%wrap(refund_list_size)
%wrap(refund_list_at)
%wrap(refund_list_free)
%wrap(refund_id)
%wrap(refund_payment_id)
%wrap(refund_amount)
%wrap(refund_state_of)
%wrap(refund_state_name)
%wrap(refund_origin_of)
%wrap(refund_ref)
%wrap(refund_failure_code)
%wrap(refund_reason)
%wrap(refund_created_us)
%wrap(refund_updated_us)
%wrap(refund_replayed)
%wrap(refund_position)
%wrap(refund_free)
%wrap(dispute_get)
%wrap(dispute_list_of)
%wrap(dispute_list_size)
%wrap(dispute_list_at)
%wrap(dispute_list_free)
%wrap(dispute_id)
%wrap(dispute_payment_id)
%wrap(dispute_ref)
%wrap(dispute_amount)
%wrap(dispute_state_of)
%wrap(dispute_state_name)
%wrap(dispute_withdrawn)
%wrap(dispute_reinstated)
%wrap(dispute_fee)
%wrap(dispute_reason)
%wrap(dispute_evidence_due_us)
%wrap(dispute_created_us)
%wrap(dispute_updated_us)
%wrap(dispute_free)
%blocking(shim_refund_create)
%blocking(cfa_refund_get)
%blocking(cfa_refund_list_of)
%blocking(cfa_dispute_get)
%blocking(cfa_dispute_list_of)

/* totals */
%wrap_shim(totals_get)
%wrap(campaign_get_with_totals)
%wrap(totals_campaign_id)
%wrap(totals_position)
%wrap(totals_version)
%wrap(totals_as_of_us)
%wrap(totals_stale)
%wrap(totals_size)
%wrap(totals_at)
%wrap(totals_free)
%wrap(totals_verify)
%blocking(shim_totals_get)
%blocking(cfa_campaign_get_with_totals)
%blocking(cfa_totals_verify)

/* events and subscriptions */
%wrap(event_page)
%wrap(event_list_size)
%wrap(event_list_at)
%wrap(event_list_free)
%wrap(subscription_open)
%wrap(subscription_next)
%wrap(subscription_ack)
%wrap(subscription_free)
%blocking(cfa_event_page)
%blocking(cfa_subscription_open)
%blocking(cfa_subscription_next)
%blocking(cfa_subscription_ack)
%blocking(cfa_subscription_free)

/* cursors and dead letters */
%wrap_shim(cursor_page)
%wrap(cursor_list_size)
%wrap(cursor_list_at)
%wrap(cursor_list_next)
%wrap(cursor_list_replayed)
%wrap(cursor_list_free)
%wrap(letter_page)
%wrap(letter_list_size)
%wrap(letter_list_at)
%wrap(letter_list_free)
%wrap_shim(cursor_rewind)
%wrap_shim(cursor_pause)
%wrap_shim(cursor_resume)
%wrap_shim(letter_requeue)
%blocking(shim_cursor_page)
%blocking(cfa_letter_page)
%blocking(shim_cursor_rewind)
%blocking(shim_cursor_pause)
%blocking(shim_cursor_resume)
%blocking(shim_letter_requeue)

/* the audit log */
%wrap(act_page)
%wrap(act_list_size)
%wrap(act_list_at)
%wrap(act_list_free)
%wrap(act_fault_name)
%wrap(act_fault_text)
%wrap(act_verify)
%blocking(cfa_act_page)
%blocking(cfa_act_verify)

/* audit, explain, doctor */
%wrap_shim(audit_engine)
%wrap(audit_differences)
%wrap(audit_position)
%wrap(audit_json)
%wrap(audit_text)
%wrap(audit_free)
%wrap(explain)
%wrap(story_write)
%wrap(story_payment_id)
%wrap(story_free)
%wrap_shim(doctor)
%wrap(checkup_write)
%wrap(checkup_free)
%wrap_shim(doctor_do)
%blocking(shim_audit_engine)
%blocking(cfa_explain)
%blocking(shim_doctor)
%blocking(shim_doctor_do)

%wrap_shim(audit_file)
%wrap_shim(schema_of)
%blocking(shim_audit_file)
%blocking(shim_schema_of)

/* the books against the provider's */
%wrap_shim(reconcile_engine)
%wrap_shim(reconcile_file)
%wrap_shim(reconcile_repair)
%wrap_shim(reconcile_live)
%wrap_shim(reconcile_record)
%wrap(reconciliation_differences)
%wrap(reconciliation_repairable)
%wrap(reconciliation_objects)
%wrap(reconciliation_foreign)
%wrap(reconciliation_size)
%wrap(reconciliation_at)
%wrap(reconciliation_provider)
%wrap(reconciliation_account)
%wrap(reconciliation_livemode)
%wrap(reconciliation_json)
%wrap(reconciliation_text)
%wrap(reconciliation_free)
%wrap_shim(stop_new)
%wrap_shim(stop_set)
%wrap_shim(stop_free)
%wrap_shim(record_new)
%wrap_shim(record_add)
%wrap_shim(record_source)
%wrap_shim(record_free)
%blocking(shim_reconcile_engine)
%blocking(shim_reconcile_file)
%blocking(shim_reconcile_repair)
%blocking(shim_reconcile_live)
%blocking(shim_reconcile_record)

/* pulled provider calls */
%wrap_shim(provider_new)
%wrap_shim(provider_free)
%wrap(call_next)
%wrap(pulled_call_view)
%wrap_shim(facts_new)
%wrap_shim(facts_refund)
%wrap_shim(facts_dispute)
%wrap_shim(facts_free)
%wrap_shim(call_done)
%wrap(pulled_call_free)
%blocking(cfa_call_next)
%blocking(shim_call_done)
%blocking(cfa_pulled_call_free)

/* the play provider */
%wrap_shim(play_new)
%wrap(play_free)
%wrap(play_provider)
%wrap(play_confirm)
%wrap(play_act)
%wrap(play_settle)
%wrap(play_expire)
%wrap(play_refund_next)
%wrap_shim(play_refund)
%wrap_shim(play_dispute)
%wrap(play_fee)
%wrap(play_fraud_warning)
%wrap(play_fault_next)
%wrap_shim(play_weather_set)
%wrap(play_deliver)
%wrap(play_payout)
%wrap(play_webhook_take)
%wrap(play_sign)
%wrap_shim(play_books_get)
%wrap_shim(play_payment)
%blocking(cfa_play_confirm)
%blocking(cfa_play_act)
%blocking(cfa_play_settle)
%blocking(cfa_play_expire)
%blocking(cfa_play_deliver)

/* constants */
%wrap_constant(VERSION)
%wrap_constant(CAMPAIGN_OPEN)
%wrap_constant(CAMPAIGN_ENDED)
%wrap_constant(LATE_ACCEPT)
%wrap_constant(LATE_REFUSE)
%wrap_constant(LATE_REFUND)
%wrap_constant(LATE_HOLD)
%wrap_constant(VISIBILITY_PUBLIC)
%wrap_constant(VISIBILITY_OWNER)
%wrap_constant(VISIBILITY_HIDDEN)
%wrap_constant(WAIT_ANSWER)
%wrap_constant(WAIT_COMMIT)
%wrap_constant(WAIT_PAID)
%wrap_constant(WORK_COMMANDS)
%wrap_constant(WORK_CALLS)
%wrap_constant(WORK_TOTALS)
%wrap_constant(WORK_RELAY)
%wrap_constant(WORK_UPKEEP)
%wrap_constant(WORK_ALL)
%wrap_constant(WORK_NO_COMMIT)
%wrap_constant(CIRCUIT_REJECT)
%wrap_constant(CIRCUIT_QUEUE)
%wrap_constant(PAYMENT_PENDING)
%wrap_constant(PAYMENT_REQUIRES_ACTION)
%wrap_constant(PAYMENT_PROCESSING)
%wrap_constant(PAYMENT_AUTHORIZED)
%wrap_constant(PAYMENT_CAPTURED)
%wrap_constant(PAYMENT_COMPLETED)
%wrap_constant(PAYMENT_FAILED)
%wrap_constant(PAYMENT_CANCELED)
%wrap_constant(PAYMENT_EXPIRED)
%wrap_constant(PAYMENT_FLAG_UNKNOWN)
%wrap_constant(PAYMENT_FLAG_CONFLICT)
%wrap_constant(PAYMENT_FLAG_SETTLED)
%wrap_constant(PAYMENT_FLAG_LATE)
%wrap_constant(PAYMENT_FLAG_FRAUD_WARNING)
%wrap_constant(PAYMENT_FLAG_HELD)
%wrap_constant(REFUND_REQUESTED)
%wrap_constant(REFUND_PENDING)
%wrap_constant(REFUND_REQUIRES_ACTION)
%wrap_constant(REFUND_SUCCEEDED)
%wrap_constant(REFUND_FAILED)
%wrap_constant(REFUND_CANCELED)
%wrap_constant(REFUND_REJECTED)
%wrap_constant(REFUND_ASKED)
%wrap_constant(REFUND_EXTERNAL)
%wrap_constant(REFUND_LATE)
%wrap_constant(DISPUTE_INQUIRY)
%wrap_constant(DISPUTE_INQUIRY_CLOSED)
%wrap_constant(DISPUTE_OPEN)
%wrap_constant(DISPUTE_UNDER_REVIEW)
%wrap_constant(DISPUTE_PREVENTED)
%wrap_constant(DISPUTE_WON)
%wrap_constant(DISPUTE_LOST)
%wrap_constant(CURSOR_RUNS)
%wrap_constant(CURSOR_PAUSED)
%wrap_constant(CURSOR_STOPPED)
%wrap_constant(ACT_NONE)
%wrap_constant(ACT_ALTERED)
%wrap_constant(ACT_UNLINKED)
%wrap_constant(ACT_MISSING)
%wrap_constant(ACT_ADDED)
%wrap_constant(ACT_HEAD)
%wrap_constant(EXPLAIN_TEXT)
%wrap_constant(EXPLAIN_JSON)
%wrap_constant(EXPLAIN_HTML)
%wrap_constant(RECONCILE_PAYMENT)
%wrap_constant(RECONCILE_REFUND)
%wrap_constant(RECONCILE_DISPUTE)
%wrap_constant(RECONCILE_OTHER)
%wrap_constant(RECONCILE_UNNAMED)
%wrap_constant(RECONCILE_REPORT)
%wrap_constant(RECONCILE_MOVEMENT)
%wrap_constant(WEBHOOK_APPLIED)
%wrap_constant(WEBHOOK_DUPLICATE)
%wrap_constant(WEBHOOK_STALE)
%wrap_constant(WEBHOOK_PARKED)
%wrap_constant(WEBHOOK_IGNORED)
%wrap_constant(WEBHOOK_QUARANTINED)
%wrap_constant(WEBHOOK_CONTRADICTION)
%wrap_constant(CALL_CREATE)
%wrap_constant(CALL_CAPTURE)
%wrap_constant(CALL_CANCEL)
%wrap_constant(CALL_RETRIEVE)
%wrap_constant(CALL_LOOKUP)
%wrap_constant(CALL_REFUND)
%wrap_constant(OUTCOME_UNKNOWN)
%wrap_constant(OUTCOME_DONE)
%wrap_constant(OUTCOME_PENDING)
%wrap_constant(OUTCOME_REFUSED)
%wrap_constant(OUTCOME_NOT_SENT)
%wrap_constant(FACT_SUCCEEDED)
%wrap_constant(FACT_CANCELED)
%wrap_constant(FACT_EXPIRED)
%wrap_constant(FACT_FRAUD_WARNING)
%wrap_constant(FACT_NEEDS_ACTION)
%wrap_constant(FACT_PROCESSING)
%wrap_constant(FACT_FAILED)
%wrap_constant(FACT_SETTLED)
%wrap_constant(PROVIDER_TWO_STEP)
%wrap_constant(PROVIDER_LOOKUP_AUTHORITATIVE)
%wrap_constant(PROVIDER_READS_REVERSALS)
%wrap_constant(PLAY_FAULT_NONE)
%wrap_constant(PLAY_FAULT_REPLY_LOST)
%wrap_constant(PLAY_FAULT_REQUEST_LOST)
%wrap_constant(PLAY_FAULT_ERROR_AFTER)
%wrap_constant(PLAY_FAULT_ERROR_BEFORE)
%wrap_constant(PLAY_FAULT_NOT_SENT)
%wrap_constant(PLAY_FAULT_REFUSED)
%wrap_constant(CLASS_OK)
%wrap_constant(CLASS_INVALID)
%wrap_constant(CLASS_PERMANENT)
%wrap_constant(CLASS_CONFLICT)
%wrap_constant(CLASS_TRANSIENT)
%wrap_constant(CLASS_IN_DOUBT)
%wrap_constant(CLASS_INTERNAL)

/* statuses: EKEYREUSE and so on */
%rename("%(strip:[CFA_])s", regextarget = 1, fullname = 1) "^CFA_(OK|E[A-Z]+)$";

%include <careforall/base.h>
%include <careforall/error.h>
%include <careforall/money.h>
%include <careforall/sys/provider.h>
%include <careforall/engine.h>
%include <careforall/act.h>
%include <careforall/campaign.h>
%include <careforall/payment.h>
%include <careforall/audit.h>
%include <careforall/explain.h>
%include <careforall/reconcile.h>
%include <careforall/refund.h>
%include <careforall/dispute.h>
%include <careforall/pledge.h>
%include <careforall/totals.h>
%include <careforall/sys/transport.h>
%include <careforall/event.h>
%include <careforall/adapters/play.h>
%include "source.h"
%include "shim.h"
%include "record.h"
