/*
 * apart.c - processes of their own, and plain passes over tables and files. Looks at every column and
 * every field, and judges none.
 */
#include "bench/apart.h"

#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/harness.h"

/* ---- processes ------------------------------------------------------------------------------- */

apart apart_run(const char *program, const char *what, const char *const *arguments) {
    char command[4096];
    apart out = { 0, 0, 0 };
    long long rows = 0;
    long rss = 0;
    size_t size = (size_t)snprintf(command, sizeof command, "'%s' %s", program, what);
    for (; *arguments != NULL && size < sizeof command; arguments++)
        size += (size_t)snprintf(command + size, sizeof command - size, " '%s'", *arguments);
    if (size >= sizeof command)
        bench_fail(what, "the command is too long");
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fscanf(pipe, "%lf %lld %ld", &out.seconds, &rows, &rss) != 3 ||
        pclose(pipe) != 0)
        bench_fail(what, "the process failed");
    out.rows = rows;
    out.rss_kib = rss;
    return out;
}

int apart_print(int64_t began_ns, int64_t rows) {
    double seconds = (double)(bench_now_ns() - began_ns) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%.6f %lld %ld\n", seconds, (long long)rows, usage.ru_maxrss);
    return 0;
}

/* ---- plain passes ---------------------------------------------------------------------------- */

static volatile int64_t looked_at; /* so that no look is left out */

static void must(sqlite3 *db, int code, const char *doing) {
    if (code != SQLITE_OK && code != SQLITE_DONE)
        bench_fail(doing, sqlite3_errmsg(db));
}

static int64_t scan_table(sqlite3 *db, const cfa_kind *kind) {
    char sql[96];
    sqlite3_stmt *statement;
    int64_t rows = 0;
    snprintf(sql, sizeof sql, "SELECT * FROM cfa_%s", kind->name);
    must(db, sqlite3_prepare_v2(db, sql, -1, &statement, NULL), sql);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        rows++;
        for (int i = 0; i < kind->field_count; i++) {
            if (kind->fields[i].type == CFA_FIELD_INT) {
                looked_at += sqlite3_column_int64(statement, i);
            } else {
                const char *bytes = sqlite3_column_blob(statement, i);
                int size = sqlite3_column_bytes(statement, i);
                looked_at += size > 0 ? bytes[size - 1] : 0;
            }
        }
    }
    must(db, code, sql);
    sqlite3_finalize(statement);
    return rows;
}

int64_t plain_scan(const char *path, const cfa_kind *const *kinds, int32_t count) {
    sqlite3 *db;
    int64_t rows = 0;
    must(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), path);
    must(db, sqlite3_exec(db, "PRAGMA cache_size=-8192; BEGIN", NULL, NULL, NULL), "begin");
    for (int32_t i = 0; i < count; i++)
        rows += scan_table(db, kinds[i]);
    sqlite3_close(db);
    return rows;
}

struct plain_file {
    int descriptor;
    size_t at, size;
    char bytes[65536];
};

static void open_file(struct plain_file *file, const char *path) {
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    file->at = file->size = 0;
    if (file->descriptor < 0)
        bench_fail("open", path);
}

static void refill(struct plain_file *file) {
    ssize_t size = read(file->descriptor, file->bytes, sizeof file->bytes);
    if (size < 0)
        bench_fail("read", "a file");
    file->at = 0;
    file->size = (size_t)size;
}

/* The next byte, or -1. */
static inline int next_byte(struct plain_file *file) {
    if (file->at == file->size)
        refill(file);
    return file->at < file->size ? (unsigned char)file->bytes[file->at++] : -1;
}

int64_t plain_csv(const char *path) {
    static struct plain_file file;
    int64_t rows = -1; /* the header */
    bool quoted = false;
    int byte, last = 0;
    open_file(&file, path);
    while ((byte = next_byte(&file)) >= 0) {
        quoted ^= byte == '"';
        if (!quoted && (byte == ',' || byte == '\n'))
            looked_at += last;
        rows += !quoted && byte == '\n';
        last = byte;
    }
    close(file.descriptor);
    return rows;
}

/* Objects stand on the second level, in the list's array. */
int64_t plain_json(const char *path) {
    static struct plain_file file;
    static char text[65536];
    int64_t objects = 0;
    size_t size = 0;
    int byte, depth = 0;
    bool quoted = false, escaped = false;
    open_file(&file, path);
    while ((byte = next_byte(&file)) >= 0) {
        quoted ^= byte == '"' && !escaped;
        escaped = byte == '\\' && !escaped;
        depth += !quoted && (byte == '{' || byte == '[');
        if (depth >= 3 && size < sizeof text)
            text[size++] = (char)byte;
        depth -= !quoted && (byte == '}' || byte == ']');
        if (depth != 2 || size == 0)
            continue;
        json_t *object = json_loadb(text, size, 0, NULL);
        if (object == NULL)
            bench_fail("parse", path);
        json_decref(object);
        objects++;
        size = 0;
    }
    close(file.descriptor);
    return objects;
}
