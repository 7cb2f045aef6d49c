/*
 * line.h - what one event looks like in the file.
 */
#ifndef CFA_ADAPTERS_NDJSON_LINE_H
#define CFA_ADAPTERS_NDJSON_LINE_H

#include <careforall/sys/transport.h>

#define CFA__NDJSON_ORIGIN "sink.ndjson"

/* Write the line with its line break into `arena`. CFA_EINVAL or CFA_ETOOLONG:
 * the event fits no line. */
CFA_MUST_CHECK cfa_status cfa__ndjson_line(const cfa_event_view *event, cfa_arena *arena,
                                           cfa_slice *out);

#endif
