/*
 * paid_book.c - books of paid payments, a few hundred payments to a commit. Writes what an engine
 * would have written, in the order of its kinds, and decides nothing.
 */
#include "bench/paid_book.h"

#include <careforall/adapters/sqlite.h>
#include <stdio.h>
#include <string.h>

#include "bench/harness.h"
#include "core/decide/event_id.h"
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "core/decide/reversal_machine.h"
#include "util/buffer.h"

#define BATCH 500
#define EVENTS 4
#define WEBHOOKS 3
#define CHANGES_MAX (BATCH * 24)

struct writer {
    cfa_storage storage;
    cfa_session *session;
    cfa_arena *arena;
    cfa_change changes[CHANGES_MAX];
    size_t change_count;
    void *events[BATCH * EVENTS];
    size_t event_count;
    const paid_book *book;
    cfa__id campaign_id;
    int64_t raised_minor, rows, position;
};

static bool is_compared(const struct writer *writer) {
    return writer->book->form == PAID_BOOK_COMPARED;
}

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The ids of a pledge and what is made with it: of one time, random behind it. */
static cfa__id id_of(const paid_book *book, int64_t i, uint64_t what) {
    uint8_t random[10] = { 0 };
    uint64_t value = mix((uint64_t)i * 8 + what);
    memcpy(random, &value, sizeof value);
    return cfa__id_make(book->from_us + i * book->spacing_us, random);
}

enum { OF_PLEDGE, OF_PAYMENT, OF_DONOR, OF_KEY, OF_WEBHOOK, OF_REFUND = 7 };

cfa__id paid_book_payment_id(const paid_book *book, int64_t i) {
    return id_of(book, i, OF_PAYMENT);
}

int64_t paid_book_amount_minor(int64_t i) { return 1000 + i % 5000; }

int64_t paid_book_refunded_minor(int64_t i) {
    return i % PAID_BOOK_REFUND_EACH == 0 ? paid_book_amount_minor(i) / 2 : 0;
}

void paid_book_ref(char out[PAID_BOOK_REF_SIZE], const char *prefix, int64_t i) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t value = 0;
    size_t at = (size_t)snprintf(out, PAID_BOOK_REF_SIZE - 24, "%s_3", prefix);
    for (uint64_t n = 0; n < 24; n++, value /= 62) {
        if (n % 8 == 0)
            value = mix(((uint64_t)i + 1) * 3 + n / 8);
        out[at++] = digits[value % 62];
    }
    out[at] = '\0';
}

static void *add(struct writer *writer, const cfa_kind *kind, const void *record) {
    void *copy = cfa_arena_copy(writer->arena, record, kind->record_size);
    if (copy == NULL || writer->change_count == CHANGES_MAX)
        bench_fail("a batch", "too large");
    writer->changes[writer->change_count++] =
        (cfa_change){ .kind = kind, .action = CFA_CHANGE_INSERT, .record = copy };
    return copy;
}

static cfa_slice kept(struct writer *writer, const char *text) {
    return (cfa_slice){ cfa_arena_copy(writer->arena, text, strlen(text)), strlen(text) };
}

/* The provider's id of a payment; of Stripe's they look random. */
static cfa_slice ref_of(struct writer *writer, int64_t i) {
    char out[PAID_BOOK_REF_SIZE];
    if (is_compared(writer))
        paid_book_ref(out, "pi", i);
    else
        snprintf(out, sizeof out, "pi_play_%016llx", (unsigned long long)i);
    return kept(writer, out);
}

static cfa_slice name(const char *words) { return cfa__slice(words); }

static cfa__payment payment_of(struct writer *writer, int64_t i) {
    int64_t at_us = writer->book->from_us + i * writer->book->spacing_us;
    int64_t amount_minor = paid_book_amount_minor(i);
    int64_t refunded_minor = is_compared(writer) ? paid_book_refunded_minor(i) : 0;
    return (cfa__payment){
        .id = id_of(writer->book, i, OF_PAYMENT),
        .pledge_id = id_of(writer->book, i, OF_PLEDGE),
        .campaign_id = writer->campaign_id,
        .person_id = id_of(writer->book, i, OF_DONOR),
        .amount_minor = amount_minor,
        .currency = "EUR",
        .provider = name(is_compared(writer) ? "stripe" : "play"),
        .account = name(""),
        .ref = ref_of(writer, i),
        .state = CFA_PAYMENT_COMPLETED,
        .durable = CFA_FACT_SUCCEEDED,
        .authorized_minor = amount_minor,
        .captured_minor = amount_minor,
        .hold = 2,
        .expires_us = at_us + 86400000000,
        .sequence = EVENTS,
        .transition_count = EVENTS,
        .operation_count = 2,
        .created_us = at_us,
        .updated_us = at_us,
        .version = 1,
        .refunded_minor = refunded_minor,
        .refund_count = refunded_minor > 0,
    };
}

static const int64_t walk[EVENTS + 1] = { 0, CFA_PAYMENT_PENDING, CFA_PAYMENT_AUTHORIZED,
                                          CFA_PAYMENT_CAPTURED, CFA_PAYMENT_COMPLETED };

static void write_id(cfa__buffer *json, const char *field, const char *prefix, cfa__id id) {
    char out[CFA_ID_TEXT_SIZE];
    cfa__id_format(out, prefix, id);
    cfa__json_text(json, field, out);
}

static void add_event(struct writer *writer, const cfa__payment *of, int number) {
    static const int64_t types[EVENTS] = { CFA__EVENT_PLEDGE_CREATED, CFA__EVENT_PAYMENT_AUTHORIZED,
                                           CFA__EVENT_PAYMENT_CAPTURED,
                                           CFA__EVENT_PAYMENT_COMPLETED };
    cfa__payment payment = *of;
    cfa__event event = { .type = types[number],
                         .subject_kind = cfa__payment_kind.id,
                         .subject_id = of->id,
                         .sequence = number + 1,
                         .created_us = of->created_us };
    payment.state = walk[number + 1];
    cfa__buckets buckets = cfa__payment_buckets(&payment);
    cfa__buffer json;
    cfa__buffer_init(&json, writer->arena, 640);
    cfa__json_open(&json, NULL, '{');
    write_id(&json, "payment_id", "pay", of->id);
    write_id(&json, "pledge_id", "plg", of->pledge_id);
    write_id(&json, "campaign_id", "cmp", of->campaign_id);
    write_id(&json, "donor_id", "dnr", of->person_id);
    cfa__json_text(&json, "state", cfa_payment_state_name((cfa_payment_state)payment.state));
    cfa__json_text(&json, "currency", of->currency);
    cfa__json_int(&json, "amount_minor", of->amount_minor);
    cfa__json_int(&json, "pledged_us", of->created_us);
    cfa__json_open(&json, "contribution", '{');
    cfa__json_int(&json, "state_code", payment.state);
    cfa__json_int(&json, "pledged_minor", buckets.pledged_minor);
    cfa__json_int(&json, "authorized_minor", buckets.authorized_minor);
    cfa__json_int(&json, "raised_minor", buckets.raised_minor);
    cfa__json_int(&json, "refunded_minor", buckets.refunded_minor);
    cfa__json_int(&json, "disputed_minor", buckets.disputed_minor);
    cfa__json_close(&json, '}');
    cfa__json_close(&json, '}');
    bench_check(cfa__buffer_finish(&json, &event.payload), "a payload");
    event.id = cfa__event_id(event.created_us, event.subject_id, event.sequence);
    writer->events[writer->event_count++] = cfa_arena_copy(writer->arena, &event, sizeof event);
}

static void add_webhook(struct writer *writer, const cfa__payment *of, int64_t i, int number) {
    char event_id[PAID_BOOK_REF_SIZE];
    cfa_facts facts = CFA_FACTS_INIT;
    snprintf(event_id, sizeof event_id, "evt_%016llx_%d", (unsigned long long)i, number);
    facts.ref = of->ref.data;
    facts.amount.minor = of->amount_minor;
    memcpy(facts.amount.currency, of->currency, 4);
    facts.flags = number == 2 ? CFA_FACT_SUCCEEDED : 0;
    facts.authorized_minor = of->amount_minor;
    facts.captured_minor = number > 0 ? of->amount_minor : 0;
    facts.attempt = 1;
    facts.occurred_us = of->created_us;
    cfa__webhook row = { .provider = of->provider,
                         .account = of->account,
                         .event_id = kept(writer, event_id),
                         .id = id_of(writer->book, i, OF_WEBHOOK + (uint64_t)number),
                         .event_type = name("payment_intent.succeeded"),
                         .ref = of->ref,
                         .payment_id = of->id,
                         .verdict = CFA_WEBHOOK_APPLIED,
                         .body_hash = { "0123456789abcdef0123456789abcdef", 32 },
                         .received_us = of->created_us + number,
                         .version = 1 };
    bench_check(cfa__facts_encode(&row.facts, writer->arena, &facts), "facts");
    add(writer, &cfa__webhook_kind, &row);
}

static void add_operations(struct writer *writer, const cfa__payment *of) {
    for (int64_t number = 1; number <= 2; number++) {
        char key[64];
        cfa__operation_key(key, of->id, number, 1);
        cfa__operation row = { .payment_id = of->id,
                               .number = number,
                               .call = number == 1 ? CFA_CALL_CREATE : CFA_CALL_RETRIEVE,
                               .attempt = 1,
                               .idempotency_key = kept(writer, key),
                               .body = name(number == 1 ? "amount=1000&currency=eur" : ""),
                               .amount_minor = number == 1 ? of->amount_minor : 0,
                               .state = number == 1 ? CFA__OPERATION_DONE : CFA__OPERATION_CLOSED,
                               .tries = 1,
                               .first_sent_us = of->created_us,
                               .last_sent_us = of->created_us,
                               .outcome = CFA_OUTCOME_DONE,
                               .created_us = of->created_us,
                               .updated_us = of->created_us,
                               .version = 1 };
        add(writer, &cfa__operation_kind, &row);
    }
}

static void add_transitions(struct writer *writer, const cfa__payment *of, int64_t i) {
    static const char *const rules[EVENTS] = { "P01", "P04", "P05", "P07" };
    for (int number = 0; number < EVENTS; number++) {
        cfa__transition row = { .payment_id = of->id,
                                .number = number + 1,
                                .from_state = walk[number],
                                .to_state = walk[number + 1],
                                .rule = name(rules[number]),
                                .created_us = of->created_us };
        if (number > 0)
            row.cause_id = id_of(writer->book, i, OF_WEBHOOK - 1 + (uint64_t)number);
        add(writer, &cfa__transition_kind, &row);
    }
}

static void add_object(struct writer *writer, const cfa__payment *of, cfa_slice ref, cfa__id part) {
    cfa__provider_object row = { .provider = of->provider,
                                 .account = of->account,
                                 .ref = ref,
                                 .payment_id = of->id,
                                 .created_us = of->created_us,
                                 .version = 1,
                                 .part_id = part };
    add(writer, &cfa__provider_object_kind, &row);
}

/* The rows of one kind that a reconciliation is about. */
static void add_compared(struct writer *writer, const cfa_kind *kind, const cfa__payment *of,
                         int64_t i) {
    const cfa__id none = { { 0 } };
    cfa_slice refund_ref = { NULL, 0 };
    if (of->refunded_minor > 0) {
        char out[PAID_BOOK_REF_SIZE];
        paid_book_ref(out, "re", i);
        refund_ref = kept(writer, out);
    }
    if (kind == &cfa__payment_kind) {
        add(writer, kind, of);
    } else if (kind == &cfa__provider_object_kind) {
        add_object(writer, of, of->ref, none);
        if (of->refunded_minor > 0)
            add_object(writer, of, refund_ref, id_of(writer->book, i, OF_REFUND));
    } else if (kind == &cfa__refund_kind && of->refunded_minor > 0) {
        cfa__refund row = { .id = id_of(writer->book, i, OF_REFUND),
                            .payment_id = of->id,
                            .amount_minor = of->refunded_minor,
                            .ref = refund_ref,
                            .origin = CFA_REFUND_EXTERNAL,
                            .state = CFA_REFUND_SUCCEEDED,
                            .durable = CFA__REFUND_SEEN | CFA__REFUND_DID_SUCCEED,
                            .created_us = of->created_us,
                            .updated_us = of->created_us,
                            .version = 1 };
        add(writer, kind, &row);
    }
}

/* The rows of one kind of one payment; kinds go in the order of their numbers. */
static void add_rows(struct writer *writer, const cfa_kind *kind, const cfa__payment *of,
                     int64_t i) {
    if (kind == &cfa__key_kind) {
        cfa__key row = { .digest = id_of(writer->book, i, OF_KEY),
                         .scope_hash = writer->campaign_id,
                         .command = CFA__KEYED_PLEDGE_CREATE,
                         .fingerprint = name("0123456789abcdef0123456789abcdef01234567"),
                         .resource_id = of->pledge_id,
                         .created_us = of->created_us };
        add(writer, kind, &row);
    } else if (kind == &cfa__donor_kind) {
        cfa__donor row = { .id = of->person_id,
                           .person_id = of->person_id,
                           .name = name("Ada Lovelace"),
                           .created_us = of->created_us,
                           .version = 1 };
        add(writer, kind, &row);
    } else if (kind == &cfa__pledge_kind) {
        cfa__pledge row = { of->pledge_id,    of->campaign_id, of->id,        of->person_id,
                            of->amount_minor, "EUR",           of->created_us };
        add(writer, kind, &row);
    } else if (kind == &cfa__payment_kind) {
        add(writer, kind, of);
    } else if (kind == &cfa__transition_kind) {
        add_transitions(writer, of, i);
    } else if (kind == &cfa__operation_kind) {
        add_operations(writer, of);
    } else if (kind == &cfa__provider_object_kind) {
        add_object(writer, of, of->ref, (cfa__id){ { 0 } });
    } else if (kind == &cfa__webhook_kind) {
        for (int number = 0; number < WEBHOOKS; number++)
            add_webhook(writer, of, i, number);
    } else if (kind == &cfa__contribution_kind) {
        cfa__contribution row = { .payment_id = of->id,
                                  .campaign_id = of->campaign_id,
                                  .pledge_id = of->pledge_id,
                                  .person_id = of->person_id,
                                  .currency = "EUR",
                                  .sequence = of->sequence,
                                  .state = of->state,
                                  .raised_minor = of->captured_minor,
                                  .created_us = of->created_us,
                                  .version = EVENTS };
        add(writer, kind, &row);
    } else if (kind == &cfa__supporter_kind) {
        cfa__supporter row = { of->campaign_id, "EUR", of->person_id, 1, 1 };
        add(writer, kind, &row);
    }
}

static void commit(struct writer *writer) {
    const cfa_storage_ops *ops = writer->storage.ops;
    int64_t now_us, first = 0;
    cfa_save save = { writer->changes, writer->change_count, NULL, 0, &cfa__event_kind,
                      writer->events,  writer->event_count };
    bench_check(ops->begin(writer->session, CFA_SESSION_WRITE, 30000, &now_us), "begin");
    bench_check(ops->save(writer->session, &save, &first), "save");
    bench_check(ops->commit(writer->session), "commit");
    bench_check(ops->maintain(writer->session), "maintain");
    writer->rows += (int64_t)(writer->change_count + writer->event_count);
    if (writer->event_count > 0)
        writer->position = first + (int64_t)writer->event_count - 1;
    writer->change_count = writer->event_count = 0;
    cfa_arena_reset(writer->arena);
}

static void add_campaign(struct writer *writer) {
    cfa__campaign row = { .id = writer->campaign_id,
                          .title = name("Clean water"),
                          .currencies = name("EUR"),
                          .state = CFA_CAMPAIGN_OPEN,
                          .created_us = writer->book->from_us,
                          .version = 1 };
    cfa__book book = { .id = 1,
                       .book_id = writer->campaign_id,
                       .incarnation = 1,
                       .secret = name("0123456789abcdef0123456789abcdef"),
                       .provider = name(is_compared(writer) ? "stripe" : ""),
                       .account = name(""),
                       .key_generation = 1,
                       .version = 1 };
    add(writer, &cfa__book_kind, &book);
    add(writer, &cfa__campaign_kind, &row);
    commit(writer);
}

static void add_totals(struct writer *writer, int64_t payments) {
    cfa__sink sink = { .name = name(CFA__PROJECTOR_NAME),
                       .acknowledged = writer->position,
                       .version = 1 };
    cfa__totals row = { .campaign_id = writer->campaign_id,
                        .currency = "EUR",
                        .raised_minor = writer->raised_minor,
                        .donation_count = payments,
                        .donor_count = payments,
                        .position = writer->position,
                        .version = 1 };
    add(writer, &cfa__sink_kind, &sink);
    add(writer, &cfa__totals_kind, &row);
    commit(writer);
}

static void add_payments(struct writer *writer, int64_t first, int64_t count) {
    static cfa__payment batch[BATCH];
    for (int64_t i = 0; i < count; i++) {
        batch[i] = payment_of(writer, first + i);
        writer->raised_minor += batch[i].captured_minor;
        for (int number = 0; number < EVENTS && !is_compared(writer); number++)
            add_event(writer, &batch[i], number);
    }
    for (int32_t k = 0; k < cfa__schema.kind_count; k++) {
        for (int64_t i = 0; i < count; i++)
            (is_compared(writer) ? add_compared : add_rows)(writer, cfa__schema.kinds[k], &batch[i],
                                                            first + i);
    }
    commit(writer);
}

static void open_book(struct writer *writer, const paid_book *book) {
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    memset(writer, 0, sizeof *writer);
    writer->book = book;
    writer->campaign_id = id_of(book, -1, 0);
    bench_check(cfa_sqlite_storage_new(&writer->storage, book->path, &options), book->path);
    const cfa_storage_ops *ops = writer->storage.ops;
    bench_check(ops->migrate(writer->storage.self, &cfa__schema), "migrate");
    bench_check(ops->session_open(writer->storage.self, CFA_SESSION_WRITE, &writer->session),
                "session");
    bench_check(cfa_arena_new(&writer->arena), "arena");
}

int64_t paid_book_write(paid_book *book) {
    static struct writer writer;
    book->spacing_us = book->form == PAID_BOOK_COMPARED ? INT64_C(1000000) : 100;
    book->from_us = bench_wall_us() - book->payments * book->spacing_us - INT64_C(60000000);
    open_book(&writer, book);
    bench_sync_sleep(0);
    add_campaign(&writer);
    for (int64_t first = 0; first < book->payments; first += BATCH)
        add_payments(&writer, first,
                     book->payments - first < BATCH ? book->payments - first : BATCH);
    if (!is_compared(&writer))
        add_totals(&writer, book->payments);
    bench_sync_sleep(-1);
    cfa_arena_free(writer.arena);
    writer.storage.ops->session_close(writer.session);
    writer.storage.ops->close(writer.storage.self);
    return writer.rows;
}
