/*
 * test_stripe_export.c - exported files: what is in them comes out as facts, as often as they are
 * read; and a file that is not sound is refused whole, with its line and the reason.
 */
#include "export_file.h"
#include "stripe_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTENT(id, more)                                                                           \
    "{\"id\":\"" id "\",\"object\":\"payment_intent\",\"amount\":1250,\"amount_received\":1250,"   \
    "\"currency\":\"eur\",\"status\":\"succeeded\",\"created\":1767225600,\"livemode\":false" more \
    "}"
#define LIST(data, more) "{\"object\":\"list\",\"data\":[" data "],\"has_more\":" more "}"
#define HEADER                                                                                     \
    "id,Description,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Status,Mode,"      \
    "PaymentIntent ID,payment_id (metadata)\n"
#define ROW(id, amount) id ",Gift,2026-01-01 00:00:00," amount ",0.00,eur,true,Paid,Test,pi_1,\n"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(objects_come_one_per_line_or_in_lists_as_often_as_they_are_read) {
    static const char *const forms[] = {
        INTENT("pi_1", "") "\n" INTENT("pi_2", "") "\n",
        LIST(INTENT("pi_1", "") "," INTENT("pi_2", ""), "false"),
        "{\n  \"object\": \"list\",\n  \"data\": [\n    " INTENT("pi_1", "") ",\r\n    " INTENT(
            "pi_2", "") "\n  ],\n  \"has_more\": false,\n"
                        "  \"url\": \"/v1/payment_intents\"\n}\n",
        LIST(INTENT("pi_1", ""), "true") "\n" LIST(INTENT("pi_2", ""), "false"),
    };
    cfa_stripe_export *file = export_opened(forms[_i]);
    for (int round = 0; round < 3; round++) {
        cfa_reconcile_object object = export_taken(file);
        ck_assert_str_eq(object.facts.ref, "pi_1");
        ck_assert_int_eq(object.kind, CFA_RECONCILE_PAYMENT);
        ck_assert_int_eq(object.facts.captured_minor, 1250);
        ck_assert_int_eq(object.livemode, 0);
        ck_assert_int_ne(object.whole, 0);
        ck_assert_int_eq(object.summary, 0);
        ck_assert_str_eq(export_taken(file).facts.ref, "pi_2");
        export_ends(file);
    }
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(every_kind_of_object_is_read) {
    cfa_stripe_export *file = export_opened(
        "{\"id\":\"ch_1\",\"object\":\"charge\",\"amount\":900,\"amount_captured\":900,"
        "\"amount_refunded\":300,\"captured\":true,\"currency\":\"eur\",\"status\":\"succeeded\","
        "\"payment_intent\":\"pi_1\",\"created\":1,\"livemode\":true}\n"
        "{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":300,\"currency\":\"eur\","
        "\"status\":\"succeeded\",\"payment_intent\":\"pi_1\",\"created\":2,"
        "\"balance_transaction\":\"txn_1\"}\n"
        "{\"id\":\"dp_1\",\"object\":\"dispute\",\"amount\":900,\"currency\":\"eur\","
        "\"status\":\"needs_response\",\"payment_intent\":\"pi_1\",\"created\":3,"
        "\"balance_transactions\":[{\"amount\":-900,\"currency\":\"eur\",\"fee\":1500}]}");
    cfa_reconcile_object charge = export_taken(file);
    ck_assert_int_eq(charge.facts.captured_minor, 900);
    ck_assert_int_eq(charge.refunded_minor, 300);
    ck_assert_int_eq(charge.livemode, 1);
    cfa_reconcile_object refund = export_taken(file);
    ck_assert_int_eq(refund.kind, CFA_RECONCILE_REFUND);
    ck_assert_int_eq(refund.line, 2);
    ck_assert_int_eq(refund.facts.refunds[0]->amount.minor, 300);
    cfa_reconcile_object dispute = export_taken(file);
    ck_assert_int_eq(dispute.kind, CFA_RECONCILE_DISPUTE);
    ck_assert_int_eq(dispute.facts.disputes[0]->withdrawn_minor, 900);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(a_file_with_no_object_is_read_to_its_end) {
    static const char *const files[] = { HEADER, LIST("", "false") };
    for (size_t i = 0; i < 2; i++) {
        cfa_stripe_export *file = export_opened(files[i]);
        export_ends(file);
        cfa_stripe_export_free(file);
    }
}
END_TEST

START_TEST(rows_are_read_by_the_names_of_their_columns) {
    cfa_stripe_export *file =
        export_opened("Status,PaymentIntent ID,Currency,\"Amount\",id,Captured,Created (UTC),Note,"
                      "Amount Refunded\r\n"
                      "Paid,pi_1,kwd,1.250,ch_1,true,2026-01-01 00:00,\"a \"\"b\"\",\nc\",0.5\r\n"
                      "Failed,,jpy,1250,ch_2,false,2026-01-01 00:00:01,,0\r\n");
    cfa_reconcile_object paid = export_taken(file);
    ck_assert_int_eq(paid.facts.amount.minor, 1250);
    ck_assert_str_eq(paid.facts.amount.currency, "KWD");
    ck_assert_int_eq(paid.facts.captured_minor, 1250);
    ck_assert_int_eq(paid.refunded_minor, 500);
    ck_assert_int_eq(paid.facts.occurred_us, INT64_C(1767225600000000));
    ck_assert_int_eq(paid.line, 2);
    ck_assert_int_ne(paid.summary, 0);
    cfa_reconcile_object failed = export_taken(file);
    ck_assert_ptr_null(failed.facts.ref);
    ck_assert_int_eq(failed.facts.captured_minor, 0);
    ck_assert_int_eq(failed.whole, 0);
    ck_assert_int_eq(failed.line, 4);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(the_same_object_twice_is_once_too_often_only_with_other_words) {
    cfa_stripe_export *file = export_opened(INTENT("pi_1", "") "\n" INTENT("pi_1", ""));
    (void)export_taken(file);
    (void)export_taken(file);
    export_ends(file);
    cfa_stripe_export_free(file);
}
END_TEST

START_TEST(a_file_that_changes_is_refused) {
    cfa_reconcile_object object;
    cfa_stripe_export *file = export_opened(INTENT("pi_1", "") "\n");
    FILE *more = fopen(export_path, "ab");
    ck_assert_ptr_nonnull(more);
    fputs(INTENT("pi_2", "") "\n", more);
    fclose(more);
    cfa_status status = CFA_OK;
    while (status == CFA_OK)
        status = cfa_stripe_export_next(file, &object);
    ck_assert_int_eq(status, CFA_EINVAL);
    ck_assert_ptr_nonnull(strstr(wire_last_error(), "changed"));
    cfa_stripe_export_free(file);
}
END_TEST

/* ---- files that are refused ------------------------------------------------------------------ */

static const struct bad {
    const char *text;
    size_t size; /* 0: the text's */
    cfa_status status;
    const char *line, *why;
} bads[] = {
    { "", 0, CFA_EINVAL, "line 1:", "empty" },
    { "\xef\xbb\xbf" HEADER, 0, CFA_EENCODING, "line 1:", "byte order mark" },
    { "[" INTENT("pi_1", "") "]", 0, CFA_EINVAL, "line 1:", "bare array" },
    { "\n\n{\"id\":\"pi_1\"", 0, CFA_EINVAL, "line 3:", "ends inside" },
    { INTENT("pi_1", "") "\n{\"id\":\"pi_2\\", 0, CFA_EINVAL, "line 2:", "ends inside" },
    { LIST(INTENT("pi_1", "") ",", "false"), 0, CFA_EINVAL, "line 1:", "should begin here" },
    { LIST(INTENT("pi_1", "") "\n" INTENT("pi_2", ""), "false"), 0, CFA_EINVAL,
      "line 2:", "a comma or the list's end" },
    { LIST(INTENT("pi_1", ""), "true") "\n", 0, CFA_EINVAL, "line 2:", "all of its pages" },
    { LIST(INTENT("pi_1", ""), "0"), 0, CFA_EINVAL, "line 1:", "whether it goes on" },
    { "{\"object\":\"search_result\",\"data\":[],\"has_more\":false}", 0, CFA_EINVAL,
      "line 1:", "not a list" },
    { INTENT("pi_1", "") "\nnull\n", 0, CFA_EINVAL, "line 2:", "an object should begin" },
    { "{\"id\":\"cus_1\",\"object\":\"customer\",\"created\":1}", 0, CFA_EINVAL,
      "line 1:", "none of payment_intent" },
    { "{\"object\":\"refund\",\"created\":1}", 0, CFA_EINVAL,
      "line 1:", "id: the object has none" },
    { "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"created\":\"now\"}", 0, CFA_EINVAL,
      "line 1:", "whole seconds" },
    { INTENT("pi_1", "") "\n" INTENT("pi_2", ",\"amount_capturable\":0.5"), 0, CFA_EINVAL,
      "line 2:", "amount_capturable" },
    { "{\"id\":\"re_1\",\"object\":\"refund\",\"created\":1,\"amount\":-5,\"currency\":\"eur\","
      "\"status\":\"succeeded\",\"payment_intent\":\"pi_1\"}",
      0, CFA_EINVAL, "line 1:", "amount" },
    { "{\"id\":\"re_1\",\"object\":\"refund\",\"created\":1,\"amount\":5,\"currency\":\"xxq\","
      "\"status\":\"succeeded\",\"payment_intent\":\"pi_1\"}",
      0, CFA_ECURRENCY, "line 1:", "ISO 4217" },
    { INTENT("pi_1", ",\"id\":\"pi_1\""), 0, CFA_EINVAL, "line 1:", "a key appears twice" },
    { INTENT("pi_1", ",\"note\":\"\xff\""), 0, CFA_EINVAL, "line 1:", "" },
    { "{\"id\":\"pi_1\0\"}", 14, CFA_EENCODING, "line 1:", "NUL" },
    { INTENT("pi_1", "") "\n" INTENT("pi_2", "") "\n" INTENT("pi_1", ",\"note\":1"), 0, CFA_EINVAL,
      "line 3:", "stands in line 1 already" },
    { "name,value\n1,2\n", 0, CFA_EINVAL, "line 1:", "lacks this column" },
    { "id,Amount,Amount" HEADER, 0, CFA_EINVAL, "line 1:", "twice" },
    { HEADER "ch_1,Gift,2026-01-01 00:00:00,12.50\n", 0, CFA_EINVAL,
      "line 2:", "more or fewer fields" },
    { HEADER ROW("ch_1", "12.505"), 0, CFA_EINVAL, "line 2:", "never rounded" },
    { HEADER ROW("ch_1", "\"1,250.00\""), 0, CFA_EINVAL, "line 2:", "" },
    { HEADER ROW("ch_1", "1e3"), 0, CFA_EINVAL, "line 2:", "" },
    { HEADER ROW("ch_1", "-1.00"), 0, CFA_EAMOUNT, "line 2:", "such as 12.50" },
    { HEADER ROW("ch_1", ""), 0, CFA_EAMOUNT, "line 2:", "such as 12.50" },
    { HEADER ROW("ch_1", "99999999999999999999"), 0, CFA_EINVAL, "line 2:", "" },
    { HEADER ROW("", "1.00"), 0, CFA_EINVAL, "line 2:", "id: the row has none" },
    { HEADER "ch_1,Gift,2026-01-01 00:00:00,1.00,0.00,eu,true,Paid,Test,pi_1,\n", 0, CFA_ECURRENCY,
      "line 2:", "ISO 4217" },
    { HEADER "ch_1,Gift,01/02/2026 00:00,1.00,0.00,eur,true,Paid,Test,pi_1,\n", 0, CFA_EINVAL,
      "line 2:", "a time such as" },
    { HEADER "ch_1,Gift,2026-02-29 12:00,1.00,0.00,eur,true,Paid,Test,pi_1,\n", 0, CFA_EINVAL,
      "line 2:", "a time such as" },
    { HEADER "ch_1,Gift,2026-01-01 24:00,1.00,0.00,eur,true,Paid,Test,pi_1,\n", 0, CFA_EINVAL,
      "line 2:", "a time such as" },
    { HEADER "ch_1,Gift,2026-01-01 00:00,1.00,0.00,eur,yes,Paid,Test,pi_1,\n", 0, CFA_EINVAL,
      "line 2:", "Captured" },
    { HEADER "ch_1,Gift,2026-01-01 00:00,1.00,0.00,eur,true,Paid,Demo,pi_1,\n", 0, CFA_EINVAL,
      "line 2:", "Mode" },
    { HEADER ROW("ch_1", "1.00") "ch_2,\"Gift\n\n", 0, CFA_EINVAL, "line 3:", "never closed" },
    { HEADER "ch_1,\"Gift\"s,\n", 0, CFA_EINVAL, "line 2:", "behind the quote" },
    { HEADER "ch_1,Gi\"ft,\n", 0, CFA_EINVAL, "line 2:", "without quotes" },
    { HEADER "ch_1,Gift\r,\n", 0, CFA_EINVAL, "line 2:", "stands alone" },
    { HEADER "ch_1,Gift,2026-01-01 00:00,1.00,0.00,eur,true,Paid,Test,pi_1,\r\n", 0, CFA_EINVAL,
      "line 2:", "ends otherwise" },
    { HEADER "ch_1,\xc3\x28,\n", 0, CFA_EENCODING, "line 2:", "UTF-8" },
    { HEADER ROW("ch_1", "1.00") ROW("ch_1", "2.00"), 0, CFA_EINVAL,
      "line 3:", "stands in line 2 already" },
};

START_TEST(a_file_that_is_not_sound_is_refused_with_its_line) {
    const struct bad *bad = &bads[_i];
    export_write(bad->text, bad->size != 0 ? bad->size : strlen(bad->text));
    export_refused(bad->status, bad->line, bad->why);
}
END_TEST

START_TEST(what_is_too_long_is_refused_with_its_line) {
    static const char *const before[] = { HEADER "ch_1,", "\n{\"id\":\"" };
    size_t size = strlen(before[_i]), whole = size + 1100000;
    char *text = malloc(whole);
    ck_assert_ptr_nonnull(text);
    memcpy(text, before[_i], size);
    memset(text + size, 'x', whole - size);
    export_write(text, whole);
    free(text);
    export_refused(CFA_ETOOLONG, "line 2:", "longer than 1 MiB");
}
END_TEST

START_TEST(what_is_no_file_is_refused) {
    cfa_stripe_export *file = NULL;
    ck_assert_int_eq(cfa_stripe_export_open(&file, "/tmp"), CFA_EINVAL);
    ck_assert_int_eq(cfa_stripe_export_open(&file, "/nonexistent/file"), CFA_EIO);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stripe_export");
    export_add(suite, "forms", objects_come_one_per_line_or_in_lists_as_often_as_they_are_read, 4);
    export_add(suite, "kinds", every_kind_of_object_is_read, 1);
    export_add(suite, "none", a_file_with_no_object_is_read_to_its_end, 1);
    export_add(suite, "rows", rows_are_read_by_the_names_of_their_columns, 1);
    export_add(suite, "twice", the_same_object_twice_is_once_too_often_only_with_other_words, 1);
    export_add(suite, "changes", a_file_that_changes_is_refused, 1);
    export_add(suite, "refused", a_file_that_is_not_sound_is_refused_with_its_line,
               (int)COUNT(bads));
    export_add(suite, "long", what_is_too_long_is_refused_with_its_line, 2);
    export_add(suite, "no_file", what_is_no_file_is_refused, 1);
    return wire_run(suite);
}
