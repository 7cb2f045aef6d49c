/*
 * upload.c - see upload.h. The file loses its name before anything is in it, so there is nothing to
 * clean up, also after a crash. It lies where TMPDIR says, or in /var/tmp, which is on a disk where
 * /tmp may be memory.
 */
#include "upload.h"
#include "app.h"
#include "http_internal.h"
#include "problem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = HTTP_UPLOAD_PIECE_BYTES + HTTP_CONNECTION_MEMORY_BYTES };

struct http_upload {
    int file;  /* -1 until the first piece is written */
    int error; /* errno of what failed; 0 */
    size_t used;
    char bytes[ROOM];
};

/* ---- the file ------------------------------------------------------------------------------- */

static int open_file(void) {
    char path[4096];
    const char *folder = getenv("TMPDIR");
    int size = snprintf(path, sizeof path, "%s/careforall-XXXXXX",
                        folder && folder[0] == '/' ? folder : "/var/tmp");
    if (size < 0 || (size_t)size >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int file = mkstemp(path); /* with mode 600 */
    if (file >= 0) {
        (void)unlink(path);
        (void)fcntl(file, F_SETFD, FD_CLOEXEC);
    }
    return file;
}

/* On the pool's thread. */
static void write_piece(http_upload *upload) {
    if (upload->file < 0 && (upload->file = open_file()) < 0)
        upload->error = errno;
    for (size_t at = 0; upload->error == 0 && at < upload->used;) {
        ssize_t size = write(upload->file, upload->bytes + at, upload->used - at);
        if (size >= 0)
            at += (size_t)size;
        else if (errno != EINTR)
            upload->error = errno;
    }
    upload->used = 0;
}

static void refuse_write(http_request *request, int error) {
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        problem_status(request, 0, CFA_ENOSPACE, NULL,
                       "there is no room for the body in the directory for temporary files; "
                       "nothing was kept");
    else
        problem_status(request, 0, CFA_EIO, NULL,
                       "the body could not be written to the directory for temporary files "
                       "(error %d of the system); nothing was kept",
                       error);
}

/* ---- pieces --------------------------------------------------------------------------------- */

static void on_piece(uv_work_t *work) { write_piece(((http_request *)work->data)->upload); }

/* The next piece has its own time, so that a slow line may take long and one that stands still may
 * not. What is left of a body that failed is dropped within the last one's. */
static void on_piece_done(uv_work_t *work, int status) {
    http_request *request = work->data;
    int error = request->upload->error;
    if (status != 0) /* cancelled before it began */
        problem_status(request, 0, CFA_ECLOSING, NULL, "the server is closing; nothing was done");
    else if (error != 0)
        refuse_write(request, error);
    if (request->answered)
        upload_end(request);
    request->suspended = false;
    request->peer->deadline_ms = request->http->forced ? 0 : http_now_ms() + HTTP_BODY_MS;
    MHD_resume_connection(request->connection);
    http_wake(request->http);
    http_release(request);
}

static void write_behind(http_request *request) {
    request->work.data = request;
    if (uv_queue_work(request->http->options.loop, &request->work, on_piece, on_piece_done) != 0) {
        problem_status(request, 0, CFA_EQUEUE, NULL,
                       "the thread pool took no work; nothing was kept");
        upload_end(request);
        return;
    }
    request->references++;
    request->suspended = true;
    MHD_suspend_connection(request->connection);
}

bool upload_begin(http_request *request) {
    server_app *app = request->app;
    if (app->uploading) {
        problem_http(request, PROBLEM_JOB_RUNNING, NULL, "another file is on its way here");
        return false;
    }
    request->upload = malloc(sizeof *request->upload);
    if (!request->upload) {
        problem_status(request, 0, CFA_ENOMEM, NULL, "nothing was done");
        return false;
    }
    request->upload->file = -1;
    request->upload->error = 0;
    request->upload->used = 0;
    request->long_body = true;
    request->discard_limit = request->body_limit;
    app->uploading = true;
    return true;
}

bool upload_take(http_request *request, const void *data, size_t size) {
    http_upload *upload = request->upload;
    if (size > ROOM - upload->used)
        return false;
    if (request->app->stopping) { /* what it is for would not begin any more */
        problem_status(request, 0, CFA_ECLOSING, NULL, "the server is closing; nothing was kept");
        upload_end(request);
        return true;
    }
    memcpy(upload->bytes + upload->used, data, size);
    upload->used += size;
    if (upload->used >= HTTP_UPLOAD_PIECE_BYTES)
        write_behind(request);
    return true;
}

int upload_finish(http_request *request) {
    http_upload *upload = request->upload;
    write_piece(upload);
    if (upload->error != 0) {
        refuse_write(request, upload->error);
        return -1;
    }
    int file = upload->file;
    upload->file = -1;
    return file;
}

void upload_end(http_request *request) {
    http_upload *upload = request->upload;
    if (!upload)
        return;
    if (upload->file >= 0)
        close(upload->file);
    free(upload);
    request->upload = NULL;
    request->app->uploading = false;
}
