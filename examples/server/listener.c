/*
 * listener.c - opening, or taking over, the listening socket. A socket of the service manager comes
 * first: it was listening while we started, so nobody was turned away.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 511, FIRST_PASSED_DESCRIPTOR = 3 };

/* ---- passed (sd_listen_fds(3)) -------------------------------------------------------------- */

/* How many sockets were passed to this very process; the variables are not for our children. */
static long passed_count(void) {
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    char *end = NULL;
    long out = 0;
    if (process && count && strtol(process, &end, 10) == (long)getpid() && *end == '\0')
        out = strtol(count, NULL, 10);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return out;
}

static int take_passed(long count) {
    const int listener = FIRST_PASSED_DESCRIPTOR;
    int type = 0, listening = 0;
    struct sockaddr_storage address;
    socklen_t size = sizeof type, listening_size = sizeof listening, address_size = sizeof address;
    if (count > 1) {
        config_complain("the service manager passed %ld sockets: give the socket unit one "
                        "ListenStream",
                        count);
        return -1;
    }
    if (getsockopt(listener, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
        getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size) != 0 ||
        !listening || getsockname(listener, (struct sockaddr *)&address, &address_size) != 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6)) {
        config_complain("the service manager passed something else than a listening TCP socket: "
                        "use ListenStream=HOST:PORT and Accept=no");
        return -1;
    }
    int flags = fcntl(listener, F_GETFL);
    if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(listener, F_SETFD, FD_CLOEXEC) != 0) {
        config_complain("the passed socket cannot be used: %s", strerror(errno));
        return -1;
    }
    return listener;
}

/* ---- our own -------------------------------------------------------------------------------- */

static struct addrinfo *resolve(const server_config *config) {
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int code = getaddrinfo(config->host, config->port, &hints, &found);
    if (code == 0)
        return found;
    config_complain("--listen %s: no such address (%s); give an address of this machine, such as "
                    "127.0.0.1:8080",
                    config->listen, gai_strerror(code));
    return NULL;
}

bool listener_check(const server_config *config) {
    struct addrinfo *found = resolve(config);
    bool good = found != NULL;
    if (found)
        freeaddrinfo(found);
    return good;
}

int listener_open(const server_config *config) {
    long passed = passed_count();
    if (passed > 0)
        return take_passed(passed);
    struct addrinfo *found = resolve(config);
    if (!found)
        return -1;
    int one = 1;
    int listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool open = listener >= 0 &&
                setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                bind(listener, found->ai_addr, found->ai_addrlen) == 0 &&
                listen(listener, LISTEN_BACKLOG) == 0;
    int error = errno;
    freeaddrinfo(found);
    if (open)
        return listener;
    if (error == EADDRINUSE)
        config_complain("--listen %s: the port is taken; stop the other program or choose another "
                        "port (0: any)",
                        config->listen);
    else
        config_complain("--listen %s: %s; give an address of this machine, such as 127.0.0.1:8080",
                        config->listen, strerror(error));
    if (listener >= 0)
        close(listener);
    return -1;
}

void listener_print(int listener) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[64] = "", port[8] = "";
    if (getsockname(listener, (struct sockaddr *)&address, &size) == 0)
        (void)getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    bool bracket = strchr(host, ':') != NULL;
    printf("listening on http://%s%s%s:%s\n", bracket ? "[" : "", host, bracket ? "]" : "", port);
    fflush(stdout);
}
