/*
 * ndjson.c - a sink that writes one CloudEvents 1.0 object per line to a file or a pipe.
 *
 * Owns: the descriptor and the lines not acknowledged yet. Must never leave half a line for a
 * reader, acknowledge what is not on disk, or raise SIGPIPE in the host. `send` does no I/O;
 * `poll` writes.
 */
#include <careforall/adapters/ndjson.h>

#include "adapters/ndjson/line.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ORIGIN CFA__NDJSON_ORIGIN
#define BUFFER_START 65536
/* Lines of one disk synchronisation; holds several of the largest. */
#define BUFFER_LIMIT 1048576
/* `poll` promises that this much can be written to a pipe without blocking. */
#define PIPE_CHUNK 4096
#define END_UNKNOWN INT64_C(-1)

typedef struct ndjson {
    pthread_mutex_t lock;
    int fd;
    bool owns_fd; /* false: standard output */
    bool is_file; /* synchronised with the disk before it is acknowledged */
    char *buffer; /* whole lines; the first `written` bytes were written */
    size_t size, written, capacity;
    bool mid_line; /* what was written ends inside a line */
    bool orphan;   /* the buffer begins with the rest of a line from before `reset` */
    bool unsynced;
    bool any_position; /* nothing was taken since `reset`: any position may come */
    int64_t taken;     /* last position taken */
    int64_t passed;    /* pipes: last position wholly written */
    int64_t acknowledged;
    int64_t end; /* own files: where the file ended after our last write */
    int64_t synced_end;
    cfa_arena *arena; /* of one line */
} ndjson;

static void lock(ndjson *sink) {
    int rc = pthread_mutex_lock(&sink->lock);
    assert(rc == 0);
    (void)rc;
}

static void unlock(ndjson *sink) {
    int rc = pthread_mutex_unlock(&sink->lock);
    assert(rc == 0);
    (void)rc;
}

static cfa_status system_error(int error, const char *doing) {
    cfa_status status = CFA_EIO;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        status = CFA_ENOSPACE;
    } else if (error == EPIPE || error == EBADF || error == EROFS || error == EACCES ||
               error == EPERM) {
        status = CFA_EREADONLY;
    }
    char text[96] = "";
    if (strerror_r(error, text, sizeof text) != 0) {
        text[0] = '\0';
    }
    return cfa_error_format(status, ORIGIN, NULL, error, "%s: %s", doing, text);
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* True when the line is in the buffer; false with CFA_OK when there is no room for now. */
static cfa_status append_line(ndjson *sink, cfa_slice line, bool *out_fits) {
    size_t needed = sink->size + line.size;
    *out_fits = needed <= BUFFER_LIMIT || sink->size == 0;
    if (!*out_fits) {
        return CFA_OK;
    }
    if (needed > sink->capacity) {
        size_t capacity = sink->capacity == 0 ? BUFFER_START : sink->capacity;
        while (capacity < needed) {
            capacity *= 2;
        }
        char *grown = cfa_realloc(sink->buffer, capacity);
        if (grown == NULL) {
            return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a line");
        }
        sink->buffer = grown;
        sink->capacity = capacity;
    }
    memcpy(sink->buffer + sink->size, line.data, line.size);
    sink->size = needed;
    return CFA_OK;
}

static cfa_status take(ndjson *sink, const cfa_event_view *event, bool *out_fits) {
    if (!sink->any_position && event->position != sink->taken + 1) {
        return cfa_error_format(CFA_EINVAL, ORIGIN, "position", 0,
                                "expected position %lld, not %lld", (long long)sink->taken + 1,
                                (long long)event->position);
    }
    cfa_slice line;
    cfa_arena_reset(sink->arena);
    cfa_status status = cfa__ndjson_line(event, sink->arena, &line);
    if (status == CFA_OK) {
        status = append_line(sink, line, out_fits);
    }
    if (status == CFA_OK && *out_fits) {
        if (sink->any_position) {
            sink->passed = event->position - 1;
            sink->any_position = false;
        }
        sink->taken = event->position;
    }
    return status;
}

static cfa_status ndjson_send(void *self, const cfa_event_view *events, size_t count,
                              size_t *out_taken) {
    ndjson *sink = self;
    cfa_status status = CFA_OK;
    size_t taken = 0;
    lock(sink);
    for (bool fits = true; taken < count && status == CFA_OK;) {
        status = take(sink, &events[taken], &fits);
        if (status == CFA_OK && !fits) {
            break;
        }
        taken += status == CFA_OK;
    }
    unlock(sink);
    /* What was taken before a failure is taken; the failure comes back with the next call. */
    if (status != CFA_OK && taken == 0) {
        return status;
    }
    *out_taken = taken;
    return CFA_OK;
}

static void advance(ndjson *sink, size_t count) {
    if (count > 0) {
        sink->written += count;
        sink->mid_line = sink->buffer[sink->written - 1] != '\n';
    }
}

static void drop_front(ndjson *sink, size_t size) {
    assert(size <= sink->written);
    if (size > 0) {
        memmove(sink->buffer, sink->buffer + size, sink->size - size);
        sink->size -= size;
        sink->written -= size;
    }
}

/* The bytes from `from` to the next line break, that one included. */
static size_t line_rest(const ndjson *sink, size_t from) {
    const char *stop = memchr(sink->buffer + from, '\n', sink->size - from);
    assert(stop != NULL);
    return (size_t)(stop + 1 - (sink->buffer + from));
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The position behind the last line break before `size`. */
static cfa_status find_line_end(int fd, int64_t size, int64_t *out) {
    char chunk[4096];
    while (size > 0) {
        size_t wanted = size < (int64_t)sizeof chunk ? (size_t)size : sizeof chunk;
        ssize_t got = pread(fd, chunk, wanted, (off_t)(size - (int64_t)wanted));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != (ssize_t)wanted) {
            return system_error(got < 0 ? errno : EIO, "reading the last line");
        }
        for (size_t i = wanted; i > 0; i--) {
            if (chunk[i - 1] == '\n') {
                *out = size - (int64_t)(wanted - i);
                return CFA_OK;
            }
        }
        size -= (int64_t)wanted;
    }
    *out = 0;
    return CFA_OK;
}

static cfa_status cut(ndjson *sink, int64_t size) {
    int rc;
    do {
        rc = ftruncate(sink->fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        return system_error(errno, "cutting off a torn line");
    }
    sink->unsynced = true;
    return CFA_OK;
}

/*
 * Make the file end where we left it, or at a line's end when a crash or somebody else changed it.
 * Then our own half-written line is gone or stands torn in front of us: write it again as a whole.
 */
static cfa_status align(ndjson *sink) {
    struct stat info;
    if (fstat(sink->fd, &info) != 0) {
        return system_error(errno, "looking at the file");
    }
    if ((int64_t)info.st_size == sink->end) {
        return CFA_OK;
    }
    int64_t line_end;
    cfa_status status = find_line_end(sink->fd, (int64_t)info.st_size, &line_end);
    if (status == CFA_OK && line_end != (int64_t)info.st_size) {
        status = cut(sink, line_end);
    }
    if (status == CFA_OK) {
        while (sink->written > 0 && sink->buffer[sink->written - 1] != '\n') {
            sink->written--;
        }
        sink->end = line_end;
    }
    return status;
}

/* Another engine's sink may write the same file while a lease changes hands. */
static bool file_lock(const ndjson *sink) {
    int rc;
    do {
        rc = flock(sink->fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    /* A file system without locks is no reason not to write. */
    return rc == 0 || errno != EWOULDBLOCK;
}

static void file_unlock(const ndjson *sink) { (void)flock(sink->fd, LOCK_UN); }

static cfa_status write_file(ndjson *sink) {
    cfa_status status = sink->owns_fd ? align(sink) : CFA_OK;
    while (status == CFA_OK && sink->written < sink->size) {
        ssize_t count = write(sink->fd, sink->buffer + sink->written, sink->size - sink->written);
        if (count >= 0) {
            advance(sink, (size_t)count);
            sink->end += count;
            sink->unsynced = true;
        } else if (errno != EINTR) {
            status = system_error(errno, "writing events");
        }
    }
    return status;
}

/*
 * After a failed synchronisation the kernel may have dropped what it held, and a second one that
 * succeeds proves nothing: take the lines back and write them again.
 */
static cfa_status write_again(ndjson *sink, int error) {
    struct stat info;
    if (sink->owns_fd && sink->synced_end != END_UNKNOWN && file_lock(sink)) {
        if (fstat(sink->fd, &info) == 0 && (int64_t)info.st_size == sink->end &&
            cut(sink, sink->synced_end) == CFA_OK) {
            sink->end = sink->synced_end;
        }
        file_unlock(sink);
    }
    sink->written = 0;
    return system_error(error, "bringing events to the disk");
}

static cfa_status poll_file(ndjson *sink) {
    if (sink->written == sink->size && !sink->unsynced) {
        return CFA_OK;
    }
    if (!file_lock(sink)) {
        return CFA_OK;
    }
    cfa_status status = write_file(sink);
    file_unlock(sink);
    if (status != CFA_OK) {
        return status;
    }
    if (sink->orphan) {
        drop_front(sink, line_rest(sink, 0));
        sink->orphan = false;
    }
    int rc;
    do {
        rc = fdatasync(sink->fd);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        return write_again(sink, errno);
    }
    sink->unsynced = false;
    sink->synced_end = sink->end;
    sink->size = sink->written = 0;
    if (!sink->any_position) {
        sink->acknowledged = sink->taken;
    }
    return CFA_OK;
}

/* ---- pipes ----------------------------------------------------------------------------------- */

/* Write without a SIGPIPE for the host, and without touching its handlers. */
static ssize_t write_quietly(int fd, const void *data, size_t size) {
    sigset_t broken;
    sigset_t pending;
    sigset_t before;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    sigemptyset(&pending);
    (void)sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    if (pthread_sigmask(SIG_BLOCK, &broken, &before) != 0) {
        errno = EIO;
        return -1;
    }
    ssize_t count = write(fd, data, size);
    int error = errno;
    if (count < 0 && error == EPIPE && !was_pending) {
        const struct timespec now = { 0, 0 };
        while (sigtimedwait(&broken, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return count;
}

static void count_lines(ndjson *sink, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (sink->buffer[sink->written + i] != '\n') {
            continue;
        }
        if (sink->orphan) {
            sink->orphan = false;
        } else {
            sink->acknowledged = ++sink->passed;
        }
    }
    advance(sink, count);
}

static bool is_writable(int fd) {
    struct pollfd waiting = { fd, POLLOUT, 0 };
    int rc;
    do {
        rc = poll(&waiting, 1, 0);
    } while (rc < 0 && errno == EINTR);
    /* A broken pipe counts: the write then says what is wrong with it. */
    return rc > 0;
}

static cfa_status poll_pipe(ndjson *sink) {
    cfa_status status = CFA_OK;
    while (status == CFA_OK && sink->written < sink->size && is_writable(sink->fd)) {
        size_t rest = sink->size - sink->written;
        ssize_t count = write_quietly(sink->fd, sink->buffer + sink->written,
                                      rest < PIPE_CHUNK ? rest : PIPE_CHUNK);
        if (count >= 0) {
            count_lines(sink, (size_t)count);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            status = system_error(errno,
                                  errno == EPIPE ? "the pipe's reader is gone" : "writing events");
        }
    }
    drop_front(sink, sink->written);
    return status;
}

/* ---- the sink -------------------------------------------------------------------------------- */

static cfa_status ndjson_poll(void *self, int64_t *out_acknowledged) {
    ndjson *sink = self;
    lock(sink);
    cfa_status status = sink->is_file ? poll_file(sink) : poll_pipe(sink);
    if (status == CFA_OK) {
        *out_acknowledged = sink->acknowledged;
    }
    unlock(sink);
    return status;
}

static cfa_status ndjson_reset(void *self, int64_t position) {
    ndjson *sink = self;
    lock(sink);
    if (sink->is_file && sink->owns_fd) {
        /* A line we had begun is cut off before the next is written. */
        sink->size = sink->written = 0;
        sink->end = sink->synced_end = END_UNKNOWN;
    } else {
        /* What went out cannot be taken back: a line we had begun must be finished. */
        drop_front(sink, sink->written);
        sink->orphan = sink->mid_line;
        sink->size = sink->orphan ? line_rest(sink, 0) : 0;
    }
    sink->any_position = true;
    sink->taken = sink->acknowledged = position;
    unlock(sink);
    return CFA_OK;
}

static int ndjson_descriptor(void *self) {
    (void)self;
    return -1;
}

/* Lines not acknowledged are not written now: the cursor could not follow, and they come again. */
static void ndjson_close(void *self) {
    ndjson *sink = self;
    if (sink->owns_fd && sink->fd >= 0) {
        (void)close(sink->fd);
    }
    pthread_mutex_destroy(&sink->lock);
    cfa_arena_free(sink->arena);
    cfa_free(sink->buffer);
    cfa_free(sink);
}

static const cfa_sink_ops ops = {
    .struct_size = sizeof ops,
    .name = "ndjson",
    .send = ndjson_send,
    .poll = ndjson_poll,
    .reset = ndjson_reset,
    .descriptor = ndjson_descriptor,
    .close = ndjson_close,
};

/* ---- opening --------------------------------------------------------------------------------- */

static cfa_status open_error(int error, const char *path) {
    if (error == ENXIO) {
        return cfa_error_format(CFA_EUNAVAILABLE, ORIGIN, "path", error,
                                "nobody reads the pipe \"%.120s\": start its reader first", path);
    }
    if (error == ENOMEM) {
        return cfa_error_set(CFA_ENOMEM, ORIGIN, "path", error, "no memory to open the file");
    }
    bool ours = error == EIO || error == EMFILE || error == ENFILE || error == EINTR ||
                error == ENOSPC || error == EDQUOT;
    char text[96] = "";
    if (strerror_r(error, text, sizeof text) != 0) {
        text[0] = '\0';
    }
    return cfa_error_format(ours ? CFA_EIO : CFA_EREADONLY, ORIGIN, "path", error,
                            "cannot write \"%.120s\": %s", path, text);
}

/* A new file is there after a power cut only when its directory is on disk too. */
static cfa_status sync_directory(const char *path) {
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        size_t size = slash == path ? 1 : (size_t)(slash - path);
        if (size >= sizeof directory) {
            return open_error(ENAMETOOLONG, path);
        }
        memcpy(directory, path, size);
        directory[size] = '\0';
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return CFA_OK; /* writable but not readable: there is nothing more we could do */
    }
    int rc = fsync(fd);
    int error = errno;
    (void)close(fd);
    if (rc != 0 && error == EIO) {
        return system_error(error, "bringing the directory to the disk");
    }
    return CFA_OK;
}

static cfa_status open_path(ndjson *sink, const char *path) {
    struct stat info;
    bool exists = stat(path, &info) == 0;
    sink->is_file = !exists || S_ISREG(info.st_mode);
    sink->owns_fd = true;
    /* A pipe opened for reading too would never notice that its reader is gone. */
    int flags = sink->is_file ? O_RDWR | O_CREAT : O_WRONLY | O_NONBLOCK;
    do {
        sink->fd = open(path, flags | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    } while (sink->fd < 0 && errno == EINTR);
    if (sink->fd < 0) {
        return open_error(errno, path);
    }
    if (!sink->is_file) {
        return CFA_OK;
    }
    cfa_status status = exists ? CFA_OK : sync_directory(path);
    /* Busy: its owner is writing, and whole lines are that one's care. */
    if (status == CFA_OK && file_lock(sink)) {
        status = align(sink);
        file_unlock(sink);
    }
    return status;
}

static cfa_status open_stdout(ndjson *sink) {
    struct stat info;
    sink->fd = STDOUT_FILENO;
    if (fstat(sink->fd, &info) != 0) {
        return open_error(errno, "-");
    }
    sink->is_file = S_ISREG(info.st_mode);
    return CFA_OK;
}

cfa_status cfa_ndjson_sink_new(cfa_sink *out, const char *path) {
    if (path == NULL || path[0] == '\0') {
        return cfa_error_set(CFA_EINVAL, ORIGIN, "path", 0, "a path, or - for standard output");
    }
    ndjson *sink = cfa_alloc(sizeof *sink);
    if (sink == NULL) {
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no memory for a sink");
    }
    memset(sink, 0, sizeof *sink);
    sink->fd = -1;
    sink->any_position = true;
    sink->end = sink->synced_end = END_UNKNOWN;
    if (pthread_mutex_init(&sink->lock, NULL) != 0) {
        cfa_free(sink);
        return cfa_error_set(CFA_ENOMEM, ORIGIN, NULL, 0, "no resources for a mutex");
    }
    cfa_status status = cfa_arena_new(&sink->arena);
    if (status == CFA_OK) {
        status = strcmp(path, "-") == 0 ? open_stdout(sink) : open_path(sink, path);
    }
    if (status != CFA_OK) {
        ndjson_close(sink);
        return status;
    }
    *out = (cfa_sink){ &ops, sink };
    return CFA_OK;
}
