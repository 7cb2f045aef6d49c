/*
 * constant.c - what the server's HTTP stack can do at most: libmicrohttpd in a libuv loop, as in
 * examples/server/http.c, answering every request with one ready-made response. Prints its port.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

enum { BACKLOG = 511, CONNECTIONS = 1000, MEMORY_BYTES = 24 * 1024, IDLE_S = 15 };

static struct MHD_Daemon *server;
static struct MHD_Response *answer;
static uv_timer_t timer;

static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot) {
    (void)self, (void)url, (void)method, (void)version, (void)upload, (void)upload_size;
    if (!*slot) {
        *slot = connection;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, answer);
}

static void turn(void);

static void on_timer(uv_timer_t *handle) {
    (void)handle;
    turn();
}

static void turn(void) {
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    MHD_run(server);
    if (MHD_get_timeout(server, &timeout_ms) == MHD_YES)
        uv_timer_start(&timer, on_timer, timeout_ms, 0);
    else
        uv_timer_stop(&timer);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)poll, (void)status, (void)events;
    turn();
}

static int listen_anywhere(void) {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, BACKLOG) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        return -1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 465;
    char *body = malloc(size);
    int listener = listen_anywhere();
    if (!body || listener < 0)
        return 1;
    memset(body, 'x', size);
    answer = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(answer, "Content-Type", "application/json");
    MHD_add_response_header(answer, "Cache-Control", "no-cache");
    MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(answer, "ETag", "W/\"2\"");
    server = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
                              NULL, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
                              (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                              (size_t)MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                              MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server ? MHD_get_daemon_info(server, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    uv_poll_t poll;
    if (!info || uv_poll_init(uv_default_loop(), &poll, info->epoll_fd) != 0)
        return 1;
    uv_timer_init(uv_default_loop(), &timer);
    uv_poll_start(&poll, UV_READABLE, on_readable);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
