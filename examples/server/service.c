/* service.c - datagrams to NOTIFY_SOCKET. Must never wait: a manager that does not read loses
 * them. */
#include "service.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void service_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t size = path ? strlen(path) : 0;
    if (size < 2 || size >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    (void)sendto(descriptor, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
    close(descriptor);
}

void service_reloading(void) {
    struct timespec now;
    char state[80];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    service_notify(state);
}

uint64_t service_watchdog_ms(void) {
    const char *process = getenv("WATCHDOG_PID"), *period = getenv("WATCHDOG_USEC");
    if (!period || (process && strtol(process, NULL, 10) != (long)getpid()))
        return 0;
    unsigned long long period_us = strtoull(period, NULL, 10);
    if (period_us == 0 || period_us > UINT64_C(86400000000))
        return 0;
    uint64_t half_ms = period_us / 2000; /* half of it, as its manual asks */
    return half_ms > 0 ? half_ms : 1;
}
