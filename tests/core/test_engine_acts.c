/*
 * test_engine_acts.c - the audit log: one act for each administrative call that changes something,
 * with who and why; a chain that follows in batches, threads, processes and over reopening; and
 * every way in which somebody at the database can change it is found and named.
 */
#include "support/book.h"

#include <careforall/adapters/sqlite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/api/act.h"
#include "core/api/api.h"
#include "post.h"

#define CROWD 32
#define PROCESSES 3
#define ACTS_EACH 25
#define TEXT_SIZE 1024

/* ---- questions ------------------------------------------------------------------------------- */

static cfa_act_report verify(cfa_engine *engine) {
    cfa_act_report report = CFA_ACT_REPORT_INIT;
    cfa_status status = cfa_act_verify(&report, engine);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return report;
}

static void expect_sound(cfa_engine *engine, int64_t count) {
    cfa_act_report report = verify(engine);
    ck_assert_str_eq(cfa_act_fault_name(report.fault), "NONE");
    ck_assert_int_eq(report.number, 0);
    ck_assert_int_eq(report.count, count);
    ck_assert_int_eq(report.head_count, count);
    ck_assert_int_ne(report.head_agrees, 0);
    ck_assert_uint_eq(strlen(report.head_hash), count > 0 ? CFA_ACT_HASH_TEXT_SIZE - 1 : 0);
}

static void expect_text(const char *got, const char *wanted) {
    if (wanted == NULL)
        ck_assert_ptr_null(got);
    else
        ck_assert_str_eq(got, wanted);
}

/* Expect act `number` to be this; it is chained to the one before. */
static void expect_act(cfa_engine *engine, int64_t number, const char *action, const char *subject,
                       const char *actor, const char *reason, const char *before,
                       const char *after) {
    cfa_act_list *list;
    ck_assert_int_eq(cfa_act_page(&list, engine, number - 1 - (number > 1), 2), CFA_OK);
    const cfa_act_view *act = cfa_act_list_at(list, number > 1);
    ck_assert_ptr_nonnull(act);
    ck_assert_int_eq(act->number, number);
    ck_assert_str_eq(act->action, action);
    ck_assert_str_eq(act->subject, subject);
    expect_text(act->actor, actor);
    expect_text(act->reason, reason);
    expect_text(act->before, before);
    expect_text(act->after, after);
    ck_assert_int_gt(act->created_us, 0);
    expect_text(act->previous_hash, number > 1 ? cfa_act_list_at(list, 0)->hash : NULL);
    cfa_act_list_free(list);
}

static cfa_campaign *campaign_make(cfa_engine *engine, const char *key) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = key;
    spec.title = "A well";
    spec.currencies = "EUR";
    spec.actor = "ann";
    cfa_campaign *campaign;
    cfa_status status;
    do /* again, while other processes have the book */
        status = cfa_campaign_create(&campaign, engine, &spec);
    while (status == CFA_EBUSY);
    must(status == CFA_OK);
    return campaign;
}

static void make_campaigns(cfa_engine *engine, const char *prefix, int count) {
    for (int i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s-%d", prefix, i);
        cfa_campaign_free(campaign_make(engine, key));
    }
}

/* ---- what is an act -------------------------------------------------------------------------- */

#define CAMPAIGN_JSON(title, state)                                                                \
    "{\"title\":\"" title "\",\"currencies\":\"EUR,USD\",\"state\":\"" state                       \
    "\",\"goal_minor\":5000,\"goal_currency\":\"EUR\",\"deadline_us\":0,\"late_rule\":\"refuse\"}"

/* Make a campaign, change it, end it, each with the same key; the same calls again are repeats. */
static void run_campaign(cfa_engine *engine, char *id) {
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "c";
    spec.title = "Roof";
    spec.currencies = "USD,EUR";
    spec.goal = (cfa_money){ 5000, "EUR" };
    spec.late_rule = CFA_LATE_REFUSE;
    spec.actor = "ann";
    spec.reason = "the storm";
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_create(&campaign, engine, &spec), CFA_OK);
    memcpy(id, cfa_campaign_id(campaign), CFA_ID_TEXT_SIZE);
    cfa_campaign_free(campaign);
    spec.key = "u";
    spec.title = "Roof and wall";
    spec.actor = "";
    spec.reason = "more fell";
    ck_assert_int_eq(cfa_campaign_update(&campaign, engine, id, 1, &spec), CFA_OK);
    cfa_campaign_free(campaign);
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = "bob";
    ck_assert_int_eq(cfa_campaign_end(&campaign, engine, id, 2, NULL, "e", &by), CFA_OK);
    cfa_campaign_free(campaign);
}

START_TEST(what_is_done_to_a_campaign_is_an_act_and_a_repeat_is_none) {
    struct book book;
    char id[CFA_ID_TEXT_SIZE];
    book_open(&book, _i);
    ck_assert_int_eq(rows_of(&book, "act"), 1);
    run_campaign(book.engine, id);
    expect_act(book.engine, 2, "campaign.create", id, "ann", "the storm", NULL,
               CAMPAIGN_JSON("Roof", "OPEN"));
    expect_act(book.engine, 3, "campaign.update", id, NULL, "more fell",
               CAMPAIGN_JSON("Roof", "OPEN"), CAMPAIGN_JSON("Roof and wall", "OPEN"));
    expect_act(book.engine, 4, "campaign.end", id, "bob", NULL,
               CAMPAIGN_JSON("Roof and wall", "OPEN"), CAMPAIGN_JSON("Roof and wall", "ENDED"));
    run_campaign(book.engine, id);
    /* Another key that finds it ended, and one that is refused. */
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_end(&campaign, book.engine, id, 3, NULL, "e2", NULL), CFA_OK);
    cfa_campaign_free(campaign);
    expect_error(cfa_campaign_end(&campaign, book.engine, book.campaign_id, 9, NULL, "e3", NULL),
                 CFA_EVERSION, "expected_version");
    expect_sound(book.engine, 4);
    book_close(&book);
}
END_TEST

#define CURSOR_JSON(state, acknowledged, requeued)                                                 \
    "{\"state\":\"" state "\",\"acknowledged\":" acknowledged ",\"requeued_count\":" requeued

START_TEST(what_is_done_to_a_cursor_is_an_act_and_what_changes_nothing_is_none) {
    struct book book;
    struct post post = { .only = 4 };
    cfa_actor by = CFA_ACTOR_INIT;
    cfa_cursor_list *list;
    post_open(&book, _i, &post, 1);
    post_gifts(&book, 6);
    post_deliver(&book);
    int64_t head = head_of(book.engine);
    by.actor = "ann";
    by.reason = "they move house";
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(cfa_cursor_pause(&list, book.engine, "post", &by), CFA_OK);
        cfa_cursor_list_free(list);
    }
    by.reason = NULL;
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(cfa_letter_requeue(&list, book.engine, "post", 4, NULL, "q", &by), CFA_OK);
        cfa_cursor_list_free(list);
    }
    ck_assert_int_eq(cfa_letter_requeue(&list, book.engine, "post", 0, NULL, "all", NULL), CFA_OK);
    cfa_cursor_list_free(list); /* it is to be delivered again already */
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(cfa_cursor_rewind(&list, book.engine, "post", head, 2, NULL, "r", &by),
                         CFA_OK);
        cfa_cursor_list_free(list);
    }
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(cfa_cursor_resume(&list, book.engine, "post", &by), CFA_OK);
        cfa_cursor_list_free(list);
    }
    char before[TEXT_SIZE], after[TEXT_SIZE];
    snprintf(before, sizeof before, CURSOR_JSON("runs", "%lld", "0}"), (long long)head);
    snprintf(after, sizeof after, CURSOR_JSON("paused", "%lld", "0}"), (long long)head);
    expect_act(book.engine, 2, "cursor.pause", "post", "ann", "they move house", before, after);
    snprintf(before, sizeof before, CURSOR_JSON("paused", "%lld", "1,\"letter\":4}"),
             (long long)head);
    expect_act(book.engine, 3, "cursor.requeue", "post", "ann", NULL, after, before);
    snprintf(before, sizeof before, CURSOR_JSON("paused", "%lld", "1}"), (long long)head);
    expect_act(book.engine, 4, "cursor.rewind", "post", "ann", NULL, before,
               CURSOR_JSON("paused", "2", "1}"));
    expect_act(book.engine, 5, "cursor.resume", "post", "ann", NULL,
               CURSOR_JSON("paused", "2", "1}"), CURSOR_JSON("runs", "2", "1}"));
    expect_sound(book.engine, 5);
    book_close(&book);
}
END_TEST

START_TEST(an_erased_donor_leaves_an_act_without_personal_data) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_spec spec = gift(&book, "g", 500);
    spec.donor_name = "Grace Hopper";
    spec.donor_email = "grace@example.org";
    cfa_pledge *pledge, *other = pledge_make(&book, "without", 300);
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = "desk-7";
    by.reason = "they asked";
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(cfa_donor_erase(book.engine, cfa_pledge_id(pledge), &by, 0), CFA_OK);
        ck_assert_int_eq(cfa_donor_erase(book.engine, cfa_pledge_id(other), &by, 0), CFA_OK);
    }
    expect_act(book.engine, 2, "donor.erase", cfa_pledge_id(pledge), "desk-7", "they asked",
               "{\"reference\":false,\"name\":true,\"email\":true,\"message\":false}",
               "{\"reference\":false,\"name\":false,\"email\":false,\"message\":false}");
    expect_sound(book.engine, 2);
    cfa_pledge_free(pledge);
    cfa_pledge_free(other);
    book_close(&book);
}
END_TEST

/* An authorized payment of 10 euros. */
static cfa_pledge *hold(struct book *book, const char *key) {
    cfa_pledge *pledge = pledge_make(book, key, 1000);
    pledge_pay(book, pledge);
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_AUTHORIZED);
    return pledge;
}

START_TEST(what_is_asked_of_a_payment_is_an_act_once) {
    struct book book;
    cfa_payment *payment;
    cfa_refund *refund = NULL;
    book_prepare(&book, _i);
    book.options.capture_manual = 1;
    book_start(&book);
    cfa_pledge *kept = hold(&book, "kept"), *dropped = hold(&book, "dropped");
    cfa_actor by = CFA_ACTOR_INIT;
    by.actor = "desk-7";
    by.reason = "the goods left";
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(cfa_payment_capture(&payment, book.engine, cfa_pledge_payment_id(kept),
                                             (cfa_money){ 400, "EUR" }, NULL, "cap", &by, 0),
                         CFA_OK);
        cfa_payment_free(payment);
        ck_assert_int_eq(cfa_payment_cancel(&payment, book.engine, cfa_pledge_payment_id(dropped),
                                            NULL, "can", NULL, 0),
                         CFA_OK);
        cfa_payment_free(payment);
    }
    book_settle(&book);
    cfa_refund_spec spec = CFA_REFUND_SPEC_INIT;
    spec.key = "back";
    spec.payment_id = cfa_pledge_payment_id(kept);
    spec.amount = (cfa_money){ 150, "EUR" };
    spec.actor = "desk-8";
    for (int times = 0; times < 2; times++) {
        cfa_refund_free(refund);
        cfa_status status = cfa_refund_create(&refund, book.engine, &spec);
        ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    }
    spec.key = "too-much";
    spec.amount.minor = 5000;
    cfa_refund *none;
    expect_error(cfa_refund_create(&none, book.engine, &spec), CFA_ERANGE, "amount.minor");
    expect_act(book.engine, 2, "payment.capture", cfa_pledge_payment_id(kept), "desk-7",
               "the goods left",
               "{\"state\":\"AUTHORIZED\",\"authorized_minor\":1000,\"currency\":\"EUR\"}",
               "{\"captured_minor\":400}");
    expect_act(book.engine, 3, "payment.cancel", cfa_pledge_payment_id(dropped), NULL, NULL,
               "{\"state\":\"AUTHORIZED\",\"authorized_minor\":1000,\"currency\":\"EUR\"}", NULL);
    char after[TEXT_SIZE];
    snprintf(after, sizeof after,
             "{\"payment_id\":\"%s\",\"amount_minor\":150,\"currency\":\"EUR\"}",
             cfa_pledge_payment_id(kept));
    expect_act(book.engine, 4, "refund.create", cfa_refund_id(refund), "desk-8", NULL, NULL, after);
    expect_sound(book.engine, 4);
    cfa_refund_free(refund);
    cfa_pledge_free(kept);
    cfa_pledge_free(dropped);
    book_close(&book);
}
END_TEST

START_TEST(who_and_why_are_bounded_text) {
    struct book book;
    char long_text[CFA_REASON_BYTES_MAX + 2];
    book_open(&book, _i);
    cfa_campaign *campaign;
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "c";
    spec.title = "Roof";
    spec.currencies = "EUR";
    memset(long_text, 'x', sizeof long_text);
    long_text[CFA_ACTOR_BYTES_MAX + 1] = '\0';
    spec.actor = long_text;
    expect_error(cfa_campaign_create(&campaign, book.engine, &spec), CFA_ETOOLONG, "actor");
    spec.actor = "\xff";
    expect_error(cfa_campaign_create(&campaign, book.engine, &spec), CFA_EENCODING, "actor");
    spec.actor = "4242 4242 4242 4242";
    expect_error(cfa_campaign_create(&campaign, book.engine, &spec), CFA_ECARD, "actor");
    cfa_actor by = CFA_ACTOR_INIT;
    long_text[CFA_ACTOR_BYTES_MAX + 1] = 'x';
    long_text[CFA_REASON_BYTES_MAX + 1] = '\0';
    by.reason = long_text;
    expect_error(cfa_campaign_end(&campaign, book.engine, book.campaign_id, 1, NULL, "e", &by),
                 CFA_ETOOLONG, "reason");
    by.reason = "two\nlines";
    expect_error(cfa_donor_erase(book.engine, "plg_01arz3ndektsv4rrffq69g5fav", &by, 0),
                 CFA_EENCODING, "reason");
    by.struct_size = 4;
    by.reason = NULL;
    expect_error(cfa_campaign_end(&campaign, book.engine, book.campaign_id, 1, NULL, "e", &by),
                 CFA_EINVAL, "struct_size");
    expect_sound(book.engine, 1);
    /* The longest that are allowed. */
    by = (cfa_actor)CFA_ACTOR_INIT;
    long_text[CFA_REASON_BYTES_MAX] = '\0';
    by.reason = long_text;
    by.actor = long_text + CFA_REASON_BYTES_MAX - CFA_ACTOR_BYTES_MAX;
    ck_assert_int_eq(cfa_campaign_end(&campaign, book.engine, book.campaign_id, 1, NULL, "e", &by),
                     CFA_OK);
    cfa_campaign_free(campaign);
    expect_sound(book.engine, 2);
    book_close(&book);
}
END_TEST

/* ---- reading --------------------------------------------------------------------------------- */

START_TEST(pages_follow_each_other_by_number) {
    struct book book;
    cfa_act_list *list;
    book_open(&book, _i);
    make_campaigns(book.engine, "c", 6);
    for (int64_t after = 0; after <= 7; after++) {
        ck_assert_int_eq(cfa_act_page(&list, book.engine, after, 2), CFA_OK);
        size_t left = (size_t)(7 - after);
        ck_assert_uint_eq(cfa_act_list_size(list), left < 2 ? left : 2);
        for (size_t i = 0; i < cfa_act_list_size(list); i++)
            ck_assert_int_eq(cfa_act_list_at(list, i)->number, after + 1 + (int64_t)i);
        ck_assert_ptr_null(cfa_act_list_at(list, cfa_act_list_size(list)));
        cfa_act_list_free(list);
    }
    expect_error(cfa_act_page(&list, book.engine, -1, 0), CFA_ERANGE, "after_number");
    expect_error(cfa_act_page(&list, book.engine, 0, -1), CFA_ERANGE, "limit");
    expect_error(cfa_act_page(&list, book.engine, 0, CFA_PAGE_LIMIT_MAX + 1), CFA_ERANGE, "limit");
    expect_error(cfa_act_page(NULL, book.engine, 0, 0), CFA_EMISUSE, "out");
    cfa_act_report report = CFA_ACT_REPORT_INIT;
    expect_error(cfa_act_verify(NULL, book.engine), CFA_EMISUSE, "out");
    report.struct_size = 8;
    expect_error(cfa_act_verify(&report, book.engine), CFA_EINVAL, "struct_size");
    cfa_act_list_free(NULL);
    book_close(&book);
}
END_TEST

/* Computed by another program from the form that act.h states. */
START_TEST(the_hash_is_of_the_stated_form) {
    static const char *const wanted[] = {
        "25c0ce1e905b46ec01dc4eb922ff291875891ae4a7bb61756ad9378b63ab4c65",
        "cedebb7c3feca6fb70ebc22c8ef5e0af11ef6d1c72aaac0faadaa4de18bc5c78",
    };
    cfa__id book_id;
    for (size_t i = 0; i < sizeof book_id.bytes; i++)
        book_id.bytes[i] = (uint8_t)i;
    uint8_t hashes[2][CFA__ACT_HASH_SIZE];
    const cfa__act acts[] = {
        { .number = 1,
          .action = cfa__slice("campaign.create"),
          .subject = cfa__slice("cmp_x"),
          .after = cfa__slice("{\"a\":1}"),
          .created_us = INT64_C(1700000000000000) },
        { .number = 2,
          .action = cfa__slice("campaign.end"),
          .subject = cfa__slice("cmp_x"),
          .actor = cfa__slice("ann"),
          .reason = cfa__slice(""),
          .before = cfa__slice("{\"a\":1}"),
          .after = cfa__slice("{\"a\":2}"),
          .created_us = -5,
          .previous_hash = { hashes[0], CFA__ACT_HASH_SIZE } },
    };
    for (size_t i = 0; i < COUNT(acts); i++) {
        char text[CFA_ACT_HASH_TEXT_SIZE];
        cfa__act_hash(hashes[i], book_id, &acts[i]);
        for (size_t byte = 0; byte < CFA__ACT_HASH_SIZE; byte++)
            snprintf(text + 2 * byte, 3, "%02x", hashes[i][byte]);
        ck_assert_str_eq(text, wanted[i]);
    }
}
END_TEST

/* ---- a chain, whoever writes ----------------------------------------------------------------- */

static void erased(cfa_engine *engine, cfa__command *command, void *user) {
    ck_assert_int_eq(command->status, CFA_OK);
    (*(int *)user)++;
    cfa__command_release(engine, command);
}

static void submit_erase(struct book *book, const char *pledge_id, int *done) {
    cfa__command *command;
    void *memory;
    ck_assert_int_eq(cfa__command_with_input(&command, &memory, book->engine, cfa__donor_erase,
                                             sizeof(cfa__erase_input), 0),
                     CFA_OK);
    cfa__erase_input *input = memory;
    ck_assert_int_eq(cfa__id_parse(&input->pledge_id, "plg", pledge_id, "pledge_id"), CFA_OK);
    ck_assert_int_eq(cfa__command_submit(book->engine, command, erased, done), CFA_OK);
}

START_TEST(the_acts_of_one_batch_follow_each_other) {
    struct book book;
    cfa_pledge *pledges[CROWD];
    int done = 0;
    book_open(&book, _i);
    for (int i = 0; i < CROWD; i++) {
        char key[32];
        snprintf(key, sizeof key, "g-%d", i);
        cfa_pledge_spec spec = gift(&book, key, 100);
        spec.donor_name = "Grace";
        ck_assert_int_eq(cfa_pledge_create(&pledges[i], book.engine, &spec), CFA_OK);
    }
    for (int i = 0; i < CROWD; i++)
        submit_erase(&book, cfa_pledge_id(pledges[i]), &done);
    ck_assert(cfa__lead_once(book.engine));
    ck_assert_int_eq(done, CROWD);
    expect_sound(book.engine, 1 + CROWD);
    for (int i = 0; i < CROWD; i++)
        expect_act(book.engine, 2 + i, "donor.erase", cfa_pledge_id(pledges[i]), NULL, NULL,
                   "{\"reference\":false,\"name\":true,\"email\":false,\"message\":false}",
                   "{\"reference\":false,\"name\":false,\"email\":false,\"message\":false}");
    for (int i = 0; i < CROWD; i++)
        cfa_pledge_free(pledges[i]);
    audit(&book);
    book_close(&book);
}
END_TEST

static void make_some(void *user, int index) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "thread-%d", index);
    make_campaigns(((struct book *)user)->engine, prefix, ACTS_EACH);
}

START_TEST(a_long_log_of_many_threads_is_sound_also_when_it_is_opened_again) {
    struct book book;
    book_open(&book, _i);
    together(CROWD, make_some, &book);
    expect_sound(book.engine, 1 + CROWD * ACTS_EACH);
    book_reopen(&book);
    expect_sound(book.engine, 1 + CROWD * ACTS_EACH);
    make_campaigns(book.engine, "later", 2);
    expect_sound(book.engine, 3 + CROWD * ACTS_EACH);
    book_close(&book);
}
END_TEST

/* The program as a process of its own: "--act <database> <name>". */
static int act_main(char **argv) {
    cfa_engine *engine;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.timeout_ms = PATIENCE_MS;
    if (cfa_sqlite_open(&engine, argv[0], &options) != CFA_OK)
        return EXIT_FAILURE;
    make_campaigns(engine, argv[1], ACTS_EACH);
    cfa_engine_close(engine);
    return EXIT_SUCCESS;
}

START_TEST(the_acts_of_many_processes_follow_each_other) {
    struct book book;
    pid_t pids[PROCESSES];
    book_open(&book, STORE_SQLITE);
    for (int i = 0; i < PROCESSES; i++) {
        char name[32];
        snprintf(name, sizeof name, "process-%d", i);
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0) {
            execl("/proc/self/exe", "acts", "--act", book.path, name, (char *)NULL);
            _exit(127);
        }
    }
    make_campaigns(book.engine, "parent", ACTS_EACH);
    for (int i = 0; i < PROCESSES; i++) {
        int code;
        ck_assert_int_eq(waitpid(pids[i], &code, 0), pids[i]);
        ck_assert_int_eq(code, 0);
    }
    expect_sound(book.engine, 1 + (PROCESSES + 1) * ACTS_EACH);
    book_close(&book);
}
END_TEST

/* ---- somebody at the database ---------------------------------------------------------------- */

#define LAST 6 /* acts of a book that is tampered with */

/* Acts 1 to LAST; act 3 has a reason and an actor, act 4 has neither. */
static void tampered_prepare(struct book *book) {
    char id[CFA_ID_TEXT_SIZE];
    book_open(book, STORE_SQLITE);
    cfa_campaign_free(campaign_make(book->engine, "second"));
    run_campaign(book->engine, id);
    cfa_campaign_free(campaign_make(book->engine, "sixth"));
    expect_sound(book->engine, LAST);
}

static void expect_fault(cfa_engine *engine, cfa_act_fault fault, int64_t number, int64_t count,
                         bool head_agrees) {
    cfa_act_report report = verify(engine);
    ck_assert_msg(report.fault == fault && report.number == number, "%s of act %lld, wanted %s",
                  cfa_act_fault_name(report.fault), (long long)report.number,
                  cfa_act_fault_name(fault));
    ck_assert_int_eq(report.count, count);
    ck_assert_int_eq(report.head_agrees != 0, head_agrees);
}

static const struct {
    const char *sql;
    cfa_act_fault fault;
    int64_t number, count;
    bool head_agrees;
} tampers[] = {
    { "UPDATE cfa_act SET action = 'campaign.delete' WHERE number = 3", CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET subject = 'cmp_other' WHERE number = 3", CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET actor = 'anna' WHERE number = 3", CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET actor = NULL WHERE number = 3", CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET actor = '' WHERE number = 4", CFA_ACT_ALTERED, 4, 6, 1 },
    { "UPDATE cfa_act SET reason = 'the sun' WHERE number = 3", CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET reason = '' WHERE number = 6", CFA_ACT_ALTERED, 6, 6, 1 },
    { "UPDATE cfa_act SET actor = reason, reason = actor WHERE number = 3", CFA_ACT_ALTERED, 3, 6,
      1 },
    { "UPDATE cfa_act SET \"before\" = x'7b7d' WHERE number = 4", CFA_ACT_ALTERED, 4, 6, 1 },
    { "UPDATE cfa_act SET \"before\" = x'' WHERE number = 3", CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET \"after\" = x'7b7d' WHERE number = 4", CFA_ACT_ALTERED, 4, 6, 1 },
    { "UPDATE cfa_act SET \"after\" = NULL WHERE number = 1", CFA_ACT_ALTERED, 1, 6, 1 },
    { "UPDATE cfa_act SET \"before\" = \"after\", \"after\" = \"before\" WHERE number = 3",
      CFA_ACT_ALTERED, 3, 6, 1 },
    { "UPDATE cfa_act SET created_us = created_us + 1 WHERE number = 5", CFA_ACT_ALTERED, 5, 6, 1 },
    { "UPDATE cfa_act SET previous_hash = zeroblob(32) WHERE number = 5", CFA_ACT_ALTERED, 5, 6,
      1 },
    { "UPDATE cfa_act SET previous_hash = NULL WHERE number = 2", CFA_ACT_ALTERED, 2, 6, 1 },
    { "UPDATE cfa_act SET previous_hash = zeroblob(32) WHERE number = 1", CFA_ACT_ALTERED, 1, 6,
      1 },
    { "UPDATE cfa_act SET hash = zeroblob(32) WHERE number = 2", CFA_ACT_ALTERED, 2, 6, 1 },
    { "UPDATE cfa_act SET hash = zeroblob(32) WHERE number = 6", CFA_ACT_ALTERED, 6, 6, 0 },
    { "UPDATE cfa_act SET hash = x'' WHERE number = 2", CFA_ACT_ALTERED, 2, 6, 1 },
    { "UPDATE cfa_act SET number = 7 WHERE number = 6", CFA_ACT_MISSING, 6, 6, 0 },
    { "UPDATE cfa_act SET number = 0 WHERE number = 1", CFA_ACT_ADDED, 0, 6, 1 },
    { "UPDATE cfa_act SET number = -4 WHERE number = 6", CFA_ACT_ADDED, -4, 6, 0 },
    { "UPDATE cfa_act SET number = number + 10; UPDATE cfa_act SET number = number - 9",
      CFA_ACT_MISSING, 1, 6, 0 },
    { "UPDATE cfa_act SET number = 99 WHERE number = 2; UPDATE cfa_act SET number = 2 "
      "WHERE number = 3; UPDATE cfa_act SET number = 3 WHERE number = 99",
      CFA_ACT_ALTERED, 2, 6, 1 },
    { "DELETE FROM cfa_act WHERE number = 1", CFA_ACT_MISSING, 1, 5, 1 },
    { "DELETE FROM cfa_act WHERE number = 3", CFA_ACT_MISSING, 3, 5, 1 },
    { "DELETE FROM cfa_act WHERE number = 6", CFA_ACT_MISSING, 6, 5, 0 },
    { "DELETE FROM cfa_act WHERE number >= 4", CFA_ACT_MISSING, 4, 3, 0 },
    { "DELETE FROM cfa_act", CFA_ACT_MISSING, 1, 0, 0 },
    { "DELETE FROM cfa_act WHERE number = 6; UPDATE cfa_book SET act_count = 5", CFA_ACT_HEAD, 5, 5,
      0 },
    { "DELETE FROM cfa_act; UPDATE cfa_book SET act_count = 0", CFA_ACT_HEAD, 0, 0, 0 },
    { "INSERT INTO cfa_act SELECT 7, action, subject, actor, reason, \"before\", \"after\", "
      "created_us, previous_hash, hash FROM cfa_act WHERE number = 6",
      CFA_ACT_ADDED, 7, 7, 0 },
    { "UPDATE cfa_book SET act_count = 5", CFA_ACT_ADDED, 6, 6, 0 },
    { "UPDATE cfa_book SET act_count = 7", CFA_ACT_MISSING, 7, 6, 0 },
    { "UPDATE cfa_book SET act_count = -1", CFA_ACT_ADDED, 1, 6, 0 },
    { "UPDATE cfa_book SET act_hash = zeroblob(32)", CFA_ACT_HEAD, 6, 6, 0 },
    { "UPDATE cfa_book SET act_hash = NULL", CFA_ACT_HEAD, 6, 6, 0 },
    { "UPDATE cfa_book SET book_id = zeroblob(16)", CFA_ACT_ALTERED, 1, 6, 1 },
};

START_TEST(what_somebody_changed_in_the_database_is_found_and_named) {
    struct book book;
    tampered_prepare(&book);
    book_sql(&book, tampers[_i].sql);
    expect_fault(book.engine, tampers[_i].fault, tampers[_i].number, tampers[_i].count,
                 tampers[_i].head_agrees);
    book_close(&book);
}
END_TEST

static void read_hex(uint8_t *out, const char *text) {
    for (size_t i = 0; i < CFA__ACT_HASH_SIZE; i++) {
        unsigned value;
        ck_assert_int_eq(sscanf(text + 2 * i, "%2x", &value), 1);
        out[i] = (uint8_t)value;
    }
}

/* Somebody who knows the form gives the act a right hash: then the next one, or the book, tells. */
static void rewrite(struct book *book, int64_t number) {
    cfa_act_list *list;
    uint8_t previous[CFA__ACT_HASH_SIZE], hash[CFA__ACT_HASH_SIZE];
    ck_assert_int_eq(cfa_act_page(&list, book->engine, number - 1, 1), CFA_OK);
    const cfa_act_view *view = cfa_act_list_at(list, 0);
    read_hex(previous, view->previous_hash);
    cfa__act act = {
        .number = view->number,
        .action = cfa__slice(view->action),
        .subject = cfa__slice(view->subject),
        .actor = cfa__slice("mallory"),
        .reason = cfa__slice(view->reason),
        .before = cfa__slice(view->before),
        .after = cfa__slice(view->after),
        .created_us = view->created_us,
        .previous_hash = { previous, sizeof previous },
    };
    cfa__act_hash(hash, book->engine->book.book_id, &act);
    char sql[256], text[CFA_ACT_HASH_TEXT_SIZE];
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    snprintf(sql, sizeof sql,
             "UPDATE cfa_act SET actor = 'mallory', hash = x'%s' WHERE number = %d", text,
             (int)number);
    cfa_act_list_free(list);
    book_sql(book, sql);
}

START_TEST(an_act_that_was_rewritten_with_its_hash_is_found) {
    struct book book;
    tampered_prepare(&book);
    rewrite(&book, 3);
    expect_fault(book.engine, CFA_ACT_UNLINKED, 4, LAST, true);
    rewrite(&book, 2); /* an earlier one is told first */
    expect_fault(book.engine, CFA_ACT_UNLINKED, 3, LAST, true);
    book_close(&book);
    tampered_prepare(&book);
    rewrite(&book, LAST);
    expect_fault(book.engine, CFA_ACT_HEAD, LAST, LAST, false);
    book_close(&book);
}
END_TEST

START_TEST(a_hole_far_inside_a_long_log_is_found) {
    struct book book;
    book_open(&book, STORE_SQLITE);
    together(CROWD, make_some, &book);
    for (int64_t number = 258; number >= 256; number--) {
        char sql[64];
        snprintf(sql, sizeof sql, "DELETE FROM cfa_act WHERE number = %d", (int)number);
        book_sql(&book, sql);
        expect_fault(book.engine, CFA_ACT_MISSING, number, CROWD * ACTS_EACH + number - 258, true);
    }
    book_close(&book);
}
END_TEST

START_TEST(the_log_goes_on_behind_what_was_altered) {
    struct book book;
    tampered_prepare(&book);
    book_sql(&book, "DELETE FROM cfa_act WHERE number = 6");
    cfa_campaign_free(campaign_make(book.engine, "seventh"));
    expect_fault(book.engine, CFA_ACT_MISSING, LAST, LAST, true);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "--act") == 0)
        return act_main(argv + 2);
    Suite *suite = suite_create("engine: the audit log");
#define PER_STORE(name) add_per_store(suite, #name, name)
#define ONCE(name) add_once(suite, #name, name)
    PER_STORE(what_is_done_to_a_campaign_is_an_act_and_a_repeat_is_none);
    PER_STORE(what_is_done_to_a_cursor_is_an_act_and_what_changes_nothing_is_none);
    PER_STORE(an_erased_donor_leaves_an_act_without_personal_data);
    PER_STORE(what_is_asked_of_a_payment_is_an_act_once);
    PER_STORE(who_and_why_are_bounded_text);
    PER_STORE(pages_follow_each_other_by_number);
    ONCE(the_hash_is_of_the_stated_form);
    PER_STORE(the_acts_of_one_batch_follow_each_other);
    PER_STORE(a_long_log_of_many_threads_is_sound_also_when_it_is_opened_again);
    ONCE(the_acts_of_many_processes_follow_each_other);
    TCase *tampering = tcase_create("what_somebody_changed_in_the_database_is_found_and_named");
    tcase_add_loop_test(tampering, what_somebody_changed_in_the_database_is_found_and_named, 0,
                        COUNT(tampers));
    suite_add_tcase(suite, tampering);
    ONCE(an_act_that_was_rewritten_with_its_hash_is_found);
    ONCE(a_hole_far_inside_a_long_log_is_found);
    ONCE(the_log_goes_on_behind_what_was_altered);
    return run_suite(suite, argc, argv);
}
