/*
 * stripe_peer.c - the scripted peer: one thread, one poll loop, as many connections as a test
 * opens.
 */
#define _GNU_SOURCE
#include "stripe_peer.h"

#include <check.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1200
#define REQUESTS_MAX 8192
#define STEPS_MAX 512
#define REQUEST_SIZE 8192
#define DRIP_MS 20
#define WAIT_MS 120000 /* only what is broken waits so long */

typedef struct step {
    peer_deed deed;
    char *bytes;
} step;

typedef struct connection {
    int fd;
    char request[REQUEST_SIZE];
    size_t size;
    bool waits; /* a whole request is in and not answered */
    step *answer;
    char *served; /* PEER_SERVE: its bytes */
    size_t sent;
    int64_t drip_at_ms;
} connection;

struct stripe_peer {
    int listener, keeper, wake[2], port; /* the keeper holds the port when nobody listens */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stops, resets;
    step steps[STEPS_MAX];
    size_t step_count, step_next;
    step fallback;
    peer_server *server;
    void *server_user;
    size_t hold, waiting;
    char *requests[REQUESTS_MAX];
    size_t request_count, connection_total;
    connection *connections[CONNECTIONS_MAX]; /* the thread's own */
    size_t connection_count;
    struct pollfd seen[CONNECTIONS_MAX + 2];
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void drop(stripe_peer *peer, size_t index, bool reset) {
    connection *gone = peer->connections[index];
    if (reset) {
        struct linger now = { 1, 0 };
        setsockopt(gone->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(gone->fd);
    free(gone->served);
    free(gone);
    peer->connections[index] = peer->connections[--peer->connection_count];
}

static void accept_one(stripe_peer *peer) {
    int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    connection *made = calloc(1, sizeof *made);
    if (made == NULL || peer->connection_count == CONNECTIONS_MAX) {
        free(made);
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    made->fd = fd;
    peer->connections[peer->connection_count++] = made;
    peer->connection_total++;
}

static bool is_whole(const connection *from) {
    const char *end = memmem(from->request, from->size, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    size_t body = 0;
    const char *length = strcasestr(from->request, "content-length:");
    if (length != NULL && length < end) {
        body = (size_t)strtoul(length + 15, NULL, 10);
    }
    return (size_t)(end - from->request) + 4 + body <= from->size;
}

/* False: the connection is gone. */
static bool read_some(stripe_peer *peer, size_t index) {
    connection *from = peer->connections[index];
    ssize_t got = read(from->fd, from->request + from->size, REQUEST_SIZE - 1 - from->size);
    if (got < 0 && errno == EAGAIN) {
        return true;
    }
    if (got <= 0 || peer->resets) {
        drop(peer, index, got > 0);
        return false;
    }
    from->size += (size_t)got;
    from->request[from->size] = '\0';
    if (!from->waits && is_whole(from)) {
        from->waits = true;
        peer->waiting++;
        if (peer->request_count < REQUESTS_MAX) {
            peer->requests[peer->request_count++] = strdup(from->request);
        }
        pthread_cond_broadcast(&peer->changed);
    }
    return true;
}

/* The answer is sent: the next request may come. */
static void turn(stripe_peer *peer, connection *from) {
    free(from->served);
    from->waits = false;
    from->answer = NULL;
    from->served = NULL;
    from->sent = from->size = 0;
    peer->waiting--;
}

/* False: the connection is gone. */
static bool act(stripe_peer *peer, size_t index) {
    connection *to = peer->connections[index];
    if (to->answer == NULL) {
        to->answer =
            peer->step_next < peer->step_count ? &peer->steps[peer->step_next++] : &peer->fallback;
    }
    peer_deed deed = to->answer->deed;
    if (deed == PEER_CLOSE || deed == PEER_RESET) {
        peer->waiting--;
        drop(peer, index, deed == PEER_RESET);
        return false;
    }
    if (deed == PEER_SILENCE || (deed == PEER_DRIP && now_ms() < to->drip_at_ms)) {
        return true;
    }
    if (deed == PEER_SERVE && to->served == NULL) {
        to->served = peer->server(peer->server_user, to->request);
    }
    const char *bytes = to->served != NULL ? to->served : to->answer->bytes;
    size_t left = strlen(bytes) - to->sent;
    size_t size = deed == PEER_DRIP && left > 1 ? 1 : left;
    ssize_t put = send(to->fd, bytes + to->sent, size, MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN) {
        peer->waiting--;
        drop(peer, index, false);
        return false;
    }
    to->sent += put > 0 ? (size_t)put : 0;
    to->drip_at_ms = now_ms() + DRIP_MS;
    if (bytes[to->sent] != '\0') {
        return true;
    }
    if (deed == PEER_ANSWER_AND_CLOSE) {
        peer->waiting--;
        drop(peer, index, false);
        return false;
    }
    turn(peer, to);
    return true;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int poll_timeout(const stripe_peer *peer) {
    for (size_t i = 0; i < peer->connection_count; i++) {
        const connection *each = peer->connections[i];
        if (each->answer != NULL && each->answer->deed != PEER_SILENCE) {
            return DRIP_MS / 2;
        }
    }
    return WAIT_MS;
}

static void serve(stripe_peer *peer, const struct pollfd *seen, size_t seen_count) {
    if (seen[0].revents != 0) {
        char byte[64];
        (void)!read(peer->wake[0], byte, sizeof byte);
    }
    /* Backwards: what is dropped is replaced by the last, which was looked at already. */
    for (size_t i = seen_count; i-- > 2;) {
        if (seen[i].revents != 0) {
            (void)read_some(peer, i - 2);
        }
    }
    if (seen[1].revents != 0 && peer->listener >= 0) {
        accept_one(peer);
    }
    if (peer->waiting < peer->hold) {
        return;
    }
    peer->hold = 0;
    for (size_t i = peer->connection_count; i-- > 0;) {
        if (peer->connections[i]->waits) {
            (void)act(peer, i);
        }
    }
}

static void *run(void *user) {
    stripe_peer *peer = user;
    struct pollfd *seen = peer->seen;
    pthread_mutex_lock(&peer->lock);
    while (!peer->stops) {
        seen[0] = (struct pollfd){ peer->wake[0], POLLIN, 0 };
        seen[1] = (struct pollfd){ peer->listener, POLLIN, 0 };
        size_t count = 2;
        for (size_t i = 0; i < peer->connection_count; i++) {
            const connection *each = peer->connections[i];
            bool sends = each->answer != NULL && each->answer->deed != PEER_DRIP &&
                         each->answer->deed != PEER_SILENCE;
            short events = (short)(sends ? POLLIN | POLLOUT : POLLIN);
            seen[count++] = (struct pollfd){ each->fd, events, 0 };
        }
        int timeout = poll_timeout(peer);
        pthread_mutex_unlock(&peer->lock);
        (void)poll(seen, (nfds_t)count, timeout);
        pthread_mutex_lock(&peer->lock);
        serve(peer, seen, count);
    }
    while (peer->connection_count > 0) {
        drop(peer, 0, false);
    }
    pthread_mutex_unlock(&peer->lock);
    return NULL;
}

/* ---- the test's side ------------------------------------------------------------------------- */

/* A socket bound to a loopback port, 0 for any that is free, which others of ours may share. */
static int bound_socket(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

stripe_peer *peer_start(void) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    stripe_peer *peer = calloc(1, sizeof *peer);
    ck_assert_ptr_nonnull(peer);
    peer->listener = bound_socket(0);
    ck_assert_int_eq(getsockname(peer->listener, (struct sockaddr *)&address, &size), 0);
    peer->port = ntohs(address.sin_port);
    peer->keeper = bound_socket(peer->port);
    ck_assert_int_eq(listen(peer->listener, CONNECTIONS_MAX), 0);
    ck_assert_int_eq(pipe2(peer->wake, O_CLOEXEC | O_NONBLOCK), 0);
    pthread_mutex_init(&peer->lock, NULL);
    pthread_cond_init(&peer->changed, NULL);
    peer->fallback.deed = PEER_SILENCE;
    ck_assert_int_eq(pthread_create(&peer->thread, NULL, run, peer), 0);
    return peer;
}

static void wake(stripe_peer *peer) { (void)!write(peer->wake[1], "", 1); }

void peer_stop(stripe_peer *peer) {
    pthread_mutex_lock(&peer->lock);
    peer->stops = true;
    pthread_mutex_unlock(&peer->lock);
    wake(peer);
    pthread_join(peer->thread, NULL);
    for (size_t i = 0; i < peer->step_count; i++) {
        free(peer->steps[i].bytes);
    }
    for (size_t i = 0; i < peer->request_count; i++) {
        free(peer->requests[i]);
    }
    free(peer->fallback.bytes);
    if (peer->listener >= 0) {
        close(peer->listener);
    }
    close(peer->keeper);
    close(peer->wake[0]);
    close(peer->wake[1]);
    free(peer);
}

int peer_port(const stripe_peer *peer) { return peer->port; }

void peer_push(stripe_peer *peer, peer_deed deed, const char *bytes) {
    pthread_mutex_lock(&peer->lock);
    ck_assert_uint_lt(peer->step_count, STEPS_MAX);
    peer->steps[peer->step_count++] = (step){ deed, strdup(bytes != NULL ? bytes : "") };
    pthread_mutex_unlock(&peer->lock);
    wake(peer);
}

void peer_always(stripe_peer *peer, peer_deed deed, const char *bytes) {
    pthread_mutex_lock(&peer->lock);
    free(peer->fallback.bytes);
    peer->fallback = (step){ deed, strdup(bytes != NULL ? bytes : "") };
    pthread_mutex_unlock(&peer->lock);
    wake(peer);
}

void peer_serve(stripe_peer *peer, peer_server *server, void *user) {
    pthread_mutex_lock(&peer->lock);
    peer->server = server;
    peer->server_user = user;
    pthread_mutex_unlock(&peer->lock);
    peer_always(peer, PEER_SERVE, NULL);
}

char *peer_format(int status, const char *headers, const char *body) {
    char *text = NULL;
    int size = asprintf(&text,
                        "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
                        "Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n%sContent-Length: %zu\r\n\r\n%s",
                        status, headers, strlen(body), body);
    ck_assert_int_gt(size, 0);
    return text;
}

void peer_push_json(stripe_peer *peer, int status, const char *headers, const char *body) {
    char *text = peer_format(status, headers, body);
    peer_push(peer, PEER_ANSWER, text);
    free(text);
}

void peer_reset_connections(stripe_peer *peer) {
    pthread_mutex_lock(&peer->lock);
    peer->resets = true;
    pthread_mutex_unlock(&peer->lock);
}

void peer_refuse(stripe_peer *peer) {
    pthread_mutex_lock(&peer->lock);
    peer->resets = true;
    /* Closing alone would let it listen for as long as the thread polls it. */
    (void)shutdown(peer->listener, SHUT_RDWR);
    close(peer->listener);
    peer->listener = -1;
    pthread_mutex_unlock(&peer->lock);
    wake(peer);
}

void peer_hold(stripe_peer *peer, size_t count) {
    pthread_mutex_lock(&peer->lock);
    peer->hold = count;
    pthread_mutex_unlock(&peer->lock);
}

size_t peer_count(stripe_peer *peer) {
    pthread_mutex_lock(&peer->lock);
    size_t count = peer->request_count;
    pthread_mutex_unlock(&peer->lock);
    return count;
}

size_t peer_connections(stripe_peer *peer) {
    pthread_mutex_lock(&peer->lock);
    size_t count = peer->connection_total;
    pthread_mutex_unlock(&peer->lock);
    return count;
}

const char *peer_request(stripe_peer *peer, size_t index) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&peer->lock);
    while (peer->request_count <= index &&
           pthread_cond_timedwait(&peer->changed, &peer->lock, &until) == 0) {
    }
    const char *request = index < peer->request_count ? peer->requests[index] : NULL;
    pthread_mutex_unlock(&peer->lock);
    return request;
}
