/*
 * test_secure.c - hashes and MACs against known answers, comparison, randomness.
 */
#define _GNU_SOURCE
#include "util/suite.h"

#include "util/secure.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Stands before the C library's: the kernel's answers that a test cannot wait for. */
static enum { KERNEL_WORKS, KERNEL_INTERRUPTS, KERNEL_REFUSES, KERNEL_GIVES_NOTHING } kernel;
static int kernel_calls;

ssize_t getrandom(void *out, size_t size, unsigned flags) {
    kernel_calls++;
    if (kernel == KERNEL_GIVES_NOTHING)
        return 0;
    if (kernel == KERNEL_REFUSES || (kernel == KERNEL_INTERRUPTS && kernel_calls % 2 == 1)) {
        errno = kernel == KERNEL_REFUSES ? ENOSYS : EINTR;
        return -1;
    }
    /* Interrupted calls give little at a time as well. */
    if (kernel == KERNEL_INTERRUPTS && size > 3)
        size = 3;
    return (ssize_t)syscall(SYS_getrandom, out, size, flags);
}

static const char *to_hex(const uint8_t *bytes, size_t size) {
    static char text[129];
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    text[2 * size] = '\0';
    return text;
}

static cfa_slice text_slice(const char *text) { return (cfa_slice){ text, strlen(text) }; }

/* RFC 4231, cases 1 to 4, 6 and 7: keys of 4 to 131 bytes. */
START_TEST(hmac_sha256_gives_the_answers_of_rfc_4231) {
    uint8_t key[131], data[152], mac[32];
    cfa_slice part;
    memset(key, 0x0b, 20);
    part = text_slice("Hi There");
    cfa__hmac_sha256(mac, (cfa_slice){ key, 20 }, &part, 1);
    ck_assert_str_eq(to_hex(mac, 32),
                     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    part = text_slice("what do ya want for nothing?");
    cfa__hmac_sha256(mac, text_slice("Jefe"), &part, 1);
    ck_assert_str_eq(to_hex(mac, 32),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 20);
    memset(data, 0xdd, 50);
    part = (cfa_slice){ data, 50 };
    cfa__hmac_sha256(mac, (cfa_slice){ key, 20 }, &part, 1);
    ck_assert_str_eq(to_hex(mac, 32),
                     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    for (uint8_t i = 0; i < 25; i++)
        key[i] = (uint8_t)(i + 1);
    memset(data, 0xcd, 50);
    cfa__hmac_sha256(mac, (cfa_slice){ key, 25 }, &part, 1);
    ck_assert_str_eq(to_hex(mac, 32),
                     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    memset(key, 0xaa, 131);
    part = text_slice("Test Using Larger Than Block-Size Key - Hash Key First");
    cfa__hmac_sha256(mac, (cfa_slice){ key, 131 }, &part, 1);
    ck_assert_str_eq(to_hex(mac, 32),
                     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    part = text_slice("This is a test using a larger than block-size key and a larger than "
                      "block-size data. "
                      "The key needs to be hashed before being used by the HMAC algorithm.");
    cfa__hmac_sha256(mac, (cfa_slice){ key, 131 }, &part, 1);
    ck_assert_str_eq(to_hex(mac, 32),
                     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}
END_TEST

START_TEST(a_mac_over_parts_is_the_mac_over_their_bytes) {
    uint8_t whole[32], split[32];
    cfa_slice one = text_slice("1767225600.{\"id\":\"evt_1\"}");
    cfa_slice three[] = { text_slice("1767225600"), text_slice("."),
                          text_slice("{\"id\":\"evt_1\"}") };
    cfa__hmac_sha256(whole, text_slice("whsec_test"), &one, 1);
    cfa__hmac_sha256(split, text_slice("whsec_test"), three, 3);
    ck_assert_mem_eq(whole, split, 32);
    cfa_slice none = { NULL, 0 };
    cfa__hmac_sha256(whole, none, NULL, 0);
    ck_assert_str_eq(to_hex(whole, 32),
                     "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    cfa__hmac_sha256(split, none, &none, 1);
    ck_assert_mem_eq(whole, split, 32);
}
END_TEST

/*
 * The first is RFC 7693's digest of nothing; the others come from another implementation, over
 * framed parts.
 */
START_TEST(hashes_give_the_answers_of_blake2b) {
    static const cfa_slice no_key = { NULL, 0 };
    uint8_t bytes[200], out[64];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    cfa__hash(out, 64, no_key, NULL, 0);
    ck_assert_str_eq(to_hex(out, 64),
                     "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
                     "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9b"
                     "e2ce");
    cfa_slice parts[2] = { text_slice("ab"), text_slice("c") };
    cfa__hash(out, 32, no_key, parts, 2);
    ck_assert_str_eq(to_hex(out, 32),
                     "20263e794775e4edf2b306c0f306af9e50175c831c857604b481e847f790bf95");
    parts[0] = text_slice("a");
    parts[1] = text_slice("bc");
    cfa__hash(out, 32, no_key, parts, 2);
    ck_assert_str_eq(to_hex(out, 32),
                     "77bbcab7072b897c548327378f11776f4853104c71bdb95a12ded5d2783523bf");
    parts[0] = (cfa_slice){ NULL, 0 };
    cfa__hash(out, 16, (cfa_slice){ bytes, 16 }, parts, 1);
    ck_assert_str_eq(to_hex(out, 16), "bd6794e051bfc763d66f555026c60828");
    parts[0] = text_slice("scope");
    parts[1] = text_slice("key");
    cfa__hash(out, 32, (cfa_slice){ bytes, 32 }, parts, 2);
    ck_assert_str_eq(to_hex(out, 32),
                     "85b0446b55c5622340d23a59f4976a5dd79d2bfb7d2f043861238cd5240a4ecf");
    parts[0] = (cfa_slice){ bytes, 200 };
    parts[1] = text_slice("x");
    cfa__hash(out, 64, (cfa_slice){ bytes, 64 }, parts, 2);
    ck_assert_str_eq(to_hex(out, 64),
                     "b9ce2a3e3ed03e3d8eda65549128d381d07e9e3771a8ce12932eab2cfcd6b1a4"
                     "6177b92e01fb9f3302c571e6a8cf319c9cab526968187b312699cf4908d7"
                     "74a2");
}
END_TEST

/* The first vectors of the SipHash-2-4 reference: key 00 to 0f, data 00, 01, 02, ... */
START_TEST(short_hashes_give_the_answers_of_siphash) {
    uint8_t key[16], out[8];
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    cfa__hash_short(out, key, (cfa_slice){ NULL, 0 });
    ck_assert_str_eq(to_hex(out, 8), "310e0edd47db6f72");
    cfa__hash_short(out, key, (cfa_slice){ key, 1 });
    ck_assert_str_eq(to_hex(out, 8), "fd67dc93c539f874");
    cfa__hash_short(out, key, (cfa_slice){ key, 15 });
    ck_assert_str_eq(to_hex(out, 8), "e545be4961ca29a1");
}
END_TEST

START_TEST(every_difference_is_seen_by_the_comparison) {
    uint8_t a[64], b[64];
    memset(a, 7, sizeof(a));
    memcpy(b, a, sizeof(b));
    ck_assert(cfa__equal_constant_time(a, b, sizeof(a)));
    ck_assert(cfa__equal_constant_time(a, b, 0));
    for (size_t i = 0; i < sizeof(a); i++) {
        for (int bit = 0; bit < 8; bit++) {
            b[i] = (uint8_t)(a[i] ^ 1 << bit);
            ck_assert(!cfa__equal_constant_time(a, b, sizeof(a)));
        }
        b[i] = a[i];
    }
}
END_TEST

START_TEST(randomness_fills_everything_it_is_asked_for) {
    /*
     * Above 256 bytes the kernel may give less than asked for; every byte must have been written in
     * the end.
     */
    enum { SIZE = 100000 };
    uint8_t *bytes = malloc(SIZE), *seen = calloc(SIZE, 1);
    ck_assert(bytes != NULL && seen != NULL);
    for (int round = 0; round < 8; round++) {
        memset(bytes, 0, SIZE);
        ck_assert_int_eq(cfa__random(bytes, SIZE), CFA_OK);
        for (size_t i = 0; i < SIZE; i++)
            seen[i] |= bytes[i] != 0;
    }
    /* A byte is 0 eight times in a row once in 2^64. */
    ck_assert_ptr_null(memchr(seen, 0, SIZE));
    ck_assert_int_eq(cfa__random(bytes, 0), CFA_OK);
    free(bytes);
    free(seen);
}
END_TEST

START_TEST(an_interrupted_kernel_is_asked_again) {
    uint8_t bytes[16] = { 0 }, zeros[16] = { 0 };
    kernel = KERNEL_INTERRUPTS;
    kernel_calls = 0;
    ck_assert_int_eq(cfa__random(bytes, sizeof(bytes)), CFA_OK);
    ck_assert_int_eq(kernel_calls, 12);
    ck_assert_mem_ne(bytes + 8, zeros, 8);
}
END_TEST

START_TEST(a_kernel_without_randomness_is_an_error_and_no_abort) {
    uint8_t bytes[16];
    char key[37] = "untouched";
    kernel = KERNEL_REFUSES;
    ck_assert_int_eq(cfa__random(bytes, sizeof(bytes)), CFA_EIO);
    ck_assert_int_eq(last_error()->native_code, ENOSYS);
    ck_assert_int_eq(cfa_key_new(key, sizeof(key)), CFA_EIO);
    ck_assert_str_eq(key, "untouched");
    kernel = KERNEL_GIVES_NOTHING;
    ck_assert_int_eq(cfa__random(bytes, sizeof(bytes)), CFA_EIO);
    ck_assert_int_eq(last_error()->native_code, 0);
}
END_TEST

static void *hash_first(void *out) {
    cfa_slice part = text_slice("first use");
    cfa__hash(out, 32, (cfa_slice){ NULL, 0 }, &part, 1);
    return NULL;
}

START_TEST(the_first_use_may_be_on_many_threads) {
    pthread_t threads[8];
    uint8_t out[8][32];
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hash_first, out[i]), 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_mem_eq(out[i], out[0], 32);
    }
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("secure");
    TCase *answers = tcase_create("known_answers");
    tcase_add_test(answers, hmac_sha256_gives_the_answers_of_rfc_4231);
    tcase_add_test(answers, a_mac_over_parts_is_the_mac_over_their_bytes);
    tcase_add_test(answers, hashes_give_the_answers_of_blake2b);
    tcase_add_test(answers, short_hashes_give_the_answers_of_siphash);
    suite_add_tcase(suite, answers);
    TCase *rest = tcase_create("behaviour");
    tcase_add_test(rest, every_difference_is_seen_by_the_comparison);
    tcase_add_test(rest, randomness_fills_everything_it_is_asked_for);
    tcase_add_test(rest, an_interrupted_kernel_is_asked_again);
    tcase_add_test(rest, a_kernel_without_randomness_is_an_error_and_no_abort);
    tcase_add_test(rest, the_first_use_may_be_on_many_threads);
    suite_add_tcase(suite, rest);
    return run_suite(suite, argc, argv);
}
