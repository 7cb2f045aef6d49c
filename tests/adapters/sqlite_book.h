/*
 * sqlite_book.h - what the tests of the SQLite adapter share: a temporary directory, a small schema
 * in two versions, and batches that say afterwards whether they were done whole.
 */
#ifndef TESTS_ADAPTERS_SQLITE_BOOK_H
#define TESTS_ADAPTERS_SQLITE_BOOK_H

#include <check.h>

#include <careforall/adapters/sqlite.h>
#include <sqlite3.h>
#include <stdbool.h>

/* A row that is updated. */
typedef struct item {
    uint8_t id[16];
    int64_t number;
    cfa_slice note; /* nullable */
    int64_t due_us; /* sparse index */
    int64_t version;
    char currency[4]; /* since 2 */
    cfa_slice label;  /* since 2 */
} item;

/* The log. */
typedef struct fact {
    int64_t position;
    uint8_t item_id[16];
    cfa_slice payload;
} fact;

extern const cfa_kind item_kind, fact_kind;
extern const cfa_schema schema_one, schema_two;
enum { ITEM_BY_DUE = 1, ITEM_BY_LABEL = 2 };

/* Check fixtures: each test has a directory of its own, removed when it passed. */
void book_setup(void);
void book_teardown(void);
/* A path in it: "<directory>/<name>", valid until the next call. */
const char *book_path(const char *name);

/* Fails the test with the error's detail unless the status is the expected one. */
#define ck_ok(call) book_check(call, CFA_OK, #call, __LINE__)
#define ck_is(call, expected) book_check(call, expected, #call, __LINE__)
void book_check(cfa_status actual, cfa_status expected, const char *call, int line);
/* The message of this thread's last error. */
const char *book_message(void);

/* A storage of schema_one over "book.db". */
cfa_storage book_open(const cfa_sqlite_options *options);
void book_close(cfa_storage *storage);
cfa_session *book_session(const cfa_storage *storage, int32_t mode);

/* What one batch writes: the row `tag` is inserted or counted up, and two facts about it. Begin,
 * load, save, commit; the first failure is returned, after a rollback. `*out_commit`: it came from
 * commit. */
cfa_status book_batch(const cfa_storage *storage, cfa_session *session, uint8_t tag,
                      bool *out_commit);
/* The number of batches of `tag` that the session sees. Fails the test when one is there in
 * part. */
int64_t book_batches(const cfa_storage *storage, cfa_session *session, uint8_t tag);
/* Open the file without the library: integrity, dense positions, facts that agree with their items.
 * Returns the number of facts. */
int64_t book_audit(const char *path);
/* One integer by plain SQL on a connection of its own. */
int64_t book_query(const char *path, const char *sql);
void book_execute(const char *path, const char *sql);

/* What `main` returns: runs all tests, or the one named by the first argument, each with the
 * fixtures above. */
int book_main(int argc, char **argv, const char *name, const TTest *const *tests, size_t count);

#endif
