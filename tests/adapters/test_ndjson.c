/*
 * test_ndjson.c - what the ndjson sink promises itself: whole lines, whatever happens to the file.
 * What any sink owes is in the conformance suite.
 */
#include <check.h>

#include <careforall/adapters/ndjson.h>
#include "util/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/careforall-ndjson-XXXXXX";
static char path[128];
static char other_path[128];

static void set_up(void) {
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/events.ndjson", directory);
    snprintf(other_path, sizeof other_path, "%s/other", directory);
}

static void tear_down(void) {
    (void)unlink(path);
    (void)unlink(other_path);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static cfa_event_view make_event(int64_t position, const char *data) {
    return (cfa_event_view){
        .struct_size = sizeof(cfa_event_view),
        .position = position,
        .source = "/careforall/book/1",
        .id = "evt_01h455vb4pex5vsknk084sn02q",
        .event_type = "org.careforall.pledge.created.v1",
        .subject = "pay_01h455vb4pex5vsknk084sn02q",
        .sequence = 3,
        .time_us = INT64_C(1767225600123456),
        .data = { data, strlen(data) },
    };
}

static cfa_sink open_sink(const char *name) {
    cfa_sink sink = { NULL, NULL };
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, name), CFA_OK);
    return sink;
}

static void send_events(const cfa_sink *sink, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        cfa_event_view event = make_event(first + i, "{\"n\":1}");
        size_t taken = 0;
        ck_assert_int_eq(sink->ops->send(sink->self, &event, 1, &taken), CFA_OK);
        ck_assert_uint_eq(taken, 1);
    }
}

static int64_t poll_sink(const cfa_sink *sink) {
    int64_t acknowledged = -1;
    ck_assert_int_eq(sink->ops->poll(sink->self, &acknowledged), CFA_OK);
    return acknowledged;
}

static void close_sink(cfa_sink *sink) { sink->ops->close(sink->self); }

/* The whole file, NUL-terminated; the caller frees it. */
static char *read_file(const char *name, size_t *out_size) {
    FILE *file = fopen(name, "r");
    ck_assert_ptr_nonnull(file);
    char *text = malloc(1 << 22);
    ck_assert_ptr_nonnull(text);
    *out_size = fread(text, 1, (1 << 22) - 1, file);
    text[*out_size] = '\0';
    fclose(file);
    return text;
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    ck_assert_int_eq(fclose(file), 0);
}

static void append_file(const char *name, const char *text) {
    int fd = open(name, O_WRONLY | O_APPEND);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(close(fd), 0);
}

/* Every line is one JSON object; their positions are these. */
static void expect_positions(const char *text, const int64_t *positions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *stop = strchr(text, '\n');
        ck_assert_ptr_nonnull(stop);
        cfa__json *root;
        const cfa_slice line = { text, (size_t)(stop - text) };
        ck_assert_int_eq(cfa__json_parse(&root, line), CFA_OK);
        const char *sequence;
        ck_assert(cfa__json_read_text(cfa__json_get(root, "sequence"), &sequence));
        ck_assert_uint_eq(strlen(sequence), 20);
        ck_assert_int_eq(strtoll(sequence, NULL, 10), positions[i]);
        cfa__json_free(root);
        text = stop + 1;
    }
    ck_assert_str_eq(text, "");
}

static void expect_file(const int64_t *positions, size_t count) {
    size_t size;
    char *text = read_file(path, &size);
    expect_positions(text, positions, count);
    free(text);
}

static cfa_error last_error(void) {
    cfa_error error = CFA_ERROR_INIT;
    ck_assert_int_eq(cfa_error_last(&error), CFA_OK);
    return error;
}

/* ---- lines ----------------------------------------------------------------------------------- */

START_TEST(a_line_is_a_cloud_event) {
    cfa_sink sink = open_sink(path);
    cfa_event_view event = make_event(42, "{\"b\": [1,2],\"a\":\"\\u00e9\"}");
    event.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    size_t taken = 0;
    ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_OK);
    ck_assert_int_eq(poll_sink(&sink), 42);
    close_sink(&sink);
    size_t size;
    char *text = read_file(path, &size);
    ck_assert_str_eq(text,
                     "{\"specversion\":\"1.0\",\"id\":\"evt_01h455vb4pex5vsknk084sn02q\","
                     "\"source\":\"/careforall/book/1\","
                     "\"type\":\"org.careforall.pledge.created.v1\","
                     "\"subject\":\"pay_01h455vb4pex5vsknk084sn02q\","
                     "\"time\":\"2026-01-01T00:00:00.123456Z\","
                     "\"datacontenttype\":\"application/json\","
                     "\"partitionkey\":\"pay_01h455vb4pex5vsknk084sn02q\","
                     "\"sequence\":\"00000000000000000042\","
                     "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
                     "\"data\":{\"b\": [1,2],\"a\":\"\\u00e9\"}}\n");
    free(text);
}
END_TEST

START_TEST(what_would_break_a_line_is_refused) {
    cfa_sink sink = open_sink(path);
    size_t taken = 77;
    cfa_event_view event = make_event(1, "{\n}");
    ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_EINVAL);
    event = make_event(0, "{}");
    ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_EINVAL);
    event = make_event(1, "{}");
    event.data.size = CFA_EVENT_BYTES_MAX + 1;
    ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_ETOOLONG);
    ck_assert_uint_eq(taken, 77);
    send_events(&sink, 1, 2);
    event = make_event(4, "{}");
    ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_EINVAL);
    cfa_event_view events[] = { make_event(3, "{}"), make_event(5, "{}") };
    ck_assert_int_eq(sink.ops->send(sink.self, events, 2, &taken), CFA_OK);
    ck_assert_uint_eq(taken, 1);
    ck_assert_int_eq(poll_sink(&sink), 3);
    close_sink(&sink);
    expect_file((const int64_t[]){ 1, 2, 3 }, 3);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------- */

START_TEST(a_torn_last_line_is_cut_off_at_opening) {
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 3);
    ck_assert_int_eq(poll_sink(&sink), 3);
    close_sink(&sink);
    size_t whole;
    char *text = read_file(path, &whole);
    const char *third = strchr(strchr(text, '\n') + 1, '\n') + 1;
    size_t two_lines = (size_t)(third - text);
    /* Wherever the crash cut the third line, the first two stay, and it is written again. */
    for (size_t cut = two_lines; cut < whole; cut++) {
        FILE *file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(text, 1, cut, file), cut);
        ck_assert_int_eq(fclose(file), 0);
        sink = open_sink(path);
        struct stat info;
        ck_assert_int_eq(stat(path, &info), 0);
        ck_assert_int_eq(info.st_size, (off_t)two_lines);
        ck_assert_int_eq(sink.ops->reset(sink.self, 2), CFA_OK);
        send_events(&sink, 3, 1);
        ck_assert_int_eq(poll_sink(&sink), 3);
        close_sink(&sink);
        expect_file((const int64_t[]){ 1, 2, 3 }, 3);
    }
    free(text);
}
END_TEST

START_TEST(a_file_without_any_line_end_is_emptied) {
    char *torn = malloc(20001);
    ck_assert_ptr_nonnull(torn);
    memset(torn, 'x', 20000);
    torn[20000] = '\0';
    write_file(path, torn);
    free(torn);
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 1);
    ck_assert_int_eq(poll_sink(&sink), 1);
    close_sink(&sink);
    expect_file((const int64_t[]){ 1 }, 1);
}
END_TEST

START_TEST(a_line_torn_by_somebody_else_is_cut_before_ours) {
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 1);
    ck_assert_int_eq(poll_sink(&sink), 1);
    append_file(path, "{\"half a li");
    send_events(&sink, 2, 1);
    ck_assert_int_eq(poll_sink(&sink), 2);
    close_sink(&sink);
    expect_file((const int64_t[]){ 1, 2 }, 2);
}
END_TEST

START_TEST(two_sinks_on_one_file_keep_lines_whole) {
    cfa_sink a = open_sink(path);
    cfa_sink b = open_sink(path);
    for (int64_t i = 1; i <= 20; i++) {
        send_events(&a, i, 1);
        send_events(&b, i, 1);
        ck_assert_int_eq(poll_sink(&a), i);
        ck_assert_int_eq(poll_sink(&b), i);
    }
    close_sink(&a);
    close_sink(&b);
    int64_t positions[40];
    for (int i = 0; i < 40; i++) {
        positions[i] = i / 2 + 1;
    }
    expect_file(positions, 40);
}
END_TEST

START_TEST(a_truncated_file_goes_on) {
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 5);
    ck_assert_int_eq(poll_sink(&sink), 5);
    ck_assert_int_eq(truncate(path, 0), 0);
    send_events(&sink, 6, 1);
    ck_assert_int_eq(poll_sink(&sink), 6);
    close_sink(&sink);
    expect_file((const int64_t[]){ 6 }, 1);
}
END_TEST

START_TEST(nothing_is_written_before_poll_or_at_close) {
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 5);
    close_sink(&sink);
    expect_file(NULL, 0);
}
END_TEST

START_TEST(a_full_buffer_takes_nothing_until_it_is_polled) {
    static char data[60003];
    memset(data, 'x', 60002);
    data[0] = data[60001] = '"';
    cfa_sink sink = open_sink(path);
    int64_t position = 0;
    size_t taken = 1;
    while (taken == 1) {
        ck_assert_int_lt(position, 100);
        cfa_event_view event = make_event(position + 1, data);
        ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_OK);
        position += (int64_t)taken;
    }
    ck_assert_int_gt(position, 10);
    ck_assert_int_eq(poll_sink(&sink), position);
    cfa_event_view event = make_event(position + 1, data);
    ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_OK);
    ck_assert_uint_eq(taken, 1);
    close_sink(&sink);
}
END_TEST

/* Poll while no file may grow beyond `size`; for this call alone, as libcheck writes a file too. */
static cfa_status poll_limited(const cfa_sink *sink, int64_t *out_acknowledged, off_t size) {
    struct rlimit before;
    if (getrlimit(RLIMIT_FSIZE, &before) != 0) {
        return CFA_EBUG;
    }
    struct rlimit limit = { (rlim_t)size, before.rlim_max };
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return CFA_EBUG;
    }
    cfa_status status = sink->ops->poll(sink->self, out_acknowledged);
    return setrlimit(RLIMIT_FSIZE, &before) == 0 ? status : CFA_EBUG;
}

/* A full disk that tears: a write ends inside a line, and the rest must wait for room. */
START_TEST(a_line_torn_by_a_full_disk_becomes_whole_when_there_is_room) {
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 4);
    int64_t acknowledged = 77;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(poll_limited(&sink, &acknowledged, 900), CFA_ENOSPACE);
    }
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(info.st_size, 900);
    ck_assert_int_eq(acknowledged, 77);
    /* Another opener meanwhile cuts the torn line off: ours is then written again as a whole. */
    cfa_sink other = open_sink(path);
    close_sink(&other);
    ck_assert_int_eq(poll_sink(&sink), 4);
    expect_file((const int64_t[]){ 1, 2, 3, 4 }, 4);
    send_events(&sink, 5, 4);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(poll_limited(&sink, &acknowledged, info.st_size + 500), CFA_ENOSPACE);
    ck_assert_int_eq(poll_sink(&sink), 8);
    send_events(&sink, 9, 2);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_int_eq(poll_limited(&sink, &acknowledged, info.st_size + 500), CFA_ENOSPACE);
    ck_assert_int_eq(sink.ops->reset(sink.self, 8), CFA_OK);
    send_events(&sink, 9, 1);
    ck_assert_int_eq(poll_sink(&sink), 9);
    close_sink(&sink);
    /* 9 was written before the limit, and once more after the reset; 10 was torn and is gone. */
    expect_file((const int64_t[]){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 9 }, 10);
}
END_TEST

START_TEST(a_full_disk_is_told_and_survived) {
    if (access("/dev/full", W_OK) != 0) {
        return;
    }
    cfa_sink sink = open_sink("/dev/full");
    send_events(&sink, 1, 3);
    int64_t acknowledged = 77;
    for (int i = 0; i < 3; i++) {
        cfa_status status = sink.ops->poll(sink.self, &acknowledged);
        ck_assert_int_eq(status, CFA_ENOSPACE);
        ck_assert_int_eq(cfa_status_class_of(status), CFA_CLASS_TRANSIENT);
        ck_assert_int_eq(last_error().native_code, ENOSPC);
    }
    ck_assert_int_eq(acknowledged, 77);
    close_sink(&sink);
}
END_TEST

/* In front of the C library's, so that a test can make the disk fail. */
static int sync_error;
static int sync_count;

int fdatasync(int fd) {
    sync_count++;
    if (sync_error != 0) {
        errno = sync_error;
        return -1;
    }
    return fsync(fd);
}

START_TEST(lines_of_a_failed_synchronisation_are_written_again_once) {
    cfa_sink sink = open_sink(path);
    send_events(&sink, 1, 2);
    ck_assert_int_eq(poll_sink(&sink), 2);
    send_events(&sink, 3, 3);
    int64_t acknowledged = 77;
    sync_error = EIO;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(sink.ops->poll(sink.self, &acknowledged), CFA_EIO);
        /* What the disk may have dropped is taken back: no line stands damaged in the middle. */
        expect_file((const int64_t[]){ 1, 2 }, 2);
    }
    ck_assert_int_eq(acknowledged, 77);
    sync_error = 0;
    ck_assert_int_eq(poll_sink(&sink), 5);
    send_events(&sink, 6, 1);
    sync_error = ENOSPC;
    ck_assert_int_eq(sink.ops->poll(sink.self, &acknowledged), CFA_ENOSPACE);
    sync_error = 0;
    ck_assert_int_eq(poll_sink(&sink), 6);
    close_sink(&sink);
    expect_file((const int64_t[]){ 1, 2, 3, 4, 5, 6 }, 6);
}
END_TEST

START_TEST(polling_without_news_leaves_the_disk_alone) {
    cfa_sink sink = open_sink(path);
    ck_assert_int_eq(poll_sink(&sink), 0);
    ck_assert_int_eq(sync_count, 0);
    send_events(&sink, 1, 100);
    ck_assert_int_eq(poll_sink(&sink), 100);
    ck_assert_int_eq(poll_sink(&sink), 100);
    ck_assert_int_eq(sync_count, 1);
    close_sink(&sink);
}
END_TEST

static int64_t allocations_left;

static void *failing_allocate(void *user, size_t size) {
    (void)user;
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void *failing_reallocate(void *user, void *memory, size_t size) {
    (void)user;
    return allocations_left-- > 0 ? realloc(memory, size) : NULL;
}

static void release(void *user, void *memory) {
    (void)user;
    free(memory);
}

START_TEST(any_failed_allocation_loses_and_repeats_nothing) {
    const cfa_allocator failing = { sizeof failing, NULL, failing_allocate, failing_reallocate,
                                    release };
    ck_assert_int_eq(cfa_allocator_set(&failing), CFA_OK);
    bool enough = false;
    for (int64_t allowed = 0; !enough; allowed++) {
        ck_assert_int_lt(allowed, 1000);
        (void)unlink(path);
        allocations_left = allowed;
        cfa_sink sink;
        if (cfa_ndjson_sink_new(&sink, path) != CFA_OK) {
            continue;
        }
        cfa_event_view events[] = { make_event(1, "{}"), make_event(2, "{}") };
        size_t taken = 0;
        cfa_status status = sink.ops->send(sink.self, events, 2, &taken);
        ck_assert(status == CFA_ENOMEM || (status == CFA_OK && taken > 0));
        enough = taken == 2 && allocations_left >= 0;
        allocations_left = INT64_MAX;
        send_events(&sink, 1 + (int64_t)taken, 3 - (int64_t)taken);
        ck_assert_int_eq(poll_sink(&sink), 3);
        close_sink(&sink);
        expect_file((const int64_t[]){ 1, 2, 3 }, 3);
    }
    ck_assert_int_eq(cfa_allocator_set(NULL), CFA_OK);
}
END_TEST

START_TEST(a_path_that_cannot_be_written_names_itself) {
    cfa_sink sink = { NULL, NULL };
    snprintf(other_path, sizeof other_path, "%s/missing/events", directory);
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, other_path), CFA_EREADONLY);
    ck_assert_ptr_nonnull(strstr(last_error().message, "missing/events"));
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, directory), CFA_EREADONLY);
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, ""), CFA_EINVAL);
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, NULL), CFA_EINVAL);
    ck_assert_ptr_null(sink.ops);
}
END_TEST

/* ---- pipes ----------------------------------------------------------------------------------- */

/* A named pipe with a reader that does not block. */
static int open_pipe(void) {
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    ck_assert_int_ge(reader, 0);
    return reader;
}

static size_t drain(int reader, char *out, size_t size) {
    size_t used = 0;
    for (;;) {
        ssize_t got = read(reader, out + used, size - 1 - used);
        if (got <= 0) {
            out[used] = '\0';
            return used;
        }
        used += (size_t)got;
    }
}

START_TEST(a_pipe_acknowledges_what_was_written) {
    int reader = open_pipe();
    cfa_sink sink = open_sink(path);
    send_events(&sink, 7, 3);
    ck_assert_int_eq(poll_sink(&sink), 9);
    char text[4096];
    (void)drain(reader, text, sizeof text);
    expect_positions(text, (const int64_t[]){ 7, 8, 9 }, 3);
    close_sink(&sink);
    close(reader);
}
END_TEST

START_TEST(a_full_pipe_blocks_nobody_and_loses_nothing) {
    enum { EVENTS = 5000 };
    int reader = open_pipe();
    cfa_sink sink = open_sink(path);
    size_t size = 1 << 22, used = 0;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    int64_t sent = 0, acknowledged = 0, refused = 0;
    for (int rounds = 0; acknowledged < EVENTS; rounds++) {
        ck_assert_int_lt(rounds, 100000);
        size_t taken = 1;
        while (sent < EVENTS && taken == 1) {
            cfa_event_view event = make_event(sent + 1, "{\"some\":\"data\"}");
            ck_assert_int_eq(sink.ops->send(sink.self, &event, 1, &taken), CFA_OK);
            sent += (int64_t)taken;
        }
        refused += taken == 0;
        acknowledged = poll_sink(&sink);
        /* The pipe is full now: nothing moves until its reader reads. */
        ck_assert_int_eq(poll_sink(&sink), acknowledged);
        ck_assert_int_le(acknowledged, sent);
        used += drain(reader, text + used, size - used);
    }
    ck_assert_int_gt(refused, 0);
    static int64_t positions[EVENTS];
    for (int i = 0; i < EVENTS; i++) {
        positions[i] = i + 1;
    }
    expect_positions(text, positions, EVENTS);
    free(text);
    close_sink(&sink);
    close(reader);
}
END_TEST

START_TEST(reset_finishes_a_line_that_a_pipe_has_begun) {
    int reader = open_pipe();
    cfa_sink sink = open_sink(path);
    size_t size = 1 << 22;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    send_events(&sink, 1, 500);
    int64_t acknowledged = poll_sink(&sink);
    ck_assert_int_lt(acknowledged, 500);
    ck_assert_int_eq(sink.ops->reset(sink.self, 100), CFA_OK);
    ck_assert_int_eq(poll_sink(&sink), 100);
    size_t used = drain(reader, text, size);
    send_events(&sink, 101, 2);
    ck_assert_int_eq(poll_sink(&sink), 102);
    (void)drain(reader, text + used, size - used);
    /* The line begun before the reset is whole, and then the new owner's follow. */
    static int64_t positions[600];
    size_t count = 0;
    bool torn = used > 0 && text[used - 1] != '\n';
    ck_assert(torn);
    while ((int64_t)count < acknowledged + 1) {
        positions[count] = (int64_t)count + 1;
        count++;
    }
    positions[count++] = 101;
    positions[count++] = 102;
    expect_positions(text, positions, count);
    free(text);
    close_sink(&sink);
    close(reader);
}
END_TEST

START_TEST(a_pipe_without_reader_is_an_error_and_no_signal) {
    int reader = open_pipe();
    cfa_sink sink = open_sink(path);
    close(reader);
    send_events(&sink, 1, 1);
    int64_t acknowledged = 77;
    cfa_status status = sink.ops->poll(sink.self, &acknowledged);
    ck_assert_int_eq(cfa_status_class_of(status), CFA_CLASS_PERMANENT);
    ck_assert_int_eq(last_error().native_code, EPIPE);
    sigset_t pending;
    ck_assert_int_eq(sigpending(&pending), 0);
    ck_assert_int_eq(sigismember(&pending, SIGPIPE), 0);
    close_sink(&sink);
    /* Nobody reads: that may change, so it can be tried again. */
    ck_assert_int_eq(cfa_ndjson_sink_new(&sink, path), CFA_EUNAVAILABLE);
}
END_TEST

START_TEST(standard_output_can_be_a_pipe_or_a_file) {
    int saved = dup(STDOUT_FILENO);
    ck_assert_int_ge(saved, 0);
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_ge(dup2(ends[1], STDOUT_FILENO), 0);
    cfa_sink sink = open_sink("-");
    send_events(&sink, 1, 2);
    int64_t acknowledged = poll_sink(&sink);
    close_sink(&sink);
    int flags = fcntl(ends[1], F_GETFL);

    int fd = open(other_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(dup2(fd, STDOUT_FILENO), 0);
    sink = open_sink("-");
    send_events(&sink, 1, 3);
    int64_t of_file = poll_sink(&sink);
    close_sink(&sink);
    /* Standard output is the host's: it is still open. */
    bool is_open = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
    close(fd);
    close(saved);
    close(ends[1]);

    ck_assert(is_open);
    ck_assert_int_eq(acknowledged, 2);
    ck_assert_int_eq(of_file, 3);
    /* Its flags are shared with other processes and stay as they were. */
    ck_assert_int_eq(flags & O_NONBLOCK, 0);
    char text[4096];
    (void)drain(ends[0], text, sizeof text);
    expect_positions(text, (const int64_t[]){ 1, 2 }, 2);
    close(ends[0]);
    size_t size;
    char *written = read_file(other_path, &size);
    expect_positions(written, (const int64_t[]){ 1, 2, 3 }, 3);
    free(written);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("ndjson");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_test(files, a_line_is_a_cloud_event);
    tcase_add_test(files, what_would_break_a_line_is_refused);
    tcase_add_test(files, a_torn_last_line_is_cut_off_at_opening);
    tcase_add_test(files, a_file_without_any_line_end_is_emptied);
    tcase_add_test(files, a_line_torn_by_somebody_else_is_cut_before_ours);
    tcase_add_test(files, two_sinks_on_one_file_keep_lines_whole);
    tcase_add_test(files, a_truncated_file_goes_on);
    tcase_add_test(files, nothing_is_written_before_poll_or_at_close);
    tcase_add_test(files, a_full_buffer_takes_nothing_until_it_is_polled);
    tcase_add_test(files, a_line_torn_by_a_full_disk_becomes_whole_when_there_is_room);
    tcase_add_test(files, a_full_disk_is_told_and_survived);
    tcase_add_test(files, lines_of_a_failed_synchronisation_are_written_again_once);
    tcase_add_test(files, polling_without_news_leaves_the_disk_alone);
    tcase_add_test(files, any_failed_allocation_loses_and_repeats_nothing);
    tcase_add_test(files, a_path_that_cannot_be_written_names_itself);
    suite_add_tcase(suite, files);
    TCase *pipes = tcase_create("pipes");
    tcase_add_checked_fixture(pipes, set_up, tear_down);
    tcase_add_test(pipes, a_pipe_acknowledges_what_was_written);
    tcase_add_test(pipes, a_full_pipe_blocks_nobody_and_loses_nothing);
    tcase_add_test(pipes, reset_finishes_a_line_that_a_pipe_has_begun);
    tcase_add_test(pipes, a_pipe_without_reader_is_an_error_and_no_signal);
    tcase_add_test(pipes, standard_output_can_be_a_pipe_or_a_file);
    suite_add_tcase(suite, pipes);
    SRunner *runner = srunner_create(suite);
    srunner_run(runner, NULL, argc > 1 ? argv[1] : NULL, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
