/*
 * bench_audit.c - an audit of a whole book against a plain scan of the same tables in the same run,
 * and the memory that it takes. The book is written through the storage interface, because only its
 * size matters: every payment was paid, told of by three webhooks and probed once.
 */
#include "bench/harness.h"

#include <careforall/audit.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/decide/event_id.h"
#include "core/decide/evidence.h"
#include "core/decide/payment_machine.h"
#include "util/buffer.h"

#define BATCH 500
#define EVENTS 4
#define WEBHOOKS 3
#define SPACING_US 100
#define CHANGES_MAX (BATCH * 24)
#define RSS_MAX_MIB 256

/* ---- the book -------------------------------------------------------------------------------- */

struct writer {
    cfa_storage storage;
    cfa_session *session;
    cfa_arena *arena;
    cfa_change changes[CHANGES_MAX];
    size_t change_count;
    void *events[BATCH * EVENTS];
    size_t event_count;
    cfa__id campaign_id;
    int64_t from_us, raised_minor, rows, position;
};

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The ids of a pledge and what is made with it: of one time, random behind it. */
static cfa__id id_of(const struct writer *writer, int64_t i, uint64_t what) {
    uint8_t random[10] = { 0 };
    uint64_t value = mix((uint64_t)i * 8 + what);
    memcpy(random, &value, sizeof value);
    return cfa__id_make(writer->from_us + i * SPACING_US, random);
}

enum { OF_PLEDGE, OF_PAYMENT, OF_DONOR, OF_KEY };

static void *add(struct writer *writer, const cfa_kind *kind, const void *record) {
    void *copy = cfa_arena_copy(writer->arena, record, kind->record_size);
    if (copy == NULL || writer->change_count == CHANGES_MAX)
        bench_fail("a batch", "too large");
    writer->changes[writer->change_count++] =
        (cfa_change){ .kind = kind, .action = CFA_CHANGE_INSERT, .record = copy };
    return copy;
}

/* A provider's id: "pi_play_" and a number, "_" and another for events. */
static cfa_slice ref_of(struct writer *writer, int64_t i, int event) {
    char out[64];
    int size = event < 0
                   ? snprintf(out, sizeof out, "pi_play_%016llx", (unsigned long long)i)
                   : snprintf(out, sizeof out, "evt_%016llx_%d", (unsigned long long)i, event);
    return (cfa_slice){ cfa_arena_copy(writer->arena, out, (size_t)size), (size_t)size };
}

static cfa_slice name(const char *words) { return cfa__slice(words); }

static cfa__payment payment_of(struct writer *writer, int64_t i) {
    int64_t at_us = writer->from_us + i * SPACING_US;
    return (cfa__payment){
        .id = id_of(writer, i, OF_PAYMENT),
        .pledge_id = id_of(writer, i, OF_PLEDGE),
        .campaign_id = writer->campaign_id,
        .person_id = id_of(writer, i, OF_DONOR),
        .amount_minor = 1000 + i % 5000,
        .currency = "EUR",
        .provider = name("play"),
        .account = name(""),
        .ref = ref_of(writer, i, -1),
        .state = CFA_PAYMENT_COMPLETED,
        .durable = CFA_FACT_SUCCEEDED,
        .authorized_minor = 1000 + i % 5000,
        .captured_minor = 1000 + i % 5000,
        .hold = 2,
        .expires_us = at_us + 86400000000,
        .sequence = EVENTS,
        .transition_count = EVENTS,
        .operation_count = 2,
        .created_us = at_us,
        .updated_us = at_us,
        .version = 1,
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
    cfa_facts facts = CFA_FACTS_INIT;
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
                         .event_id = ref_of(writer, i, number),
                         .id = id_of(writer, i, 4 + (uint64_t)number),
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
                               .idempotency_key = { cfa_arena_copy(writer->arena, key, strlen(key)),
                                                    strlen(key) },
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
            row.cause_id = id_of(writer, i, 3 + (uint64_t)number);
        add(writer, &cfa__transition_kind, &row);
    }
}

/* The rows of one kind of one payment; kinds go in the order of their numbers. */
static void add_rows(struct writer *writer, const cfa_kind *kind, const cfa__payment *of,
                     int64_t i) {
    if (kind == &cfa__key_kind) {
        cfa__key row = { .digest = id_of(writer, i, OF_KEY),
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
        cfa__provider_object row = { .provider = of->provider,
                                     .account = of->account,
                                     .ref = of->ref,
                                     .payment_id = of->id,
                                     .created_us = of->created_us,
                                     .version = 1 };
        add(writer, kind, &row);
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
                          .created_us = writer->from_us,
                          .version = 1 };
    cfa__book book = { .id = 1,
                       .book_id = writer->campaign_id,
                       .incarnation = 1,
                       .secret = name("0123456789abcdef0123456789abcdef"),
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

static int64_t book_write(const char *path, int64_t payments) {
    static struct writer writer;
    static cfa__payment batch[BATCH];
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    memset(&writer, 0, sizeof writer);
    writer.from_us = bench_wall_us() - payments * SPACING_US - INT64_C(60000000);
    bench_check(cfa_sqlite_storage_new(&writer.storage, path, &options), path);
    bench_check(writer.storage.ops->migrate(writer.storage.self, &cfa__schema), "migrate");
    bench_check(
        writer.storage.ops->session_open(writer.storage.self, CFA_SESSION_WRITE, &writer.session),
        "session");
    bench_check(cfa_arena_new(&writer.arena), "arena");
    writer.campaign_id = id_of(&writer, -1, 0);
    bench_sync_sleep(0);
    add_campaign(&writer);
    for (int64_t first = 0; first < payments; first += BATCH) {
        int64_t count = payments - first < BATCH ? payments - first : BATCH;
        for (int64_t i = 0; i < count; i++) {
            batch[i] = payment_of(&writer, first + i);
            writer.raised_minor += batch[i].captured_minor;
            for (int number = 0; number < EVENTS; number++)
                add_event(&writer, &batch[i], number);
        }
        for (int32_t k = 0; k < cfa__schema.kind_count; k++) {
            for (int64_t i = 0; i < count; i++)
                add_rows(&writer, cfa__schema.kinds[k], &batch[i], first + i);
        }
        commit(&writer);
    }
    add_totals(&writer, payments);
    bench_sync_sleep(-1);
    cfa_arena_free(writer.arena);
    writer.storage.ops->session_close(writer.session);
    writer.storage.ops->close(writer.storage.self);
    return writer.rows;
}

/* ---- measuring, each in a process of its own ------------------------------------------------- */

struct measured {
    double seconds;
    int64_t rows, rss_kib;
};

static void must(sqlite3 *db, int code, const char *doing) {
    if (code != SQLITE_OK && code != SQLITE_DONE)
        bench_fail(doing, sqlite3_errmsg(db));
}

static volatile int64_t looked_at; /* so that no look is left out */

/* Step over every row and look at every column. */
static int64_t scan_table(sqlite3 *db, const cfa_kind *kind) {
    char sql[96];
    sqlite3_stmt *statement;
    int64_t rows = 0;
    snprintf(sql, sizeof sql, "SELECT * FROM cfa_%s", kind->name);
    must(db, sqlite3_prepare_v2(db, sql, -1, &statement, NULL), sql);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        rows++;
        for (int i = 0; i < kind->field_count; i++) {
            if (kind->fields[i].type == CFA_FIELD_INT) {
                looked_at += sqlite3_column_int64(statement, i);
            } else {
                const char *bytes = sqlite3_column_blob(statement, i);
                int size = sqlite3_column_bytes(statement, i);
                looked_at += size > 0 ? bytes[size - 1] : 0;
            }
        }
    }
    must(db, code, sql);
    sqlite3_finalize(statement);
    return rows;
}

static int64_t scan(const char *path) {
    sqlite3 *db;
    int64_t rows = 0;
    must(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), path);
    must(db, sqlite3_exec(db, "PRAGMA cache_size=-8192; BEGIN", NULL, NULL, NULL), "begin");
    for (int32_t i = 0; i < cfa__schema.kind_count; i++)
        rows += scan_table(db, cfa__schema.kinds[i]);
    sqlite3_close(db);
    return rows;
}

static int64_t audit(const char *path) {
    cfa_storage storage;
    cfa_audit *report;
    cfa_sqlite_options options = CFA_SQLITE_OPTIONS_INIT;
    int64_t rows = 0;
    options.read_only = 1;
    bench_check(cfa_sqlite_storage_new(&storage, path, &options), path);
    bench_check(cfa_audit_storage(&report, &storage, NULL), "audit");
    if (cfa_audit_differences(report) != 0)
        bench_fail("audit", cfa_audit_text(report));
    for (int32_t i = 0; i < cfa__schema.kind_count; i++)
        rows += cfa_audit_rows(report, cfa__schema.kinds[i]->name);
    cfa_audit_free(report);
    storage.ops->close(storage.self);
    return rows;
}

static int child(const char *what, const char *path) {
    int64_t began = bench_now_ns();
    int64_t rows = strcmp(what, "--scan") == 0 ? scan(path) : audit(path);
    double seconds = (double)(bench_now_ns() - began) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%.6f %lld %ld\n", seconds, (long long)rows, usage.ru_maxrss);
    return 0;
}

static struct measured measure(const char *program, const char *what, const char *path) {
    char command[512];
    struct measured out = { 0, 0, 0 };
    long long rows = 0;
    long rss = 0;
    snprintf(command, sizeof command, "'%s' %s '%s'", program, what, path);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fscanf(pipe, "%lf %lld %ld", &out.seconds, &rows, &rss) != 3 ||
        pclose(pipe) != 0)
        bench_fail(what, "the process failed");
    out.rows = rows;
    out.rss_kib = rss;
    return out;
}

int main(int argc, char **argv) {
    if (argc == 3 && (strcmp(argv[1], "--scan") == 0 || strcmp(argv[1], "--audit") == 0))
        return child(argv[1], argv[2]);
    bench_options options = bench_start(argc, argv);
    int64_t payments = options.rows != 0 ? options.rows : options.quick ? 20000 : 100000;
    int repetitions = payments > 1000000 ? 1 : options.repetitions;
    double ratios[BENCH_REPETITIONS_MAX], rss_mib[BENCH_REPETITIONS_MAX];
    struct measured plain = { 0, 0, 0 }, full = plain;
    char name_[96];
    bench_disk_use(BENCH_NATIVE);
    const char *path = bench_path("audit.db");
    int64_t began = bench_now_ns();
    int64_t written = book_write(path, payments);
    bench_note("%lld payments, %lld rows written in %.0f s", (long long)payments,
               (long long)written, (double)(bench_now_ns() - began) / 1e9);
    for (int i = 0; i < repetitions; i++) {
        plain = measure(argv[0], "--scan", path);
        full = measure(argv[0], "--audit", path);
        ratios[i] = full.seconds / plain.seconds;
        rss_mib[i] = (double)full.rss_kib / 1024;
        /* The schema's own row apart, both have seen every row. */
        if (plain.rows != written || full.rows != written)
            bench_fail("rows", "the scan and the audit have not read the same");
    }
    snprintf(name_, sizeof name_, "audit / plain scan, %lld payments", (long long)payments);
    bench_report(name_, BENCH_NATIVE, "x", ratios, repetitions, BENCH_AT_MOST, 3);
    bench_report("peak memory of the audit", BENCH_NATIVE, "MiB", rss_mib, repetitions,
                 BENCH_AT_MOST, RSS_MAX_MIB);
    bench_note("audit %.1f s, scan %.1f s, %.2f million rows", full.seconds, plain.seconds,
               (double)written / 1e6);
    bench_remove(path);
    return bench_finish();
}
