/*
 * version.c - what an application asks of the library before it has an engine: the version, and a
 * fresh key.
 */
#define _POSIX_C_SOURCE 200809L
#include <careforall/sys/platform.h>
#include "util/id.h"
#include "util/secure.h"

#include <errno.h>
#include <time.h>

enum { UUID_TEXT_SIZE = 37 };

const char *cfa_version(void) { return CFA_VERSION; }

cfa_status cfa_key_new(char *out_key, size_t out_size) {
    if (out_key == NULL || out_size < UUID_TEXT_SIZE)
        return cfa_error_set(CFA_EMISUSE, "core.key", "out_key", 0,
                             "a key needs an output of at least 37 bytes");
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return cfa_error_set(CFA_EIO, "core.key", NULL, errno, "the system clock cannot be read");
    uint8_t random[10];
    cfa_status status = cfa__random(random, sizeof(random));
    if (status != CFA_OK)
        return status;
    int64_t now_us = (int64_t)now.tv_sec * 1000000 + (int64_t)now.tv_nsec / 1000;
    cfa__id_format_uuid(out_key, cfa__id_make(now_us, random));
    return CFA_OK;
}
