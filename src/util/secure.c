/*
 * secure.c - randomness from the kernel; hashes, MACs and comparison from libsodium, which only
 * this file includes. Keys and intermediate states are wiped before a function returns. Never a
 * primitive of our own.
 */
#define _GNU_SOURCE
#include "util/secure.h"

#include <assert.h>
#include <careforall/sys/platform.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/random.h>

/*
 * sodium_init only chooses the fastest implementation for this processor. Hashes are right without
 * it, so its answer is not needed; but it must have finished before a second thread hashes.
 */
static void initialise(void) {
    int answer = sodium_init();
    (void)answer;
}

static void ensure_initialised(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, initialise);
}

/*
 * Not randombytes_buf: libsodium ends the process when the kernel refuses, and a host is not ours
 * to end.
 */
cfa_status cfa__random(void *out, size_t size) {
    uint8_t *at = out;
    while (size != 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return cfa_error_set(CFA_EIO, "util.secure", NULL, got < 0 ? errno : 0,
                                 "the kernel gave no random bytes");
        }
    }
    return CFA_OK;
}

void cfa__hash(void *out, size_t size, cfa_slice key, const cfa_slice *parts, size_t part_count) {
    assert(size >= crypto_generichash_BYTES_MIN && size <= crypto_generichash_BYTES_MAX);
    assert(key.size == 0 || (key.size >= crypto_generichash_KEYBYTES_MIN &&
                             key.size <= crypto_generichash_KEYBYTES_MAX));
    ensure_initialised();
    crypto_generichash_state state;
    int failed = crypto_generichash_init(&state, key.data, key.size, size);
    for (size_t i = 0; i < part_count; i++) {
        uint8_t length[8];
        for (int byte = 0; byte < 8; byte++)
            length[byte] = (uint8_t)((uint64_t)parts[i].size >> (8 * byte));
        failed |= crypto_generichash_update(&state, length, sizeof(length));
        failed |= crypto_generichash_update(&state, parts[i].data, parts[i].size);
    }
    failed |= crypto_generichash_final(&state, out, size);
    /* Only sizes outside the asserted ranges can fail. */
    assert(failed == 0);
    (void)failed;
    sodium_memzero(&state, sizeof(state));
}

void cfa__hash_short(uint8_t out[8], const uint8_t key[16], cfa_slice data) {
    static_assert(crypto_shorthash_BYTES == 8 && crypto_shorthash_KEYBYTES == 16, "SipHash-2-4");
    int failed = crypto_shorthash(out, data.data != NULL ? data.data : "", data.size, key);
    assert(failed == 0);
    (void)failed;
}

void cfa__hmac_sha256(uint8_t out[32], cfa_slice key, const cfa_slice *parts, size_t part_count) {
    ensure_initialised();
    crypto_auth_hmacsha256_state state;
    /* libsodium declares the key non-null even when it is empty. */
    crypto_auth_hmacsha256_init(&state, key.data != NULL ? key.data : "", key.size);
    for (size_t i = 0; i < part_count; i++)
        crypto_auth_hmacsha256_update(&state, parts[i].data, parts[i].size);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

bool cfa__equal_constant_time(const void *a, const void *b, size_t size) {
    return sodium_memcmp(a, b, size) == 0;
}
