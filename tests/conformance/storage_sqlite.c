/*
 * storage_sqlite.c - the SQLite adapter against the duties of a storage, in a directory of its own.
 */
#include <careforall/adapters/sqlite.h>
#include <careforall/testkit/conformance.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[] = "/tmp/careforall-conformance-XXXXXX";

static const char *file(const char *suffix) {
    static char path[sizeof(directory) + 32];
    snprintf(path, sizeof(path), "%s/book.db%s", directory, suffix);
    return path;
}

static void remove_book(void) {
    remove(file(""));
    remove(file("-wal"));
    remove(file("-shm"));
}

static cfa_status open_book(cfa_storage *out, int32_t fresh) {
    if (fresh) {
        remove_book();
    }
    return cfa_sqlite_storage_new(out, file(""), NULL);
}

static void close_book(cfa_storage *storage) { storage->ops->close(storage->self); }

static void remove_directory(void) {
    remove_book();
    rmdir(directory);
}

static const cfa_storage_fixture fixture = {
    sizeof(cfa_storage_fixture),
    "sqlite",
    open_book,
    close_book,
};

int main(int argc, char **argv) {
    if (mkdtemp(directory) == NULL || atexit(remove_directory) != 0) {
        perror(directory);
        return EXIT_FAILURE;
    }
    return cfa_conformance_storage(argc, argv, &fixture);
}
