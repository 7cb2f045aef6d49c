/*
 * adapters/ndjson.h - a sink that writes one CloudEvents 1.0 JSON object per line to a file or a
 * pipe. Part of libcareforall.
 */
#ifndef CAREFORALL_ADAPTERS_NDJSON_H
#define CAREFORALL_ADAPTERS_NDJSON_H

#include <careforall/sys/transport.h>

CFA_BEGIN

/*
 * Open `path` for appending, created if needed ("-": standard output). A torn last line from a
 * crash is cut off when the file is opened, so that every line is whole. Positions acknowledged are
 * on disk (fdatasync); a pipe acknowledges what was written.
 * Expected: CFA_OK; CFA_EREADONLY; CFA_EIO; CFA_ENOMEM. Threading: any thread. Since: 0.1.
 */
CFA_API CFA_MUST_CHECK cfa_status cfa_ndjson_sink_new(cfa_sink *out, const char *path);

CFA_END

#endif
