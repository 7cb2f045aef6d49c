/*
 * export.c - an exported file from its opening to its end, and again. The first reading, at open,
 * takes nothing from it: it only proves that all of it can be read, and that no id stands there
 * twice with different words.
 */
#include "adapters/stripe/export.h"
#include "util/secure.h"
#include "util/sort.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ORIGIN "stripe.export"
#define MARKS_FIRST 1024

/* ---- errors ---------------------------------------------------------------------------------- */

cfa_status cfa__export_refuse(cfa_stripe_export *file, cfa_status status, int64_t line,
                              const char *field, const char *why) {
    if (file->broken)
        return cfa_error_set(CFA_EIO, ORIGIN, NULL, 0, "the file could not be read");
    return cfa_error_format(status, ORIGIN, field, 0, "line %lld: %s%s%s", (long long)line,
                            field != NULL ? field : "", field != NULL ? ": " : "", why);
}

cfa_status cfa__export_refuse_again(cfa_stripe_export *file, int64_t line) {
    cfa_error error = CFA_ERROR_INIT;
    cfa_status status = cfa_error_last(&error);
    return status == CFA_OK && error.status == CFA_ENOMEM
               ? CFA_ENOMEM
               : cfa__export_refuse(file, CFA_EINVAL, line,
                                    error.field[0] != '\0' ? error.field : NULL, error.message);
}

uint64_t cfa__export_hash(const cfa_stripe_export *file, const char *data, size_t size) {
    uint8_t hash[8];
    uint64_t number;
    if (!file->marking)
        return 0;
    cfa__hash_short(hash, file->hash_key, (cfa_slice){ data, size });
    memcpy(&number, hash, sizeof number);
    return number;
}

/* ---- the stream ------------------------------------------------------------------------------ */

bool cfa__export_fill(cfa_stripe_export *file) {
    file->input_at = 0;
    file->input_size = fread(file->input, 1, sizeof file->input, file->file);
    file->broken = file->broken || ferror(file->file) != 0;
    return file->input_size > 0;
}

static cfa_status too_long(cfa_stripe_export *file) {
    return cfa__export_refuse(file, CFA_ETOOLONG, file->text_line, NULL,
                              "what begins here is longer than 1 MiB");
}

cfa_status cfa__export_keep(cfa_stripe_export *file, int byte) {
    if (file->size == CFA__EXPORT_OBJECT_BYTES_MAX)
        return too_long(file);
    if (byte == 0)
        return cfa__export_refuse(file, CFA_EENCODING, file->line, NULL, "it holds a NUL byte");
    file->text[file->size++] = (char)byte;
    file->text[file->size] = '\0';
    return CFA_OK;
}

cfa_status cfa__export_keep_until(cfa_stripe_export *file, const bool stops[256]) {
    while (cfa__export_peek(file) != CFA__EXPORT_END) {
        const unsigned char *from = (const unsigned char *)file->input + file->input_at;
        size_t room = file->input_size - file->input_at, size = 0;
        while (size < room && !stops[from[size]])
            size++;
        if (size > CFA__EXPORT_OBJECT_BYTES_MAX - file->size)
            return too_long(file);
        memcpy(file->text + file->size, from, size);
        file->size += size;
        file->text[file->size] = '\0';
        file->input_at += size;
        if (size < room)
            return CFA_OK;
    }
    return CFA_OK;
}

static bool stand(const cfa_stripe_export *file, int64_t *out_bytes, int64_t *out_ns) {
    struct stat now;
    if (fstat(fileno(file->file), &now) != 0 || !S_ISREG(now.st_mode))
        return false;
    *out_bytes = (int64_t)now.st_size;
    *out_ns = (int64_t)now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec;
    return true;
}

/* Look at the first byte and read what comes before the objects. */
static cfa_status begin(cfa_stripe_export *file) {
    if (fseek(file->file, 0, SEEK_SET) != 0)
        return cfa_error_set(CFA_EIO, ORIGIN, NULL, 0, "the file could not be read again");
    file->input_at = file->input_size = file->size = file->frame_size = 0;
    file->line = file->text_line = 1;
    file->in_list = file->list_goes_on = false;
    file->objects = file->line_ends = 0;
    int byte = cfa__export_peek(file);
    if (byte == CFA__EXPORT_END)
        return cfa__export_refuse(file, CFA_EINVAL, 1, NULL, "the file is empty");
    if (byte == 0xef || byte == 0xfe || byte == 0xff)
        return cfa__export_refuse(file, CFA_EENCODING, 1, NULL,
                                  "it begins with a byte order mark: save it as plain UTF-8");
    if (byte == '[')
        return cfa__export_refuse(file, CFA_EINVAL, 1, NULL,
                                  "it is a bare array: give a list object, or an object per line");
    file->begun = true;
    file->csv = byte != '{' && byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t';
    return file->csv ? cfa__export_csv_begin(file) : CFA_OK;
}

/* The end: nothing else may have been written meanwhile. */
static cfa_status finish(cfa_stripe_export *file) {
    int64_t bytes, changed_ns;
    file->begun = false;
    if (!stand(file, &bytes, &changed_ns) || bytes != file->bytes || changed_ns != file->changed_ns)
        return cfa_error_set(CFA_EINVAL, ORIGIN, NULL, 0, "the file changed while it was read");
    return CFA_ENOTFOUND;
}

static cfa_status next(cfa_stripe_export *file, cfa_reconcile_object *out) {
    cfa_status status = file->begun ? CFA_OK : begin(file);
    cfa_arena_reset(file->arena);
    if (status == CFA_OK) {
        *out = (cfa_reconcile_object){ .struct_size = sizeof *out,
                                       .livemode = -1,
                                       .refunded_minor = -1,
                                       .facts = CFA_FACTS_INIT };
        status = file->csv ? cfa__export_csv_next(file, out) : cfa__export_json_next(file, out);
    }
    if (file->broken)
        status = cfa_error_set(CFA_EIO, ORIGIN, NULL, 0, "the file could not be read");
    if (status == CFA_OK)
        file->objects++;
    else if (status == CFA_ENOTFOUND)
        status = finish(file);
    else
        file->begun = false;
    return status;
}

cfa_status cfa_stripe_export_next(void *self, cfa_reconcile_object *out) { return next(self, out); }

/* ---- ids that stand there twice -------------------------------------------------------------- */

static cfa_status note_mark(cfa_stripe_export *file) {
    if (file->mark_count == CFA_RECONCILE_OBJECTS_MAX)
        return cfa__export_refuse(file, CFA_ERANGE, file->text_line, NULL,
                                  "a file has at most 16,000,000 objects: reconcile it in parts");
    if (file->mark_count == file->mark_capacity) {
        size_t capacity =
            file->mark_capacity == 0 ? MARKS_FIRST : file->mark_capacity + file->mark_capacity / 4;
        cfa__export_mark *marks = cfa_realloc(file->marks, capacity * sizeof *marks);
        if (marks == NULL)
            return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "out of memory");
        file->marks = marks;
        file->mark_capacity = capacity;
    }
    file->marks[file->mark_count++] = file->mark;
    return CFA_OK;
}

/* An id that has two contents: read on to where the second one is. */
static cfa_status name_twice(cfa_stripe_export *file, uint64_t id) {
    cfa_reconcile_object object;
    int64_t first_line = 0;
    uint64_t content = 0;
    char why[96];
    for (;;) {
        cfa_status status = next(file, &object);
        if (status != CFA_OK)
            return status == CFA_ENOTFOUND
                       ? cfa_error_set(CFA_EINVAL, ORIGIN, "id", 0, "an id stands there twice")
                       : status;
        if (file->mark.id != id || (first_line != 0 && file->mark.content == content))
            continue;
        if (first_line != 0)
            break;
        first_line = file->text_line;
        content = file->mark.content;
    }
    snprintf(why, sizeof why, "it stands in line %lld already, with other words",
             (long long)first_line);
    return cfa__export_refuse(file, CFA_EINVAL, file->text_line, "id", why);
}

static cfa_status check_marks(cfa_stripe_export *file) {
    static_assert(sizeof *file->marks == 2 * sizeof(uint64_t), "a mark is two words, its id first");
    if (file->mark_count == 0)
        return CFA_OK;
    cfa__sort_words(&file->marks->id, file->mark_count, 2);
    for (size_t i = 1; i < file->mark_count; i++) {
        if (file->marks[i].id == file->marks[i - 1].id &&
            file->marks[i].content != file->marks[i - 1].content)
            return name_twice(file, file->marks[i].id);
    }
    return CFA_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static cfa_status read_once(cfa_stripe_export *file) {
    cfa_reconcile_object object;
    cfa_status status = CFA_OK;
    file->marking = true;
    while (status == CFA_OK) {
        status = next(file, &object);
        if (status == CFA_OK)
            status = note_mark(file);
    }
    if (status == CFA_ENOTFOUND)
        status = check_marks(file);
    cfa_free(file->marks);
    file->marks = NULL;
    file->marking = false;
    return status;
}

static cfa_status prepare(cfa_stripe_export *file, const char *path) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    file->opened_us = (int64_t)now.tv_sec * 1000000;
    file->file = fopen(path, "rb");
    if (file->file == NULL)
        return cfa_error_format(CFA_EIO, ORIGIN, "path", 0, "cannot open %s", path);
    if (!stand(file, &file->bytes, &file->changed_ns))
        return cfa_error_format(CFA_EINVAL, ORIGIN, "path", 0, "%s is not a regular file", path);
    file->text = cfa_alloc(CFA__EXPORT_OBJECT_BYTES_MAX + 1);
    file->frame = cfa_alloc(CFA__EXPORT_OBJECT_BYTES_MAX + 1);
    if (file->text == NULL || file->frame == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "out of memory");
    cfa_status status = cfa__random(file->hash_key, sizeof file->hash_key);
    return status == CFA_OK ? cfa_arena_new(&file->arena) : status;
}

cfa_status cfa_stripe_export_open(cfa_stripe_export **out, const char *path) {
    if (out == NULL || path == NULL)
        return cfa_error_set(CFA_EMISUSE, ORIGIN, out == NULL ? "out" : "path", 0,
                             "a path, and a place for the reader");
    cfa_stripe_export *file = cfa_alloc(sizeof *file);
    if (file == NULL)
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "out of memory");
    memset(file, 0, sizeof *file);
    cfa_status status = prepare(file, path);
    if (status == CFA_OK)
        status = read_once(file);
    if (status == CFA_OK)
        *out = file;
    else
        cfa_stripe_export_free(file);
    return status;
}

void cfa_stripe_export_free(cfa_stripe_export *file) {
    if (file == NULL)
        return;
    if (file->file != NULL)
        (void)fclose(file->file);
    cfa_arena_free(file->arena);
    cfa_free(file->marks);
    cfa_free(file->text);
    cfa_free(file->frame);
    cfa_free(file);
}
