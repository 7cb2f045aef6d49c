/*
 * book.c - see book.h.
 */
#include "support/book.h"

#include <careforall/adapters/memory.h>
#include <careforall/adapters/sqlite.h>
#include <dirent.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/records.h"

#define SETTLE_STEPS_MAX 100000

/* ---- the clock ------------------------------------------------------------------------------- */

static int64_t platform_now_us(void *self) {
    return cfa_manual_clock_now_us(((struct book *)self)->clock);
}

static int64_t real_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

static int64_t platform_monotonic_us(void *self) {
    const struct book *book = self;
    const cfa_platform *manual = cfa_manual_clock_platform(book->clock);
    int64_t ran_us = book->runs_since_us > 0 ? real_us() - book->runs_since_us : 0;
    return manual->monotonic_us(manual->self) + ran_us;
}

static cfa_status platform_random(void *self, void *out, size_t size) {
    const cfa_platform *manual = cfa_manual_clock_platform(((struct book *)self)->clock);
    return manual->random(manual->self, out, size);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void storage_open(struct book *book) {
    if (book->store == STORE_MEMORY) {
        ck_assert_int_eq(cfa_memory_storage_new(&book->storage), CFA_OK);
        return;
    }
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    options.cache_kib = 2048;
    options.vfs = book->vfs;
    options.busy_timeout_ms = PATIENCE_MS;
    ck_assert_int_eq(cfa_sqlite_storage_new(&book->storage, book->path, &options), CFA_OK);
}

void book_prepare(struct book *book, int store) {
    memset(book, 0, sizeof *book);
    book->store = store;
    if (store == STORE_SQLITE) {
        const char *parent = getenv("TMPDIR");
        int written = snprintf(book->directory, sizeof book->directory, "%s/careforall-XXXXXX",
                               parent != NULL && strlen(parent) < 32 ? parent : "/tmp");
        ck_assert(written > 0 && (size_t)written < sizeof book->directory);
        ck_assert_ptr_nonnull(mkdtemp(book->directory));
        snprintf(book->path, sizeof book->path, "%s/book.db", book->directory);
    }
    storage_open(book);
    ck_assert_int_eq(cfa_manual_clock_new(&book->clock, 0, 1), CFA_OK);
    book->play_options = (cfa_play_options)CFA_PLAY_OPTIONS_INIT;
    book->platform = (cfa_platform){ .struct_size = sizeof book->platform,
                                     .self = book,
                                     .now_us = platform_now_us,
                                     .monotonic_us = platform_monotonic_us,
                                     .random = platform_random };
    book->play_options.platform = &book->platform;
    book->options = (cfa_engine_options)CFA_ENGINE_OPTIONS_INIT;
    book->options.platform = &book->platform;
    book->options.circuit_failures = -1; /* bad weather is the point of many tests */
    book->options.storage = &book->storage;
    book->options.timeout_ms = PATIENCE_MS;
}

void book_use_vfs(struct book *book, const char *vfs) {
    book->storage.ops->close(book->storage.self);
    book->vfs = vfs;
    storage_open(book);
}

void book_wrap(struct book *book, cfa_fault_decide decide, void *user) {
    ck_assert_int_eq(
        cfa_fault_storage_new(&book->wrapped, &book->fault, &book->storage, decide, user), CFA_OK);
    book->options.storage = &book->wrapped;
}

void book_start(struct book *book) {
    ck_assert_int_eq(cfa_play_new(&book->play, &book->play_options), CFA_OK);
    if (book->options.provider == NULL)
        book->options.provider = cfa_play_provider(book->play);
    cfa_status status = cfa_engine_open(&book->engine, &book->options);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "the-campaign";
    spec.title = "Clean water";
    spec.currencies = "EUR,KWD,USD";
    cfa_campaign *campaign;
    ck_assert_int_eq(cfa_campaign_create(&campaign, book->engine, &spec), CFA_OK);
    memcpy(book->campaign_id, cfa_campaign_id(campaign), sizeof book->campaign_id);
    cfa_campaign_free(campaign);
}

void book_open(struct book *book, int store) {
    book_prepare(book, store);
    book_start(book);
}

void book_reopen(struct book *book) {
    cfa_engine_close(book->engine);
    if (book->store == STORE_SQLITE && book->fault == NULL) {
        book->storage.ops->close(book->storage.self);
        storage_open(book);
    }
    cfa_status status = cfa_engine_open(&book->engine, &book->options);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
}

void book_sql(struct book *book, const char *sql) {
    ck_assert_int_eq(book->store, STORE_SQLITE);
    cfa_engine_close(book->engine);
    book->storage.ops->close(book->storage.self);
    sqlite3 *connection;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(book->path, &connection), SQLITE_OK);
    int code = sqlite3_exec(connection, sql, NULL, NULL, &message);
    ck_assert_msg(code == SQLITE_OK, "%s", message);
    ck_assert_int_eq(sqlite3_close(connection), SQLITE_OK);
    storage_open(book);
    cfa_status status = cfa_engine_open(&book->engine, &book->options);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
}

cfa_engine *book_second_engine(struct book *book) {
    cfa_engine *engine;
    ck_assert_int_eq(cfa_engine_open(&engine, &book->options), CFA_OK);
    return engine;
}

static void remove_directory(const char *path) {
    DIR *directory = opendir(path);
    ck_assert_ptr_nonnull(directory);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char file[400];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            ck_assert_int_eq(unlink(file), 0);
    }
    closedir(directory);
    ck_assert_int_eq(rmdir(path), 0);
}

void book_close(struct book *book) {
    cfa_engine_close(book->engine);
    if (book->fault != NULL)
        book->wrapped.ops->close(book->wrapped.self);
    book->storage.ops->close(book->storage.self);
    cfa_play_free(book->play);
    cfa_manual_clock_free(book->clock);
    if (book->store == STORE_SQLITE)
        remove_directory(book->directory);
}

/* ---- time and work --------------------------------------------------------------------------- */

void book_advance(struct book *book, int64_t by_us) {
    cfa_manual_clock_advance(book->clock, by_us);
}

void book_run_clock(struct book *book) { book->runs_since_us = real_us(); }

void settle(cfa_engine *engine) {
    int32_t done = 1;
    for (int step = 0; done > 0; step++) {
        ck_assert_msg(step < SETTLE_STEPS_MAX, "the engine never comes to rest");
        cfa_status status = cfa_engine_tick(&done, engine, CFA_WORK_ALL, 0);
        ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    }
}

void book_settle(struct book *book) { settle(book->engine); }

/* ---- pledges --------------------------------------------------------------------------------- */

cfa_pledge_spec gift(const struct book *book, const char *key, int64_t minor) {
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = key;
    spec.campaign_id = book->campaign_id;
    spec.amount = (cfa_money){ minor, "EUR" };
    spec.payment_method = "pm_ok";
    spec.timeout_ms = PATIENCE_MS;
    return spec;
}

cfa_pledge *pledge_make(struct book *book, const char *key, int64_t minor) {
    cfa_pledge_spec spec = gift(book, key, minor);
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa_pledge_create(&pledge, book->engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    return pledge;
}

void pledge_pay(struct book *book, const cfa_pledge *pledge) {
    ck_assert_ptr_nonnull(cfa_pledge_client_secret(pledge));
    ck_assert_int_eq(cfa_play_confirm(book->play, cfa_pledge_client_secret(pledge), "pm_ok"),
                     CFA_OK);
    ck_assert_int_eq(cfa_play_deliver(NULL, book->play, book->engine, 0), CFA_OK);
    book_settle(book);
}

static cfa_payment *payment_of(cfa_engine *engine, const cfa_pledge *pledge) {
    cfa_payment *payment;
    ck_assert_int_eq(cfa_payment_get(&payment, engine, cfa_pledge_payment_id(pledge)), CFA_OK);
    return payment;
}

cfa_payment_state state_of(cfa_engine *engine, const cfa_pledge *pledge) {
    cfa_payment *payment = payment_of(engine, pledge);
    cfa_payment_state state = cfa_payment_state_of(payment);
    cfa_payment_free(payment);
    return state;
}

uint32_t flags_of(cfa_engine *engine, const cfa_pledge *pledge) {
    cfa_payment *payment = payment_of(engine, pledge);
    uint32_t flags = cfa_payment_flags(payment);
    cfa_payment_free(payment);
    return flags;
}

bool answers_equal(const cfa_pledge *a, const cfa_pledge *b) {
    cfa_slice one = cfa_pledge_answer(a), other = cfa_pledge_answer(b);
    return one.size > 0 && one.size == other.size && memcmp(one.data, other.data, one.size) == 0;
}

/* ---- one donation under faults --------------------------------------------------------------- */

cfa_status donate(struct book *book, cfa_pledge **out) {
    cfa_pledge_spec spec = gift(book, "the-donation", 2500);
    spec.timeout_ms = 40;
    cfa_pledge *pledge = NULL;
    cfa_status status = cfa_pledge_create(&pledge, book->engine, &spec);
    if (status != CFA_OK)
        return status;
    *out = pledge;
    if (cfa_pledge_client_secret(pledge) != NULL)
        status = cfa_play_confirm(book->play, cfa_pledge_client_secret(pledge), "pm_ok");
    if (status == CFA_OK || status == CFA_ESTATE) /* paid already */
        status = cfa_play_deliver(NULL, book->play, book->engine, 0);
    int32_t done = 1;
    while (status == CFA_OK && done > 0)
        status = cfa_engine_tick(&done, book->engine, CFA_WORK_ALL, 0);
    return status;
}

void expect_whole(struct book *book, cfa_status got, const cfa_pledge *pledge, int64_t nth) {
    cfa_status_class class = cfa_status_class_of(got);
    bool nothing_was_done =
        class == CFA_CLASS_TRANSIENT || got == CFA_ENOMEM || got == CFA_EREADONLY;
    ck_assert_msg(got == CFA_OK || nothing_was_done || class == CFA_CLASS_IN_DOUBT,
                  "fault %lld: %s", (long long)nth, cfa_status_name(got));
    int64_t pledges = rows_of(book, "pledge");
    ck_assert_int_le(pledges, 1);
    if (pledge != NULL)
        ck_assert_msg(pledges == 1, "fault %lld: the pledge was shown and is gone", (long long)nth);
    else if (nothing_was_done)
        ck_assert_msg(pledges == 0, "fault %lld: %s was said, yet the pledge is there",
                      (long long)nth, cfa_status_name(got));
    static const char *const with_each[] = { "payment", "operation" };
    for (size_t i = 0; i < COUNT(with_each); i++)
        ck_assert_int_ge(rows_of(book, with_each[i]), pledges);
}

void finish_donation(struct book *book) {
    cfa_pledge *pledge = NULL;
    book_advance(book, 2 * MINUTE_US);
    book_settle(book);
    cfa_status status = donate(book, &pledge);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_int_eq(state_of(book->engine, pledge), CFA_PAYMENT_COMPLETED);
    cfa_pledge_free(pledge);
    ck_assert_int_eq(rows_of(book, "pledge"), 1);
    ck_assert_int_eq(play_books_of(book).intent_count, 1);
    ck_assert_int_eq(play_books_of(book).charge_count, 1);
    ck_assert_int_eq(totals_of(book).raised_minor, 2500);
    ck_assert_int_eq(totals_of(book).donation_count, 1);
    audit(book);
}

/* ---- looking inside -------------------------------------------------------------------------- */

static cfa_session *session_open(struct book *book, int32_t mode) {
    cfa_session *session;
    int64_t now_us;
    ck_assert_int_eq(book->storage.ops->session_open(book->storage.self, mode, &session), CFA_OK);
    ck_assert_int_eq(book->storage.ops->begin(session, mode, PATIENCE_MS, &now_us), CFA_OK);
    return session;
}

static int64_t count_kind(struct book *book, cfa_session *session, const cfa_kind *kind) {
    /* Every kind is small in tests: one page holds it. */
    unsigned char key[512] = { 0 };
    ck_assert_uint_le(kind->record_size, sizeof key);
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    cfa_query query = { .kind = kind, .limit = 1000000, .key = key };
    ck_assert_int_eq(book->storage.ops->load(session, &query, 1, arena), CFA_OK);
    cfa_arena_free(arena);
    return query.count;
}

static int64_t count_where(struct book *book,
                           bool (*wanted)(const cfa_kind *kind, const char *name),
                           const char *name) {
    cfa_session *session = session_open(book, CFA_SESSION_READ);
    int64_t count = 0;
    for (int32_t i = 0; i < cfa__schema.kind_count; i++) {
        if (wanted(cfa__schema.kinds[i], name))
            count += count_kind(book, session, cfa__schema.kinds[i]);
    }
    book->storage.ops->rollback(session);
    book->storage.ops->session_close(session);
    return count;
}

static bool is_named(const cfa_kind *kind, const char *name) {
    return strcmp(kind->name, name) == 0;
}

static bool is_fact(const cfa_kind *kind, const char *name) {
    (void)name;
    return kind != &cfa__sink_kind && kind != &cfa__totals_kind && kind != &cfa__contribution_kind;
}

int64_t rows_of(struct book *book, const char *kind) { return count_where(book, is_named, kind); }

int64_t all_rows_of(struct book *book) { return count_where(book, is_fact, NULL); }

int64_t head_of(cfa_engine *engine) {
    int64_t head = 0;
    for (;;) {
        cfa_event_list *list;
        ck_assert_int_eq(cfa_event_page(&list, engine, head, 1000), CFA_OK);
        size_t size = cfa_event_list_size(list);
        if (size > 0)
            head = cfa_event_list_at(list, size - 1)->position;
        cfa_event_list_free(list);
        if (size == 0)
            return head;
    }
}

cfa_totals_row totals_of(struct book *book) {
    cfa_totals_spec spec = CFA_TOTALS_SPEC_INIT;
    spec.at_least = head_of(book->engine);
    spec.max_age_ms = -1;
    cfa_totals *totals;
    ck_assert_int_eq(cfa_totals_get(&totals, book->engine, book->campaign_id, &spec), CFA_OK);
    cfa_totals_row row = { "", 0, 0, 0, 0, 0, 0, 0, 0 };
    for (size_t i = 0; i < cfa_totals_size(totals); i++) {
        if (strcmp(cfa_totals_at(totals, i)->currency, "EUR") == 0)
            row = *cfa_totals_at(totals, i);
    }
    cfa_totals_free(totals);
    return row;
}

cfa_play_books play_books_of(struct book *book) {
    cfa_play_books books = CFA_PLAY_BOOKS_INIT;
    ck_assert_int_eq(cfa_play_books_get(&books, book->play), CFA_OK);
    return books;
}

/* ---- the audit ------------------------------------------------------------------------------- */

struct subject {
    char id[CFA_ID_TEXT_SIZE];
    int64_t sequence;
};

static struct subject *subject_of(struct subject **subjects, size_t *count, const char *id) {
    for (size_t i = *count; i > 0; i--) {
        if (strcmp((*subjects)[i - 1].id, id) == 0)
            return &(*subjects)[i - 1];
    }
    *subjects = realloc(*subjects, (*count + 1) * sizeof **subjects);
    ck_assert_ptr_nonnull(*subjects);
    struct subject *subject = &(*subjects)[(*count)++];
    memset(subject, 0, sizeof *subject);
    snprintf(subject->id, sizeof subject->id, "%s", id);
    return subject;
}

static void audit_events(cfa_engine *engine) {
    struct subject *subjects = NULL;
    size_t count = 0;
    int64_t position = 0;
    for (;;) {
        cfa_event_list *list;
        ck_assert_int_eq(cfa_event_page(&list, engine, position, 1000), CFA_OK);
        size_t size = cfa_event_list_size(list);
        for (size_t i = 0; i < size; i++) {
            const cfa_event_view *event = cfa_event_list_at(list, i);
            struct subject *subject = subject_of(&subjects, &count, event->subject);
            bool dense = event->position == ++position,
                 whole = event->sequence == ++subject->sequence;
            ck_assert_msg(dense && whole, "event %lld of %s has sequence %lld",
                          (long long)event->position, event->subject, (long long)event->sequence);
        }
        cfa_event_list_free(list);
        if (size == 0)
            break;
    }
    free(subjects);
}

void audit(struct book *book) {
    audit_events(book->engine);
    int32_t equal = 0;
    cfa_status status = cfa_totals_verify(&equal, book->engine, book->campaign_id, PATIENCE_MS);
    ck_assert_msg(status == CFA_OK && equal, "%s: %s", cfa_status_name(status),
                  last_error()->message);
    cfa_act_report acts = CFA_ACT_REPORT_INIT;
    ck_assert_int_eq(cfa_act_verify(&acts, book->engine), CFA_OK);
    ck_assert_msg(acts.fault == CFA_ACT_NONE, "act %lld: %s", (long long)acts.number,
                  cfa_act_fault_text(acts.fault));
    cfa_audit *report;
    status = cfa_audit_engine(&report, book->engine, NULL);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_msg(cfa_audit_differences(report) == 0, "%s", cfa_audit_text(report));
    cfa_audit_free(report);
    if (book->play != NULL)
        ck_assert_int_eq(play_books_of(book).charged_twice, 0);
}

void must_fail(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
    abort();
}

/* ---- errors, threads, suites ----------------------------------------------------------------- */

const cfa_error *last_error(void) {
    static _Thread_local cfa_error error;
    error.struct_size = sizeof error;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return &error;
}

void expect_error(cfa_status got, cfa_status wanted, const char *field) {
    const cfa_error *error = last_error();
    ck_assert_msg(got == wanted, "%s instead of %s (%s)", cfa_status_name(got),
                  cfa_status_name(wanted), error->message);
    ck_assert_int_eq(error->status, wanted);
    ck_assert_str_ne(error->message, "");
    if (field != NULL)
        ck_assert_str_eq(error->field, field);
}

struct crew {
    pthread_barrier_t barrier;
    void (*run)(void *user, int index);
    void *user;
};

struct member {
    struct crew *crew;
    pthread_t thread;
    int index;
};

static void *member_main(void *argument) {
    struct member *member = argument;
    pthread_barrier_wait(&member->crew->barrier);
    member->crew->run(member->crew->user, member->index);
    return NULL;
}

void together(int count, void (*run)(void *user, int index), void *user) {
    struct crew crew = { .run = run, .user = user };
    must(pthread_barrier_init(&crew.barrier, NULL, (unsigned)count) == 0);
    struct member *members = calloc((size_t)count, sizeof *members);
    must(members != NULL);
    for (int i = 0; i < count; i++) {
        members[i].crew = &crew;
        members[i].index = i;
        must(pthread_create(&members[i].thread, NULL, member_main, &members[i]) == 0);
    }
    for (int i = 0; i < count; i++)
        must(pthread_join(members[i].thread, NULL) == 0);
    pthread_barrier_destroy(&crew.barrier);
    free(members);
}

int run_suite(Suite *suite, int argc, char **argv) {
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    /* A name that selects nothing must not look like success. */
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void add_loop(Suite *suite, const char *name, const TTest *test, int count) {
    TCase *test_case = tcase_create(name);
    tcase_add_loop_test(test_case, test, 0, count);
    suite_add_tcase(suite, test_case);
}

void add_per_store(Suite *suite, const char *name, const TTest *test) {
    add_loop(suite, name, test, STORES);
}

void add_once(Suite *suite, const char *name, const TTest *test) {
    TCase *test_case = tcase_create(name);
    tcase_add_test(test_case, test);
    suite_add_tcase(suite, test_case);
}
