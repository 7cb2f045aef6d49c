/*
 * The example server's rate limiter and its reading of addresses, alone: every limit at its edge,
 * and that no flood of keys forgives a debt. Includes what it tests, so as to link no server.
 */
#include "../../examples/server/caller.c"
#include "../../examples/server/rate.c"

#include "support/book.h"

#include <check.h>

enum { FLOOD = 1000000 };

static const unsigned char secret[RATE_SECRET_BYTES] = "0123456789abcde";

static rate_table *table_of(int32_t per_minute) {
    ck_assert_int_ge(sodium_init(), 0);
    rate_table *table = rate_new(per_minute, secret);
    ck_assert_ptr_nonnull(table);
    return table;
}

static uint64_t take(rate_table *table, uint32_t number, uint64_t now_ns) {
    unsigned char key[RATE_KEY_BYTES] = { 0x20, 0x01 };
    memcpy(key + 4, &number, sizeof number);
    return rate_take(table, key, now_ns);
}

START_TEST(a_key_comes_as_often_as_said_and_not_once_more) {
    static const int32_t rates[] = { 1, 2, 3, 4, 7, 60, 6000, 999999, RATE_PER_MINUTE_MAX };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        rate_table *table = table_of(rates[i]);
        uint64_t interval_ns = (MINUTE_NS + (uint64_t)rates[i] - 1) / (uint64_t)rates[i];
        uint64_t now_ns = 12345678900;
        int32_t burst = rate_burst(rates[i]);
        ck_assert_int_eq(burst, rates[i] / 3 + (rates[i] % 3 != 0));
        for (int32_t n = 0; n < burst; n++)
            ck_assert_uint_eq(take(table, 7, now_ns), 0);
        ck_assert_uint_eq(take(table, 7, now_ns), interval_ns);
        /* What it says to wait is exact, and a refused try does not make it longer. */
        ck_assert_uint_eq(take(table, 7, now_ns + interval_ns - 1), 1);
        ck_assert_uint_eq(take(table, 7, now_ns + interval_ns), 0);
        ck_assert_uint_eq(take(table, 7, now_ns + interval_ns), interval_ns);
        ck_assert_uint_eq(take(table, 8, now_ns), 0);
        rate_free(table);
    }
}
END_TEST

START_TEST(a_minute_holds_the_rate_and_the_burst_however_it_is_filled) {
    rate_table *table = table_of(60);
    uint64_t begin_ns = 1, end_ns = begin_ns + 10 * MINUTE_NS;
    int passed = 0;
    for (uint64_t now_ns = begin_ns; now_ns < end_ns; now_ns += MINUTE_NS / 60 / 10)
        passed += take(table, 1, now_ns) == 0;
    ck_assert_int_eq(passed, 20 + 10 * 60 - 1);
    /* Long silence earns the burst, not more. */
    int burst = 0;
    while (take(table, 1, end_ns + 100 * MINUTE_NS) == 0)
        burst++;
    ck_assert_int_eq(burst, 20);
    rate_free(table);
}
END_TEST

START_TEST(a_million_keys_take_no_memory_and_none_comes_twice) {
    rate_table *table = table_of(1);
    ck_assert_uint_le(sizeof *table, (size_t)RATE_PLACES * 24 + 64);
    int passed = 0, again = 0;
    for (uint32_t n = 0; n < FLOOD; n++)
        passed += take(table, n, 1) == 0;
    ck_assert_int_eq(passed, RATE_PLACES); /* every place is in use, and paid for */
    for (uint32_t n = 0; n < FLOOD; n++)
        again += take(table, n, 2) == 0;
    ck_assert_int_eq(again, 0);
    /* When their debts are paid, everybody may come again. */
    for (uint32_t n = 0; n < 1000; n++)
        ck_assert_uint_eq(take(table, FLOOD + n, 2 * MINUTE_NS), 0);
    rate_free(table);
}
END_TEST

START_TEST(a_flood_of_other_keys_does_not_free_one_that_owes) {
    enum { PER_MINUTE = 3, BURST = 1, PER_TRY = 500 };
    rate_table *table = table_of(PER_MINUTE);
    /* An attacker tries, sends 500 fresh keys to be pushed out, tries again: for two minutes. */
    uint64_t step_ns = MINUTE_NS * 2 / (FLOOD / PER_TRY);
    int passed = 0, kept = 0;
    uint32_t other = 1;
    for (int n = 0; n < FLOOD / PER_TRY; n++) {
        uint64_t now_ns = 1 + (uint64_t)n * step_ns;
        passed += take(table, 0, now_ns) == 0;
        for (int i = 0; i < PER_TRY; i++)
            kept += take(table, other++, now_ns) == 0;
    }
    ck_assert_int_gt(kept, 2 * RATE_PLACES); /* places were taken over and over */
    ck_assert_int_le(passed, BURST + 2 * PER_MINUTE);
    ck_assert_int_ge(passed, BURST); /* and it was not simply shut out */
    rate_free(table);
}
END_TEST

/* A quarter of a million callers of a table with a quarter of the places, at random: whatever it
 * lets come, a table with a place for each would have let come, too. */
START_TEST(no_key_comes_sooner_than_with_a_place_of_its_own) {
    enum { PER_MINUTE = 9, KEYS = RATE_PLACES * 4, TRIES = 2000000 };
    rate_table *table = table_of(PER_MINUTE);
    uint64_t *paid_ns = calloc(KEYS, sizeof *paid_ns);
    ck_assert_ptr_nonnull(paid_ns);
    uint64_t random = 88172645463325252, now_ns = 1;
    int passed = 0, too_strict = 0;
    for (int n = 0; n < TRIES; n++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint32_t key = (uint32_t)(random >> 20) % KEYS;
        now_ns += random % (2 * MINUTE_NS / TRIES * 3);
        uint64_t owed_ns = paid_ns[key] > now_ns ? paid_ns[key] - now_ns : 0;
        bool may = owed_ns <= table->tolerance_ns;
        if (take(table, key, now_ns) == 0) {
            ck_assert_msg(may, "key %u, try %d", (unsigned)key, n);
            paid_ns[key] = now_ns + owed_ns + table->interval_ns;
            passed++;
        } else
            too_strict += may;
    }
    ck_assert_int_gt(passed, TRIES / 10);
    ck_assert_int_gt(too_strict, TRIES / 100); /* places were short: keys were pushed out */
    free(paid_ns);
    rate_free(table);
}
END_TEST

START_TEST(callers_that_have_room_do_not_feel_each_other) {
    rate_table *table = table_of(60);
    int refused = 0;
    for (int n = 0; n < 20; n++)
        for (uint32_t key = 0; key < RATE_PLACES / 4; key++)
            refused += take(table, key, 1) != 0;
    ck_assert_int_eq(refused, 0);
    rate_free(table);
}
END_TEST

/* ---- addresses ------------------------------------------------------------------------------ */

static caller_blocks blocks_of(const char *text) {
    caller_blocks out = { .count = 0 };
    for (const char *at = text; *at != '\0'; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        ck_assert_ptr_null(caller_blocks_add(&out, at, size));
        at += size;
    }
    return out;
}

static caller_address address_of(const char *text) {
    caller_address out;
    ck_assert_msg(read_plain(&out, text, strlen(text)), "%s", text);
    return out;
}

START_TEST(blocks_hold_what_they_say) {
    static const struct {
        const char *block, *inside, *outside;
    } cases[] = {
        { "10.0.0.1", "10.0.0.1", "10.0.0.2" },
        { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
        { "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
        { "128.0.0.0/1", "255.0.0.1", "127.255.255.255" },
        { "10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3" },
        { "fd00::/8", "fdff::1", "fc00::1" },
        { "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" },
        { "::1", "::1", "::2" },
        { "::/1", "1::", "127.0.0.1" }, /* no IPv4 address is in a block of IPv6 */
        { "::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        caller_blocks list = blocks_of(cases[i].block);
        caller_address inside = address_of(cases[i].inside), outside = address_of(cases[i].outside);
        ck_assert_msg(caller_blocks_hold(&list, &inside), "%s", cases[i].block);
        ck_assert_msg(!caller_blocks_hold(&list, &outside), "%s", cases[i].block);
    }
}
END_TEST

START_TEST(what_is_no_block_is_refused) {
    static const char *const wrong[] = {
        "",
        "x",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/8x",
        "10.0.0.1/8",
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
        "::1/129",
        "fe80::1%lo",
        "[::1]",
        "10.0.0.1:80",
        "localhost",
        "10.0.0",
        "010.0.0.1",
        "10.0.0.0/0008",
        "::/2147483648",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        caller_blocks list = { .count = 0 };
        ck_assert_msg(caller_blocks_add(&list, wrong[i], strlen(wrong[i])) != NULL, "%s", wrong[i]);
        ck_assert_int_eq(list.count, 0);
    }
    caller_blocks list = { .count = 0 };
    for (int i = 0; i < CALLER_BLOCKS_MAX; i++)
        ck_assert_ptr_null(caller_blocks_add(&list, "::1", 3));
    ck_assert_ptr_nonnull(caller_blocks_add(&list, "::1", 3));
}
END_TEST

START_TEST(the_rightmost_untrusted_address_counts) {
    caller_blocks trusted = blocks_of("127.0.0.1 10.0.0.0/8 fd00::/8");
    static const struct {
        const char *first, *second, *found; /* NULL: refused */
    } cases[] = {
        { NULL, NULL, "127.0.0.1" },
        { "", " , ", "127.0.0.1" },
        { "192.0.2.1", NULL, "192.0.2.1" },
        { "198.51.100.9, 192.0.2.1", NULL, "192.0.2.1" },
        { "198.51.100.9", "192.0.2.1", "192.0.2.1" },
        { "garbage, <script>,192.0.2.1", NULL, "192.0.2.1" },
        { "192.0.2.1, 10.0.0.7", "fd00::2", "192.0.2.1" },
        { "10.0.0.8, 10.0.0.7", NULL, "10.0.0.8" },
        { "192.0.2.1:4711", NULL, "192.0.2.1" },
        { "2001:db8::1", NULL, "2001:db8::1" },
        { "[2001:db8::1]", NULL, "2001:db8::1" },
        { "[2001:db8::1]:443", NULL, "2001:db8::1" },
        { "::ffff:192.0.2.1", NULL, "192.0.2.1" },
        { " \t192.0.2.1\t ,", NULL, "192.0.2.1" },
        { "192.0.2.1, garbage", NULL, NULL },
        { "192.0.2.1, unknown, 10.0.0.1", NULL, NULL },
        { "192.0.2.1:", NULL, NULL },
        { "192.0.2.1:x", NULL, NULL },
        { "192.0.2.1:123456", NULL, NULL },
        { "192.0.2.1 198.51.100.9", NULL, NULL },
        { "[192.0.2.1]", NULL, NULL },
        { "[2001:db8::1", NULL, NULL },
        { "[2001:db8::1]x", NULL, NULL },
        { "[]", NULL, NULL },
        { "[", NULL, NULL },
        { ":", NULL, NULL },
        { "10.1,10.2", NULL, NULL },
        { "10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1",
          "10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1", "10.0.0.1" },
        { "192.0.2.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1",
          "10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *values[] = { cases[i].first, cases[i].second };
        int count = !cases[i].first ? 0 : cases[i].second ? 2 : 1;
        caller_address found = address_of("127.0.0.1");
        const char *wrong = caller_forwarded(&found, &trusted, values, count);
        ck_assert_msg((wrong == NULL) == (cases[i].found != NULL), "%d: %s", (int)i,
                      wrong ? wrong : "taken");
        caller_address wanted = wrong ? found : address_of(cases[i].found);
        ck_assert_msg(memcmp(&found, &wanted, sizeof found) == 0, "%d", (int)i);
    }
}
END_TEST

START_TEST(a_network_is_one_ipv4_address_or_64_bits_of_ipv6) {
    static const struct {
        const char *address, *network;
    } cases[] = {
        { "192.0.2.77", "192.0.2.77" },
        { "::ffff:192.0.2.77", "192.0.2.77" },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
        { "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::" },
        { "2001:db8:1:3::", "2001:db8:1:3::" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        caller_address address = address_of(cases[i].address);
        caller_address network = caller_network(&address);
        char text[INET6_ADDRSTRLEN];
        caller_text(text, &network);
        ck_assert_str_eq(text, cases[i].network);
    }
    static const char *const loopback[] = { "127.0.0.1", "127.255.0.9", "::1" };
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        caller_address address = address_of(loopback[i]);
        ck_assert(caller_is_loopback(&address));
    }
    static const char *const others[] = { "128.0.0.1", "0.0.0.0", "::", "::2", "10.0.0.1" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        caller_address address = address_of(others[i]);
        ck_assert(!caller_is_loopback(&address));
    }
}
END_TEST

START_TEST(a_socket_address_of_either_family_is_the_same_caller) {
    struct sockaddr_in inet = { .sin_family = AF_INET };
    struct sockaddr_in6 inet6 = { .sin6_family = AF_INET6 };
    ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.1", &inet.sin_addr), 1);
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.1", &inet6.sin6_addr), 1);
    caller_address left = caller_of_socket((struct sockaddr *)&inet);
    caller_address right = caller_of_socket((struct sockaddr *)&inet6);
    ck_assert_mem_eq(&left, &right, sizeof left);
    caller_address none = caller_of_socket(NULL), zero = address_of("::");
    ck_assert_mem_eq(&none, &zero, sizeof none);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("rate");
    TCase *rates = tcase_create("rates"), *callers = tcase_create("callers");
    tcase_set_timeout(rates, 120);
    tcase_add_test(rates, a_key_comes_as_often_as_said_and_not_once_more);
    tcase_add_test(rates, a_minute_holds_the_rate_and_the_burst_however_it_is_filled);
    tcase_add_test(rates, a_million_keys_take_no_memory_and_none_comes_twice);
    tcase_add_test(rates, a_flood_of_other_keys_does_not_free_one_that_owes);
    tcase_add_test(rates, no_key_comes_sooner_than_with_a_place_of_its_own);
    tcase_add_test(rates, callers_that_have_room_do_not_feel_each_other);
    tcase_add_test(callers, blocks_hold_what_they_say);
    tcase_add_test(callers, what_is_no_block_is_refused);
    tcase_add_test(callers, the_rightmost_untrusted_address_counts);
    tcase_add_test(callers, a_network_is_one_ipv4_address_or_64_bits_of_ipv6);
    tcase_add_test(callers, a_socket_address_of_either_family_is_the_same_caller);
    suite_add_tcase(suite, rates);
    suite_add_tcase(suite, callers);
    return run_suite(suite, argc, argv);
}
