/*
 * test_engine_sinks_crash.c - an operator's work on the outbox when the store fails at any call,
 * when the process dies, and when several processes run one sink and one of them is a zombie.
 *
 * The program runs itself again as "--relay <database> <file>".
 */
#include "post.h"

#include <careforall/adapters/ndjson.h>
#include <careforall/adapters/sqlite.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_US (240 * SECOND_US)
#define LINE_SIZE 4096

static const char *program;

/* ---- a store that dies at any call ----------------------------------------------------------- */

struct weather {
    int32_t verdict; /* of the first bad call, if it is a commit: CFA_FAULT_* */
    int64_t good;    /* calls until then; negative: for ever */
    bool dead;       /* everything fails from then on, as for a process that dies */
    bool struck;
};

static int32_t weather_decide(void *user, int32_t call, uint64_t number, cfa_status *out_status) {
    struct weather *weather = user;
    (void)number;
    *out_status = CFA_EIO;
    if (weather->struck)
        return weather->dead && call != CFA_FAULT_ROLLBACK ? CFA_FAULT_FAIL : CFA_FAULT_PASS;
    if (weather->good < 0 || call == CFA_FAULT_ROLLBACK || weather->good-- > 0)
        return CFA_FAULT_PASS;
    weather->struck = true;
    return call == CFA_FAULT_COMMIT ? weather->verdict : CFA_FAULT_FAIL;
}

/* A sweep's scene: a refused event, then dead, then requeued and taken, then all of it again from
 * the start. Each step can be told from the book, so that a later life goes on with it. Any call
 * may fail; what it did not do it does when it is called again. */
static void scene(struct book *book, struct post *post, int64_t head) {
    int32_t done;
    for (int i = 0; i < 12; i++) {
        book_advance(book, SECOND_US);
        (void)!cfa_engine_tick(&done, book->engine, CFA_WORK_RELAY, 0);
        if (i == 5) {
            post->only = 0;
            (void)!post_requeue(book->engine, 0, "post_requeue");
        }
        if (i == 8)
            (void)!post_rewind(book->engine, head, 1, "rewind");
    }
}

static void live_on(struct book *book, struct post *post, int64_t head) {
    /* The dead letter exists, or the event was taken: both end in a post_requeue that finds it or not. */
    post_deliver(book);
    post_expect_nothing_lost(book, post);
    post->only = 0;
    ck_assert_int_eq(post_requeue(book->engine, 0, "post_requeue"), CFA_OK);
    post_deliver(book);
    cfa_status status = post_rewind(book->engine, head, 1, "rewind");
    ck_assert_int_eq(status, CFA_OK);
    post_deliver(book);
    /* A repeat of the rewind does not rewind. */
    int taken = post->times[head];
    ck_assert_int_eq(post_rewind(book->engine, head, 1, "rewind"), CFA_OK);
    post_deliver(book);
    ck_assert_int_eq(post->times[head], taken);
    ck_assert_int_ge(taken, 2);
    ck_assert_int_eq(rows_of(book, "dead_letter"), 0);
    for (int64_t i = 1; i <= head; i++)
        ck_assert_int_ge(post->times[i] + post->again[i], 1);
}

/* True while the scene still makes so many calls. */
static bool sweep_at(int store, struct weather weather) {
    struct book book;
    struct post post = { .only = 3 };
    post_prepare(&book, store, &post, 2);
    int64_t good = weather.good;
    weather.good = -1;
    book_wrap(&book, weather_decide, &weather);
    book_start(&book);
    post_gifts(&book, 3);
    int64_t head = head_of(book.engine);
    weather.good = good;
    scene(&book, &post, head);
    bool struck = weather.struck;
    weather.good = -1;
    if (weather.dead) { /* the process is gone; another opens the book */
        cfa_engine_close(book.engine);
        weather.dead = false;
        ck_assert_int_eq(cfa_engine_open(&book.engine, &book.options), CFA_OK);
        book_advance(&book, MINUTE_US);
    }
    weather.struck = true;
    live_on(&book, &post, head);
    post_finish(&book, &post);
    return struck;
}

START_TEST(no_failure_of_the_store_loses_an_event_or_does_anything_twice) {
    static const int32_t verdicts[] = { CFA_FAULT_FAIL, CFA_FAULT_DOUBT_DONE,
                                        CFA_FAULT_DOUBT_NOT_DONE };
    int64_t calls = 0;
    for (size_t i = 0; i < COUNT(verdicts); i++) {
        for (int dead = 0; dead < 2; dead++) {
            /* A file takes its time: each round looks at other calls. */
            int64_t step = _i == STORE_SQLITE ? 6 : 1, good = (int64_t)i * 2 + dead;
            while (sweep_at(_i, (struct weather){ verdicts[i], good, dead != 0, false }))
                good += step;
            ck_assert_int_gt(good, 40);
            calls += good;
        }
    }
    ck_assert_int_gt(calls, 300);
}
END_TEST

/* ---- beside the library's own threads -------------------------------------------------------- */

static int64_t real_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

static void moment(void) {
    struct timespec rest = { 0, 5000000 };
    nanosleep(&rest, NULL);
}

START_TEST(an_operator_works_beside_the_runner) {
    struct book book;
    struct post post = { .every = 5 };
    post_prepare(&book, _i, &post, 1);
    book.options.platform = NULL;
    book_start(&book);
    ck_assert_int_eq(cfa_runner_start(book.engine, CFA_WORK_ALL), CFA_OK);
    int rewinds = 0;
    int64_t until = real_us() + DEADLINE_US;
    for (int i = 0; (i < 20 || rewinds < 5) && real_us() < until; i++) {
        char key[32];
        post_gifts(&book, 2);
        const cfa_cursor_view *cursor = post_of(&book);
        int64_t stands = cursor != NULL ? cursor->acknowledged : 0;
        snprintf(key, sizeof key, "operator-%d", i);
        if (stands == 0) {
            moment();
            continue;
        }
        if (i % 3 == 0)
            post_pause(book.engine);
        cfa_status status = post_rewind(book.engine, stands, stands / 2, key);
        ck_assert(status == CFA_OK || status == CFA_EVERSION);
        rewinds += status == CFA_OK;
        snprintf(key, sizeof key, "requeue-%d", i);
        ck_assert_int_eq(post_requeue(book.engine, 0, key), CFA_OK);
        post_resume(book.engine);
    }
    ck_assert_int_ge(rewinds, 5);
    for (;;) {
        const cfa_cursor_view *cursor = post_of(&book);
        if (cursor->lag == 0 && cursor->requeued_count == 0)
            break;
        ck_assert(real_us() < until);
        moment();
    }
    cfa_runner_stop(book.engine);
    ck_assert_int_gt(post_of(&book)->dead_count, 0);
    post_finish(&book, &post);
}
END_TEST

/* ---- processes ------------------------------------------------------------------------------- */

static void tell(void *self, const cfa_log_record *record) {
    (void)self;
    dprintf(STDOUT_FILENO, "%s\n", record->event);
}

/* Runs the sink "post" into a file, tells its log, until nobody listens. */
static int relay_main(const char *database, const char *path) {
    cfa_sink_binding binding = { .name = "post" };
    cfa_platform platform = CFA_PLATFORM_INIT;
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_engine *engine;
    platform.log = tell;
    options.platform = &platform;
    options.sinks = &binding;
    options.sink_count = 1;
    if (cfa_ndjson_sink_new(&binding.sink, path) != CFA_OK ||
        cfa_sqlite_open(&engine, database, &options) != CFA_OK)
        return EXIT_FAILURE;
    struct pollfd parent = { .fd = STDIN_FILENO, .events = POLLIN };
    while (poll(&parent, 1, 5) == 0)
        (void)!cfa_engine_tick(NULL, engine, CFA_WORK_RELAY | CFA_WORK_COMMANDS, 5);
    cfa_engine_close(engine);
    binding.sink.ops->close(binding.sink.self);
    return EXIT_SUCCESS;
}

struct process {
    pid_t pid;
    int orders, told;
    char path[128];
};

static void start(struct process *process, const struct book *book, int number) {
    int orders[2], told[2];
    ck_assert_int_eq(pipe(orders), 0);
    ck_assert_int_eq(pipe(told), 0);
    snprintf(process->path, sizeof process->path, "%s/events-%d", book->directory, number);
    process->pid = fork();
    ck_assert_int_ge(process->pid, 0);
    if (process->pid == 0) {
        dup2(orders[0], STDIN_FILENO);
        dup2(told[1], STDOUT_FILENO);
        for (int descriptor = 3; descriptor < 64; descriptor++)
            close(descriptor);
        execl(program, program, "--relay", book->path, process->path, (char *)NULL);
        _exit(127);
    }
    close(orders[0]);
    close(told[1]);
    process->orders = orders[1];
    process->told = told[0];
}

static void end(struct process *process, bool kill_it) {
    int result;
    if (kill_it)
        ck_assert_int_eq(kill(process->pid, SIGKILL), 0);
    close(process->orders);
    ck_assert_int_eq(waitpid(process->pid, &result, 0), process->pid);
    ck_assert(kill_it || (WIFEXITED(result) && WEXITSTATUS(result) == 0));
    close(process->told);
}

/* Wait until the sink has everything; the cursor must never go back on its way. */
static void await_delivery(struct book *book) {
    int64_t until = real_us() + DEADLINE_US, reached = 0;
    const cfa_cursor_view *cursor;
    while ((cursor = post_of(book)) == NULL || cursor->lag > 0) {
        ck_assert_msg(real_us() < until, "the sinks' processes do not deliver");
        ck_assert(cursor == NULL || cursor->acknowledged >= reached);
        reached = cursor != NULL ? cursor->acknowledged : 0;
        moment();
    }
}

static void await_log(struct process *process, const char *event) {
    char line[256] = "";
    size_t size = 0;
    struct pollfd look = { .fd = process->told, .events = POLLIN };
    while (strcmp(line, event) != 0) {
        size = size < sizeof line - 1 ? size : 0;
        ck_assert_msg(poll(&look, 1, DEADLINE_US / 1000) == 1, "no %s was logged", event);
        ck_assert_int_eq(read(process->told, line + size, 1), 1);
        if (line[size] == '\n') {
            line[size] = '\0';
            size = 0;
        } else {
            line[++size] = '\0';
        }
    }
}

/* How often each position stands in a process' file. */
static int64_t count_lines(const struct process *process, int times[POSITIONS_MAX]) {
    char line[LINE_SIZE];
    FILE *file = fopen(process->path, "r");
    int64_t count = 0;
    memset(times, 0, POSITIONS_MAX * sizeof times[0]);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *sequence = strstr(line, "\"sequence\":\""); /* of the log, as text */
        ck_assert_ptr_nonnull(sequence);
        long long value = strtoll(sequence + 12, NULL, 10);
        ck_assert(value > 0 && value < POSITIONS_MAX);
        times[value]++;
        count++;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

START_TEST(a_rewind_takes_the_sink_from_a_process_that_sleeps) {
    struct book book;
    struct process processes[2];
    int times[POSITIONS_MAX];
    book_prepare(&book, STORE_SQLITE);
    book.options.platform = NULL; /* processes share the real time */
    book_start(&book);
    start(&processes[0], &book, 0);
    post_gifts(&book, 5);
    await_delivery(&book);
    int64_t head = head_of(book.engine), epoch = post_of(&book)->epoch;
    ck_assert_int_eq(count_lines(&processes[0], times), head);
    start(&processes[1], &book, 1);
    /* The leader falls asleep, believing that it leads; the other takes over what was rewound. */
    ck_assert_int_eq(kill(processes[0].pid, SIGSTOP), 0);
    ck_assert_int_eq(post_rewind(book.engine, head, 1, "back"), CFA_OK);
    await_delivery(&book);
    ck_assert_int_eq(count_lines(&processes[1], times), head - 1);
    for (int64_t i = 2; i <= head; i++)
        ck_assert_int_eq(times[i], 1);
    int64_t newer = post_of(&book)->epoch;
    ck_assert_int_gt(newer, epoch + 1);
    /* Awake again it finds itself fenced, and moves nothing. */
    ck_assert_int_eq(kill(processes[0].pid, SIGCONT), 0);
    await_log(&processes[0], "relay_fenced");
    post_gifts(&book, 5);
    await_delivery(&book);
    ck_assert_int_eq(post_of(&book)->epoch, newer);
    head = head_of(book.engine);
    ck_assert_int_eq(count_lines(&processes[1], times), head - 1);
    /* The leader dies. A rewind frees its cursor at once, and the survivor goes on. */
    end(&processes[1], true);
    post_gifts(&book, 2);
    int64_t stands = post_of(&book)->acknowledged;
    ck_assert_int_eq(post_rewind(book.engine, stands, stands, "free"), CFA_OK);
    await_delivery(&book);
    count_lines(&processes[0], times);
    for (int64_t i = stands + 1; i <= head_of(book.engine); i++)
        ck_assert_int_eq(times[i], 1);
    end(&processes[0], false);
    post_forget_cursors();
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(a_pause_is_seen_by_a_process_that_runs_the_sink) {
    struct book book;
    struct process process;
    int times[POSITIONS_MAX];
    book_prepare(&book, STORE_SQLITE);
    book.options.platform = NULL;
    book_start(&book);
    start(&process, &book, 0);
    post_gifts(&book, 3);
    await_delivery(&book);
    int64_t head = head_of(book.engine);
    post_pause(book.engine);
    /* Its lease is renewed no more, once it has seen that. */
    int64_t until = real_us() + DEADLINE_US;
    post_gifts(&book, 3);
    while (post_of(&book)->owned) {
        ck_assert(real_us() < until);
        moment();
    }
    int64_t stands = post_of(&book)->acknowledged;
    ck_assert_int_ge(stands, head);
    ck_assert_int_eq(count_lines(&process, times), stands);
    post_resume(book.engine);
    await_delivery(&book);
    end(&process, true); /* also one that is killed */
    start(&process, &book, 0);
    ck_assert_int_eq(post_rewind(book.engine, head_of(book.engine), 0, "all"), CFA_OK);
    await_delivery(&book);
    count_lines(&process, times);
    for (int64_t i = 1; i <= head_of(book.engine); i++)
        ck_assert_int_ge(times[i], 2);
    end(&process, false);
    post_forget_cursors();
    audit(&book);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    program = argv[0];
    if (argc == 4 && strcmp(argv[1], "--relay") == 0)
        return relay_main(argv[2], argv[3]);
    Suite *suite = suite_create("engine: sinks, crashes and processes");
    add_per_store(suite, "no_failure_of_the_store_loses_an_event_or_does_anything_twice",
                  no_failure_of_the_store_loses_an_event_or_does_anything_twice);
    add_per_store(suite, "an_operator_works_beside_the_runner",
                  an_operator_works_beside_the_runner);
    add_once(suite, "a_rewind_takes_the_sink_from_a_process_that_sleeps",
             a_rewind_takes_the_sink_from_a_process_that_sleeps);
    add_once(suite, "a_pause_is_seen_by_a_process_that_runs_the_sink",
             a_pause_is_seen_by_a_process_that_runs_the_sink);
    return run_suite(suite, argc, argv);
}
