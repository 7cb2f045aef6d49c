/*
 * test_sqlite_schema.c - docs/schema.sql is what the library really makes, and a book of any earlier
 * version is brought to it, with its rows. After a change of the records, `test_sqlite_schema
 * --update` in the root of the tree writes the document anew; schemas/ has what earlier versions
 * made, and is only added to.
 */
#include "adapters/sqlite_book.h"
#include "core/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "-- The tables of a book, as SQLite's own catalogue shows them. Made from src/core/records.h\n"
    "-- by tests/adapters/test_sqlite_schema.c --update; a test fails when the two differ.\n";
static const char catalogue[] =
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid";

/* Write the schema of a new book to `out`, in the order in which it was made. */
static void print_schema(FILE *out) {
    cfa_storage storage;
    sqlite3 *db;
    sqlite3_stmt *statement;
    ck_ok(cfa_sqlite_storage_new(&storage, book_path("book.db"), NULL));
    ck_ok(storage.ops->migrate(storage.self, &cfa__schema));
    book_close(&storage);
    ck_assert_int_eq(sqlite3_open(book_path("book.db"), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, catalogue, -1, &statement, NULL), SQLITE_OK);
    fputs(head, out);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        fprintf(out, "\n%s;\n", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static const char *document(void) {
    static char path[4096];
    const char *root = getenv("CAREFORALL_SOURCE_DIR");
    snprintf(path, sizeof(path), "%s/docs/schema.sql", root != NULL ? root : ".");
    return path;
}

START_TEST(the_documented_schema_is_the_real_one) {
    char *made, *written;
    size_t made_size;
    FILE *out = open_memstream(&made, &made_size);
    ck_assert_ptr_nonnull(out);
    print_schema(out);
    fclose(out);
    FILE *in = fopen(document(), "rb");
    ck_assert_msg(in != NULL, "%s cannot be read", document());
    written = calloc(1, made_size + 2);
    ck_assert_ptr_nonnull(written);
    size_t size = fread(written, 1, made_size + 1, in);
    fclose(in);
    ck_assert_msg(size == made_size && memcmp(made, written, size) == 0,
                  "docs/schema.sql is out of date: write it anew with test_sqlite_schema --update");
    free(made);
    free(written);
}
END_TEST

/* ---- books of earlier versions --------------------------------------------------------------- */

/* Of each: what waits, what was drained, and more of both than one page of the filling has. */
static const char rows[] =
    "INSERT INTO cfa_book (id, book_id, incarnation, secret, livemode, provider, account, "
    "key_generation, keys_moved, created_us, version) VALUES (1, "
    "x'01980000000070008000000000000001', 1, zeroblob(32), 0, NULL, '', 1, 0, 1, 1);"
    "INSERT INTO cfa_provider_object (provider, account, ref, payment_id, parked_count, "
    "drained_count, created_us, version) VALUES ('play', '', 'pi_done', NULL, 600, 600, 1, 1), "
    "('play', '', 'pi_half', NULL, 600, 590, 1, 1), ('play', '', 'pi_one', NULL, 1, 0, 1, 1), "
    "('play', '', 'pi_plain', NULL, 0, 0, 1, 1);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) "
    "INSERT INTO cfa_parked (provider, account, ref, number, event_id) SELECT 'play', '', ref, i, "
    "'evt_' || ref || '_' || i FROM cfa_provider_object, n WHERE i <= parked_count;"
    "INSERT INTO cfa_webhook (provider, account, event_id, id, event_type, ref, payment_id, "
    "verdict, facts, body_hash, received_us, version) SELECT provider, account, event_id, "
    "randomblob(16), 'test', ref, NULL, 4, NULL, NULL, 1000 + number, 1 FROM cfa_parked;";

static char *text_of(const char *path) {
    FILE *in = fopen(path, "rb");
    ck_assert_msg(in != NULL, "%s cannot be read", path);
    char *text = calloc(1, 65536);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_lt(fread(text, 1, 65535, in), 65535);
    fclose(in);
    return text;
}

static void make_version(int version, const char *path) {
    char file[4096], record[160];
    const char *root = getenv("CAREFORALL_SOURCE_DIR");
    snprintf(file, sizeof(file), "%s/tests/adapters/schemas/version_%d.sql",
             root != NULL ? root : ".", version);
    char *schema = text_of(file);
    book_execute(path, schema);
    free(schema);
    for (int i = 1; i <= version; i++) {
        snprintf(record, sizeof(record),
                 "INSERT INTO cfa_schema VALUES (%d, 1, 'careforall 0.0.%d')", i, i);
        book_execute(path, record);
    }
    book_execute(path, rows);
}

/* Everything about tables and indexes but the comments. */
static char *shape_of(const char *path) {
    static const char query[] =
        "SELECT group_concat(line, char(10)) FROM (SELECT m.name || '.' || c.name || ' ' || c.type "
        "|| ' ' || c.\"notnull\" || ' ' || c.pk AS line FROM sqlite_master m, "
        "pragma_table_info(m.name) c WHERE m.type = 'table' UNION ALL SELECT sql FROM "
        "sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1)";
    sqlite3 *db;
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    char *shape = strdup((const char *)sqlite3_column_text(statement, 0));
    ck_assert_ptr_nonnull(shape);
    sqlite3_finalize(statement);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return shape;
}

static int64_t waiting_of(const char *path, const char *ref) {
    char query[128];
    snprintf(query, sizeof(query), "SELECT waiting_us FROM cfa_provider_object WHERE ref = '%s'",
             ref);
    return book_query(path, query);
}

/* A second passes whenever it is asked for. */
static int64_t passing_us(void *self) { return *(int64_t *)self += 1000000; }

/* Open it for so many upkeeps. */
static void open_engine(const char *path, int upkeeps) {
    int64_t clock_us = 1000000;
    cfa_platform platform = { .struct_size = sizeof platform,
                              .self = &clock_us,
                              .monotonic_us = passing_us };
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    cfa_engine *engine;
    options.platform = &platform;
    ck_ok(cfa_sqlite_open(&engine, path, &options));
    for (int i = 0; i < upkeeps; i++) {
        ck_ok(cfa_engine_tick(NULL, engine, CFA_WORK_UPKEEP, 0));
    }
    cfa_engine_close(engine);
}

START_TEST(books_of_earlier_versions_are_brought_up_with_their_rows) {
    char path[256], name[32];
    snprintf(path, sizeof(path), "%s", book_path("new.db"));
    open_engine(path, 0);
    char *fresh = shape_of(path);
    ck_assert_int_eq(book_query(path, "SELECT filled FROM cfa_book"), CFA__SCHEMA_VERSION);
    for (int version = 1; version < CFA__SCHEMA_VERSION; version++) {
        snprintf(name, sizeof(name), "version_%d.db", version);
        snprintf(path, sizeof(path), "%s", book_path(name));
        make_version(version, path);
        open_engine(path, 10); /* more than it has pages */
        char *shape = shape_of(path);
        ck_assert_str_eq(shape, fresh);
        free(shape);
        ck_assert_int_eq(book_query(path, "SELECT max(version) FROM cfa_schema"),
                         CFA__SCHEMA_VERSION);
        ck_assert_int_eq(book_query(path, "SELECT filled FROM cfa_book"), CFA__SCHEMA_VERSION);
        ck_assert_int_eq(waiting_of(path, "pi_done"), 0);
        ck_assert_int_eq(waiting_of(path, "pi_half"), 1591);
        ck_assert_int_eq(waiting_of(path, "pi_one"), 1001);
        ck_assert_int_eq(waiting_of(path, "pi_plain"), 0);
        open_engine(path, 10); /* again: nothing is left to do */
        ck_assert_int_eq(book_query(path, "SELECT count(*) FROM cfa_parked"), 1201);
    }
    free(fresh);
}
END_TEST

/* Other processes have the book open while this one is: nobody waits for all of its rows. */
START_TEST(a_book_of_an_earlier_version_opens_at_once_and_is_filled_page_by_page) {
    char path[256];
    snprintf(path, sizeof(path), "%s", book_path("old.db"));
    make_version(3, path);
    open_engine(path, 0);
    ck_assert_int_eq(book_query(path, "SELECT max(version) FROM cfa_schema"), CFA__SCHEMA_VERSION);
    ck_assert_int_eq(book_query(path, "SELECT filled FROM cfa_book"), 0);
    open_engine(path, 1); /* begins anew each time: 512 rows of pi_done are the first page */
    ck_assert_int_eq(waiting_of(path, "pi_half"), 0);
    open_engine(path, 2);
    ck_assert_int_eq(waiting_of(path, "pi_half"), 0);
    ck_assert_int_eq(book_query(path, "SELECT filled FROM cfa_book"), 0);
    open_engine(path, 3);
    ck_assert_int_eq(waiting_of(path, "pi_half"), 1591);
    ck_assert_int_eq(waiting_of(path, "pi_one"), 1001);
    ck_assert_int_eq(book_query(path, "SELECT filled FROM cfa_book"), CFA__SCHEMA_VERSION);
}
END_TEST

START_TEST(a_book_of_an_earlier_version_that_is_only_read_says_so) {
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    cfa_storage storage;
    char path[256];
    snprintf(path, sizeof(path), "%s", book_path("old.db"));
    make_version(CFA__SCHEMA_VERSION - 1, path);
    options.read_only = 1;
    ck_ok(cfa_sqlite_storage_new(&storage, path, &options));
    ck_is(storage.ops->migrate(storage.self, &cfa__schema), CFA_ESCHEMA);
    ck_assert_ptr_nonnull(strstr(book_message(), "has schema version 3, not 4"));
    int32_t found = 0, known = 0;
    ck_ok(cfa_schema_of(&found, &known, &storage));
    ck_assert_int_eq(found, CFA__SCHEMA_VERSION - 1);
    ck_assert_int_eq(known, CFA__SCHEMA_VERSION);
    book_execute(path, "INSERT INTO cfa_schema VALUES (99, 1, 'careforall 9.9')");
    ck_ok(cfa_schema_of(&found, &known, &storage));
    ck_assert_int_eq(found, 99);
    book_execute(path, "UPDATE cfa_schema SET library = 'another'");
    ck_is(cfa_schema_of(&found, &known, &storage), CFA_ESCHEMA);
    ck_is(cfa_schema_of(&found, NULL, &storage), CFA_EMISUSE);
    book_execute(path, "DELETE FROM cfa_schema WHERE version = 99");
    book_close(&storage);
    snprintf(path, sizeof(path), "%s", book_path("new.db"));
    open_engine(path, 0);
    ck_ok(cfa_sqlite_storage_new(&storage, path, &options));
    ck_ok(cfa_schema_of(&found, &known, &storage));
    ck_assert_int_eq(found, known);
    book_close(&storage);
    snprintf(path, sizeof(path), "%s", book_path("old.db"));
    ck_assert_int_eq(book_query(path, "SELECT max(version) FROM cfa_schema"),
                     CFA__SCHEMA_VERSION - 1);
}
END_TEST

START_TEST(update) {
    FILE *out = fopen(document(), "wb");
    ck_assert_msg(out != NULL, "%s cannot be written", document());
    print_schema(out);
    ck_assert_int_eq(fclose(out), 0);
}
END_TEST

int main(int argc, char **argv) {
    bool updates = argc > 1 && strcmp(argv[1], "--update") == 0;
    const TTest *const tests[] = {
        updates ? update : the_documented_schema_is_the_real_one,
        books_of_earlier_versions_are_brought_up_with_their_rows,
        a_book_of_an_earlier_version_opens_at_once_and_is_filled_page_by_page,
        a_book_of_an_earlier_version_that_is_only_read_says_so
    };
    return book_main(updates ? 1 : argc, argv, "sqlite_schema", tests, updates ? 1 : 4);
}
