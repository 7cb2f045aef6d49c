/*
 * load.c - requests at a fixed rate over kept connections, and how long each took from the moment
 * it was due: a server that falls behind is charged for the requests that had to wait. Never
 * sleeps, so that its own waking up is not measured.
 *
 *     load PORT PATH CONNECTIONS RATE COUNT     prints: requests per second reached; p50, p99 and
 *                                               the longest in microseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, ANSWER_MAX = 16384, EVENTS = 64 };

typedef struct peer {
    int descriptor;
    uint64_t next;   /* number of the request it sends next */
    uint64_t due_ns; /* of the one in flight */
    bool busy;
    size_t size;
    char answer[ANSWER_MAX];
} peer;

static peer peers[CONNECTIONS_MAX];
static char request[512];
static size_t request_size;
static uint32_t *latencies_us;
static size_t done;
static uint16_t port;
static int poll;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void connect_peer(peer *out, uint64_t number) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    out->descriptor = socket(AF_INET, SOCK_STREAM, 0);
    out->next = number;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = out };
    if (out->descriptor < 0 ||
        connect(out->descriptor, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(out->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(poll, EPOLL_CTL_ADD, out->descriptor, &event) != 0)
        fail("connect");
}

/* A head, and as many bytes as it says. */
static bool answer_whole(peer *from) {
    from->answer[from->size] = '\0';
    char *end = strstr(from->answer, "\r\n\r\n");
    char *length = strstr(from->answer, "Content-Length: ");
    if (!end || !length)
        return false;
    if (strncmp(from->answer, "HTTP/1.1 200", 12) != 0)
        fail("an answer other than 200");
    return from->size >= (size_t)(end + 4 - from->answer) + strtoul(length + 16, NULL, 10);
}

static void receive(peer *from) {
    ssize_t size = recv(from->descriptor, from->answer + from->size,
                        sizeof from->answer - 1 - from->size, MSG_DONTWAIT);
    if (size <= 0)
        fail("receive");
    from->size += (size_t)size;
    if (!answer_whole(from))
        return;
    latencies_us[done++] = (uint32_t)((now_ns() - from->due_ns) / 1000);
    from->busy = false;
    if (strstr(from->answer, "Connection: close")) {
        close(from->descriptor);
        connect_peer(from, from->next);
    }
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc != 6)
        return 2;
    unsigned connections = (unsigned)strtoul(argv[3], NULL, 10);
    double rate = strtod(argv[4], NULL);
    uint64_t total = strtoull(argv[5], NULL, 10);
    if (connections == 0 || connections > CONNECTIONS_MAX || total == 0)
        return 2;
    request_size = (size_t)snprintf(request, sizeof request,
                                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[2]);
    latencies_us = malloc(total * sizeof *latencies_us);
    port = (uint16_t)strtoul(argv[1], NULL, 10);
    poll = epoll_create1(0);
    if (!latencies_us || poll < 0)
        fail("start");
    for (unsigned i = 0; i < connections; i++)
        connect_peer(&peers[i], i);
    uint64_t start_ns = now_ns();
    while (done < total) {
        uint64_t now = now_ns();
        for (unsigned i = 0; i < connections; i++) {
            peer *to = &peers[i];
            uint64_t due_ns = start_ns + (uint64_t)((double)to->next * 1e9 / rate);
            if (to->busy || to->next >= total || due_ns > now)
                continue;
            to->due_ns = due_ns;
            to->next += connections;
            to->busy = true;
            to->size = 0;
            if (send(to->descriptor, request, request_size, 0) != (ssize_t)request_size)
                fail("send");
        }
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll, events, EVENTS, 0);
        for (int i = 0; i < count; i++)
            receive(events[i].data.ptr);
    }
    double seconds = (double)(now_ns() - start_ns) / 1e9;
    qsort(latencies_us, done, sizeof *latencies_us, compare);
    printf("%.0f %u %u %u\n", (double)done / seconds, latencies_us[done / 2],
           latencies_us[done * 99 / 100], latencies_us[done - 1]);
    return 0;
}
