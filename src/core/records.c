/*
 * records.c - the tables behind records.h: field descriptions made from the lists, and the indexes.
 *
 * Field positions are named `kind__field`, so that an index cannot point at the wrong column.
 */
#include "core/records.h"

#include <assert.h>
#include <string.h>

#define PASTE2(kind, field) kind##__##field
#define PASTE(kind, field) PASTE2(kind, field)
#define POSITION(type_, name_, flags_, since_, doc_) PASTE(KIND, name_),
#define ROW(type_, name_, flags_, since_, doc_)                                                    \
    { #name_, doc_, CFA_FIELD_##type_, flags_, offsetof(RECORD, name_), since_ },

#define COUNT(array) ((int32_t)(sizeof(array) / sizeof((array)[0])))
#define UNIQUE CFA_INDEX_UNIQUE
#define SPARSE CFA_INDEX_SPARSE

#define DEFINE_KIND(number, kind, doc, version, position, since)                                   \
    const cfa_kind cfa__##kind##_kind = {                                                          \
        number,                                                                                    \
        #kind,                                                                                     \
        doc,                                                                                       \
        sizeof(cfa__##kind),                                                                       \
        kind##_fields,                                                                             \
        COUNT(kind##_fields),                                                                      \
        kind##_indexes,                                                                            \
        COUNT(kind##_indexes),                                                                     \
        version,                                                                                   \
        position,                                                                                  \
        since,                                                                                     \
    };

#define KIND book
#define RECORD cfa__book
enum { CFA__BOOK_FIELDS(POSITION) };
static const cfa_field book_fields[] = { CFA__BOOK_FIELDS(ROW) };
static const cfa_index book_indexes[] = {
    { "primary", { book__id }, 1, UNIQUE, 1 },
};
DEFINE_KIND(1, book, "what the database is pinned to", book__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND campaign
#define RECORD cfa__campaign
enum { CFA__CAMPAIGN_FIELDS(POSITION) };
static const cfa_field campaign_fields[] = { CFA__CAMPAIGN_FIELDS(ROW) };
static const cfa_index campaign_indexes[] = {
    { "primary", { campaign__id }, 1, UNIQUE, 1 },
};
DEFINE_KIND(2, campaign, "what people give to", campaign__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND key
#define RECORD cfa__key
enum { CFA__KEY_FIELDS(POSITION) };
static const cfa_field key_fields[] = { CFA__KEY_FIELDS(ROW) };
static const cfa_index key_indexes[] = {
    { "primary", { key__digest, key__scope_hash }, 2, UNIQUE, 1 },
};
DEFINE_KIND(3, key, "idempotency keys, for ever", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND key_recent
#define RECORD cfa__key_recent
enum { CFA__KEY_RECENT_FIELDS(POSITION) };
static const cfa_field key_recent_fields[] = { CFA__KEY_RECENT_FIELDS(ROW) };
static const cfa_index key_recent_indexes[] = {
    { "primary",
      { key_recent__generation, key_recent__digest, key_recent__scope_hash },
      3,
      UNIQUE,
      1 },
};
DEFINE_KIND(4, key_recent, "random idempotency keys of late", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND donor
#define RECORD cfa__donor
enum { CFA__DONOR_FIELDS(POSITION) };
static const cfa_field donor_fields[] = { CFA__DONOR_FIELDS(ROW) };
static const cfa_index donor_indexes[] = {
    { "primary", { donor__id }, 1, UNIQUE, 1 },
};
DEFINE_KIND(5, donor, "personal data, erasable", donor__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND pledge
#define RECORD cfa__pledge
enum { CFA__PLEDGE_FIELDS(POSITION) };
static const cfa_field pledge_fields[] = { CFA__PLEDGE_FIELDS(ROW) };
static const cfa_index pledge_indexes[] = {
    { "primary", { pledge__id }, 1, UNIQUE, 1 },
    { "by_campaign", { pledge__campaign_id, pledge__id }, 2, 0, 1 },
};
DEFINE_KIND(6, pledge, "promises", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND answer
#define RECORD cfa__answer
enum { CFA__ANSWER_FIELDS(POSITION) };
static const cfa_field answer_fields[] = { CFA__ANSWER_FIELDS(ROW) };
static const cfa_index answer_indexes[] = {
    { "primary", { answer__pledge_id }, 1, UNIQUE, 1 },
};
DEFINE_KIND(7, answer, "the fixed answers to pledges", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND payment
#define RECORD cfa__payment
enum { CFA__PAYMENT_FIELDS(POSITION) };
static const cfa_field payment_fields[] = { CFA__PAYMENT_FIELDS(ROW) };
static const cfa_index payment_indexes[] = {
    { "primary", { payment__id }, 1, UNIQUE, 1 },
};
DEFINE_KIND(8, payment, "payment intents and what is known of them", payment__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND transition
#define RECORD cfa__transition
enum { CFA__TRANSITION_FIELDS(POSITION) };
static const cfa_field transition_fields[] = { CFA__TRANSITION_FIELDS(ROW) };
static const cfa_index transition_indexes[] = {
    { "primary", { transition__payment_id, transition__number }, 2, UNIQUE, 1 },
};
DEFINE_KIND(9, transition, "each payment's walk through the states", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND operation
#define RECORD cfa__operation
enum { CFA__OPERATION_FIELDS(POSITION) };
static const cfa_field operation_fields[] = { CFA__OPERATION_FIELDS(ROW) };
static const cfa_index operation_indexes[] = {
    { "primary", { operation__payment_id, operation__number }, 2, UNIQUE, 1 },
    { "by_due", { operation__due_us, operation__payment_id, operation__number }, 3, SPARSE, 1 },
};
DEFINE_KIND(10, operation, "provider calls, recorded before they are made", operation__version, -1,
            1)
#undef KIND
#undef RECORD

#define KIND provider_object
#define RECORD cfa__provider_object
enum { CFA__PROVIDER_OBJECT_FIELDS(POSITION) };
static const cfa_field provider_object_fields[] = { CFA__PROVIDER_OBJECT_FIELDS(ROW) };
static const cfa_index provider_object_indexes[] = {
    { "primary",
      { provider_object__provider, provider_object__account, provider_object__ref },
      3,
      UNIQUE,
      1 },
    { "by_waiting",
      { provider_object__waiting_us, provider_object__provider, provider_object__account,
        provider_object__ref },
      4,
      SPARSE,
      4 },
};
DEFINE_KIND(11, provider_object, "which payment a provider's object is", provider_object__version,
            -1, 1)
#undef KIND
#undef RECORD

#define KIND webhook
#define RECORD cfa__webhook
enum { CFA__WEBHOOK_FIELDS(POSITION) };
static const cfa_field webhook_fields[] = { CFA__WEBHOOK_FIELDS(ROW) };
static const cfa_index webhook_indexes[] = {
    { "primary", { webhook__provider, webhook__account, webhook__event_id }, 3, UNIQUE, 1 },
    { "by_payment",
      { webhook__payment_id, webhook__received_us, webhook__event_id },
      3,
      SPARSE,
      3 },
    { "by_id", { webhook__id }, 1, 0, 4 },
};
DEFINE_KIND(12, webhook, "provider events, once each", webhook__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND parked
#define RECORD cfa__parked
enum { CFA__PARKED_FIELDS(POSITION) };
static const cfa_field parked_fields[] = { CFA__PARKED_FIELDS(ROW) };
static const cfa_index parked_indexes[] = {
    { "primary", { parked__provider, parked__account, parked__ref, parked__number }, 4, UNIQUE, 1 },
};
DEFINE_KIND(13, parked, "webhooks that wait for their object", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND sink
#define RECORD cfa__sink
enum { CFA__SINK_FIELDS(POSITION) };
static const cfa_field sink_fields[] = { CFA__SINK_FIELDS(ROW) };
static const cfa_index sink_indexes[] = {
    { "primary", { sink__name }, 1, UNIQUE, 1 },
};
DEFINE_KIND(14, sink, "cursors into the log", sink__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND contribution
#define RECORD cfa__contribution
enum { CFA__CONTRIBUTION_FIELDS(POSITION) };
static const cfa_field contribution_fields[] = { CFA__CONTRIBUTION_FIELDS(ROW) };
static const cfa_index contribution_indexes[] = {
    { "primary", { contribution__payment_id }, 1, UNIQUE, 1 },
    { "by_campaign",
      { contribution__campaign_id, contribution__created_us, contribution__payment_id },
      3,
      0,
      1 },
};
DEFINE_KIND(15, contribution, "each payment's part of the totals", contribution__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND totals
#define RECORD cfa__totals
enum { CFA__TOTALS_FIELDS(POSITION) };
static const cfa_field totals_fields[] = { CFA__TOTALS_FIELDS(ROW) };
static const cfa_index totals_indexes[] = {
    { "primary", { totals__campaign_id, totals__currency }, 2, UNIQUE, 1 },
};
DEFINE_KIND(16, totals, "sums per campaign and currency", totals__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND supporter
#define RECORD cfa__supporter
enum { CFA__SUPPORTER_FIELDS(POSITION) };
static const cfa_field supporter_fields[] = { CFA__SUPPORTER_FIELDS(ROW) };
static const cfa_index supporter_indexes[] = {
    { "primary",
      { supporter__campaign_id, supporter__currency, supporter__person_id },
      3,
      UNIQUE,
      1 },
};
DEFINE_KIND(17, supporter, "distinct donors per campaign and currency", supporter__version, -1, 1)
#undef KIND
#undef RECORD

#define KIND staged
#define RECORD cfa__staged
enum { CFA__STAGED_FIELDS(POSITION) };
static const cfa_field staged_fields[] = { CFA__STAGED_FIELDS(ROW) };
static const cfa_index staged_indexes[] = {
    { "primary", { staged__id }, 1, UNIQUE, 1 },
};
DEFINE_KIND(18, staged, "events of joined transactions, before the log", -1, -1, 1)
#undef KIND
#undef RECORD

#define KIND event
#define RECORD cfa__event
enum { CFA__EVENT_FIELDS(POSITION) };
static const cfa_field event_fields[] = { CFA__EVENT_FIELDS(ROW) };
static const cfa_index event_indexes[] = {
    { "primary", { event__position }, 1, UNIQUE, 1 },
};
DEFINE_KIND(19, event, "the outbox: an insert-only log", -1, event__position, 1)
#undef KIND
#undef RECORD

#define KIND breaker
#define RECORD cfa__breaker
enum { CFA__BREAKER_FIELDS(POSITION) };
static const cfa_field breaker_fields[] = { CFA__BREAKER_FIELDS(ROW) };
static const cfa_index breaker_indexes[] = {
    { "primary", { breaker__provider, breaker__account }, 2, UNIQUE, 2 },
};
DEFINE_KIND(20, breaker, "circuit breakers of providers' accounts", breaker__version, -1, 2)
#undef KIND
#undef RECORD

#define KIND dead_letter
#define RECORD cfa__dead_letter
enum { CFA__DEAD_LETTER_FIELDS(POSITION) };
static const cfa_field dead_letter_fields[] = { CFA__DEAD_LETTER_FIELDS(ROW) };
static const cfa_index dead_letter_indexes[] = {
    { "primary", { dead_letter__sink, dead_letter__position }, 2, UNIQUE, 2 },
    { "by_requeued",
      { dead_letter__requeued, dead_letter__sink, dead_letter__position },
      3,
      SPARSE,
      2 },
};
DEFINE_KIND(21, dead_letter, "events that a sink refused, set aside", dead_letter__version, -1, 2)
#undef KIND
#undef RECORD

#define KIND refund
#define RECORD cfa__refund
enum { CFA__REFUND_FIELDS(POSITION) };
static const cfa_field refund_fields[] = { CFA__REFUND_FIELDS(ROW) };
static const cfa_index refund_indexes[] = {
    { "primary", { refund__id }, 1, UNIQUE, 3 },
    { "by_payment", { refund__payment_id, refund__id }, 2, 0, 3 },
};
DEFINE_KIND(22, refund, "money that goes back", refund__version, -1, 3)
#undef KIND
#undef RECORD

#define KIND dispute
#define RECORD cfa__dispute
enum { CFA__DISPUTE_FIELDS(POSITION) };
static const cfa_field dispute_fields[] = { CFA__DISPUTE_FIELDS(ROW) };
static const cfa_index dispute_indexes[] = {
    { "primary", { dispute__id }, 1, UNIQUE, 3 },
    { "by_payment", { dispute__payment_id, dispute__id }, 2, 0, 3 },
};
DEFINE_KIND(23, dispute, "money that donors' banks ask back", dispute__version, -1, 3)
#undef KIND
#undef RECORD

#define KIND act
#define RECORD cfa__act
enum { CFA__ACT_FIELDS(POSITION) };
static const cfa_field act_fields[] = { CFA__ACT_FIELDS(ROW) };
static const cfa_index act_indexes[] = {
    { "primary", { act__number }, 1, UNIQUE, 3 },
};
DEFINE_KIND(24, act, "what persons did, each chained to the one before", -1, -1, 3)
#undef KIND
#undef RECORD

void cfa__key_of_id(cfa__any_record *out, const cfa_kind *kind, cfa__id id) {
    const cfa_field *field = &kind->fields[kind->indexes[0].fields[0]];
    assert(kind->indexes[0].field_count == 1 && field->type == CFA_FIELD_ID);
    memset(out, 0, sizeof *out);
    memcpy((char *)out + field->offset, &id, sizeof id);
}

cfa__parked cfa__parked_key(const cfa__provider_object *object) {
    return (cfa__parked){ .provider = object->provider,
                          .account = object->account,
                          .ref = object->ref,
                          .number = object->drained_count + 1 };
}

cfa__webhook cfa__webhook_key(const cfa__parked *parked) {
    return (cfa__webhook){ .provider = parked->provider,
                           .account = parked->account,
                           .event_id = parked->event_id };
}

static const cfa_kind *const kinds[] = {
#define KIND_POINTER(number, name, FIELDS, doc) &cfa__##name##_kind,
    CFA__KIND_MAP(KIND_POINTER)
};

const cfa_schema cfa__schema = { sizeof(cfa_schema), CFA__SCHEMA_VERSION, kinds, COUNT(kinds) };
