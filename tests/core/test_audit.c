/*
 * test_audit.c - the audit says nothing of books that the engine wrote, whatever happened to them, and
 * names each kind of damage by its name, first.
 */
#include <careforall/adapters/sqlite.h>
#include <careforall/dispute.h>
#include <careforall/refund.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/audit_damage.h"
#include "core/records.h"
#include "support/book.h"
#include "util/json.h"

/* ---- a book in which everything happened ----------------------------------------------------- */

static struct book book;
static char other_campaign[CFA_ID_TEXT_SIZE];
static bool patient = true; /* pledges wait for the provider's answer */

static void make_other_campaign(void) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "the-other-campaign";
    spec.title = "A roof";
    spec.currencies = "USD";
    spec.late_rule = CFA_LATE_HOLD;
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_create(&campaign, book.engine, &spec), CFA_OK);
    memcpy(other_campaign, cfa_campaign_id(campaign), sizeof other_campaign);
    cfa_campaign_free(campaign);
}

static cfa_pledge *pledge(const char *key, int64_t minor, const char *currency,
                          const char *reference) {
    cfa_pledge_spec spec = gift(&book, key, minor);
    memcpy(spec.amount.currency, currency, 4);
    if (strcmp(currency, "USD") == 0)
        spec.campaign_id = other_campaign;
    spec.donor_reference = reference;
    spec.donor_name = reference;
    spec.wait = patient ? CFA_WAIT_ANSWER : CFA_WAIT_COMMIT;
    cfa_pledge *out = NULL;
    cfa_status status = cfa_pledge_create(&out, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return out;
}

static void ref_of(char out[64], const cfa_pledge *of) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, book.engine, cfa_pledge_payment_id(of)), CFA_OK);
    snprintf(out, 64, "%s", cfa_payment_ref(payment) != NULL ? cfa_payment_ref(payment) : "");
    cfa_payment_free(payment);
}

static void deliver(void) {
    cfa_status status = cfa_play_deliver(NULL, book.play, book.engine, 0);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    book_settle(&book);
}

static void refund(const cfa_pledge *of, const char *key, int64_t minor) {
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = key;
    spec.payment_id = cfa_pledge_payment_id(of);
    if (minor != 0)
        spec.amount = (cfa_money){ minor, "EUR" };
    spec.timeout_ms = 20000;
    cfa_refund *out = NULL;
    cfa_status status = cfa_refund_create(&out, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    cfa_refund_free(out);
}

static void dispute(const cfa_pledge *of, int64_t withdrawn, int64_t reinstated) {
    cfa_play_dispute_spec spec = CFA_PLAY_DISPUTE_SPEC_INIT;
    char ref[64], dispute_ref[CFA_PLAY_REF_SIZE];
    ref_of(ref, of);
    spec.ref = ref;
    spec.withdrawn_minor = withdrawn;
    ck_assert_int_eq(cfa_play_dispute(dispute_ref, book.play, &spec), CFA_OK);
    deliver();
    if (reinstated == 0)
        return;
    spec = (cfa_play_dispute_spec)CFA_PLAY_DISPUTE_SPEC_INIT;
    spec.ref = dispute_ref;
    spec.state = CFA_DISPUTE_WON;
    spec.withdrawn_minor = withdrawn;
    spec.reinstated_minor = reinstated;
    ck_assert_int_eq(cfa_play_dispute(NULL, book.play, &spec), CFA_OK);
    deliver();
}

/* An event of a host's own, about an object or about nobody's yet. */
static cfa_webhook_verdict report(const char *id, const char *ref, int64_t minor, uint32_t flags) {
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = id,
                                .event_type = "report",
                                .account = "",
                                .relevant = 1,
                                .facts = CFA_FACTS_INIT };
    event.facts.ref = ref;
    if (minor != 0)
        event.facts.amount = (cfa_money){ minor, "EUR" };
    event.facts.flags = flags;
    event.facts.attempt = 1;
    event.facts.occurred_us = 5;
    cfa_webhook_verdict verdict = 0;
    ck_assert_int_eq(cfa_webhook_accept(&verdict, book.engine, &event, 0), CFA_OK);
    return verdict;
}

static void pay(const cfa_pledge *of) {
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(of), "pm_ok"), CFA_OK);
    deliver();
}

static void cancel(const cfa_pledge *of) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_cancel(&payment, book.engine, cfa_pledge_payment_id(of), NULL,
                                        "cancel-it", NULL, 20000),
                     CFA_OK);
    cfa_payment_free(payment);
    deliver();
}

/* Late money of a campaign of its own: one payment is held, the other accepted. */
static void hold_and_accept(void) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "the-late-campaign";
    spec.title = "A bell";
    spec.currencies = "JPY";
    spec.late_rule = CFA_LATE_HOLD;
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_create(&campaign, book.engine, &spec), CFA_OK);
    for (int i = 0; i < 2; i++) {
        char ref[64];
        cfa_pledge_spec late = gift(&book, i == 0 ? "held" : "accepted", 1500);
        late.campaign_id = cfa_campaign_id(campaign);
        memcpy(late.amount.currency, "JPY", 4);
        cfa_pledge *made;
        ck_assert_int_eq(cfa_pledge_create(&made, book.engine, &late), CFA_OK);
        ref_of(ref, made);
        ck_assert_int_eq(report(i == 0 ? "evt_end" : "evt_end2", ref, 0, CFA_FACT_CANCELED),
                         CFA_WEBHOOK_APPLIED);
        pay(made);
        ck_assert_uint_eq(flags_of(book.engine, made),
                          CFA_PAYMENT_FLAG_LATE | CFA_PAYMENT_FLAG_HELD);
        cfa_payment *payment;
        if (i == 1) {
            ck_assert_int_eq(cfa_payment_accept(&payment, book.engine, cfa_pledge_payment_id(made),
                                                NULL, "accept-it", NULL),
                             CFA_OK);
            cfa_payment_free(payment);
        }
        cfa_pledge_free(made);
    }
    cfa_campaign_free(campaign);
}

static void live_through(void) {
    char ref[64];
    static const char *const keys[] = { "k0", "k1", "k2", "k3", "k4", "k5", "k6",
                                        "k7", "k8", "k9", "ka", "kb", "kc" };
    cfa_pledge *all[COUNT(keys)];
    make_other_campaign();
    for (size_t i = 0; i < COUNT(keys); i++) {
        all[i] = pledge(keys[i], 1000 + (int64_t)i * 10, i == 4 ? "USD" : "EUR",
                        i % 3 == 0   ? "ada"
                        : i % 3 == 1 ? "bob"
                                     : NULL);
        book_advance(&book, SECOND_US);
    }
    for (size_t i = 0; i < 7; i++)
        pay(all[i]);
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(all[7]), "pm_declined"),
                     CFA_EDECLINED);
    deliver();
    cancel(all[8]);
    ref_of(ref, all[9]);
    ck_assert_int_eq(cfa_play_expire(book.play, ref), CFA_OK);
    deliver();
    refund(all[1], "refund-1", 400);
    refund(all[1], "refund-2", 100);
    refund(all[2], "refund-3", 0);
    deliver();
    dispute(all[3], 1030, 0);
    dispute(all[5], 1050, 1050);
    ref_of(ref, all[10]);
    ck_assert_int_eq(report("evt_wrong", ref, 77, 0), CFA_WEBHOOK_QUARANTINED);
    ck_assert_int_eq(report("evt_early", "pi_nobody", 1000, 0), CFA_WEBHOOK_PARKED);
    ck_assert_int_eq(report("evt_early2", "pi_nobody", 1000, 0), CFA_WEBHOOK_PARKED);
    ref_of(ref, all[11]);
    ck_assert_int_eq(report("evt_slow", ref, 1110, CFA_FACT_PROCESSING), CFA_WEBHOOK_APPLIED);
    hold_and_accept();
    ck_assert_int_eq(cfa_play_fault_next(book.play, CFA_PLAY_FAULT_REPLY_LOST), CFA_OK);
    cfa_pledge_spec spec = gift(&book, "in-doubt", 900);
    spec.wait = CFA_WAIT_COMMIT; /* the clock stands still: nobody would ask again */
    cfa_pledge *unknown = NULL;
    ck_assert_int_eq(cfa_pledge_create(&unknown, book.engine, &spec), CFA_OK);
    cfa_pledge_free(unknown);
    for (size_t i = 0; i < COUNT(keys); i++)
        cfa_pledge_free(all[i]);
    book_settle(&book);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static cfa_audit *audit_of(const cfa_audit_spec *spec) {
    cfa_audit *out = NULL;
    cfa_status status = cfa_audit_engine(&out, book.engine, spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return out;
}

static void expect_clean(const cfa_audit_spec *spec) {
    cfa_audit *out = audit_of(spec);
    ck_assert_msg(cfa_audit_differences(out) == 0, "%s", cfa_audit_text(out));
    ck_assert_uint_eq(cfa_audit_size(out), 0);
    ck_assert_ptr_null(cfa_audit_at(out, 0));
    cfa_audit_free(out);
}

START_TEST(a_book_in_which_everything_happened_is_clean) {
    book_open(&book, _i);
    expect_clean(NULL); /* with a campaign alone */
    live_through();
    expect_clean(NULL);
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    spec.campaign_id = book.campaign_id;
    expect_clean(&spec);
    spec.campaign_id = other_campaign;
    expect_clean(&spec);
    cfa_audit *out = audit_of(NULL);
    ck_assert_int_eq(cfa_audit_position(out), head_of(book.engine));
    static const char *const tables[] = { "payment", "pledge",   "operation", "transition",
                                          "webhook", "refund",   "dispute",   "contribution",
                                          "event",   "campaign", "parked",    "act" };
    for (size_t i = 0; i < COUNT(tables); i++) {
        ck_assert_int_gt(cfa_audit_rows(out, tables[i]), 0);
        ck_assert_msg(cfa_audit_rows(out, tables[i]) == rows_of(&book, tables[i]), "%s", tables[i]);
    }
    cfa__json *json;
    ck_assert_int_eq(
        cfa__json_parse(&json, (cfa_slice){ cfa_audit_json(out), strlen(cfa_audit_json(out)) }),
        CFA_OK);
    bool clean = false;
    ck_assert(cfa__json_read_bool(cfa__json_get(json, "clean"), &clean) && clean);
    cfa__json_free(json);
    cfa_audit_free(out);
    book_close(&book);
}
END_TEST

START_TEST(totals_that_lag_behind_the_log_are_no_difference) {
    book_open(&book, _i);
    cfa_pledge *first = pledge("one", 500, "EUR", "ada");
    pay(first);
    cfa_pledge *second = pledge("two", 700, "EUR", "ada"); /* nobody ticks any more */
    ck_assert_int_eq(cfa_play_confirm(book.play, cfa_pledge_client_secret(second), "pm_ok"),
                     CFA_OK);
    ck_assert_int_eq(cfa_play_deliver(NULL, book.play, book.engine, 0), CFA_OK);
    cfa_audit *out = audit_of(NULL);
    ck_assert_msg(cfa_audit_differences(out) == 0, "%s", cfa_audit_text(out));
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "totals up to "));
    cfa_audit_free(out);
    cfa_pledge_free(first);
    cfa_pledge_free(second);
    book_close(&book);
}
END_TEST

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* What can happen to a pledge, one thing after the other, allowed or not. */
static void happen(cfa_pledge *of, uint64_t what, int number) {
    char ref[64], key[64];
    cfa_payment *payment = NULL;
    ref_of(ref, of);
    snprintf(key, sizeof key, "more-%d", number);
    cfa_status status = CFA_OK;
    const char *secret = cfa_pledge_client_secret(of);
    cfa_play_refund_spec by_hand = CFA_PLAY_REFUND_SPEC_INIT;
    cfa_play_dispute_spec disputed = CFA_PLAY_DISPUTE_SPEC_INIT;
    cfa_refund_spec asked = CFA_REFUND_SPEC_INIT;
    cfa_refund *made = NULL;
    if (secret == NULL || ref[0] == '\0')
        return;
    by_hand.ref = disputed.ref = ref;
    by_hand.amount_minor = 1 + (int64_t)what % 300;
    disputed.withdrawn_minor = (int64_t)what % 3 * 100;
    asked.key = key;
    asked.timeout_ms = -1;
    asked.payment_id = cfa_pledge_payment_id(of);
    switch (what % 14) {
    case 0:
    case 1:
    case 2: status = cfa_play_confirm(book.play, secret, "pm_ok"); break;
    case 3: status = cfa_play_confirm(book.play, secret, "pm_declined"); break;
    case 4: status = cfa_play_confirm(book.play, secret, "pm_action"); break;
    case 5: status = cfa_play_act(book.play, secret, (int32_t)(what & 1)); break;
    case 6:
        status = cfa_payment_cancel(&payment, book.engine, asked.payment_id, NULL, key, NULL, -1);
        break;
    case 7: status = cfa_play_expire(book.play, ref); break;
    case 8: status = cfa_refund_create(&made, book.engine, &asked); break;
    case 9: status = cfa_play_refund(NULL, book.play, &by_hand); break;
    case 10: status = cfa_play_dispute(NULL, book.play, &disputed); break;
    case 11: (void)report(key, ref, 0, CFA_FACT_CANCELED); break;
    case 12:
        status = cfa_payment_accept(&payment, book.engine, asked.payment_id, NULL, key, NULL);
        break;
    default: status = cfa_play_fee(book.play, ref, (cfa_money){ 30, "EUR" }); break;
    }
    ck_assert_int_ne(cfa_status_class_of(status), CFA_CLASS_INTERNAL);
    cfa_payment_free(payment);
    cfa_refund_free(made);
}

#define SEEDS 16
#define PLEDGES 12
#define TURNS 90

START_TEST(a_book_of_random_play_is_clean_at_any_moment) {
    uint64_t seed = (uint64_t)_i * 7919 + 1;
    patient = false;
    book_prepare(&book, _i % STORES);
    book.play_options.seed = seed;
    book_start(&book);
    make_other_campaign();
    cfa_play_weather weather = CFA_PLAY_WEATHER_INIT;
    weather.reply_lost_ppm = weather.error_after_ppm = weather.not_sent_ppm = 50000;
    weather.webhook_lost_ppm = weather.webhook_duplicated_ppm = 100000;
    weather.webhook_reordered_ppm = 200000;
    ck_assert_int_eq(cfa_play_weather_set(book.play, &weather), CFA_OK);
    cfa_pledge *all[PLEDGES] = { NULL };
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t which = next_random(&seed) % PLEDGES;
        char key[32];
        snprintf(key, sizeof key, "pledge-%d", (int)which);
        if (all[which] == NULL || cfa_pledge_client_secret(all[which]) == NULL) {
            cfa_pledge_free(all[which]);
            all[which] = pledge(key, 500 + (int64_t)which, which % 4 == 0 ? "USD" : "EUR",
                                which % 3 == 0 ? "ada" : NULL);
        } else {
            happen(all[which], next_random(&seed), turn);
        }
        if (next_random(&seed) % 2 == 0)
            (void)!cfa_play_deliver(NULL, book.play, book.engine, 3);
        if (next_random(&seed) % 3 == 0)
            book_settle(&book);
        book_advance(&book, (int64_t)(next_random(&seed) % 40) * SECOND_US);
        if (turn % 15 == 14)
            expect_clean(NULL);
    }
    book_advance(&book, 30 * HOUR_US);
    book_settle(&book);
    expect_clean(NULL);
    cfa_audit *out = audit_of(NULL);
    ck_assert_int_gt(cfa_audit_rows(out, "transition"), 2 * PLEDGES);
    ck_assert_int_gt(cfa_audit_rows(out, "webhook"), PLEDGES);
    ck_assert_int_gt(cfa_audit_rows(out, "refund") + cfa_audit_rows(out, "dispute"), 0);
    cfa_audit_free(out);
    for (int i = 0; i < PLEDGES; i++)
        cfa_pledge_free(all[i]);
    book_close(&book);
}
END_TEST

#define DONORS 3
#define GIFTS 25

static atomic_int donors_left;

/* The first audits for as long as the others give. */
static void give_or_audit(void *user, int index) {
    (void)user;
    for (int i = 0; index > 0 && i < GIFTS; i++) {
        char key[32];
        snprintf(key, sizeof key, "busy-%d-%d", index, i);
        cfa_pledge_spec spec = gift(&book, key, 100 + i);
        cfa_pledge *made = NULL;
        must(cfa_pledge_create(&made, book.engine, &spec) == CFA_OK);
        if (i % 2 == 0)
            must(cfa_play_confirm(book.play, cfa_pledge_client_secret(made), "pm_ok") == CFA_OK);
        cfa_pledge_free(made);
        (void)!cfa_play_deliver(NULL, book.play, book.engine, 0);
        must(cfa_engine_tick(&(int32_t){ 0 }, book.engine, CFA_WORK_ALL, 0) == CFA_OK);
    }
    if (index > 0)
        atomic_fetch_sub(&donors_left, 1);
    int audits = 0;
    while (index == 0 && (audits++ < 3 || atomic_load(&donors_left) > 0)) {
        cfa_audit *out = NULL;
        must(cfa_audit_engine(&out, book.engine, NULL) == CFA_OK);
        if (cfa_audit_differences(out) != 0)
            fputs(cfa_audit_text(out), stderr);
        must(cfa_audit_differences(out) == 0);
        cfa_audit_free(out);
    }
}

START_TEST(a_busy_book_is_clean_whenever_it_is_looked_at) {
    book_open(&book, _i);
    atomic_store(&donors_left, DONORS);
    together(DONORS + 1, give_or_audit, NULL);
    book_settle(&book);
    cfa_audit *out = audit_of(NULL);
    ck_assert_int_eq(cfa_audit_differences(out), 0);
    ck_assert_int_eq(cfa_audit_rows(out, "pledge"), DONORS * GIFTS);
    cfa_audit_free(out);
    book_close(&book);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */

static char base_path[128], copy_path[128];

static void write_base(void) {
    char sql[256];
    sqlite3 *connection;
    snprintf(base_path, sizeof base_path, "%s/base.db", book.directory);
    snprintf(copy_path, sizeof copy_path, "%s/copy.db", book.directory);
    snprintf(sql, sizeof sql, "PRAGMA synchronous = OFF; VACUUM INTO '%s'", base_path);
    ck_assert_int_eq(sqlite3_open(book.path, &connection), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(connection), SQLITE_OK);
}

static void copy_book(void) {
    static char bytes[65536];
    if (base_path[0] == '\0')
        write_base();
    FILE *from = fopen(base_path, "rb"), *to = fopen(copy_path, "wb");
    ck_assert(from != NULL && to != NULL);
    size_t size;
    while ((size = fread(bytes, 1, sizeof bytes, from)) > 0)
        ck_assert_uint_eq(fwrite(bytes, 1, size, to), size);
    ck_assert_int_eq(fclose(to), 0);
    ck_assert_int_eq(fclose(from), 0);
}

/* The subject that a finding must name: an id and a prefix, or what the query says as text. */
static void read_subject(sqlite3 *db, const struct damage *damage, char *out, size_t size) {
    sqlite3_stmt *statement;
    ck_assert_msg(sqlite3_prepare_v2(db, damage->subject, -1, &statement, NULL) == SQLITE_OK,
                  "%s: %s", damage->name, sqlite3_errmsg(db));
    ck_assert_msg(sqlite3_step(statement) == SQLITE_ROW, "%s: no subject", damage->name);
    char id[CFA_ID_TEXT_SIZE] = "";
    const char *end = "";
    if (sqlite3_column_type(statement, 0) == SQLITE_BLOB) {
        cfa__id bytes;
        ck_assert_int_eq(sqlite3_column_bytes(statement, 0), sizeof bytes);
        memcpy(&bytes, sqlite3_column_blob(statement, 0), sizeof bytes);
        cfa__id_format(id, damage->prefix, bytes);
        if (sqlite3_column_count(statement) > 1)
            end = (const char *)sqlite3_column_text(statement, 1);
        snprintf(out, size, "%s%s", id, end);
    } else {
        snprintf(out, size, "%s%s", damage->prefix, sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
}

static void inflict(const struct damage *damage, char *subject, size_t size) {
    sqlite3 *db;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(copy_path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
    if (!damage->afterwards)
        read_subject(db, damage, subject, size);
    int code = sqlite3_exec(db, damage->sql, NULL, NULL, &message);
    ck_assert_msg(code == SQLITE_OK, "%s: %s", damage->name, message);
    ck_assert_msg(sqlite3_total_changes(db) > 0, "%s changes nothing", damage->name);
    if (damage->afterwards)
        read_subject(db, damage, subject, size);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static cfa_audit *audit_copy(void) {
    cfa_storage storage;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    cfa_audit *out = NULL;
    options.read_only = 1;
    ck_assert_int_eq(cfa_sqlite_storage_new(&storage, copy_path, &options), CFA_OK);
    cfa_status status = cfa_audit_storage(&out, &storage, NULL);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    storage.ops->close(storage.self);
    return out;
}

START_TEST(every_kind_of_damage_is_named_first) {
    book_open(&book, STORE_SQLITE);
    live_through();
    copy_book();
    cfa_audit *clean = audit_copy();
    ck_assert_msg(cfa_audit_differences(clean) == 0, "%s", cfa_audit_text(clean));
    cfa_audit_free(clean);
    size_t count;
    const struct damage *damages = damage_list(&count);
    ck_assert_uint_ge(count, 30);
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char subject[160] = "";
        copy_book();
        inflict(&damages[i], subject, sizeof subject);
        cfa_audit *out = audit_copy();
        const cfa_audit_finding *first = cfa_audit_at(out, 0);
        if (first == NULL || strcmp(first->check, damages[i].check) != 0 ||
            strcmp(first->subject, subject) != 0) {
            fprintf(stderr, "%s: wanted %s of %s\n%s\n", damages[i].name, damages[i].check, subject,
                    cfa_audit_text(out));
            wrong++;
        }
        cfa_audit_free(out);
    }
    ck_assert_int_eq(wrong, 0);
    size_t check_count;
    const char *const *checks = damage_checks(&check_count);
    for (size_t i = 0; i < check_count; i++) {
        bool met = strncmp(checks[i], "provider.", 9) == 0; /* test_audit_provider.c */
        for (size_t j = 0; j < count && !met; j++)
            met = strcmp(damages[j].check, checks[i]) == 0;
        ck_assert_msg(met, "nothing makes the audit say %s", checks[i]);
    }
    book_close(&book);
}
END_TEST

START_TEST(an_audit_of_a_copy_changes_no_byte) {
    struct stat before, after;
    book_open(&book, STORE_SQLITE);
    live_through();
    copy_book();
    ck_assert_int_eq(chmod(copy_path, 0400), 0);
    ck_assert_int_eq(stat(copy_path, &before), 0);
    cfa_audit *out = audit_copy();
    ck_assert_int_eq(cfa_audit_differences(out), 0);
    cfa_audit_free(out);
    ck_assert_int_eq(stat(copy_path, &after), 0);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    ck_assert_int_eq(before.st_size, after.st_size);
    book_close(&book);
}
END_TEST

START_TEST(a_finding_tells_what_it_comes_from) {
    static const struct damage damage = {
        "",
        "UPDATE cfa_totals SET raised_minor = raised_minor + 1 WHERE currency = 'EUR'",
        "totals.counter",
        "SELECT campaign_id, ' EUR' FROM cfa_totals WHERE currency = 'EUR'",
        "cmp",
        false
    };
    char subject[160];
    book_open(&book, STORE_SQLITE);
    live_through();
    copy_book();
    inflict(&damage, subject, sizeof subject);
    cfa_audit *out = audit_copy();
    ck_assert_int_eq(cfa_audit_differences(out), 1);
    const cfa_audit_finding *first = cfa_audit_at(out, 0);
    ck_assert_str_eq(first->check, "totals.counter");
    ck_assert_str_eq(first->field, "raised");
    ck_assert_str_eq(first->campaign_id, book.campaign_id);
    ck_assert_int_eq(atoll(first->found), atoll(first->expected) + 1);
    ck_assert_uint_ge(first->cause_count, 5);
    static const char *const steps[] = { "total of ", "contribution: ", "payment ", "event at ",
                                         "newest call " };
    for (size_t i = 0; i < COUNT(steps); i++)
        ck_assert_msg(strncmp(first->causes[i], steps[i], strlen(steps[i])) == 0, "%s",
                      first->causes[i]);
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "1. totals.counter  cmp_"));
    ck_assert_ptr_nonnull(strstr(cfa_audit_json(out), "\"check\":\"totals.counter\""));
    cfa_audit_free(out);
    book_close(&book);
}
END_TEST

START_TEST(one_campaign_is_audited_alone) {
    book_open(&book, STORE_SQLITE);
    live_through();
    book_sql(&book, "UPDATE cfa_contribution SET raised_minor = raised_minor + 5 "
                    "WHERE payment_id = (SELECT id FROM cfa_payment WHERE currency = 'USD')");
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    spec.campaign_id = book.campaign_id;
    expect_clean(&spec);
    spec.campaign_id = other_campaign;
    cfa_audit *out = audit_of(&spec);
    ck_assert_str_eq(cfa_audit_at(out, 0)->check, "contribution.differs");
    ck_assert_str_eq(cfa_audit_at(out, 0)->campaign_id, other_campaign);
    ck_assert_int_eq(cfa_audit_rows(out, "payment"), 1);
    cfa_audit_free(out);
    spec.campaign_id = "cmp_00000000000000000000000000";
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_ENOTFOUND, "campaign_id");
    spec.campaign_id = "cmp_01kdvdnht0e01rmaf47jqz13ta";
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_ENOTFOUND, "campaign_id");
    spec.campaign_id = "plg_wrong";
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_EINVAL, "campaign_id");
    book_close(&book);
}
END_TEST

static int64_t rows_told, rows_allowed;

static int32_t stop_behind(void *self, int64_t rows) {
    ck_assert_ptr_eq(self, &rows_allowed);
    ck_assert_int_ge(rows, rows_told);
    rows_told = rows;
    return rows >= rows_allowed;
}

START_TEST(whoever_began_an_audit_may_end_it) {
    book_open(&book, STORE_SQLITE);
    live_through();
    cfa_audit_spec spec = CFA_AUDIT_SPEC_INIT;
    cfa_audit *out = NULL;
    spec.stop = stop_behind;
    spec.stop_self = &rows_allowed;
    rows_allowed = rows_told = 0;
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_ECLOSING, NULL);
    ck_assert_int_eq(rows_told, 0);
    rows_allowed = 5;
    expect_error(cfa_audit_engine(&out, book.engine, &spec), CFA_ECLOSING, NULL);
    ck_assert_int_ge(rows_told, 5);
    rows_allowed = INT64_MAX;
    rows_told = 0;
    expect_clean(&spec);
    ck_assert_int_gt(rows_told, 20);
    book_close(&book);
}
END_TEST

START_TEST(many_differences_are_counted_and_a_bounded_number_listed) {
    book_open(&book, STORE_SQLITE);
    for (int i = 0; i < 40; i++) {
        char key[32];
        snprintf(key, sizeof key, "many-%d", i);
        cfa_pledge_free(pledge(key, 100, "EUR", NULL));
    }
    book_settle(&book);
    book_sql(&book, "UPDATE cfa_payment SET operation_count = operation_count + 1");
    cfa_audit *out = audit_of(NULL);
    ck_assert_int_eq(cfa_audit_differences(out), 40);
    ck_assert_uint_eq(cfa_audit_size(out), 16);
    ck_assert_ptr_nonnull(strstr(cfa_audit_text(out), "40 differences, 16 listed"));
    cfa_audit_free(out);
    book_close(&book);
}
END_TEST

/* ---- the document ---------------------------------------------------------------------------- */

START_TEST(every_check_is_in_the_document) {
    const char *root = getenv("CAREFORALL_SOURCE_DIR");
    char path[512], name[64];
    ck_assert_ptr_nonnull(root);
    snprintf(path, sizeof path, "%s/docs/audit.md", root);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    static char text[65536];
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    size_t count;
    const char *const *names = damage_checks(&count);
    ck_assert_uint_gt(count, 50);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "`%s`", names[i]);
        ck_assert_msg(strstr(text, name) != NULL, "%s is not in docs/audit.md", names[i]);
    }
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("audit");
    add_per_store(suite, "everything", a_book_in_which_everything_happened_is_clean);
    add_per_store(suite, "lag", totals_that_lag_behind_the_log_are_no_difference);
    TCase *random = tcase_create("random");
    tcase_add_loop_test(random, a_book_of_random_play_is_clean_at_any_moment, 0, SEEDS);
    suite_add_tcase(suite, random);
    add_per_store(suite, "busy", a_busy_book_is_clean_whenever_it_is_looked_at);
    add_once(suite, "damage", every_kind_of_damage_is_named_first);
    add_once(suite, "copy", an_audit_of_a_copy_changes_no_byte);
    add_once(suite, "causes", a_finding_tells_what_it_comes_from);
    add_once(suite, "campaign", one_campaign_is_audited_alone);
    add_once(suite, "stop", whoever_began_an_audit_may_end_it);
    add_once(suite, "many", many_differences_are_counted_and_a_bounded_number_listed);
    add_once(suite, "document", every_check_is_in_the_document);
    return run_suite(suite, argc, argv);
}
