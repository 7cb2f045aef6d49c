/*
 * test_sqlite_schema.c - docs/schema.sql is what the library really makes. After a change of the
 * records, `test_sqlite_schema --update` in the root of the tree writes it anew.
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

START_TEST(update) {
    FILE *out = fopen(document(), "wb");
    ck_assert_msg(out != NULL, "%s cannot be written", document());
    print_schema(out);
    ck_assert_int_eq(fclose(out), 0);
}
END_TEST

int main(int argc, char **argv) {
    bool updates = argc > 1 && strcmp(argv[1], "--update") == 0;
    const TTest *const tests[] = { updates ? update : the_documented_schema_is_the_real_one };
    return book_main(updates ? 1 : argc, argv, "sqlite_schema", tests, 1);
}
