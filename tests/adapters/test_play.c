/*
 * test_play.c - what the play provider promises itself: misfortune, determinism, exact diagnoses.
 * What any provider owes is in the conformance suite.
 */
#include <check.h>

#include <careforall/adapters/play.h>
#include <careforall/testkit/clock.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define NAME_SIZE 64

static cfa_manual_clock *manual;
static cfa_play *play;
static cfa_arena *arena;

static cfa_play *new_play(uint64_t seed, int32_t one_step, int32_t lagging) {
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    options.seed = seed;
    options.one_step = one_step;
    options.lookup_not_authoritative = lagging;
    options.platform = cfa_manual_clock_platform(manual);
    cfa_play *made = NULL;
    ck_assert_int_eq(cfa_play_new(&made, &options), CFA_OK);
    return made;
}

static void set_up(void) {
    ck_assert_int_eq(cfa_manual_clock_new(&manual, 0, 1), CFA_OK);
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    play = new_play(1, 0, 0);
}

static void tear_down(void) {
    cfa_play_free(play);
    cfa_arena_free(arena);
    cfa_manual_clock_free(manual);
}

static void use(cfa_play *other) {
    cfa_play_free(play);
    play = other;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static cfa_call make_call(int32_t kind, const char *payment_id, const char *key) {
    cfa_call call = { .struct_size = sizeof call, .kind = kind, .payment_id = payment_id };
    call.operation_id = "1";
    call.idempotency_key = key;
    call.account = "";
    call.amount = (cfa_money){ 1250, "EUR" };
    call.payment_method = "pm_ok";
    return call;
}

static cfa_reply send_call(const cfa_call *call) {
    const cfa_provider *provider = cfa_play_provider(play);
    cfa_reply reply = { .struct_size = sizeof reply };
    provider->ops->call(provider->self, call, arena, &reply);
    return reply;
}

static cfa_reply perform(cfa_call call) {
    const cfa_provider *provider = cfa_play_provider(play);
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &call.body), CFA_OK);
    return send_call(&call);
}

static cfa_reply create(const char *payment_id, const char *key) {
    return perform(make_call(CFA_CALL_CREATE, payment_id, key));
}

static cfa_reply on_ref(int32_t kind, const char *ref, const char *key) {
    cfa_call call = make_call(kind, "pay", key);
    call.ref = ref;
    return perform(call);
}

static cfa_facts retrieve(const char *ref) {
    cfa_reply reply = on_ref(CFA_CALL_RETRIEVE, ref, NULL);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    return reply.facts;
}

static cfa_play_books books(void) {
    cfa_play_books out = CFA_PLAY_BOOKS_INIT;
    ck_assert_int_eq(cfa_play_books_get(&out, play), CFA_OK);
    return out;
}

static void push_fault(int32_t fault) {
    ck_assert_int_eq(cfa_play_fault_next(play, fault), CFA_OK);
}

static const char *message(void) {
    static cfa_error error;
    error.struct_size = sizeof error;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return error.message;
}

/* ---- misfortune ------------------------------------------------------------------------------ */

START_TEST(a_lost_reply_leaves_its_effect) {
    push_fault(CFA_PLAY_FAULT_REPLY_LOST);
    cfa_reply lost = create("pay_1", "k");
    ck_assert_int_eq(lost.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_ptr_null(lost.facts.ref);
    ck_assert_int_eq(books().intent_count, 1);
    cfa_reply again = create("pay_1", "k");
    ck_assert_int_eq(again.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(again.stored, 1);
    ck_assert_ptr_nonnull(again.client_secret);
    ck_assert_int_eq(books().intent_count, 1);
}
END_TEST

START_TEST(a_lost_request_leaves_nothing) {
    push_fault(CFA_PLAY_FAULT_REQUEST_LOST);
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(books().intent_count, 0);
    cfa_reply again = create("pay_1", "k");
    ck_assert_int_eq(again.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(again.stored, 0);
    ck_assert_int_eq(books().intent_count, 1);
}
END_TEST

START_TEST(an_error_after_the_effect_is_stored_under_the_key) {
    push_fault(CFA_PLAY_FAULT_ERROR_AFTER);
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_UNKNOWN);
    cfa_reply again = create("pay_1", "k");
    ck_assert_int_eq(again.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(again.stored, 1);
    ck_assert_ptr_null(again.facts.ref);
    ck_assert_int_eq(perform(make_call(CFA_CALL_LOOKUP, "pay_1", NULL)).outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(books().intent_count, 1);
}
END_TEST

START_TEST(an_error_before_the_effect_is_stored_under_the_key) {
    push_fault(CFA_PLAY_FAULT_ERROR_BEFORE);
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_UNKNOWN);
    cfa_reply again = create("pay_1", "k");
    ck_assert_int_eq(again.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(again.stored, 1);
    ck_assert_int_eq(perform(make_call(CFA_CALL_LOOKUP, "pay_1", NULL)).outcome,
                     CFA_OUTCOME_NOT_SENT);
    ck_assert_int_eq(create("pay_1", "k2").outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(books().intent_count, 1);
}
END_TEST

START_TEST(an_error_on_a_repeat_keeps_the_stored_answer) {
    cfa_reply first = create("pay_1", "k");
    push_fault(CFA_PLAY_FAULT_ERROR_AFTER);
    cfa_reply broken = create("pay_1", "k");
    ck_assert_int_eq(broken.outcome, CFA_OUTCOME_UNKNOWN);
    ck_assert_int_eq(broken.stored, 0);
    ck_assert_str_eq(create("pay_1", "k").facts.ref, first.facts.ref);
}
END_TEST

START_TEST(a_refused_connection_and_a_refusal_leave_nothing) {
    push_fault(CFA_PLAY_FAULT_NOT_SENT);
    push_fault(CFA_PLAY_FAULT_REFUSED);
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_NOT_SENT);
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_REFUSED);
    /* "It will not happen": the same key never makes it happen after all. */
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_REFUSED);
    ck_assert_int_eq(books().intent_count, 0);
    ck_assert_int_eq(books().call_count, 3);
}
END_TEST

START_TEST(a_lookup_that_reached_nobody_proves_nothing) {
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_DONE);
    static const int32_t faults[] = {
        CFA_PLAY_FAULT_REPLY_LOST,   CFA_PLAY_FAULT_REQUEST_LOST, CFA_PLAY_FAULT_ERROR_AFTER,
        CFA_PLAY_FAULT_ERROR_BEFORE, CFA_PLAY_FAULT_NOT_SENT,
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        push_fault(faults[i]);
        cfa_reply reply = perform(make_call(CFA_CALL_LOOKUP, "pay_1", NULL));
        ck_assert_int_eq(reply.outcome, CFA_OUTCOME_UNKNOWN);
    }
    ck_assert_int_eq(perform(make_call(CFA_CALL_LOOKUP, "pay_1", NULL)).outcome, CFA_OUTCOME_DONE);
}
END_TEST

START_TEST(a_forgotten_key_charges_a_second_time) {
    use(new_play(1, 1, 0));
    cfa_reply first = create("pay_1", "k");
    cfa_manual_clock_advance(manual, 24 * 3600 * SECOND_US - 1);
    ck_assert_str_eq(create("pay_1", "k").facts.ref, first.facts.ref);
    ck_assert_int_eq(books().charged_twice, 0);
    cfa_manual_clock_advance(manual, 1);
    ck_assert_str_ne(create("pay_1", "k").facts.ref, first.facts.ref);
    ck_assert_int_eq(books().intent_count, 2);
    ck_assert_int_eq(books().charge_count, 2);
    ck_assert_int_eq(books().charged_twice, 1);
    int64_t charges = 0;
    cfa_facts facts;
    ck_assert_int_eq(cfa_play_payment(&facts, &charges, play, "pay_1", arena), CFA_OK);
    ck_assert_int_eq(charges, 2);
    ck_assert_int_eq(cfa_play_payment(&facts, &charges, play, "pay_2", arena), CFA_ENOTFOUND);
}
END_TEST

START_TEST(a_jump_of_the_clock_forgets_and_finds_exactly) {
    cfa_reply first = create("pay_1", "k1");
    cfa_manual_clock_jump(manual, -3600 * SECOND_US);
    cfa_reply second = create("pay_2", "k2");
    cfa_manual_clock_jump(manual, 24 * 3600 * SECOND_US);
    /* The younger entry of an earlier time is due, the older one of a later time is not. */
    ck_assert_str_ne(create("pay_2", "k2").facts.ref, second.facts.ref);
    ck_assert_str_eq(create("pay_1", "k1").facts.ref, first.facts.ref);
}
END_TEST

START_TEST(many_keys_come_and_go) {
    char name[NAME_SIZE];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "pay_%d", i);
        ck_assert_int_eq(create(name, name).outcome, CFA_OUTCOME_DONE);
        /* A key lives for about 2000 donations: the table shrinks while it grows. */
        if (i % 7 == 0) {
            cfa_manual_clock_advance(manual, 300 * SECOND_US);
        }
        if (i >= 1900) {
            snprintf(name, sizeof name, "pay_%d", i - 1900);
            ck_assert_int_eq(create(name, name).stored, 1);
        }
        cfa_arena_reset(arena);
    }
    ck_assert_int_eq(books().intent_count, 20000);
}
END_TEST

START_TEST(a_late_reply_is_unknown_and_its_effect_stays) {
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.delay_ms_max = 3;
    ck_assert_int_eq(cfa_play_weather_set(play, &weather), CFA_OK);
    int unknown = 0;
    for (int i = 0; i < 20; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "pay_%d", i);
        cfa_call call = make_call(CFA_CALL_CREATE, name, name);
        call.timeout_ms = 1;
        unknown += perform(call).outcome == CFA_OUTCOME_UNKNOWN;
    }
    ck_assert_int_gt(unknown, 0);
    ck_assert_int_eq(books().intent_count, 20);
}
END_TEST

/* ---- determinism ----------------------------------------------------------------------------- */

static cfa_play_weather stormy(void) {
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.reply_lost_ppm = 100000;
    weather.request_lost_ppm = 100000;
    weather.error_after_ppm = 50000;
    weather.error_before_ppm = 50000;
    weather.not_sent_ppm = 50000;
    weather.webhook_lost_ppm = 100000;
    weather.webhook_duplicated_ppm = 200000;
    weather.webhook_reordered_ppm = 300000;
    return weather;
}

/* Everything a caller can see of one run, as text in the arena. */
static const char *run_storm(uint64_t seed) {
    use(new_play(seed, 0, 0));
    cfa_play_weather weather = stormy();
    ck_assert_int_eq(cfa_play_weather_set(play, &weather), CFA_OK);
    size_t size = 1 << 20, used = 0;
    char *log = cfa_arena_alloc(arena, size);
    ck_assert_ptr_nonnull(log);
    for (int i = 0; i < 400; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "pay_%d", i / 3);
        cfa_reply reply = create(name, name);
        used += (size_t)snprintf(log + used, size - used, "%d %d %s %s\n", reply.outcome,
                                 reply.stored, reply.facts.ref != NULL ? reply.facts.ref : "-",
                                 reply.code != NULL ? reply.code : "-");
        if (reply.client_secret != NULL) {
            cfa_status status = cfa_play_confirm(play, reply.client_secret, "pm_ok");
            ck_assert(status == CFA_OK || status == CFA_ESTATE);
        }
    }
    for (;;) {
        char *signature, *body;
        ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, play), CFA_OK);
        if (body == NULL) {
            break;
        }
        ck_assert_uint_lt(used + strlen(body) + 200, size);
        used += (size_t)snprintf(log + used, size - used, "%s %s\n", signature, body);
        cfa_free(signature);
        cfa_free(body);
    }
    ck_assert_int_eq(books().charged_twice, 0);
    return log;
}

START_TEST(one_seed_is_one_story) {
    const char *first = run_storm(42);
    ck_assert_str_eq(first, run_storm(42));
    ck_assert_str_ne(first, run_storm(43));
}
END_TEST

START_TEST(rates_are_what_was_asked_for) {
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.not_sent_ppm = 300000;
    ck_assert_int_eq(cfa_play_weather_set(play, &weather), CFA_OK);
    int count = 0;
    for (int i = 0; i < 10000; i++) {
        count += perform(make_call(CFA_CALL_LOOKUP, "pay_1", NULL)).code != NULL;
    }
    ck_assert_int_gt(count, 2800);
    ck_assert_int_lt(count, 3200);
    weather.reply_lost_ppm = 700001;
    ck_assert_int_eq(cfa_play_weather_set(play, &weather), CFA_ERANGE);
    weather.reply_lost_ppm = -1;
    ck_assert_int_eq(cfa_play_weather_set(play, &weather), CFA_ERANGE);
    ck_assert_int_eq(cfa_play_fault_next(play, 7), CFA_EINVAL);
}
END_TEST

/* ---- donors ---------------------------------------------------------------------------------- */

START_TEST(an_action_is_asked_for_and_finished) {
    cfa_reply made = create("pay_1", "k");
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_action"), CFA_OK);
    ck_assert_uint_eq(retrieve(made.facts.ref).flags, CFA_FACT_NEEDS_ACTION);
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_ok"), CFA_ESTATE);
    ck_assert_int_eq(cfa_play_act(play, made.client_secret, 0), CFA_OK);
    cfa_facts failed = retrieve(made.facts.ref);
    ck_assert_uint_eq(failed.flags, CFA_FACT_FAILED);
    ck_assert_str_eq(failed.failure_code, "authentication_failed");
    ck_assert_int_eq(cfa_play_act(play, made.client_secret, 1), CFA_ESTATE);
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_action"), CFA_OK);
    ck_assert_int_eq(cfa_play_act(play, made.client_secret, 1), CFA_OK);
    cfa_facts paid = retrieve(made.facts.ref);
    ck_assert_uint_eq(paid.flags, CFA_FACT_SUCCEEDED);
    ck_assert_int_eq(paid.attempt, 2);
    ck_assert_int_gt(paid.occurred_us, failed.occurred_us);
    ck_assert_int_eq(books().charge_count, 1);
}
END_TEST

START_TEST(a_slow_method_settles_later) {
    cfa_reply made = create("pay_1", "k");
    ck_assert_int_eq(cfa_play_settle(play, made.facts.ref, 1), CFA_ESTATE);
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_slow"), CFA_OK);
    ck_assert_uint_eq(retrieve(made.facts.ref).flags, CFA_FACT_PROCESSING);
    ck_assert_int_eq(on_ref(CFA_CALL_CANCEL, made.facts.ref, "c").outcome, CFA_OUTCOME_REFUSED);
    ck_assert_int_eq(cfa_play_expire(play, made.facts.ref), CFA_ESTATE);
    ck_assert_int_eq(cfa_play_settle(play, made.facts.ref, 0), CFA_OK);
    ck_assert_uint_eq(retrieve(made.facts.ref).flags, CFA_FACT_FAILED);
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_slow"), CFA_OK);
    ck_assert_int_eq(cfa_play_settle(play, made.facts.ref, 1), CFA_OK);
    ck_assert_uint_eq(retrieve(made.facts.ref).flags, CFA_FACT_SUCCEEDED);
    ck_assert_int_eq(cfa_play_settle(play, "pi_none", 1), CFA_ENOTFOUND);
}
END_TEST

START_TEST(a_slow_charge_in_one_step_is_pending) {
    use(new_play(1, 1, 0));
    cfa_call call = make_call(CFA_CALL_CREATE, "pay_1", "k");
    call.payment_method = "pm_slow";
    cfa_reply reply = perform(call);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_PENDING);
    ck_assert_uint_eq(reply.facts.flags, CFA_FACT_PROCESSING);
    ck_assert_int_eq(cfa_play_settle(play, reply.facts.ref, 1), CFA_OK);
    ck_assert_int_eq(books().charge_count, 1);
    call = make_call(CFA_CALL_CREATE, "pay_2", "k2");
    call.payment_method = "pm_funds";
    reply = perform(call);
    ck_assert_int_eq(reply.outcome, CFA_OUTCOME_DONE);
    ck_assert_uint_eq(reply.facts.flags, CFA_FACT_FAILED);
    ck_assert_str_eq(reply.facts.failure_code, "insufficient_funds");
    call = make_call(CFA_CALL_CREATE, "pay_3", "k3");
    call.payment_method = NULL;
    ck_assert_str_eq(perform(call).code, "payment_method_missing");
}
END_TEST

START_TEST(holds_and_offers_run_out) {
    cfa_call call = make_call(CFA_CALL_CREATE, "pay_1", "k1");
    call.capture_manual = 1;
    cfa_reply held = perform(call);
    ck_assert_int_eq(cfa_play_confirm(play, held.client_secret, "pm_ok"), CFA_OK);
    cfa_reply offer = create("pay_2", "k2");
    ck_assert_int_eq(cfa_play_expire(play, held.facts.ref), CFA_OK);
    ck_assert_int_eq(cfa_play_expire(play, offer.facts.ref), CFA_OK);
    ck_assert_int_eq(cfa_play_expire(play, offer.facts.ref), CFA_ESTATE);
    cfa_facts facts = retrieve(held.facts.ref);
    ck_assert_uint_eq(facts.flags, CFA_FACT_EXPIRED);
    ck_assert_int_eq(facts.authorized_minor, 1250);
    ck_assert_str_eq(on_ref(CFA_CALL_CAPTURE, held.facts.ref, "c1").code, "charge_expired");
    ck_assert_int_eq(cfa_play_confirm(play, offer.client_secret, "pm_ok"), CFA_ESTATE);
    ck_assert_int_eq(books().charge_count, 0);
}
END_TEST

/* ---- requests -------------------------------------------------------------------------------- */

START_TEST(refusals_name_their_reason) {
    cfa_reply made = create("pay_1", "k");
    cfa_call other = make_call(CFA_CALL_CREATE, "pay_1", "k");
    other.amount.minor = 9999;
    ck_assert_str_eq(perform(other).code, "idempotency_mismatch");
    ck_assert_str_eq(on_ref(CFA_CALL_CAPTURE, made.facts.ref, "c1").code, "not_authorized");
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_ok"), CFA_OK);
    ck_assert_str_eq(on_ref(CFA_CALL_CANCEL, made.facts.ref, "c2").code, "already_captured");
    ck_assert_str_eq(on_ref(CFA_CALL_RETRIEVE, "pi_none", NULL).code, "resource_missing");
    cfa_call call = make_call(CFA_CALL_CREATE, "pay_2", "k2");
    call.body = (cfa_slice){ "{\"call\":", 8 };
    ck_assert_str_eq(send_call(&call).code, "body_malformed");
    call.body = (cfa_slice){ "{\"call\":\"cancel\"}", 17 };
    ck_assert_str_eq(send_call(&call).code, "parameter_invalid");
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_other"), CFA_EINVAL);
    ck_assert_int_eq(books().intent_count, 1);
}
END_TEST

START_TEST(the_body_decides_not_the_fields) {
    const cfa_provider *provider = cfa_play_provider(play);
    cfa_call call = make_call(CFA_CALL_CREATE, "pay_1", "k");
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &call.body), CFA_OK);
    call.amount.minor = 7;
    call.payment_id = "pay_other";
    cfa_reply reply = send_call(&call);
    ck_assert_int_eq(reply.facts.amount.minor, 1250);
    ck_assert_str_eq(reply.facts.payment_id, "pay_1");
}
END_TEST

START_TEST(prepare_refuses_what_cannot_be_asked) {
    const cfa_provider *provider = cfa_play_provider(play);
    cfa_slice body = { NULL, 77 };
    cfa_call call = make_call(CFA_CALL_CREATE, "", "k");
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &body), CFA_EINVAL);
    call = make_call(CFA_CALL_CREATE, "pay_1", "k");
    call.amount.minor = 0;
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &body), CFA_ERANGE);
    call = make_call(CFA_CALL_CANCEL, "pay_1", "k");
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &body), CFA_EINVAL);
    call.kind = 99;
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &body), CFA_ENOTSUP);
    ck_assert_uint_eq(body.size, 77);
}
END_TEST

START_TEST(accounts_do_not_see_each_other) {
    cfa_call call = make_call(CFA_CALL_CREATE, "pay_1", "k");
    call.account = "acct_a";
    cfa_reply a = perform(call);
    call.account = "acct_b";
    cfa_reply b = perform(call);
    ck_assert_str_ne(a.facts.ref, b.facts.ref);
    ck_assert_str_eq(on_ref(CFA_CALL_RETRIEVE, a.facts.ref, NULL).code, "resource_missing");
    call = make_call(CFA_CALL_LOOKUP, "pay_1", NULL);
    ck_assert_int_eq(perform(call).outcome, CFA_OUTCOME_NOT_SENT);
    call.account = "acct_b";
    ck_assert_str_eq(perform(call).facts.ref, b.facts.ref);
}
END_TEST

START_TEST(lagging_lookups_see_only_what_is_old) {
    use(new_play(1, 0, 1));
    ck_assert_uint_eq(cfa_play_provider(play)->ops->capabilities,
                      CFA_PROVIDER_TWO_STEP | CFA_PROVIDER_READS_REVERSALS);
    ck_assert_int_eq(create("pay_1", "k").outcome, CFA_OUTCOME_DONE);
    cfa_call lookup = make_call(CFA_CALL_LOOKUP, "pay_1", NULL);
    ck_assert_int_eq(perform(lookup).outcome, CFA_OUTCOME_NOT_SENT);
    cfa_manual_clock_advance(manual, 60 * SECOND_US);
    ck_assert_int_eq(perform(lookup).outcome, CFA_OUTCOME_DONE);
}
END_TEST

/* ---- webhooks -------------------------------------------------------------------------------- */

static cfa_slice slice_of(const char *text) { return (cfa_slice){ text, strlen(text) }; }

static cfa_status verify(const char *signature, const char *body, cfa_webhook_event *out) {
    const cfa_provider *provider = cfa_play_provider(play);
    return provider->ops->webhook(provider->self, slice_of(signature), slice_of(body),
                                  cfa_manual_clock_now_us(manual), arena, out);
}

/* Take the next webhook and verify it. False: there is none. */
static bool next_event(cfa_webhook_event *out) {
    char *signature, *body;
    ck_assert_int_eq(cfa_play_webhook_take(&signature, &body, play), CFA_OK);
    if (body == NULL) {
        return false;
    }
    ck_assert_msg(verify(signature, body, out) == CFA_OK, "%s", message());
    cfa_free(signature);
    cfa_free(body);
    return true;
}

START_TEST(each_change_is_told_with_its_own_facts) {
    static const struct {
        const char *type;
        int64_t authorized_minor, captured_minor;
        uint32_t flags;
    } expected[] = {
        { "intent.created", 0, 0, 0 },
        { "intent.payment_failed", 0, 0, CFA_FACT_FAILED },
        { "intent.requires_action", 0, 0, CFA_FACT_NEEDS_ACTION },
        { "intent.processing", 0, 0, CFA_FACT_PROCESSING },
        { "charge.authorized", 1250, 0, 0 },
        { "charge.captured", 1250, 1250, 0 },
        { "intent.succeeded", 1250, 1250, CFA_FACT_SUCCEEDED },
    };
    cfa_reply made = create("pay_1", "k");
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_declined"), CFA_EDECLINED);
    ck_assert_int_eq(cfa_play_confirm(play, made.client_secret, "pm_action"), CFA_OK);
    ck_assert_int_eq(cfa_play_act(play, made.client_secret, 1), CFA_OK);
    ck_assert_int_eq(books().webhooks_pending, 7);
    cfa_webhook_event event;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert(next_event(&event));
        ck_assert_str_eq(event.event_type, expected[i].type);
        ck_assert_int_eq(event.facts.authorized_minor, expected[i].authorized_minor);
        ck_assert_int_eq(event.facts.captured_minor, expected[i].captured_minor);
        ck_assert_uint_eq(event.facts.flags, expected[i].flags);
        ck_assert_str_eq(event.facts.ref, made.facts.ref);
        ck_assert_int_eq(event.relevant, 1);
    }
    ck_assert(!next_event(&event));
}
END_TEST

static int compare_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The ids of the webhooks of 100 payments in this weather, in order of arrival. */
static size_t collect(const char **ids, size_t limit, int32_t lost, int32_t twice,
                      int32_t reordered) {
    use(new_play(1, 1, 0));
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.webhook_lost_ppm = lost;
    weather.webhook_duplicated_ppm = twice;
    weather.webhook_reordered_ppm = reordered;
    ck_assert_int_eq(cfa_play_weather_set(play, &weather), CFA_OK);
    for (int i = 0; i < 100; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "pay_%d", i);
        ck_assert_int_eq(create(name, name).outcome, CFA_OUTCOME_DONE);
    }
    cfa_webhook_event event;
    size_t count = 0;
    while (next_event(&event)) {
        ck_assert_uint_lt(count, limit);
        ids[count++] = event.event_id;
    }
    return count;
}

START_TEST(webhooks_are_lost_doubled_and_reordered) {
    const char *calm[1000], *rough[1000];
    ck_assert_uint_eq(collect(rough, 1000, 1000000, 0, 0), 0);
    size_t count = collect(calm, 1000, 0, 0, 0);
    ck_assert_uint_eq(count, 400);
    ck_assert_uint_eq(collect(rough, 1000, 0, 1000000, 0), 800);
    for (size_t i = 0; i < 800; i++) {
        ck_assert_str_eq(rough[i], calm[i / 2]);
    }
    ck_assert_uint_eq(collect(rough, 1000, 0, 0, 500000), count);
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        moved += strcmp(calm[i], rough[i]) != 0;
    }
    ck_assert_uint_gt(moved, count / 4);
    qsort(calm, count, sizeof calm[0], compare_text);
    qsort(rough, count, sizeof rough[0], compare_text);
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_eq(calm[i], rough[i]);
        ck_assert(i == 0 || strcmp(calm[i], calm[i - 1]) != 0);
    }
}
END_TEST

static void expect_untrusted(const char *signature, const char *body, const char *part) {
    cfa_webhook_event event;
    ck_assert_int_eq(verify(signature, body, &event), CFA_ESIGNATURE);
    ck_assert_msg(strstr(message(), part) != NULL, "\"%s\" lacks \"%s\"", message(), part);
}

START_TEST(each_bad_signature_has_its_diagnosis) {
    static const char body[] = "{\"id\":\"evt_1\",\"type\":\"other\",\"livemode\":false}";
    int64_t now_us = cfa_manual_clock_now_us(manual);
    char *good, *old, *future, *foreign;
    ck_assert_int_eq(cfa_play_sign(&good, play, slice_of(body), now_us), CFA_OK);
    int64_t too_old_us = now_us - 301 * SECOND_US, ahead_us = now_us + 301 * SECOND_US;
    ck_assert_int_eq(cfa_play_sign(&old, play, slice_of(body), too_old_us), CFA_OK);
    ck_assert_int_eq(cfa_play_sign(&future, play, slice_of(body), ahead_us), CFA_OK);
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    options.webhook_secret = "whsec_other";
    cfa_play *other;
    ck_assert_int_eq(cfa_play_new(&other, &options), CFA_OK);
    ck_assert_int_eq(cfa_play_sign(&foreign, other, slice_of(body), now_us), CFA_OK);
    cfa_play_free(other);

    cfa_webhook_event event;
    ck_assert_int_eq(verify(good, body, &event), CFA_OK);
    ck_assert_int_eq(event.relevant, 0);
    expect_untrusted("", body, "missing");
    static const char *const malformed[] = {
        "x",        "t=1",         "v1=00",
        "t=,v1=00", "t=12a,v1=00", "t=1,v1=zz",
        "t=1,t=1",  "t=1,v1=",     "t=1234567890123,v1=",
        ",",        "=",           "t=1,",
        "t",        "v0=1",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        expect_untrusted(malformed[i], body, "malformed");
    }
    expect_untrusted(good, "{\"id\":\"evt_2\"}", "altered");
    expect_untrusted(foreign, body, "secret");
    expect_untrusted(old, body, "too old");
    expect_untrusted(future, body, "future");

    /* While a secret is rolled, a header carries a code of each; one good one is enough. */
    char both[256];
    snprintf(both, sizeof both, "%s%s", foreign, strstr(good, ",v1="));
    ck_assert_int_eq(verify(both, body, &event), CFA_OK);
    snprintf(both, sizeof both, "%s%s", good, strstr(foreign, ",v1="));
    ck_assert_int_eq(verify(both, body, &event), CFA_OK);
    snprintf(both, sizeof both, "%s,v0=anything", good);
    ck_assert_int_eq(verify(both, body, &event), CFA_OK);
    cfa_manual_clock_advance(manual, 300 * SECOND_US);
    ck_assert_int_eq(verify(good, body, &event), CFA_OK);
    cfa_manual_clock_advance(manual, 1);
    expect_untrusted(good, body, "too old");
    cfa_free(good);
    cfa_free(old);
    cfa_free(future);
    cfa_free(foreign);
}
END_TEST

START_TEST(an_authentic_but_malformed_body_is_invalid) {
    static const char *const bodies[] = {
        "",
        "no json",
        "[]",
        "{}",
        "{\"id\":\"e\",\"id\":\"e\",\"type\":\"x\",\"livemode\":false}",
        "{\"id\":\"e\",\"type\":7,\"livemode\":false}",
        "{\"id\":\"e\",\"type\":\"x\",\"livemode\":0}",
        "{\"id\":\"\",\"type\":\"x\",\"livemode\":false}",
        "{\"id\":\"e\",\"type\":\"intent.succeeded\",\"livemode\":false}",
        "{\"id\":\"e\",\"type\":\"intent.succeeded\",\"livemode\":false,\"data\":{\"ref\":\"r\","
        "\"amount_minor\":12.5,\"currency\":\"EUR\"}}",
        "{\"id\":\"e\",\"type\":\"intent.succeeded\",\"livemode\":false,\"data\":{\"ref\":\"r\","
        "\"amount_minor\":12,\"currency\":\"XX\"}}",
        "{\"id\":\"e\",\"type\":\"intent.succeeded\",\"livemode\":false,\"data\":{\"ref\":\"r\","
        "\"amount_minor\":12,\"currency\":\"EUR\",\"authorized_minor\":-1}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char *signature;
        ck_assert_int_eq(
            cfa_play_sign(&signature, play, slice_of(bodies[i]), cfa_manual_clock_now_us(manual)),
            CFA_OK);
        cfa_webhook_event event;
        ck_assert_msg(verify(signature, bodies[i], &event) == CFA_EINVAL, "%s", bodies[i]);
        cfa_free(signature);
    }
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

static int64_t allocations_left;

static bool may_allocate(void) { return allocations_left-- > 0; }

static void *failing_allocate(void *user, size_t size) {
    (void)user;
    return may_allocate() ? malloc(size) : NULL;
}

static void *failing_reallocate(void *user, void *memory, size_t size) {
    (void)user;
    return may_allocate() ? realloc(memory, size) : NULL;
}

static void release(void *user, void *memory) {
    (void)user;
    free(memory);
}

/* One donation with at most `allowed` allocations in its calls; true when none was refused. */
static bool donate_within(int64_t allowed) {
    cfa_call call = make_call(CFA_CALL_CREATE, "pay_1", "k");
    const cfa_provider *provider = cfa_play_provider(play);
    ck_assert_int_eq(provider->ops->prepare(provider->self, &call, arena, &call.body), CFA_OK);
    allocations_left = allowed;
    cfa_reply first = send_call(&call);
    char *signature = NULL, *body = NULL;
    cfa_status taken = CFA_OK;
    if (first.outcome == CFA_OUTCOME_DONE) {
        taken = cfa_play_webhook_take(&signature, &body, play);
    }
    bool enough = allocations_left >= 0;
    allocations_left = INT64_MAX;
    cfa_free(signature);
    cfa_free(body);
    ck_assert(taken == CFA_OK || taken == CFA_ENOMEM);
    cfa_reply again = send_call(&call);
    ck_assert_int_ne(first.outcome, CFA_OUTCOME_PENDING);
    /* The caller's memory is no reason to refuse a payment. */
    ck_assert_int_ne(first.outcome, CFA_OUTCOME_REFUSED);
    ck_assert_int_eq(again.outcome, CFA_OUTCOME_DONE);
    ck_assert_int_eq(books().intent_count, 1);
    bool gone = first.outcome == CFA_OUTCOME_DONE && taken == CFA_OK;
    ck_assert_int_eq(books().webhooks_pending, gone ? 0 : 1);
    return enough;
}

START_TEST(any_failed_allocation_leaves_the_books_right) {
    tear_down();
    allocations_left = INT64_MAX;
    const cfa_allocator failing = { sizeof failing, NULL, failing_allocate, failing_reallocate,
                                    release };
    ck_assert_int_eq(cfa_allocator_set(&failing), CFA_OK);
    bool enough = false;
    for (int64_t allowed = 0; !enough; allowed++) {
        ck_assert_int_lt(allowed, 1000);
        set_up();
        enough = donate_within(allowed);
        tear_down();
    }
    for (allocations_left = 0;; allocations_left++) {
        int64_t allowed = allocations_left;
        cfa_play *made = NULL;
        if (cfa_play_new(&made, NULL) == CFA_OK) {
            cfa_play_free(made);
            break;
        }
        allocations_left = allowed;
    }
    allocations_left = INT64_MAX;
    ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK);
    set_up();
}
END_TEST

START_TEST(options_of_another_version_are_refused) {
    cfa_play_options options = CFA_PLAY_OPTIONS_INIT;
    cfa_play *made = NULL;
    options.struct_size += 8;
    ck_assert_int_eq(cfa_play_new(&made, &options), CFA_EABI);
    options.struct_size = sizeof options;
    options.key_retention_ms = -1;
    ck_assert_int_eq(cfa_play_new(&made, &options), CFA_ERANGE);
    options.key_retention_ms = 0;
    options.webhook_secret = "";
    ck_assert_int_eq(cfa_play_new(&made, &options), CFA_EINVAL);
    ck_assert_ptr_null(made);
    cfa_play_free(NULL);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
    TCase *made = tcase_create(name);
    tcase_add_checked_fixture(made, set_up, tear_down);
    suite_add_tcase(suite, made);
    return made;
}

int main(int argc, char **argv) {
    Suite *suite = suite_create("play");
    TCase *misfortune = add_case(suite, "misfortune");
    tcase_add_test(misfortune, a_lost_reply_leaves_its_effect);
    tcase_add_test(misfortune, a_lost_request_leaves_nothing);
    tcase_add_test(misfortune, an_error_after_the_effect_is_stored_under_the_key);
    tcase_add_test(misfortune, an_error_before_the_effect_is_stored_under_the_key);
    tcase_add_test(misfortune, an_error_on_a_repeat_keeps_the_stored_answer);
    tcase_add_test(misfortune, a_refused_connection_and_a_refusal_leave_nothing);
    tcase_add_test(misfortune, a_lookup_that_reached_nobody_proves_nothing);
    tcase_add_test(misfortune, a_forgotten_key_charges_a_second_time);
    tcase_add_test(misfortune, a_jump_of_the_clock_forgets_and_finds_exactly);
    tcase_add_test(misfortune, many_keys_come_and_go);
    tcase_add_test(misfortune, a_late_reply_is_unknown_and_its_effect_stays);
    TCase *luck = add_case(suite, "luck");
    tcase_add_test(luck, one_seed_is_one_story);
    tcase_add_test(luck, rates_are_what_was_asked_for);
    TCase *donors = add_case(suite, "donors");
    tcase_add_test(donors, an_action_is_asked_for_and_finished);
    tcase_add_test(donors, a_slow_method_settles_later);
    tcase_add_test(donors, a_slow_charge_in_one_step_is_pending);
    tcase_add_test(donors, holds_and_offers_run_out);
    TCase *requests = add_case(suite, "requests");
    tcase_add_test(requests, refusals_name_their_reason);
    tcase_add_test(requests, the_body_decides_not_the_fields);
    tcase_add_test(requests, prepare_refuses_what_cannot_be_asked);
    tcase_add_test(requests, accounts_do_not_see_each_other);
    tcase_add_test(requests, lagging_lookups_see_only_what_is_old);
    TCase *webhooks = add_case(suite, "webhooks");
    tcase_add_test(webhooks, each_change_is_told_with_its_own_facts);
    tcase_add_test(webhooks, webhooks_are_lost_doubled_and_reordered);
    tcase_add_test(webhooks, each_bad_signature_has_its_diagnosis);
    tcase_add_test(webhooks, an_authentic_but_malformed_body_is_invalid);
    TCase *making = add_case(suite, "making");
    tcase_add_test(making, any_failed_allocation_leaves_the_books_right);
    tcase_add_test(making, options_of_another_version_are_refused);
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
