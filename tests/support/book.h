/*
 * book.h - a whole book for tests: an engine over the memory store or a SQLite file in a directory
 * of its own, a play provider, a manual clock and one campaign; and the questions every test ends
 * with.
 *
 * Every helper asserts by itself, so that a test reads as what happens and what must be true.
 */
#ifndef TESTS_SUPPORT_BOOK_H
#define TESTS_SUPPORT_BOOK_H

#include <careforall/adapters/play.h>
#include <careforall/careforall.h>
#include <careforall/testkit/clock.h>
#include <careforall/testkit/fault.h>
#include <check.h>
#include <stdbool.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)

/* An assertion for helpers that also run outside of a test, in a process of their own. */
#define must(condition) ((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__))
void must_fail(const char *condition, const char *file, int line);

/* For loop tests: `_i` is the store. */
enum { STORE_MEMORY, STORE_SQLITE, STORES };

struct book {
    int store;
    char directory[64], path[96]; /* SQLite only */
    const char *vfs;              /* the same; NULL: the default one */
    cfa_storage storage, wrapped;
    cfa_fault_storage *fault; /* NULL unless `book_wrap` */
    cfa_manual_clock *clock;
    cfa_platform platform;
    int64_t runs_since_us;         /* 0: both clocks stand still but for `book_advance` */
    cfa_play_options play_options; /* change between prepare and start */
    cfa_play *play;
    cfa_engine_options options; /* the same */
    cfa_engine *engine;
    char campaign_id[CFA_ID_TEXT_SIZE];
};

/* Make the parts; the test may then change the options. Time is moved by the test alone. */
void book_prepare(struct book *book, int store);
/* Before the start, SQLite only. */
void book_use_vfs(struct book *book, const char *vfs);
/* Put the fault wrapper between engine and store; `decide` may be NULL. */
void book_wrap(struct book *book, cfa_fault_decide decide, void *user);
/* Open the engine and make a campaign in EUR, KWD and USD. */
void book_start(struct book *book);
/* Prepare and start. */
void book_open(struct book *book, int store);
/* Close the engine and open it again; a SQLite file is closed too. */
void book_reopen(struct book *book);
/* Run SQL of the test's own on the closed book's file, then open the engine again. SQLite only. */
void book_sql(struct book *book, const char *sql);
/* A second engine on the same book; closed by the test. */
cfa_engine *book_second_engine(struct book *book);
/* Close everything and remove the files. */
void book_close(struct book *book);

void book_advance(struct book *book, int64_t by_us);
/* From now on the monotonic clock also runs by itself: for engines that something else drives, a
 * runner or a loop that waits. All others do the same however slow the machine is. */
void book_run_clock(struct book *book);
/* Tick until nothing is due. */
void book_settle(struct book *book);
/* The same for any engine. */
void settle(cfa_engine *engine);

/* Only what is broken waits so long, on the slowest of machines too. */
#define PATIENCE_MS 120000

/* A pledge of `minor` euro cents with the method "pm_ok". */
cfa_pledge_spec gift(const struct book *book, const char *key, int64_t minor);
/* Make it and expect CFA_OK; owned. */
cfa_pledge *pledge_make(struct book *book, const char *key, int64_t minor);
/* Confirm as the donor would and bring the payment to its end by ticks. */
void pledge_pay(struct book *book, const cfa_pledge *pledge);

/*
 * For sweeps, which make one call after the other fail: a donation from its pledge to its total,
 * that ends at the first failure; what its status promises about the book; and the same donation,
 * the same key, taken to its end.
 */
cfa_status donate(struct book *book, cfa_pledge **out);
void expect_whole(struct book *book, cfa_status got, const cfa_pledge *pledge, int64_t nth);
void finish_donation(struct book *book);

cfa_payment_state state_of(cfa_engine *engine, const cfa_pledge *pledge);
/* Flags of the pledge's payment. */
uint32_t flags_of(cfa_engine *engine, const cfa_pledge *pledge);
int64_t head_of(cfa_engine *engine);
bool answers_equal(const cfa_pledge *a, const cfa_pledge *b);

/* The EUR row of the campaign's totals, everything up to now included. */
cfa_totals_row totals_of(struct book *book);

/* Rows of a kind, by its name, as they stand in the store. */
int64_t rows_of(struct book *book, const char *kind);
/* Rows of all kinds but cursors, contributions and totals: equal before and after
 * means that nothing was written. */
int64_t all_rows_of(struct book *book);

cfa_play_books play_books_of(struct book *book);

/* What must be true of every book at any time: dense events, sequences without a gap per
 * subject, totals equal to a recomputation, a sound chain of acts, nobody charged twice, an audit
 * that finds nothing. */
void audit(struct book *book);

/* This thread's last error, valid until the next call. */
const cfa_error *last_error(void);
/* Expect a status and, unless NULL, the field that the detail names. */
void expect_error(cfa_status got, cfa_status wanted, const char *field);

/* Run `count` threads that all start `run(user, index)` at the same moment, and join them. */
void together(int count, void (*run)(void *user, int index), void *user);

/* Run the suite, or only the test case named by the first argument; the program's exit code. */
int run_suite(Suite *suite, int argc, char **argv);
/* Make a test case `name` of one test: run so many times, with `_i`; once per store; once. */
void add_loop(Suite *suite, const char *name, const TTest *test, int count);
void add_per_store(Suite *suite, const char *name, const TTest *test);
void add_once(Suite *suite, const char *name, const TTest *test);

#endif
