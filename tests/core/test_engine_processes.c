/*
 * test_engine_processes.c - one key pressed at once in several processes on one SQLite file: one
 * pledge, one object at the provider, equal answers. The provider's books are a file, so that all
 * processes share one truth.
 *
 * The program runs itself again as "--press <database> <ledger> <campaign>".
 */
#include "support/book.h"
#include "support/ledger.h"

#include <careforall/adapters/sqlite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 4
#define THREADS 8
#define ROUNDS 6
#define LINE_SIZE 1024

static const char *program;

/* ---- a process that presses ------------------------------------------------------------------ */

struct presser {
    cfa_engine *engine;
    const char *campaign_id;
    char key[40];
    char lines[THREADS][LINE_SIZE];
};

static void press(void *user, int index) {
    struct presser *presser = user;
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = presser->key;
    spec.campaign_id = presser->campaign_id;
    spec.amount = (cfa_money){ 4200, "EUR" };
    spec.payment_method = "card";
    spec.timeout_ms = PATIENCE_MS;
    cfa_pledge *pledge;
    char *line = presser->lines[index];
    cfa_status status;
    do /* whoever is told that the others have the book presses again */
        status = cfa_pledge_create(&pledge, presser->engine, &spec);
    while (status == CFA_EBUSY);
    if (status != CFA_OK) {
        snprintf(line, LINE_SIZE, "%s 0 - -\n", cfa_status_name(status));
        return;
    }
    cfa_slice answer = cfa_pledge_answer(pledge);
    snprintf(line, LINE_SIZE, "CFA_OK %d %s %.*s\n", cfa_pledge_replayed(pledge) != 0,
             cfa_pledge_id(pledge), (int)answer.size, (const char *)answer.data);
    cfa_pledge_free(pledge);
}

/* Waits for a byte before each round: whatever number it is names the key. */
static int press_main(char **argv) {
    struct ledger ledger;
    struct presser presser = { .campaign_id = argv[2] };
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    ledger_open(&ledger, argv[1]);
    options.provider = &ledger.provider;
    if (cfa_sqlite_open(&presser.engine, argv[0], &options) != CFA_OK)
        return EXIT_FAILURE;
    char round = 'r';
    if (write(STDOUT_FILENO, &round, 1) != 1)
        return EXIT_FAILURE;
    while (read(STDIN_FILENO, &round, 1) == 1) {
        /* Every other key is a time-ordered one. */
        if (round % 2 == 0)
            snprintf(presser.key, sizeof presser.key, "0192f0c1-7a3b-7def-8123-4567890000%02d",
                     round);
        else
            snprintf(presser.key, sizeof presser.key, "random-%d", round);
        together(THREADS, press, &presser);
        for (int i = 0; i < THREADS; i++) {
            if (write(STDOUT_FILENO, presser.lines[i], strlen(presser.lines[i])) < 0)
                return EXIT_FAILURE;
        }
    }
    cfa_engine_close(presser.engine);
    ledger_close(&ledger);
    return EXIT_SUCCESS;
}

/* ---- the parent ------------------------------------------------------------------------------ */

struct process {
    pid_t pid;
    int orders;
    FILE *answers;
};

static void start(struct process *process, const char *database, const char *ledger,
                  const char *campaign) {
    int orders[2], answers[2];
    ck_assert_int_eq(pipe(orders), 0);
    ck_assert_int_eq(pipe(answers), 0);
    process->pid = fork();
    ck_assert_int_ge(process->pid, 0);
    if (process->pid == 0) {
        dup2(orders[0], STDIN_FILENO);
        dup2(answers[1], STDOUT_FILENO);
        for (int descriptor = 3; descriptor < 64; descriptor++)
            close(descriptor);
        execl(program, program, "--press", database, ledger, campaign, (char *)NULL);
        _exit(127);
    }
    close(orders[0]);
    close(answers[1]);
    process->orders = orders[1];
    process->answers = fdopen(answers[0], "r");
    ck_assert_ptr_nonnull(process->answers);
    ck_assert_int_eq(fgetc(process->answers), 'r');
}

static void expect_one_pledge(struct process *processes) {
    char first_id[64] = "", first_answer[LINE_SIZE] = "";
    int fresh = 0;
    for (int i = 0; i < PROCESSES * THREADS; i++) {
        char line[LINE_SIZE], status[32], id[64], answer[LINE_SIZE];
        int replayed;
        ck_assert_ptr_nonnull(fgets(line, sizeof line, processes[i / THREADS].answers));
        ck_assert_int_eq(sscanf(line, "%31s %d %63s %1023[^\n]", status, &replayed, id, answer), 4);
        ck_assert_str_eq(status, "CFA_OK");
        if (i == 0) {
            memcpy(first_id, id, sizeof id);
            memcpy(first_answer, answer, sizeof answer);
        }
        ck_assert_str_eq(id, first_id);
        ck_assert_str_eq(answer, first_answer);
        fresh += !replayed;
    }
    ck_assert_int_eq(fresh, 1);
}

static void prepare(struct book *book, struct ledger *ledger) {
    char path[128];
    book_prepare(book, STORE_SQLITE);
    snprintf(path, sizeof path, "%s/ledger", book->directory);
    ledger_open(ledger, path);
    book->options.provider = &ledger->provider;
    book->options.platform = NULL;
    book_start(book);
}

START_TEST(four_processes_with_one_key_make_one_pledge) {
    struct book book;
    struct ledger ledger;
    struct process processes[PROCESSES];
    prepare(&book, &ledger);
    for (int i = 0; i < PROCESSES; i++)
        start(&processes[i], book.path, ledger.path, book.campaign_id);
    for (char round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PROCESSES; i++)
            ck_assert_int_eq(write(processes[i].orders, &round, 1), 1);
        expect_one_pledge(processes);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int result;
        close(processes[i].orders);
        ck_assert_int_eq(waitpid(processes[i].pid, &result, 0), processes[i].pid);
        ck_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0);
        fclose(processes[i].answers);
    }
    struct ledger_books books = ledger_read(&ledger);
    ck_assert_int_eq(books.objects, ROUNDS);
    ck_assert_int_eq(books.payments, ROUNDS);
    ck_assert_int_eq(rows_of(&book, "pledge"), ROUNDS);
    ck_assert_int_eq(rows_of(&book, "answer"), ROUNDS);
    ck_assert_int_eq(totals_of(&book).raised_minor, ROUNDS * 4200);
    audit(&book);
    ledger_close(&ledger);
    book_close(&book);
}
END_TEST

/* ---- two engines in one process -------------------------------------------------------------- */

struct pair {
    cfa_engine *engines[2];
    struct presser pressers[2];
};

static void press_either(void *user, int index) {
    struct pair *pair = user;
    press(&pair->pressers[index % 2], index / 2);
}

START_TEST(two_engines_on_one_file_make_one_pledge) {
    struct book book;
    struct ledger ledger;
    prepare(&book, &ledger);
    cfa_engine *second;
    cfa_engine_options options = book.options;
    options.storage = NULL;
    ck_assert_int_eq(cfa_sqlite_open(&second, book.path, &options), CFA_OK);
    static struct pair pair;
    pair.pressers[0].engine = book.engine;
    pair.pressers[1].engine = second;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2; i++) {
            pair.pressers[i].campaign_id = book.campaign_id;
            snprintf(pair.pressers[i].key, sizeof pair.pressers[i].key, "pair-%d", round);
        }
        together(2 * THREADS, press_either, &pair);
        int fresh = 0;
        for (int i = 0; i < 2 * THREADS; i++) {
            const char *line = pair.pressers[i % 2].lines[i / 2];
            ck_assert_msg(strncmp(line, "CFA_OK ", 7) == 0, "%s", line);
            fresh += line[7] == '0';
            ck_assert_str_eq(line + 8, pair.pressers[0].lines[0] + 8);
        }
        ck_assert_int_eq(fresh, 1);
    }
    ck_assert_int_eq(ledger_read(&ledger).objects, ROUNDS);
    ck_assert_int_eq(rows_of(&book, "pledge"), ROUNDS);
    cfa_engine_close(second);
    audit(&book);
    ledger_close(&ledger);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "--press") == 0)
        return press_main(argv + 2);
    program = "/proc/self/exe";
    Suite *suite = suite_create("engine: processes");
    add_once(suite, "four_processes_with_one_key_make_one_pledge",
             four_processes_with_one_key_make_one_pledge);
    add_once(suite, "two_engines_on_one_file_make_one_pledge",
             two_engines_on_one_file_make_one_pledge);
    return run_suite(suite, argc, argv);
}
