/*
 * sink_ndjson.c - the ndjson sink's conformance, on a file that is read back line by line.
 */
#include <careforall/adapters/ndjson.h>
#include <careforall/testkit/conformance.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/careforall-ndjson-XXXXXX";

static cfa_status open_sink(cfa_sink *out, int32_t fresh) {
    if (fresh) {
        (void)unlink(path);
    }
    return cfa_ndjson_sink_new(out, path);
}

static void close_sink(cfa_sink *sink) { sink->ops->close(sink->self); }

/* Position from the sequence, data from its member: both have one place in a line. */
static cfa_status read_line(const char *line, int64_t *out_position, cfa_arena *arena,
                            cfa_slice *out_data) {
    static const char sequence[] = "\"sequence\":\"", data[] = ",\"data\":", end[] = "}\n";
    const char *at = strstr(line, sequence);
    const char *begin = strstr(line, data);
    size_t size = strlen(line);
    if (at == NULL || begin == NULL || size < 2 || strcmp(line + size - 2, end) != 0) {
        return cfa_error_set(CFA_ECORRUPT, "conformance", NULL, 0, "a line is not whole");
    }
    begin += sizeof data - 1;
    size_t data_size = (size_t)(line + size - 2 - begin);
    const void *copy = cfa_arena_copy(arena, begin, data_size);
    if (copy == NULL) {
        return CFA_ENOMEM;
    }
    *out_position = strtoll(at + sizeof sequence - 1, NULL, 10);
    *out_data = (cfa_slice){ copy, data_size };
    return CFA_OK;
}

static cfa_status read_event(cfa_sink *sink, size_t index, int64_t *out_position, cfa_arena *arena,
                             cfa_slice *out_data) {
    (void)sink;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return cfa_error_set(CFA_EIO, "conformance", NULL, 0, "the file is gone");
    }
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = -1;
    for (size_t i = 0; i <= index; i++) {
        size = getline(&line, &capacity, file);
        if (size < 0) {
            break;
        }
    }
    cfa_status status = size < 0
                            ? cfa_error_set(CFA_ENOTFOUND, "conformance", NULL, 0, "no such line")
                            : read_line(line, out_position, arena, out_data);
    free(line);
    fclose(file);
    return status;
}

int main(int argc, char **argv) {
    int fd = mkstemp(path);
    if (fd < 0) {
        return 1;
    }
    (void)close(fd);
    const cfa_sink_fixture fixture = { sizeof fixture, "ndjson", open_sink, close_sink,
                                       read_event };
    int result = cfa_conformance_sink(argc, argv, &fixture);
    (void)unlink(path);
    return result;
}
