/*
 * test_kill.c - a process that takes donations is killed without warning, again and again: what it
 * acknowledged is there, what the provider took is in the books, and nothing stays stuck.
 *
 * The program runs itself again as "--serve <database> <ledger> <campaign> <cycle>".
 * CAREFORALL_KILLS sets the number of cycles.
 */
#include "support/book.h"
#include "support/ledger.h"

#include <careforall/adapters/sqlite.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/records.h"

#define CYCLES 300
#define AUDIT_EVERY 50
#define THREADS 4
#define GIFT_MINOR 700
#define CYCLE_US                                                                                   \
    (2 * MINUTE_US) /* the time between a death and the next life: leases have run out */

/* ---- time: the system's, and two more minutes per life --------------------------------------- */

static int64_t lives;

static int64_t shifted_now_us(void *self) {
    (void)self;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000 + lives * CYCLE_US;
}

static const cfa_platform platform = { .struct_size = sizeof platform, .now_us = shifted_now_us };

/* ---- the process that will be killed --------------------------------------------------------- */

struct server {
    cfa_engine *engine;
    const char *campaign_id, *cycle;
};

/* Told only after the call has returned; one write, so a line is whole or absent. */
static void acknowledge(const char *key, const cfa_pledge *pledge) {
    char line[160];
    int size = snprintf(line, sizeof line, "%s %s\n", key, cfa_pledge_id(pledge));
    must(write(STDOUT_FILENO, line, (size_t)size) == size);
}

/* The provider's webhook: it may come before, after or instead of the call's reply. */
static void report(struct server *server, const cfa_pledge *pledge) {
    cfa_payment *payment;
    if (cfa_payment_get(&payment, server->engine, cfa_pledge_payment_id(pledge)) != CFA_OK)
        return;
    char id[64];
    snprintf(id, sizeof id, "evt_%s", cfa_payment_id(payment));
    cfa_webhook_event event = { .struct_size = sizeof event,
                                .event_id = id,
                                .event_type = "charged",
                                .account = "",
                                .relevant = 1 };
    event.facts = (cfa_facts)CFA_FACTS_INIT;
    event.facts.ref = cfa_payment_ref(payment);
    event.facts.flags = CFA_FACT_SUCCEEDED;
    event.facts.amount = cfa_payment_amount(payment);
    event.facts.captured_minor = event.facts.amount.minor;
    cfa_webhook_verdict verdict;
    if (event.facts.ref != NULL)
        must(cfa_webhook_accept(&verdict, server->engine, &event, 0) == CFA_OK);
    cfa_payment_free(payment);
}

static void serve(void *user, int index) {
    struct server *server = user;
    for (int number = 0;; number++) {
        char key[64];
        if (number % 2 == 0)
            must(cfa_key_new(key, sizeof key) == CFA_OK);
        else
            snprintf(key, sizeof key, "random-%s-%d-%d", server->cycle, index, number);
        cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
        spec.key = key;
        spec.campaign_id = server->campaign_id;
        spec.amount = (cfa_money){ GIFT_MINOR, "EUR" };
        spec.payment_method = "card";
        spec.wait = number % 3 == 0 ? CFA_WAIT_COMMIT : CFA_WAIT_ANSWER;
        spec.timeout_ms = 50; /* a lost reply is not waited for */
        cfa_pledge *pledge;
        cfa_status status = cfa_pledge_create(&pledge, server->engine, &spec);
        if (status != CFA_OK) {
            must(cfa_status_class_of(status) == CFA_CLASS_TRANSIENT || status == CFA_EINDOUBT);
            continue;
        }
        acknowledge(key, pledge);
        if (number % 4 == 0)
            report(server, pledge);
        cfa_pledge_free(pledge);
    }
}

static int serve_main(char **argv) {
    struct ledger ledger;
    struct server server = { .campaign_id = argv[2], .cycle = argv[3] };
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    lives = atoll(argv[3]);
    ledger_open(&ledger, argv[1]);
    ledger.lose_every = 9;
    options.provider = &ledger.provider;
    options.platform = &platform;
    options.call_timeout_ms = 1000;
    must(cfa_sqlite_open(&server.engine, argv[0], &options) == CFA_OK);
    must(cfa_runner_start(server.engine, CFA_WORK_ALL) == CFA_OK);
    together(THREADS, serve, &server);
    return EXIT_SUCCESS;
}

/* ---- the parent ------------------------------------------------------------------------------ */

struct acknowledged {
    char key[64], id[CFA_ID_TEXT_SIZE];
};

static struct acknowledged *taken;
static size_t taken_count;

static FILE *launch(const struct book *book, const struct ledger *ledger, pid_t *out_pid) {
    int lines[2];
    char cycle[24];
    snprintf(cycle, sizeof cycle, "%lld", (long long)lives);
    ck_assert_int_eq(pipe(lines), 0);
    *out_pid = fork();
    ck_assert_int_ge(*out_pid, 0);
    if (*out_pid == 0) {
        dup2(lines[1], STDOUT_FILENO);
        for (int descriptor = 3; descriptor < 64; descriptor++)
            close(descriptor);
        execl("/proc/self/exe", "test_kill", "--serve", book->path, ledger->path, book->campaign_id,
              cycle, (char *)NULL);
        _exit(127);
    }
    close(lines[1]);
    FILE *stream = fdopen(lines[0], "r");
    ck_assert_ptr_nonnull(stream);
    return stream;
}

static bool take_line(FILE *stream) {
    char line[200];
    if (fgets(line, sizeof line, stream) == NULL)
        return false;
    taken = realloc(taken, (taken_count + 1) * sizeof *taken);
    ck_assert_ptr_nonnull(taken);
    ck_assert_int_eq(sscanf(line, "%63s %31s", taken[taken_count].key, taken[taken_count].id), 2);
    taken_count++;
    return true;
}

/* Let it live until it has acknowledged so many, and a random moment longer; the moment is what is
 * tested. */
static void live_and_die(const struct book *book, const struct ledger *ledger, uint64_t *random) {
    pid_t child;
    FILE *stream = launch(book, ledger, &child);
    *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    int least = (int)(*random >> 33) % 20;
    for (int i = 0; i < least; i++)
        ck_assert_msg(take_line(stream), "the process ended by itself");
    struct timespec moment = { 0, (long)((*random >> 40) % 8000000) };
    nanosleep(&moment, NULL);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    while (take_line(stream))
        continue;
    fclose(stream);
    int result;
    ck_assert_int_eq(waitpid(child, &result, 0), child);
    ck_assert(WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL);
}

/* The first key of a life, and every one now and then, still leads to what was acknowledged. */
static void expect_taken(struct book *book, size_t from) {
    for (size_t i = from; i < taken_count; i++) {
        cfa_pledge *pledge;
        cfa_status status = cfa_pledge_get(&pledge, book->engine, taken[i].id);
        ck_assert_msg(status == CFA_OK, "%s was acknowledged and is gone: %s", taken[i].id,
                      cfa_status_name(status));
        cfa_pledge_free(pledge);
        if (i % 5 != 0)
            continue;
        cfa_pledge_spec spec = gift(book, taken[i].key, GIFT_MINOR);
        spec.timeout_ms = -1;
        status = cfa_pledge_create(&pledge, book->engine, &spec);
        ck_assert_msg(status == CFA_OK, "%s: %s", taken[i].key, last_error()->message);
        ck_assert(cfa_pledge_replayed(pledge));
        ck_assert_str_eq(cfa_pledge_id(pledge), taken[i].id);
        cfa_pledge_free(pledge);
    }
}

static int64_t open_creates(struct book *book) {
    cfa_session *session;
    int64_t now_us, open = 0;
    cfa_arena *arena;
    ck_assert_int_eq(cfa_arena_new(&arena), CFA_OK);
    ck_assert_int_eq(
        book->storage.ops->session_open(book->storage.self, CFA_SESSION_READ, &session), CFA_OK);
    ck_assert_int_eq(book->storage.ops->begin(session, CFA_SESSION_READ, PATIENCE_MS, &now_us),
                     CFA_OK);
    cfa__operation key;
    memset(&key, 0, sizeof key);
    cfa_query query = { .kind = &cfa__operation_kind, .limit = 10000000, .key = &key };
    ck_assert_int_eq(book->storage.ops->load(session, &query, 1, arena), CFA_OK);
    for (int32_t i = 0; i < query.count; i++) {
        const cfa__operation *operation = query.records[i];
        open += operation->call == CFA_CALL_CREATE && operation->due_us != 0;
    }
    book->storage.ops->rollback(session);
    book->storage.ops->session_close(session);
    cfa_arena_free(arena);
    return open;
}

static void expect_everything_settled(struct book *book, const struct ledger *ledger) {
    for (int step = 0; step < 60; step++) {
        lives += 30;
        book_settle(book);
    }
    ck_assert_int_eq(open_creates(book), 0);
    struct ledger_books books = ledger_read(ledger);
    ck_assert_int_eq(books.objects, books.payments);
    ck_assert_int_eq(books.objects, rows_of(book, "pledge"));
    cfa_totals_row row = totals_of(book);
    ck_assert_int_eq(row.raised_minor, books.charged_minor);
    ck_assert_int_eq(row.donation_count, books.objects);
    ck_assert_int_eq(row.pledged_minor, 0);
    expect_taken(book, 0);
    audit(book);
}

START_TEST(what_was_acknowledged_survives_every_kill) {
    const char *wanted = getenv("CAREFORALL_KILLS");
    int cycles = wanted != NULL ? atoi(wanted) : CYCLES;
    struct book book;
    struct ledger ledger;
    char path[128];
    uint64_t random = 20261122;
    book_prepare(&book, STORE_SQLITE);
    snprintf(path, sizeof path, "%s/ledger", book.directory);
    ledger_open(&ledger, path);
    book.options.provider = &ledger.provider;
    book.options.platform = &platform;
    book.options.call_timeout_ms = 1000;
    book_start(&book);
    cfa_engine_close(book.engine);
    for (int cycle = 1; cycle <= cycles; cycle++) {
        size_t before = taken_count;
        lives++;
        live_and_die(&book, &ledger, &random);
        if (cycle % 10 != 0 && cycle != cycles)
            continue; /* most lives begin in what the last one left */
        ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
        expect_taken(&book, before);
        if (cycle % AUDIT_EVERY == 0)
            audit(&book);
        cfa_engine_close(book.engine);
    }
    ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
    expect_everything_settled(&book, &ledger);
    printf("%d kills, %zu pledges acknowledged, %lld charged\n", cycles, taken_count,
           (long long)ledger_read(&ledger).objects);
    ledger_close(&ledger);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "--serve") == 0)
        return serve_main(argv + 2);
    Suite *suite = suite_create("kill");
    add_once(suite, "what_was_acknowledged_survives_every_kill",
             what_was_acknowledged_survives_every_kill);
    return run_suite(suite, argc, argv);
}
