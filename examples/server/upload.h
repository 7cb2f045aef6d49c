/*
 * upload.h - a body that may be larger than memory, on its way into a private temporary file: one
 * at a time, in pieces that the thread pool writes, while its connection rests. Must never wait on
 * the loop, and must leave nothing behind, however it ends.
 *
 * All but `upload_finish` is of the loop's thread.
 */
#ifndef SERVER_UPLOAD_H
#define SERVER_UPLOAD_H

#include "http.h"

typedef struct http_upload http_upload;

/* The request's body, of at most `request->body_limit` bytes, goes to a file of its own. False after
 * a 409 was answered because another one is on its way, or a 500. */
bool upload_begin(http_request *request);

/* Take a piece; it may leave the connection resting until it is written. False: there is no room,
 * because more came than a connection holds. */
bool upload_take(http_request *request, const void *data, size_t size);

/* The whole body was taken: write what is left, on the pool's thread. Returns the file, which has no
 * name and belongs to the caller, or -1 after a problem was answered. */
int upload_finish(http_request *request);

/* Forget the upload with its file, and let another one begin; nothing when there is none. */
void upload_end(http_request *request);

#endif
