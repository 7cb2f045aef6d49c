/*
 * test_fingerprints.c - fingerprints.json: when two requests with one key are the same request, and
 * what may be a key. The fingerprint itself is keyed by each book's own secret: seen is only whether
 * two are equal.
 */
#include "vectors.h"

#include <careforall/adapters/memory.h>
#include <careforall/adapters/play.h>
#include <string.h>

static const json_t *file;

static struct {
    cfa_storage storage;
    cfa_play *play;
    cfa_engine *engine;
    char campaign_ids[2][CFA_ID_TEXT_SIZE];
} book;

/* The id that an answer is about, and its bytes where it has any. */
struct answer {
    char id[CFA_ID_TEXT_SIZE];
    char bytes[1024];
    size_t size;
    bool replayed;
};

static void book_open(void) {
    ck_assert_int_eq(cfa_memory_storage_new(&book.storage), CFA_OK);
    ck_assert_int_eq(cfa_play_new(&book.play, NULL), CFA_OK);
    cfa_engine_options options = CFA_ENGINE_OPTIONS_INIT;
    options.storage = &book.storage;
    options.provider = cfa_play_provider(book.play);
    ck_assert_int_eq(cfa_engine_open(&book.engine, &options), CFA_OK);
    for (size_t i = 0; i < 2; i++) {
        cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
        spec.key = i == 0 ? "of-this-test-0" : "of-this-test-1";
        spec.title = "Clean water";
        spec.currencies = "EUR,USD";
        cfa_campaign *campaign;
        ck_assert_int_eq(cfa_campaign_create(&campaign, book.engine, &spec), CFA_OK);
        memcpy(book.campaign_ids[i], cfa_campaign_id(campaign), CFA_ID_TEXT_SIZE);
        cfa_campaign_free(campaign);
    }
}

static void book_close(void) {
    cfa_engine_close(book.engine);
    book.storage.ops->close(book.storage.self);
    cfa_play_free(book.play);
}

/* ---- requests -------------------------------------------------------------------------------- */

static cfa_status make_pledge(struct answer *out, const json_t *request, const char *key) {
    static const struct word visibilities[] = { { "PUBLIC", CFA_VISIBILITY_PUBLIC },
                                                { "OWNER", CFA_VISIBILITY_OWNER },
                                                { "HIDDEN", CFA_VISIBILITY_HIDDEN },
                                                { NULL, 0 } };
    only(request, "campaign amount scope payment_method donor_reference donor_name donor_email "
                  "donor_message visibility return_url cancel_url traceparent");
    int64_t campaign = number_in(request, "campaign");
    ck_assert(campaign == 0 || campaign == 1);
    cfa_pledge_spec spec = CFA_PLEDGE_SPEC_INIT;
    spec.key = key;
    spec.scope = text_in(request, "scope");
    spec.campaign_id = book.campaign_ids[campaign];
    spec.amount = money_in(request, "amount");
    spec.payment_method = text_in(request, "payment_method");
    spec.donor_reference = text_in(request, "donor_reference");
    spec.donor_name = text_in(request, "donor_name");
    spec.donor_email = text_in(request, "donor_email");
    spec.donor_message = text_in(request, "donor_message");
    spec.visibility = value_of(visibilities, text_in(request, "visibility"));
    spec.return_url = text_in(request, "return_url");
    spec.cancel_url = text_in(request, "cancel_url");
    spec.traceparent = text_in(request, "traceparent");
    cfa_pledge *pledge;
    cfa_status status = cfa_pledge_create(&pledge, book.engine, &spec);
    if (status != CFA_OK)
        return status;
    memcpy(out->id, cfa_pledge_id(pledge), sizeof out->id);
    out->replayed = cfa_pledge_replayed(pledge) != 0;
    cfa_slice bytes = cfa_pledge_answer(pledge);
    ck_assert(bytes.size > 0 && bytes.size <= sizeof out->bytes);
    memcpy(out->bytes, bytes.data, bytes.size);
    out->size = bytes.size;
    cfa_pledge_free(pledge);
    return CFA_OK;
}

static cfa_status make_campaign(struct answer *out, const json_t *request, const char *key) {
    static const struct word late_rules[] = { { "ACCEPT", CFA_LATE_ACCEPT },
                                              { "REFUSE", CFA_LATE_REFUSE },
                                              { NULL, 0 } };
    only(request, "title currencies goal deadline_us late_rule scope");
    cfa_campaign_spec spec = CFA_CAMPAIGN_SPEC_INIT;
    spec.key = key;
    spec.scope = text_in(request, "scope");
    spec.title = text_in(request, "title");
    spec.currencies = text_in(request, "currencies");
    spec.goal = money_in(request, "goal");
    spec.deadline_us = number_in(request, "deadline_us");
    spec.late_rule = value_of(late_rules, text_in(request, "late_rule"));
    cfa_campaign *campaign;
    cfa_status status = cfa_campaign_create(&campaign, book.engine, &spec);
    if (status != CFA_OK)
        return status;
    memcpy(out->id, cfa_campaign_id(campaign), sizeof out->id);
    out->replayed = cfa_campaign_replayed(campaign) != 0;
    cfa_campaign_free(campaign);
    return CFA_OK;
}

/* The request that is the file's base of that kind with some members changed. */
static cfa_status make(struct answer *out, const char *kind, const json_t *changes,
                       const char *key) {
    memset(out, 0, sizeof *out);
    if (kind == NULL)
        kind = "pledge";
    json_t *request = json_copy(json_object_get(json_object_get(file, "base"), kind));
    ck_assert_ptr_nonnull(request);
    if (changes != NULL)
        ck_assert_int_eq(json_object_update(request, (json_t *)changes), 0);
    bool is_pledge = strcmp(kind, "pledge") == 0;
    cfa_status status =
        is_pledge ? make_pledge(out, request, key) : make_campaign(out, request, key);
    json_decref(request);
    return status;
}

static void expect_result(const json_t *vector, const struct answer *first,
                          const struct answer *second) {
    const char *result = text_in(vector, "result");
    bool same = strcmp(result, "same") == 0;
    ck_assert(same || strcmp(result, "new") == 0);
    ck_assert_int_eq(second->replayed, same);
    ck_assert_int_eq(strcmp(first->id, second->id) == 0, same);
    ck_assert_int_eq(first->size == second->size &&
                         memcmp(first->bytes, second->bytes, first->size) == 0,
                     same || first->size == 0);
}

START_TEST(request) {
    const json_t *vector = vector_at(file, "requests", _i);
    only(vector, "name about kind repeat_kind first repeat status field result");
    const char *kind = text_in(vector, "kind"), *again = text_in(vector, "repeat_kind");
    struct answer first, second;
    book_open();
    ck_assert_int_eq(make(&first, kind, json_object_get(vector, "first"), "the-key"), CFA_OK);
    ck_assert(!first.replayed);
    if (expect_status(vector, make(&second, again != NULL ? again : kind,
                                   json_object_get(vector, "repeat"), "the-key")))
        expect_result(vector, &first, &second);
    book_close();
}
END_TEST

START_TEST(key) {
    const json_t *vector = vector_at(file, "keys", _i);
    only(vector, "name about key status field");
    const char *text = text_in(vector, "key");
    struct answer answer;
    book_open();
    (void)expect_status(vector, make(&answer, "pledge", NULL, text));
    book_close();
}
END_TEST

START_TEST(key_pair) {
    const json_t *vector = vector_at(file, "key_pairs", _i);
    only(vector, "name about first repeat result");
    struct answer first, second;
    book_open();
    ck_assert_int_eq(make(&first, "pledge", NULL, text_in(vector, "first")), CFA_OK);
    ck_assert_int_eq(make(&second, "pledge", NULL, text_in(vector, "repeat")), CFA_OK);
    expect_result(vector, &first, &second);
    book_close();
}
END_TEST

int main(int argc, char **argv) {
    file = vectors_load("fingerprints.json", "careforall.vectors.fingerprints.v1");
    Suite *suite = suite_create("vectors.fingerprints");
    vectors_add(suite, file, "requests", request);
    vectors_add(suite, file, "keys", key);
    vectors_add(suite, file, "key_pairs", key_pair);
    return vectors_run(suite, argc, argv);
}
