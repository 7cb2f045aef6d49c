/*
 * shim.h - what C says with structs, said with arguments: the few calls whose specs SWIG cannot
 * build by itself, and a provider whose calls the host pulls. Parsed by SWIG and copied into each
 * generated wrapper.
 *
 * It owns no behaviour: each function fills one struct and makes one call. It must never grow an
 * API that C lacks.
 */
#ifndef CAREFORALL_SHIM_H
#define CAREFORALL_SHIM_H

#include <careforall/adapters/memory.h>
#include <careforall/adapters/play.h>
#include <careforall/adapters/sqlite.h>
#include <careforall/careforall.h>
#include <string.h>

/* ---- opening -------------------------------------------------------------------------------- */

static inline cfa_status shim_memory_storage_new(cfa_storage **out)
{
    cfa_storage *storage = (cfa_storage *)cfa_alloc(sizeof *storage);
    if (storage == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for a store");
    cfa_status status = cfa_memory_storage_new(storage);
    if (status != CFA_OK) {
        cfa_free(storage);
        return status;
    }
    *out = storage;
    return CFA_OK;
}

static inline void shim_storage_free(cfa_storage *storage)
{
    if (storage == NULL)
        return;
    storage->ops->close(storage->self);
    cfa_free(storage);
}

/* `path` NULL: on `storage`, which stays the caller's. */
static inline cfa_status shim_engine_open(cfa_engine **out, const char *path,
                                          const cfa_storage *storage, const cfa_provider *provider,
                                          const char *account, int32_t livemode,
                                          int32_t capture_manual, int32_t queue_limit,
                                          int32_t batch_limit, int32_t timeout_ms,
                                          int32_t call_timeout_ms, int64_t payment_expires_ms,
                                          int64_t answer_kept_ms, int32_t totals_max_age_ms,
                                          int32_t calls_in_flight, int32_t circuit_rule,
                                          int32_t circuit_failures, int32_t circuit_open_ms,
                                          int32_t fraud_rule)
{
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.storage = storage;
    options.provider = provider;
    options.account = account;
    options.livemode = livemode;
    options.capture_manual = capture_manual;
    options.queue_limit = queue_limit;
    options.batch_limit = batch_limit;
    options.timeout_ms = timeout_ms;
    options.call_timeout_ms = call_timeout_ms;
    options.payment_expires_ms = payment_expires_ms;
    options.answer_kept_ms = answer_kept_ms;
    options.totals_max_age_ms = totals_max_age_ms;
    options.calls_in_flight = calls_in_flight;
    options.circuit_rule = circuit_rule;
    options.circuit_failures = circuit_failures;
    options.circuit_open_ms = circuit_open_ms;
    options.fraud_rule = fraud_rule;
    return path != NULL ? cfa_sqlite_open(out, path, &options) : cfa_engine_open(out, &options);
}

/* ---- campaigns, pledges, totals ------------------------------------------------------------- */

static inline cfa_campaign_spec shim_campaign_spec(const char *key, const char *scope,
                                                   const char *title, const char *currencies,
                                                   cfa_money goal, int64_t deadline_us,
                                                   int32_t late_rule, const char *actor,
                                                   const char *reason, int32_t timeout_ms)
{
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = key;
    spec.scope = scope;
    spec.title = title;
    spec.currencies = currencies;
    spec.goal = goal;
    spec.deadline_us = deadline_us;
    spec.late_rule = late_rule;
    spec.actor = actor;
    spec.reason = reason;
    spec.timeout_ms = timeout_ms;
    return spec;
}

static inline cfa_status shim_campaign_create(cfa_campaign **out, cfa_engine *engine,
                                              const char *key, const char *scope, const char *title,
                                              const char *currencies, cfa_money goal,
                                              int64_t deadline_us, int32_t late_rule,
                                              const char *actor, const char *reason,
                                              int32_t timeout_ms)
{
    const cfa_campaign_spec spec = shim_campaign_spec(
        key, scope, title, currencies, goal, deadline_us, late_rule, actor, reason, timeout_ms);
    return cfa_campaign_create(out, engine, &spec);
}

static inline cfa_status shim_campaign_update(cfa_campaign **out, cfa_engine *engine,
                                              const char *id, int64_t expected_version,
                                              const char *key, const char *scope, const char *title,
                                              const char *currencies, cfa_money goal,
                                              int64_t deadline_us, int32_t late_rule,
                                              const char *actor, const char *reason,
                                              int32_t timeout_ms)
{
    const cfa_campaign_spec spec = shim_campaign_spec(
        key, scope, title, currencies, goal, deadline_us, late_rule, actor, reason, timeout_ms);
    return cfa_campaign_update(out, engine, id, expected_version, &spec);
}

/* ---- administrative acts: who asks and why -------------------------------------------------- */

static inline cfa_actor shim_actor(const char *actor, const char *reason)
{
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = actor;
    by.reason = reason;
    return by;
}

static inline cfa_status shim_campaign_end(cfa_campaign **out, cfa_engine *engine, const char *id,
                                           int64_t expected_version, const char *scope,
                                           const char *key, const char *actor, const char *reason)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_campaign_end(out, engine, id, expected_version, scope, key, &by);
}

static inline cfa_status shim_cursor_rewind(cfa_cursor_list **out, cfa_engine *engine,
                                            const char *name, int64_t expected, int64_t position,
                                            const char *scope, const char *key, const char *actor,
                                            const char *reason)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_cursor_rewind(out, engine, name, expected, position, scope, key, &by);
}

static inline cfa_status shim_cursor_pause(cfa_cursor_list **out, cfa_engine *engine,
                                           const char *name, const char *actor, const char *reason)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_cursor_pause(out, engine, name, &by);
}

static inline cfa_status shim_cursor_resume(cfa_cursor_list **out, cfa_engine *engine,
                                            const char *name, const char *actor, const char *reason)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_cursor_resume(out, engine, name, &by);
}

static inline cfa_status shim_letter_requeue(cfa_cursor_list **out, cfa_engine *engine,
                                             const char *name, int64_t position, const char *scope,
                                             const char *key, const char *actor, const char *reason)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_letter_requeue(out, engine, name, position, scope, key, &by);
}

static inline cfa_status shim_donor_erase(cfa_engine *engine, const char *pledge_id,
                                          const char *actor, const char *reason, int32_t timeout_ms)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_donor_erase(engine, pledge_id, &by, timeout_ms);
}

static inline cfa_status shim_payment_accept(cfa_payment **out, cfa_engine *engine, const char *id,
                                             const char *scope, const char *key, const char *actor,
                                             const char *reason)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_payment_accept(out, engine, id, scope, key, &by);
}

static inline cfa_status shim_payment_capture(cfa_payment **out, cfa_engine *engine, const char *id,
                                              cfa_money amount, const char *scope, const char *key,
                                              const char *actor, const char *reason,
                                              int32_t timeout_ms)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_payment_capture(out, engine, id, amount, scope, key, &by, timeout_ms);
}

static inline cfa_status shim_payment_cancel(cfa_payment **out, cfa_engine *engine, const char *id,
                                             const char *scope, const char *key, const char *actor,
                                             const char *reason, int32_t timeout_ms)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_payment_cancel(out, engine, id, scope, key, &by, timeout_ms);
}

/* ---- money that goes back ------------------------------------------------------------------- */

static inline cfa_status shim_refund_create(cfa_refund **out, cfa_engine *engine, const char *key,
                                            const char *scope, const char *payment_id,
                                            cfa_money amount, const char *actor, const char *reason,
                                            int32_t timeout_ms)
{
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = key;
    spec.scope = scope;
    spec.payment_id = payment_id;
    spec.amount = amount;
    spec.actor = actor;
    spec.reason = reason;
    spec.timeout_ms = timeout_ms;
    return cfa_refund_create(out, engine, &spec);
}

/* ---- a book that explains itself ------------------------------------------------------------- */

/* Set by one thread, to end what another one does. */
typedef struct shim_stop shim_stop;

#ifndef SWIG
struct shim_stop {
    int32_t set;
};

static inline int32_t shim_stop_asked(void *self)
{
    return __atomic_load_n(&((shim_stop *)self)->set, __ATOMIC_RELAXED);
}
#endif

static inline cfa_status shim_stop_new(shim_stop **out)
{
    shim_stop *made = (shim_stop *)cfa_alloc(sizeof *made);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for a stop");
    made->set = 0;
    *out = made;
    return CFA_OK;
}

static inline void shim_stop_set(shim_stop *stop)
{
    __atomic_store_n(&stop->set, 1, __ATOMIC_RELAXED);
}

static inline void shim_stop_free(shim_stop *stop)
{
    cfa_free(stop);
}

#ifndef SWIG
static inline cfa_reconcile_spec shim_reconcile_spec(const shim_source *source, int64_t from_us,
                                                     int64_t until_us, int32_t all_ours)
{
    cfa_reconcile_spec spec = CFA_RECONCILE_SPEC_INIT;
    spec.next = source->next;
    spec.next_self = source->self;
    spec.from_us = from_us;
    spec.until_us = until_us;
    spec.all_ours = all_ours;
    spec.provider = source->provider;
    return spec;
}

static inline int32_t shim_audit_stop_asked(void *self, int64_t rows)
{
    (void)rows;
    return shim_stop_asked(self);
}

/* `source` NULL: without a record. `record` outlives the spec. */
static inline cfa_audit_spec shim_audit_spec(const char *campaign_id, const shim_source *source,
                                             cfa_reconcile_spec *record, int64_t from_us,
                                             int64_t until_us, int32_t all_ours, shim_stop *stop)
{
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    if (source != NULL) {
        *record = shim_reconcile_spec(source, from_us, until_us, all_ours);
        spec.record = record;
    }
    spec.campaign_id = campaign_id;
    spec.stop = shim_audit_stop_asked;
    spec.stop_self = stop;
    return spec;
}
#endif

static inline cfa_status shim_audit_engine(cfa_audit **out, cfa_engine *engine,
                                           const char *campaign_id, const shim_source *source,
                                           int64_t from_us, int64_t until_us, int32_t all_ours,
                                           shim_stop *stop)
{
    cfa_reconcile_spec record;
    const cfa_audit_spec spec = shim_audit_spec(campaign_id, source, &record, from_us, until_us,
                                                all_ours, stop);
    return cfa_audit_engine(out, engine, &spec);
}

#ifndef SWIG
/* A book that nobody needs to have open, only to be read. */
static inline cfa_status shim_file_open(cfa_storage *out, const char *path)
{
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.read_only = 1;
    return cfa_sqlite_storage_new(out, path, &options);
}
#endif

static inline cfa_status shim_schema_of(int32_t *out_found, int32_t *out_known, const char *path)
{
    cfa_storage storage;
    cfa_status status = shim_file_open(&storage, path);
    if (status != CFA_OK)
        return status;
    status = cfa_schema_of(out_found, out_known, &storage);
    storage.ops->close(storage.self);
    return status;
}

static inline cfa_status shim_audit_file(cfa_audit **out, const char *path,
                                         const char *campaign_id, const shim_source *source,
                                         int64_t from_us, int64_t until_us, int32_t all_ours,
                                         shim_stop *stop)
{
    cfa_storage storage;
    cfa_reconcile_spec record;
    cfa_status status = shim_file_open(&storage, path);
    if (status != CFA_OK)
        return status;
    const cfa_audit_spec spec = shim_audit_spec(campaign_id, source, &record, from_us, until_us,
                                                all_ours, stop);
    status = cfa_audit_storage(out, &storage, &spec);
    storage.ops->close(storage.self);
    return status;
}

static inline cfa_doctor_spec shim_doctor_spec(int32_t deep, int32_t timeout_ms)
{
    cfa_doctor_spec spec = CFA_DOCTOR_SPEC_INIT;
    spec.deep = deep;
    spec.timeout_ms = timeout_ms;
    return spec;
}

static inline cfa_status shim_doctor(cfa_checkup **out, cfa_engine *engine, int32_t deep,
                                     int32_t timeout_ms)
{
    const cfa_doctor_spec spec = shim_doctor_spec(deep, timeout_ms);
    return cfa_doctor(out, engine, &spec);
}

static inline cfa_status shim_doctor_do(int64_t *out_done, cfa_engine *engine, const char *code,
                                        int32_t deep, const char *actor, const char *reason,
                                        int32_t timeout_ms)
{
    const cfa_doctor_spec spec = shim_doctor_spec(deep, timeout_ms);
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_doctor_do(out_done, engine, code, &spec, &by);
}

/* ---- the books against the provider's ------------------------------------------------------ */

static inline cfa_status shim_reconcile_engine(cfa_reconciliation **out, cfa_engine *engine,
                                               const shim_source *source, int64_t from_us,
                                               int64_t until_us, int32_t all_ours)
{
    const cfa_reconcile_spec spec = shim_reconcile_spec(source, from_us, until_us, all_ours);
    return cfa_reconcile_engine(out, engine, &spec);
}

static inline cfa_status shim_reconcile_file(cfa_reconciliation **out, const char *path,
                                             const shim_source *source, int64_t from_us,
                                             int64_t until_us, int32_t all_ours)
{
    cfa_storage storage;
    cfa_status status = shim_file_open(&storage, path);
    if (status != CFA_OK)
        return status;
    const cfa_reconcile_spec spec = shim_reconcile_spec(source, from_us, until_us, all_ours);
    status = cfa_reconcile_storage(out, &storage, &spec);
    storage.ops->close(storage.self);
    return status;
}

static inline cfa_status shim_reconcile_repair(int64_t *out_done, cfa_engine *engine,
                                               const shim_source *source, int32_t timeout_ms)
{
    const cfa_reconcile_spec spec = shim_reconcile_spec(source, 0, 0, 0);
    return cfa_reconcile_repair(out_done, engine, &spec, timeout_ms);
}

static inline cfa_status shim_reconcile_live(cfa_reconciliation **out, int64_t *out_repaired,
                                             cfa_engine *engine, int64_t from_us, int64_t until_us,
                                             int32_t repair, int32_t all_ours, const char *actor,
                                             const char *reason, int32_t timeout_ms,
                                             shim_stop *stop)
{
    const cfa_actor by = shim_actor(actor, reason);
    cfa_reconcile_live_spec spec = CFA_RECONCILE_LIVE_SPEC_INIT;
    spec.from_us = from_us;
    spec.until_us = until_us;
    spec.repair = repair;
    spec.all_ours = all_ours;
    spec.timeout_ms = timeout_ms;
    spec.stop = shim_stop_asked;
    spec.stop_self = stop;
    spec.by = &by;
    return cfa_reconcile_live(out, out_repaired, engine, &spec);
}

static inline cfa_status shim_reconcile_record(cfa_engine *engine,
                                               const cfa_reconciliation *report, const char *actor,
                                               const char *reason, int32_t timeout_ms)
{
    const cfa_actor by = shim_actor(actor, reason);
    return cfa_reconcile_record(engine, report, &by, timeout_ms);
}

/* ---- pages ---------------------------------------------------------------------------------- */

static inline cfa_status shim_campaign_page(cfa_campaign_list **out, cfa_engine *engine,
                                            const char *after, int32_t limit)
{
    cfa_page page = CFA_PAGE_INIT;
    page.after = after;
    page.limit = limit;
    return cfa_campaign_page(out, engine, &page);
}

static inline cfa_status shim_cursor_page(cfa_cursor_list **out, cfa_engine *engine,
                                          const char *after, int32_t limit)
{
    cfa_page page = CFA_PAGE_INIT;
    page.after = after;
    page.limit = limit;
    return cfa_cursor_page(out, engine, &page);
}

static inline cfa_status shim_pledge_create(cfa_pledge **out, cfa_engine *engine, const char *key,
                                            const char *scope, const char *campaign_id,
                                            cfa_money amount, const char *payment_method,
                                            const char *donor_reference, const char *donor_name,
                                            const char *donor_email, const char *donor_message,
                                            int32_t visibility, int32_t wait, int32_t timeout_ms,
                                            const char *traceparent, const char *return_url,
                                            const char *cancel_url)
{
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = key;
    spec.scope = scope;
    spec.campaign_id = campaign_id;
    spec.amount = amount;
    spec.payment_method = payment_method;
    spec.donor_reference = donor_reference;
    spec.donor_name = donor_name;
    spec.donor_email = donor_email;
    spec.donor_message = donor_message;
    spec.visibility = visibility;
    spec.wait = wait;
    spec.timeout_ms = timeout_ms;
    spec.traceparent = traceparent;
    spec.return_url = return_url;
    spec.cancel_url = cancel_url;
    return cfa_pledge_create(out, engine, &spec);
}

static inline cfa_status shim_pledge_page(cfa_pledge_list **out, cfa_engine *engine,
                                          const char *campaign_id, const char *after,
                                          int32_t limit)
{
    cfa_page page = CFA_PAGE_INIT;
    page.after = after;
    page.limit = limit;
    return cfa_pledge_page(out, engine, campaign_id, &page);
}

static inline cfa_status shim_totals_get(cfa_totals **out, cfa_engine *engine,
                                         const char *campaign_id, int64_t at_least,
                                         int32_t max_age_ms, int32_t timeout_ms)
{
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = at_least;
    spec.max_age_ms = max_age_ms;
    spec.timeout_ms = timeout_ms;
    return cfa_totals_get(out, engine, campaign_id, &spec);
}

/* ---- providers in the host's language ------------------------------------------------------- */

/*
 * Facts under construction: what a provider says of one payment, then its refunds and disputes one
 * by one. All text is copied. Whoever made them frees them, after the call that they are for.
 */
typedef struct shim_facts shim_facts;

#ifndef SWIG

#define SHIM_REVERSALS_MAX (CFA_REVERSALS_MAX + 1) /* one more is enough for C to refuse them */

struct shim_facts {
    cfa_facts facts;
    cfa_arena *arena;
    int32_t failed; /* a copy found no memory */
    const cfa_refund_facts *refunds[SHIM_REVERSALS_MAX];
    const cfa_dispute_facts *disputes[SHIM_REVERSALS_MAX];
};

static inline const char *shim_facts_text(shim_facts *made, const char *text)
{
    if (text == NULL)
        return NULL;
    const char *copy = (const char *)cfa_arena_copy(made->arena, text, strlen(text) + 1);
    made->failed |= copy == NULL;
    return copy;
}

static inline cfa_status shim_facts_grown(const shim_facts *made)
{
    return made->failed ? cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for facts")
                        : CFA_OK;
}

#endif

static inline void shim_facts_free(shim_facts *facts)
{
    if (facts == NULL)
        return;
    cfa_arena_free(facts->arena);
    cfa_free(facts);
}

static inline cfa_status shim_facts_new(shim_facts **out, const char *ref, const char *payment_id,
                                        cfa_money amount, uint32_t flags, int64_t authorized_minor,
                                        int64_t captured_minor, int32_t attempt,
                                        int64_t occurred_us, const char *failure_code,
                                        const char *cancel_reason, const char *origin_ref,
                                        cfa_money fee)
{
    shim_facts *made = (shim_facts *)cfa_alloc(sizeof *made);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for facts");
    memset(made, 0, sizeof *made);
    cfa_status status = cfa_arena_new(&made->arena);
    if (status != CFA_OK) {
        cfa_free(made);
        return status;
    }
    made->facts.struct_size = sizeof made->facts;
    made->facts.ref = shim_facts_text(made, ref);
    made->facts.payment_id = shim_facts_text(made, payment_id);
    made->facts.amount = amount;
    made->facts.flags = flags;
    made->facts.authorized_minor = authorized_minor;
    made->facts.captured_minor = captured_minor;
    made->facts.attempt = attempt;
    made->facts.occurred_us = occurred_us;
    made->facts.failure_code = shim_facts_text(made, failure_code);
    made->facts.cancel_reason = shim_facts_text(made, cancel_reason);
    made->facts.origin_ref = shim_facts_text(made, origin_ref);
    made->facts.refunds = made->refunds;
    made->facts.disputes = made->disputes;
    made->facts.fee = fee;
    status = shim_facts_grown(made);
    if (status != CFA_OK)
        shim_facts_free(made);
    else
        *out = made;
    return status;
}

static inline cfa_status shim_facts_refund(shim_facts *facts, const char *ref,
                                           const char *refund_id, cfa_money amount, int32_t state,
                                           const char *failure_code, int64_t occurred_us)
{
    if (facts->facts.refund_count == SHIM_REVERSALS_MAX)
        return CFA_OK;
    cfa_refund_facts refund;
    memset(&refund, 0, sizeof refund);
    refund.struct_size = sizeof refund;
    refund.ref = shim_facts_text(facts, ref);
    refund.refund_id = shim_facts_text(facts, refund_id);
    refund.amount = amount;
    refund.state = state;
    refund.failure_code = shim_facts_text(facts, failure_code);
    refund.occurred_us = occurred_us;
    const cfa_refund_facts *copy =
        (const cfa_refund_facts *)cfa_arena_copy(facts->arena, &refund, sizeof refund);
    facts->failed |= copy == NULL;
    if (!facts->failed)
        facts->refunds[facts->facts.refund_count++] = copy;
    return shim_facts_grown(facts);
}

static inline cfa_status shim_facts_dispute(shim_facts *facts, const char *ref, cfa_money amount,
                                            int32_t state, int64_t withdrawn_minor,
                                            int64_t reinstated_minor, cfa_money fee,
                                            const char *reason, int64_t evidence_due_us,
                                            int64_t occurred_us)
{
    if (facts->facts.dispute_count == SHIM_REVERSALS_MAX)
        return CFA_OK;
    cfa_dispute_facts dispute;
    memset(&dispute, 0, sizeof dispute);
    dispute.struct_size = sizeof dispute;
    dispute.ref = shim_facts_text(facts, ref);
    dispute.amount = amount;
    dispute.state = state;
    dispute.withdrawn_minor = withdrawn_minor;
    dispute.reinstated_minor = reinstated_minor;
    dispute.fee = fee;
    dispute.reason = shim_facts_text(facts, reason);
    dispute.evidence_due_us = evidence_due_us;
    dispute.occurred_us = occurred_us;
    const cfa_dispute_facts *copy =
        (const cfa_dispute_facts *)cfa_arena_copy(facts->arena, &dispute, sizeof dispute);
    facts->failed |= copy == NULL;
    if (!facts->failed)
        facts->disputes[facts->facts.dispute_count++] = copy;
    return shim_facts_grown(facts);
}

static inline cfa_status shim_call_done(cfa_engine *engine, cfa_pulled_call *call, int32_t outcome,
                                        int32_t stored, const shim_facts *facts,
                                        const char *client_secret, const char *code,
                                        int64_t retry_after_ms, const char *redirect_url,
                                        int32_t unavailable, int32_t unfinished,
                                        int32_t timeout_ms)
{
    cfa_reply reply;
    memset(&reply, 0, sizeof reply);
    reply.struct_size = sizeof reply;
    reply.outcome = outcome;
    reply.stored = stored;
    reply.facts = facts->facts;
    reply.client_secret = client_secret;
    reply.code = code;
    reply.retry_after_ms = retry_after_ms;
    reply.redirect_url = redirect_url;
    reply.unavailable = unavailable;
    reply.unfinished = unfinished;
    return cfa_call_done(engine, call, &reply, timeout_ms);
}

static inline cfa_status shim_webhook_accept(int32_t *out, cfa_engine *engine, const char *event_id,
                                             const char *event_type, const char *account,
                                             int32_t livemode, int32_t relevant,
                                             const shim_facts *facts, int32_t fetch,
                                             int32_t timeout_ms)
{
    cfa_webhook_event event;
    memset(&event, 0, sizeof event);
    event.struct_size = sizeof event;
    event.event_id = event_id;
    event.event_type = event_type;
    event.account = account;
    event.livemode = livemode;
    event.relevant = relevant;
    event.facts = facts->facts;
    event.fetch = fetch;
    return cfa_webhook_accept(out, engine, &event, timeout_ms);
}

#ifndef SWIG

/* Append to what `prepare` writes; with `data` NULL only the size is counted. */
typedef struct shim_text {
    char *data;
    size_t size;
} shim_text;

static inline void shim_put(shim_text *text, char character)
{
    if (text->data != NULL)
        text->data[text->size] = character;
    text->size++;
}

static inline void shim_put_raw(shim_text *text, const char *value)
{
    while (*value != '\0')
        shim_put(text, *value++);
}

static inline void shim_put_text(shim_text *text, const char *name, const char *value)
{
    static const char hex[] = "0123456789abcdef";
    shim_put_raw(text, name);
    if (value == NULL) {
        shim_put_raw(text, "null");
        return;
    }
    shim_put(text, '"');
    for (; *value != '\0'; value++) {
        const unsigned char byte = (unsigned char)*value;
        if (byte == '"' || byte == '\\') {
            shim_put(text, '\\');
            shim_put(text, *value);
        } else if (byte < 0x20) {
            shim_put_raw(text, "\\u00");
            shim_put(text, hex[byte >> 4]);
            shim_put(text, hex[byte & 15]);
        } else {
            shim_put(text, *value);
        }
    }
    shim_put(text, '"');
}

static inline void shim_put_int(shim_text *text, const char *name, int64_t value)
{
    char digits[20];
    size_t count = 0;
    uint64_t rest = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    shim_put_raw(text, name);
    if (value < 0)
        shim_put(text, '-');
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    while (count > 0)
        shim_put(text, digits[--count]);
}

/* One JSON object, members in alphabetical order, no spaces: equal calls make equal bytes. */
static inline void shim_put_call(shim_text *text, const cfa_call *call)
{
    static const char *const kinds[] = { "",         "create", "capture", "cancel",
                                         "retrieve", "lookup", "refund" };
    const int32_t last = (int32_t)(sizeof kinds / sizeof kinds[0]) - 1;
    const int32_t kind = call->kind > 0 && call->kind <= last ? call->kind : 0;
    shim_put_text(text, "{\"account\":", call->account != NULL ? call->account : "");
    shim_put_int(text, ",\"amount\":", call->amount.minor);
    if (kind == CFA_CALL_CREATE)
        shim_put_text(text, ",\"cancel_url\":", call->cancel_url);
    shim_put_raw(text, ",\"capture_manual\":");
    shim_put_raw(text, call->capture_manual ? "true" : "false");
    if (kind == CFA_CALL_LOOKUP) {
        shim_put_int(text, ",\"created_from_us\":", call->created_from_us);
        shim_put_int(text, ",\"created_until_us\":", call->created_until_us);
    }
    shim_put_text(text, ",\"currency\":", call->amount.currency);
    shim_put_text(text, ",\"idempotency_key\":", call->idempotency_key);
    shim_put_text(text, ",\"kind\":", kinds[kind]);
    shim_put_text(text, ",\"operation_id\":", call->operation_id);
    shim_put_text(text, ",\"payment_id\":", call->payment_id);
    shim_put_text(text, ",\"payment_method\":", call->payment_method);
    shim_put_text(text, ",\"ref\":", call->ref);
    if (kind == CFA_CALL_REFUND)
        shim_put_text(text, ",\"refund_id\":", call->refund_id);
    if (kind == CFA_CALL_CREATE)
        shim_put_text(text, ",\"return_url\":", call->return_url);
    shim_put(text, '}');
}

static inline cfa_status shim_provider_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                                               cfa_slice *out_body)
{
    shim_text text = { NULL, 0 };
    (void)self;
    shim_put_call(&text, call);
    text.data = (char *)cfa_arena_alloc(arena, text.size);
    if (text.data == NULL)
        return CFA_ENOMEM;
    text.size = 0;
    shim_put_call(&text, call);
    out_body->data = text.data;
    out_body->size = text.size;
    return CFA_OK;
}

typedef struct shim_provider {
    cfa_provider provider;
    cfa_provider_ops ops;
    char name[32];
} shim_provider;

#endif

/* Make a provider without a `call` of its own: the host pulls them with `cfa_call_next`. */
static inline cfa_status shim_provider_new(cfa_provider **out, const char *name,
                                           uint32_t capabilities)
{
    const size_t size = name != NULL ? strlen(name) : 0;
    if (size == 0 || size >= sizeof ((shim_provider *)0)->name)
        return cfa_error_set(CFA_EINVAL, "bindings", "name", 0, "a name has 1 to 31 bytes");
    shim_provider *made = (shim_provider *)cfa_alloc(sizeof *made);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for a provider");
    memset(made, 0, sizeof *made);
    memcpy(made->name, name, size);
    made->ops.struct_size = sizeof made->ops;
    made->ops.name = made->name;
    made->ops.capabilities = capabilities;
    made->ops.prepare = shim_provider_prepare;
    made->provider.ops = &made->ops;
    made->provider.self = made;
    *out = &made->provider;
    return CFA_OK;
}

static inline void shim_provider_free(cfa_provider *provider)
{
    if (provider != NULL)
        cfa_free(provider->self);
}

/* ---- play ----------------------------------------------------------------------------------- */

static inline cfa_status shim_play_new(cfa_play **out, uint64_t seed, int32_t one_step,
                                       int32_t lookup_not_authoritative, int64_t key_retention_ms,
                                       const char *webhook_secret)
{
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    options.seed = seed;
    options.one_step = one_step;
    options.lookup_not_authoritative = lookup_not_authoritative;
    options.key_retention_ms = key_retention_ms;
    options.webhook_secret = webhook_secret;
    return cfa_play_new(out, &options);
}

static inline cfa_status shim_play_weather_set(cfa_play *play, int32_t reply_lost_ppm,
                                               int32_t request_lost_ppm, int32_t error_after_ppm,
                                               int32_t error_before_ppm, int32_t not_sent_ppm,
                                               int32_t webhook_lost_ppm,
                                               int32_t webhook_duplicated_ppm,
                                               int32_t webhook_reordered_ppm, int32_t delay_ms_max)
{
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.reply_lost_ppm = reply_lost_ppm;
    weather.request_lost_ppm = request_lost_ppm;
    weather.error_after_ppm = error_after_ppm;
    weather.error_before_ppm = error_before_ppm;
    weather.not_sent_ppm = not_sent_ppm;
    weather.webhook_lost_ppm = webhook_lost_ppm;
    weather.webhook_duplicated_ppm = webhook_duplicated_ppm;
    weather.webhook_reordered_ppm = webhook_reordered_ppm;
    weather.delay_ms_max = delay_ms_max;
    return cfa_play_weather_set(play, &weather);
}

static inline cfa_status shim_play_books_get(int64_t *out_intents, int64_t *out_charges,
                                             int64_t *out_charged_twice, int64_t *out_calls,
                                             int64_t *out_webhooks_pending,
                                             int64_t *out_refunds, int64_t *out_refunded_twice,
                                             int64_t *out_disputes, cfa_play *play)
{
    cfa_play_books books = CFA_PLAY_BOOKS_INIT;
    const cfa_status status = cfa_play_books_get(&books, play);
    if (status != CFA_OK)
        return status;
    *out_intents = books.intent_count;
    *out_charges = books.charge_count;
    *out_charged_twice = books.charged_twice;
    *out_calls = books.call_count;
    *out_webhooks_pending = books.webhooks_pending;
    *out_refunds = books.refund_count;
    *out_refunded_twice = books.refunded_twice;
    *out_disputes = books.dispute_count;
    return CFA_OK;
}

/* The number of successful charges of one payment. */
static inline cfa_status shim_play_payment(int64_t *out_charges, cfa_play *play,
                                           const char *payment_id)
{
    cfa_arena *arena = NULL;
    cfa_status status = cfa_arena_new(&arena);
    if (status != CFA_OK)
        return status;
    cfa_facts facts = CFA_FACTS_INIT;
    status = cfa_play_payment(&facts, out_charges, play, payment_id, arena);
    cfa_arena_free(arena);
    return status;
}

/* `*out`: whose it is, the provider's id of the refund. */
static inline cfa_status shim_play_refund(char **out, cfa_play *play, const char *ref,
                                          int64_t amount_minor, int32_t state,
                                          const char *failure_code)
{
    cfa_play_refund_spec spec = CFA_PLAY_REFUND_SPEC_INIT;
    spec.ref = ref;
    spec.amount_minor = amount_minor;
    spec.state = state;
    spec.failure_code = failure_code;
    char *made = (char *)cfa_alloc(CFA_PLAY_REF_SIZE);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for text");
    const cfa_status status = cfa_play_refund(made, play, &spec);
    if (status != CFA_OK) {
        cfa_free(made);
        return status;
    }
    *out = made;
    return CFA_OK;
}

/* `*out`: the provider's id of the dispute. */
static inline cfa_status shim_play_dispute(char **out, cfa_play *play, const char *ref,
                                           int32_t state, int64_t amount_minor,
                                           int64_t withdrawn_minor, int64_t reinstated_minor,
                                           cfa_money fee, const char *reason,
                                           int64_t evidence_due_us)
{
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = ref;
    spec.state = state;
    spec.amount_minor = amount_minor;
    spec.withdrawn_minor = withdrawn_minor;
    spec.reinstated_minor = reinstated_minor;
    spec.fee = fee;
    spec.reason = reason;
    spec.evidence_due_us = evidence_due_us;
    char *made = (char *)cfa_alloc(CFA_PLAY_REF_SIZE);
    if (made == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for text");
    const cfa_status status = cfa_play_dispute(made, play, &spec);
    if (status != CFA_OK) {
        cfa_free(made);
        return status;
    }
    *out = made;
    return CFA_OK;
}

static inline cfa_status shim_key_new(char **out)
{
    char *key = (char *)cfa_alloc(37);
    if (key == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for a key");
    const cfa_status status = cfa_key_new(key, 37);
    if (status != CFA_OK) {
        cfa_free(key);
        return status;
    }
    *out = key;
    return CFA_OK;
}

static inline cfa_status shim_money_format(char **out, cfa_money amount)
{
    char *text = (char *)cfa_alloc(CFA_MONEY_TEXT_SIZE);
    if (text == NULL)
        return cfa_error_set(CFA_ENOMEM, "bindings", NULL, 0, "no memory for text");
    const cfa_status status = cfa_money_format(text, CFA_MONEY_TEXT_SIZE, amount);
    if (status != CFA_OK) {
        cfa_free(text);
        return status;
    }
    *out = text;
    return CFA_OK;
}

#endif
