/*
 * stripe_peer.h - the other end of the wire: an HTTP server on a free loopback port that does to
 * each request exactly what it was told to, misfortune included, and remembers what it was sent.
 */
#ifndef TESTS_ADAPTERS_STRIPE_PEER_H
#define TESTS_ADAPTERS_STRIPE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stripe_peer stripe_peer;

typedef enum peer_deed {
    PEER_ANSWER,
    PEER_ANSWER_AND_CLOSE, /* send the bytes, then close: they may be half an answer */
    PEER_DRIP,             /* send the bytes one by one, 20 ms apart */
    PEER_CLOSE,            /* close without a word */
    PEER_RESET,            /* reset the connection after the request was read */
    PEER_SERVE,            /* let the function of `peer_serve` answer */
    PEER_SILENCE
} peer_deed;

stripe_peer *peer_start(void);
void peer_stop(stripe_peer *peer);
int peer_port(const stripe_peer *peer);

/* What to do with the next request that has no step yet. `bytes`: the raw answer, copied. */
void peer_push(stripe_peer *peer, peer_deed deed, const char *bytes);
/* The same for every request that comes when no step is left. */
void peer_always(stripe_peer *peer, peer_deed deed, const char *bytes);
/* Who answers PEER_SERVE, on the peer's thread: the whole answer to the raw request, a fresh string
 * that the peer frees. */
typedef char *peer_server(void *user, const char *request);
void peer_serve(stripe_peer *peer, peer_server *server, void *user);
/* An answer with a Content-Length; `headers` are whole lines with \r\n, or "". */
void peer_push_json(stripe_peer *peer, int status, const char *headers, const char *body);
/* Reset every connection at its next byte. */
void peer_reset_connections(stripe_peer *peer);
/* Refuse new connections from now on, and reset each old one at its next byte. */
void peer_refuse(stripe_peer *peer);
/* Answer nothing until `count` requests wait at once. */
void peer_hold(stripe_peer *peer, size_t count);

/* Requests that came so far. */
size_t peer_count(stripe_peer *peer);
/* The n-th request's bytes, from 0, freed by the peer; waits for it, and gives NULL when
 * it never comes. */
const char *peer_request(stripe_peer *peer, size_t index);
size_t peer_connections(stripe_peer *peer);

/* "HTTP/1.1 STATUS ..." with body, into a fresh string freed by `free`. */
char *peer_format(int status, const char *headers, const char *body);

#endif
