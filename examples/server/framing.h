/* framing.h - whether a request's head can be read in two ways; decides nothing about its meaning.
 */
#ifndef SERVER_FRAMING_H
#define SERVER_FRAMING_H

#include <microhttpd.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct framing {
    size_t header_count, header_bytes; /* with ": " and line ends */
    uint64_t length;                   /* Content-Length; 0 when absent */
    bool chunked;
} framing;

/*
 * Judge the head of a request whose first line held `target_size` bytes of target. Returns the rule
 * that is broken, or NULL when every reader must see the same request.
 */
const char *framing_check(framing *out, struct MHD_Connection *connection, const char *method,
                          size_t target_size, const char *version);

/* The rule that a target breaks, or NULL. */
const char *framing_check_target(const char *target);

#endif
