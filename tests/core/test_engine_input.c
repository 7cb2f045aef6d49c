/*
 * test_engine_input.c - what must not get in: each bad value is refused with its own status and
 * field, and nothing is written.
 */
#include "support/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that no text field takes, and the status of each. */
static const struct bad_text {
    const char *text;
    cfa_status status;
} bad_texts[] = {
    { "\xc3\x28", CFA_EENCODING },         /* not UTF-8 */
    { "\xed\xa0\x80", CFA_EENCODING },     /* a surrogate */
    { "\xf4\x90\x80\x80", CFA_EENCODING }, /* beyond Unicode */
    { "\xc0\xaf", CFA_EENCODING },         /* overlong */
    { "a\x01z", CFA_EENCODING },           { "a\x7fz", CFA_EENCODING },
    { "4242424242424242", CFA_ECARD },     { "my card is 4242 4242 4242 4242, thanks", CFA_ECARD },
    { "4242-4242-4242-4242", CFA_ECARD },
};

static char *repeated(char byte, size_t count) {
    char *text = malloc(count + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, byte, count);
    text[count] = '\0';
    return text;
}

static void refuse(struct book *book, const cfa_pledge_spec *spec, cfa_status status,
                   const char *field) {
    int64_t rows = all_rows_of(book);
    cfa_pledge *untouched = NULL;
    expect_error(cfa_pledge_create(&untouched, book->engine, spec), status, field);
    cfa_port *port;
    ck_assert_int_eq(cfa_port_new(&port, book->engine), CFA_OK);
    if (cfa_pledge_create_begin(port, 1, spec) == CFA_OK) {
        /* What only the book knows comes as a completion. */
        cfa_completion *completion;
        cfa_error error = CFA_ERROR_INIT;
        ck_assert_int_eq(cfa_port_next(&completion, port, 20000), CFA_OK);
        ck_assert_int_eq(cfa_completion_status(completion), status);
        ck_assert_int_eq(cfa_completion_error(&error, completion), CFA_OK);
        ck_assert_str_eq(error.field, field);
        ck_assert_ptr_null(cfa_completion_pledge(completion));
        cfa_completion_free(completion);
    } else {
        ck_assert_str_eq(last_error()->field, field);
    }
    cfa_port_free(port);
    ck_assert_ptr_null(untouched);
    ck_assert_int_eq(all_rows_of(book), rows);
}

START_TEST(bad_amounts_are_refused) {
    static const struct {
        int64_t minor;
        const char *currency;
        cfa_status status;
    } cases[] = {
        { 0, "EUR", CFA_ERANGE },
        { -1, "EUR", CFA_ERANGE },
        { INT64_MIN, "EUR", CFA_ERANGE },
        { INT64_MAX, "EUR", CFA_ERANGE },
        { CFA_MONEY_MINOR_MAX + 1, "EUR", CFA_ERANGE },
        { 100, "XYZ", CFA_ECURRENCY },
        { 100, "eur", CFA_ECURRENCY },
        { 100, "", CFA_ECURRENCY },
        { 100, "E", CFA_ECURRENCY },
        { 1001, "KWD", CFA_EAMOUNT },  /* three decimals, the last must be 0 */
        { 100, "JPY", CFA_ECURRENCY }, /* not one of the campaign's */
    };
    struct book book;
    book_open(&book, _i);
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfa_pledge_spec spec = gift(&book, "k", cases[i].minor);
        memset(spec.amount.currency, 0, sizeof spec.amount.currency);
        memcpy(spec.amount.currency, cases[i].currency, strlen(cases[i].currency));
        cfa_pledge *untouched = NULL;
        cfa_status status = cfa_pledge_create(&untouched, book.engine, &spec);
        ck_assert_msg(status == cases[i].status, "case %zu: %s", i, cfa_status_name(status));
        char field[48];
        memcpy(field, last_error()->field, sizeof field);
        const char *part = status == CFA_ECURRENCY ? "currency" : "amount";
        ck_assert_msg(strstr(field, part) != NULL, "case %zu: field \"%s\"", i, field);
        refuse(&book, &spec, status, field);
    }
    /* No NUL at the currency's end. */
    cfa_pledge_spec spec = gift(&book, "k", 100);
    memcpy(spec.amount.currency, "EURO", 4);
    refuse(&book, &spec, CFA_ECURRENCY, "currency");
    ck_assert_int_eq(rows_of(&book, "pledge"), 0);
    book_close(&book);
}
END_TEST

START_TEST(bad_text_is_refused_in_every_field) {
    static const struct {
        const char *name;
        size_t offset;
        size_t longest;
    } fields[] = {
        { "donor_name", offsetof(cfa_pledge_spec, donor_name), CFA_NAME_BYTES_MAX },
        { "donor_message", offsetof(cfa_pledge_spec, donor_message), CFA_MESSAGE_BYTES_MAX },
        { "donor_reference", offsetof(cfa_pledge_spec, donor_reference), CFA_REFERENCE_BYTES_MAX },
        { "donor_email", offsetof(cfa_pledge_spec, donor_email), CFA_EMAIL_BYTES_MAX },
        { "payment_method", offsetof(cfa_pledge_spec, payment_method), CFA_METHOD_BYTES_MAX },
        { "scope", offsetof(cfa_pledge_spec, scope), CFA_SCOPE_BYTES_MAX },
    };
    struct book book;
    book_open(&book, _i);
    for (size_t i = 0; i < COUNT(fields); i++) {
        for (size_t j = 0; j < COUNT(bad_texts); j++) {
            cfa_pledge_spec spec = gift(&book, "k", 100);
            memcpy((char *)&spec + fields[i].offset, &bad_texts[j].text, sizeof bad_texts[j].text);
            refuse(&book, &spec, bad_texts[j].status, fields[i].name);
        }
        char *longer = repeated('a', fields[i].longest + 1);
        cfa_pledge_spec spec = gift(&book, "k", 100);
        memcpy((char *)&spec + fields[i].offset, &longer, sizeof longer);
        refuse(&book, &spec, CFA_ETOOLONG, fields[i].name);
        free(longer);
    }
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.donor_email = "nobody";
    refuse(&book, &spec, CFA_EINVAL, "donor_email");
    char *huge = repeated('m', 10 * 1024 * 1024);
    spec = gift(&book, "k", 100);
    spec.donor_message = huge;
    refuse(&book, &spec, CFA_ETOOLONG, "donor_message");
    free(huge);
    /* A message may have lines; a name may not. */
    spec = gift(&book, "lines", 100);
    spec.donor_message = "Get well soon,\nAda";
    cfa_pledge *pledge;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &spec), CFA_OK);
    cfa_pledge_free(pledge);
    spec = gift(&book, "k", 100);
    spec.donor_name = "Ada\nLovelace";
    refuse(&book, &spec, CFA_EENCODING, "donor_name");
    ck_assert_int_eq(rows_of(&book, "pledge"), 1);
    book_close(&book);
}
END_TEST

START_TEST(text_of_the_greatest_length_is_kept_whole) {
    struct book book;
    book_open(&book, _i);
    char *name = repeated('n', CFA_NAME_BYTES_MAX), *message = repeated('m', CFA_MESSAGE_BYTES_MAX);
    char *key = repeated('k', CFA_KEY_BYTES_MAX), *scope = repeated('s', CFA_SCOPE_BYTES_MAX);
    cfa_pledge_spec spec = gift(&book, key, CFA_MONEY_MINOR_MAX);
    spec.amount.minor = 99999999;
    spec.scope = scope;
    spec.donor_name = name;
    spec.donor_message = message;
    cfa_pledge *pledge, *read;
    cfa_status status = cfa_pledge_create(&pledge, book.engine, &spec);
    ck_assert_msg(status == CFA_OK, "%s: %s", cfa_status_name(status), last_error()->message);
    ck_assert_int_eq(cfa_pledge_get(&read, book.engine, cfa_pledge_id(pledge)), CFA_OK);
    ck_assert_str_eq(cfa_pledge_donor_name(read), name);
    ck_assert_str_eq(cfa_pledge_donor_message(read), message);
    cfa_pledge_free(pledge);
    cfa_pledge_free(read);
    free(name);
    free(message);
    free(key);
    free(scope);
    audit(&book);
    book_close(&book);
}
END_TEST

START_TEST(bad_keys_are_refused) {
    struct book book;
    book_open(&book, _i);
    char *longer = repeated('k', CFA_KEY_BYTES_MAX + 1);
    const char *const keys[] = { NULL,     "",     "with space", "tab\t",
                                 "line\n", "\x7f", "\xc3\xa9",   longer };
    for (size_t i = 0; i < COUNT(keys); i++) {
        cfa_pledge_spec spec = gift(&book, keys[i], 100);
        refuse(&book, &spec, CFA_EKEY, "key");
        cfa_campaign_spec campaign = CFA_CAMPAIGN_SPEC_INIT;
        campaign.key = keys[i];
        campaign.title = "T";
        campaign.currencies = "EUR";
        cfa_campaign *untouched = NULL;
        expect_error(cfa_campaign_create(&untouched, book.engine, &campaign), CFA_EKEY, "key");
    }
    free(longer);
    book_close(&book);
}
END_TEST

START_TEST(bad_ids_are_refused) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge *made = pledge_make(&book, "made", 100), *pledge = NULL;
    const char *const ids[] = { "",
                                "cmp_",
                                "nonsense",
                                cfa_pledge_id(made),
                                cfa_pledge_payment_id(made),
                                "cmp_01arz3ndektsv4rrffq69g5faV",
                                "cmp_81arz3ndektsv4rrffq69g5fav",
                                "cmp_01arz3ndektsv4rrffq69g5fa",
                                "cmp_01arz3ndektsv4rrffq69g5favv",
                                "CMP_01arz3ndektsv4rrffq69g5fav",
                                "cmp_01arz3ndektsv4rrffq69g5fau\n" };
    for (size_t i = 0; i < COUNT(ids); i++) {
        cfa_pledge_spec spec = gift(&book, "k", 100);
        spec.campaign_id = ids[i];
        refuse(&book, &spec, CFA_EINVAL, "campaign_id");
        cfa_totals *totals = NULL;
        expect_error(cfa_totals_get(&totals, book.engine, ids[i], NULL), CFA_EINVAL, "campaign_id");
        cfa_campaign *campaign = NULL;
        expect_error(cfa_campaign_get(&campaign, book.engine, ids[i]), CFA_EINVAL, "campaign_id");
    }
    cfa_payment *payment = NULL;
    expect_error(cfa_pledge_get(&pledge, book.engine, book.campaign_id), CFA_EINVAL, "pledge_id");
    expect_error(cfa_payment_get(&payment, book.engine, cfa_pledge_id(made)), CFA_EINVAL,
                 "payment_id");
    expect_error(cfa_pledge_get(&pledge, book.engine, NULL), CFA_EINVAL, "pledge_id");
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.campaign_id = "cmp_01arz3ndektsv4rrffq69g5fav";
    refuse(&book, &spec, CFA_ENOTFOUND, "campaign_id");
    spec.campaign_id = NULL;
    refuse(&book, &spec, CFA_EINVAL, "campaign_id");
    cfa_page page = CFA_PAGE_INIT;
    cfa_pledge_list *list = NULL;
    page.limit = CFA_PAGE_LIMIT_MAX + 1;
    expect_error(cfa_pledge_page(&list, book.engine, book.campaign_id, &page), CFA_ERANGE, "limit");
    page.limit = -1;
    expect_error(cfa_pledge_page(&list, book.engine, book.campaign_id, &page), CFA_ERANGE, "limit");
    page.limit = 1;
    page.after = book.campaign_id;
    expect_error(cfa_pledge_page(&list, book.engine, book.campaign_id, &page), CFA_EINVAL, "after");
    cfa_pledge_free(made);
    book_close(&book);
}
END_TEST

START_TEST(a_campaign_that_is_over_takes_no_pledge) {
    struct book book;
    book_open(&book, _i);
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = "with-deadline";
    spec.title = "Soon over";
    spec.currencies = "EUR";
    spec.deadline_us = cfa_manual_clock_now_us(book.clock) + HOUR_US;
    cfa_campaign *timed, *open, *ended;
    ck_assert_int_eq(cfa_campaign_create(&timed, book.engine, &spec), CFA_OK);
    cfa_pledge_spec pledge = gift(&book, "in-time", 100);
    pledge.campaign_id = cfa_campaign_id(timed);
    cfa_pledge *made;
    ck_assert_int_eq(cfa_pledge_create(&made, book.engine, &pledge), CFA_OK);
    cfa_pledge_free(made);
    book_advance(&book, HOUR_US);
    pledge.key = "late";
    refuse(&book, &pledge, CFA_ECLOSED, "campaign_id");
    ck_assert_int_eq(cfa_campaign_get(&open, book.engine, book.campaign_id), CFA_OK);
    ck_assert_int_eq(cfa_campaign_end(&ended, book.engine, book.campaign_id,
                                      cfa_campaign_version(open), NULL, "end", NULL),
                     CFA_OK);
    pledge = gift(&book, "too-late", 100);
    refuse(&book, &pledge, CFA_ECLOSED, "campaign_id");
    /* What was made in time is still answered. */
    pledge = gift(&book, "in-time", 100);
    pledge.campaign_id = cfa_campaign_id(timed);
    ck_assert_int_eq(cfa_pledge_create(&made, book.engine, &pledge), CFA_OK);
    ck_assert(cfa_pledge_replayed(made));
    cfa_pledge_free(made);
    cfa_campaign_free(timed);
    cfa_campaign_free(open);
    cfa_campaign_free(ended);
    book_close(&book);
}
END_TEST

START_TEST(bad_campaigns_are_refused) {
    static const struct {
        const char *title, *currencies;
        cfa_money goal;
        cfa_late_rule rule;
        cfa_status status;
        const char *field;
    } cases[] = {
        { NULL, "EUR", { 0, "" }, 0, CFA_EINVAL, "title" },
        { "", "EUR", { 0, "" }, 0, CFA_EINVAL, "title" },
        { "4242424242424242", "EUR", { 0, "" }, 0, CFA_ECARD, "title" },
        { "\xff", "EUR", { 0, "" }, 0, CFA_EENCODING, "title" },
        { "T", NULL, { 0, "" }, 0, 0, "currencies" },
        { "T", "", { 0, "" }, 0, 0, "currencies" },
        { "T", "EUR,", { 0, "" }, 0, 0, "currencies" },
        { "T", "EUR,EUR", { 0, "" }, 0, 0, "currencies" },
        { "T", "EUR,XYZ", { 0, "" }, 0, 0, "currencies" },
        { "T", "EUR;USD", { 0, "" }, 0, 0, "currencies" },
        { "T", "EUR", { 100, "USD" }, 0, 0, "goal" },
        { "T", "EUR", { -100, "EUR" }, 0, 0, "goal" },
        { "T", "EUR", { 0, "" }, 7, CFA_EINVAL, "late_rule" },
    };
    struct book book;
    book_open(&book, _i);
    int64_t rows = all_rows_of(&book);
    for (size_t i = 0; i < COUNT(cases); i++) {
        cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
        spec.key = "bad";
        spec.title = cases[i].title;
        spec.currencies = cases[i].currencies;
        spec.goal = cases[i].goal;
        spec.late_rule = cases[i].rule;
        cfa_campaign *untouched = NULL;
        cfa_status status = cfa_campaign_create(&untouched, book.engine, &spec);
        ck_assert_msg(cfa_status_class_of(status) == CFA_CLASS_INVALID, "case %zu: %s", i,
                      cfa_status_name(status));
        if (cases[i].status != 0)
            ck_assert_int_eq(status, cases[i].status);
        ck_assert_msg(strncmp(last_error()->field, cases[i].field, strlen(cases[i].field)) == 0,
                      "case %zu: field \"%s\"", i, last_error()->field);
    }
    ck_assert_int_eq(all_rows_of(&book), rows);
    book_close(&book);
}
END_TEST

START_TEST(structs_of_another_size_are_taken_or_refused_by_their_tail) {
    struct book book;
    book_open(&book, _i);
    struct {
        cfa_pledge_spec spec;
        int64_t tail;
    } newer = { gift(&book, "newer", 100), 0 };
    newer.spec.struct_size = sizeof newer;
    cfa_pledge *pledge = NULL;
    newer.tail = 1;
    expect_error(cfa_pledge_create(&pledge, book.engine, &newer.spec), CFA_EABI, "struct_size");
    newer.tail = 0;
    ck_assert_int_eq(cfa_pledge_create(&pledge, book.engine, &newer.spec), CFA_OK);
    cfa_pledge_free(pledge);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.struct_size = 0;
    refuse(&book, &spec, CFA_EINVAL, "struct_size");
    spec.struct_size = sizeof(size_t);
    refuse(&book, &spec, CFA_EINVAL, "struct_size");
    pledge = NULL;
    expect_error(cfa_pledge_create(&pledge, book.engine, NULL), CFA_EINVAL, "struct_size");
    spec = gift(&book, "k", 100);
    expect_error(cfa_pledge_create(&pledge, NULL, &spec), CFA_EMISUSE, "engine");
    spec.visibility = 9;
    refuse(&book, &spec, CFA_EINVAL, "visibility");
    spec = gift(&book, "k", 100);
    spec.traceparent = "00-xyz";
    refuse(&book, &spec, CFA_EINVAL, "traceparent");
    ck_assert_int_eq(rows_of(&book, "pledge"), 1);
    book_close(&book);
}
END_TEST

START_TEST(a_wrong_wait_is_refused) {
    struct book book;
    book_open(&book, _i);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.wait = 3;
    refuse(&book, &spec, CFA_EINVAL, "wait");
    spec.wait = -1;
    refuse(&book, &spec, CFA_EINVAL, "wait");
    book_close(&book);
}
END_TEST

START_TEST(a_one_step_provider_needs_a_method_and_an_engine_a_provider) {
    struct book book;
    book_prepare(&book, _i);
    book.play_options.one_step = 1;
    book_start(&book);
    cfa_pledge_spec spec = gift(&book, "k", 100);
    spec.payment_method = NULL;
    refuse(&book, &spec, CFA_EINVAL, "payment_method");
    cfa_engine_options options = book.options;
    options.provider = NULL;
    cfa_engine *reader;
    ck_assert_int_eq(cfa_engine_open(&reader, &options), CFA_OK);
    cfa_pledge *pledge = NULL;
    spec = gift(&book, "k", 100);
    expect_error(cfa_pledge_create(&pledge, reader, &spec), CFA_ENOTSUP, "provider");
    cfa_engine_close(reader);
    options = book.options;
    options.livemode = 1;
    expect_error(cfa_engine_open(&reader, &options), CFA_EMODE, "livemode");
    options = book.options;
    options.account = "another";
    expect_error(cfa_engine_open(&reader, &options), CFA_EMODE, "account");
    options = book.options;
    options.batch_limit = 5000;
    expect_error(cfa_engine_open(&reader, &options), CFA_EINVAL, "batch_limit");
    options.batch_limit = 0;
    options.storage = NULL;
    expect_error(cfa_engine_open(&reader, &options), CFA_EINVAL, "storage");
    book_close(&book);
}
END_TEST

int main(int argc, char **argv) {
    Suite *suite = suite_create("engine: input");
#define PER_STORE(name) add_per_store(suite, #name, name)
    PER_STORE(bad_amounts_are_refused);
    PER_STORE(bad_text_is_refused_in_every_field);
    PER_STORE(text_of_the_greatest_length_is_kept_whole);
    PER_STORE(bad_keys_are_refused);
    PER_STORE(bad_ids_are_refused);
    PER_STORE(a_campaign_that_is_over_takes_no_pledge);
    PER_STORE(bad_campaigns_are_refused);
    PER_STORE(structs_of_another_size_are_taken_or_refused_by_their_tail);
    PER_STORE(a_wrong_wait_is_refused);
    PER_STORE(a_one_step_provider_needs_a_method_and_an_engine_a_provider);
    return run_suite(suite, argc, argv);
}
