/*
 * exported.c - writes what Stripe would export. Two payments that are close in time may stand the
 * other way round there: a payment is made at the provider when it is paid, here when it is pledged.
 */
#include "bench/exported.h"

#include <stdio.h>
#include <time.h>

#include "bench/harness.h"
#include "util/id.h"

#define SHUFFLED 512 /* payments whose order at the provider is another than here */

/* The payment that the n-th object of the file is about. */
static int64_t place(const paid_book *book, int64_t n) {
    int64_t i = book->payments - 1 - n, first = i / SHUFFLED * SHUFFLED;
    return first + SHUFFLED <= book->payments ? first + (i * 205 + 77) % SHUFFLED : i;
}

static FILE *create(const char *path) {
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        bench_fail("create", path);
    return file;
}

static void finish(FILE *file, const char *path) {
    if (ferror(file) != 0 || fclose(file) != 0)
        bench_fail("write", path);
}

/* What both forms say of a payment. */
struct words {
    char intent[PAID_BOOK_REF_SIZE], charge[PAID_BOOK_REF_SIZE], refund[PAID_BOOK_REF_SIZE];
    char payment_id[CFA_ID_TEXT_SIZE];
    long long amount, refunded, created_s;
};

static struct words words_of(const paid_book *book, int64_t i) {
    struct words out;
    paid_book_ref(out.intent, "pi", i);
    paid_book_ref(out.charge, "ch", i);
    paid_book_ref(out.refund, "re", i);
    cfa__id_format(out.payment_id, "pay", paid_book_payment_id(book, i));
    out.amount = paid_book_amount_minor(i);
    out.refunded = paid_book_refunded_minor(i);
    out.created_s = (book->from_us + i * book->spacing_us) / 1000000;
    return out;
}

static int64_t write_csv(const char *path, const paid_book *book, bool ours) {
    FILE *file = create(path);
    fputs("id,Description,Seller Message,Created date (UTC),Amount,Amount Refunded,Currency,"
          "Converted Amount,Converted Amount Refunded,Fee,Taxes On Fee,Converted Currency,Mode,"
          "Status,Statement Descriptor,Customer ID,Customer Description,Customer Email,Captured,"
          "Card ID,Card Last4,Card Brand,Card Funding,Card Exp Month,Card Exp Year,Card Name,"
          "Card Issue Country,Card CVC Status,Invoice ID,Transfer,PaymentIntent ID",
          file);
    fputs(ours ? ",payment_id (metadata)\n" : "\n", file);
    for (int64_t n = 0; n < book->payments; n++) {
        struct words words = words_of(book, place(book, n));
        time_t seconds = (time_t)words.created_s;
        struct tm tm;
        char created[32];
        gmtime_r(&seconds, &tm);
        strftime(created, sizeof created, "%Y-%m-%d %H:%M:%S", &tm);
        fprintf(
            file,
            "%s,\"Clean water, for everybody\",Payment complete.,%s,%lld.%02lld,%lld.%02lld,eur,"
            "%lld.%02lld,%lld.%02lld,0.00,0.00,eur,Test,%s,CLEAN WATER,cus_%.14s,,"
            "ada.lovelace@example.org,true,pm_%.24s,4242,Visa,credit,12,2030,Ada Lovelace,DE,"
            "pass,,,%s%s%s\n",
            words.charge, created, words.amount / 100, words.amount % 100, words.refunded / 100,
            words.refunded % 100, words.amount / 100, words.amount % 100, words.refunded / 100,
            words.refunded % 100, words.refunded > 0 ? "Partial Refund" : "Paid", words.intent + 4,
            words.charge + 4, words.intent, ours ? "," : "", ours ? words.payment_id : "");
    }
    finish(file, path);
    return book->payments;
}

int64_t exported_csv(const char *path, const paid_book *book) {
    return write_csv(path, book, true);
}

int64_t exported_bare_csv(const char *path, const paid_book *book) {
    return write_csv(path, book, false);
}

static void write_intent(FILE *file, const struct words *words) {
    fprintf(file,
            "    {\n      \"id\": \"%s\",\n      \"object\": \"payment_intent\",\n"
            "      \"amount\": %lld,\n      \"amount_capturable\": 0,\n"
            "      \"amount_details\": {\n        \"tip\": {}\n      },\n"
            "      \"amount_received\": %lld,\n      \"application\": null,\n"
            "      \"application_fee_amount\": null,\n      \"automatic_payment_methods\": {\n"
            "        \"allow_redirects\": \"always\",\n        \"enabled\": true\n      },\n"
            "      \"canceled_at\": null,\n      \"cancellation_reason\": null,\n"
            "      \"capture_method\": \"automatic\",\n"
            "      \"client_secret\": \"%s_secret_%.24s\",\n"
            "      \"confirmation_method\": \"automatic\",\n      \"created\": %lld,\n"
            "      \"currency\": \"eur\",\n      \"customer\": null,\n"
            "      \"description\": \"Clean water\",\n      \"invoice\": null,\n"
            "      \"last_payment_error\": null,\n      \"latest_charge\": \"%s\",\n"
            "      \"livemode\": false,\n      \"metadata\": {\n        \"payment_id\": \"%s\"\n"
            "      },\n      \"next_action\": null,\n      \"on_behalf_of\": null,\n"
            "      \"payment_method\": \"pm_%.24s\",\n      \"payment_method_options\": {\n"
            "        \"card\": {\n          \"installments\": null,\n"
            "          \"mandate_options\": null,\n          \"network\": null,\n"
            "          \"request_three_d_secure\": \"automatic\"\n        }\n      },\n"
            "      \"payment_method_types\": [\n        \"card\"\n      ],\n"
            "      \"processing\": null,\n      \"receipt_email\": null,\n"
            "      \"review\": null,\n      \"setup_future_usage\": null,\n"
            "      \"shipping\": null,\n      \"source\": null,\n"
            "      \"statement_descriptor\": null,\n      \"statement_descriptor_suffix\": null,\n"
            "      \"status\": \"succeeded\",\n      \"transfer_data\": null,\n"
            "      \"transfer_group\": null\n    }",
            words->intent, words->amount, words->amount, words->intent, words->charge + 4,
            words->created_s, words->charge, words->payment_id, words->intent + 4);
}

static void write_refund(FILE *file, const struct words *words) {
    fprintf(file,
            "    {\n      \"id\": \"%s\",\n      \"object\": \"refund\",\n      \"amount\": %lld,\n"
            "      \"balance_transaction\": \"txn_%.24s\",\n      \"charge\": \"%s\",\n"
            "      \"created\": %lld,\n      \"currency\": \"eur\",\n"
            "      \"destination_details\": {\n        \"card\": {\n"
            "          \"reference\": \"123456789012\",\n"
            "          \"reference_status\": \"available\",\n"
            "          \"reference_type\": \"acquirer_reference_number\",\n"
            "          \"type\": \"refund\"\n        },\n        \"type\": \"card\"\n      },\n"
            "      \"metadata\": {},\n      \"payment_intent\": \"%s\",\n"
            "      \"reason\": \"requested_by_customer\",\n      \"receipt_number\": null,\n"
            "      \"source_transfer_reversal\": null,\n      \"status\": \"succeeded\",\n"
            "      \"transfer_reversal\": null\n    }",
            words->refund, words->refunded, words->refund + 4, words->charge, words->created_s,
            words->intent);
}

/* One list with all of it. Returns its objects. */
static int64_t write_list(FILE *file, const paid_book *book, bool refunds) {
    int64_t count = 0;
    fputs("{\n  \"object\": \"list\",\n  \"data\": [\n", file);
    for (int64_t n = 0; n < book->payments; n++) {
        struct words words = words_of(book, place(book, n));
        if (refunds && words.refunded == 0)
            continue;
        fputs(count++ > 0 ? ",\n" : "", file);
        (refunds ? write_refund : write_intent)(file, &words);
    }
    fprintf(file, "\n  ],\n  \"has_more\": false,\n  \"url\": \"/v1/%s\"\n}\n",
            refunds ? "refunds" : "payment_intents");
    return count;
}

int64_t exported_json(const char *path, const paid_book *book) {
    FILE *file = create(path);
    int64_t count = write_list(file, book, false) + write_list(file, book, true);
    finish(file, path);
    return count;
}
