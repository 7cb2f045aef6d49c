/* signals.c - a mask and a signalfd (signalfd(2)). Must never run code of ours in a handler. */
#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t held(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void signals_hold(void) {
    sigset_t set = held();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int signals_open(void) {
    sigset_t set = held();
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int signals_next(int descriptor) {
    struct signalfd_siginfo info;
    return read(descriptor, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void signals_release(void) {
    sigset_t set = held();
    signal(SIGHUP, SIG_IGN); /* asks for secrets that nobody needs any more */
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
