/*
 * secure.h - hashes, MACs and constant-time comparison. secure.c is the only file that includes
 * libsodium.
 */
#ifndef CFA_UTIL_SECURE_H
#define CFA_UTIL_SECURE_H

#include <careforall/base.h>
#include <stdbool.h>

/* Bytes from the kernel. CFA_EIO when it refuses. */
CFA_MUST_CHECK cfa_status cfa__random(void *out, size_t size);

/* BLAKE2b of the parts, each preceded by its length, so that ("ab","c") differs from ("a","bc").
 * `key` may be {NULL, 0}, else 16 to 64 bytes. `size`: 16 to 64. */
void cfa__hash(void *out, size_t size, cfa_slice key, const cfa_slice *parts, size_t part_count);

/* SipHash-2-4: a keyed hash that is ten times as fast, for comparing what only its owner
 * repeats. */
void cfa__hash_short(uint8_t out[8], const uint8_t key[16], cfa_slice data);

void cfa__hmac_sha256(uint8_t out[32], cfa_slice key, const cfa_slice *parts, size_t part_count);
bool cfa__equal_constant_time(const void *a, const void *b, size_t size);

#endif
