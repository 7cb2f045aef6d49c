/*
 * test_engine_unfinished.c - a look-up that ran out of time goes on soon, until it ends or has had
 * its tries; one that merely failed waits as always.
 */
#include "support/book.h"

#include <string.h>

static struct {
    int lookups, creates;
    int ends_at; /* the look-up that finds the payment */
    bool unfinished;
} wire;

static cfa_status wire_prepare(void *self, const cfa_call *call, cfa_arena *arena,
                               cfa_slice *out_body) {
    (void)self;
    (void)call;
    (void)arena;
    *out_body = (cfa_slice){ "", 0 };
    return CFA_OK;
}

static void wire_call(void *self, const cfa_call *call, cfa_arena *arena, cfa_reply *out) {
    (void)self;
    (void)arena;
    if (call->kind == CFA_CALL_CREATE) {
        wire.creates++;
        out->outcome = CFA_OUTCOME_UNKNOWN;
        out->stored = 1; /* asking again is useless */
    } else if (call->kind == CFA_CALL_LOOKUP) {
        wire.lookups++;
        out->unfinished = wire.unfinished;
        if (wire.lookups == wire.ends_at) {
            out->outcome = CFA_OUTCOME_DONE;
            out->facts.ref = "obj_1";
            out->facts.payment_id = call->payment_id;
            out->facts.amount = call->amount;
        }
    }
}

static const cfa_provider_ops ops = {
    .struct_size = sizeof ops,
    .name = "wire",
    .capabilities = CFA_PROVIDER_TWO_STEP | CFA_PROVIDER_LOOKUP_AUTHORITATIVE,
    .prepare = wire_prepare,
    .call = wire_call,
};

static void run(struct book *book, int store, int seconds) {
    static const cfa_provider provider = { &ops, NULL };
    book_prepare(book, store);
    book->options.provider = &provider;
    book_start(book);
    cfa_pledge_spec spec = gift(book, "k", 100);
    spec.wait = CFA_WAIT_COMMIT;
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book->engine, &spec), CFA_OK);
    for (int i = 0; i < seconds; i++) {
        book_settle(book);
        book_advance(book, SECOND_US);
    }
    cfa_pledge_free(pledge);
    ck_assert_int_eq(wire.creates, 1);
}

START_TEST(a_look_up_that_ran_out_of_time_goes_on_soon) {
    struct book book;
    memset(&wire, 0, sizeof wire);
    wire.unfinished = true;
    wire.ends_at = 30;
    run(&book, _i, 60);
    ck_assert_int_eq(wire.lookups, 30);
    book_close(&book);
}
END_TEST

START_TEST(a_look_up_that_never_ends_becomes_rare) {
    struct book book;
    memset(&wire, 0, sizeof wire);
    wire.unfinished = true;
    run(&book, _i, 600);
    ck_assert_int_gt(wire.lookups, 90);
    ck_assert_int_le(wire.lookups, 110);
    book_close(&book);
}
END_TEST

START_TEST(a_look_up_that_failed_waits_as_always) {
    struct book book;
    memset(&wire, 0, sizeof wire);
    run(&book, _i, 60);
    ck_assert_int_ge(wire.lookups, 2);
    ck_assert_int_le(wire.lookups, 5);
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: unfinished");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(a_look_up_that_ran_out_of_time_goes_on_soon);
    PER_STORE(a_look_up_that_never_ends_becomes_rare);
    PER_STORE(a_look_up_that_failed_waits_as_always);
    return run_suite(suite, argc, argv);
}
