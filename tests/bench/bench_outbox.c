/*
 * bench_outbox.c - events per second through the relay to a sink that does nothing, and through the
 * projector, against loops by hand that do the same: the log read by position in pages, the same
 * views, the same rows, the same commits.
 */
#include "bench/harness.h"
#include "util/id.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SINK_NAME "null"
#define PAGE_EVENTS 500     /* as the relay reads */
#define SETTLE_EVENTS 10000 /* as it moves its cursor */
#define APPLY_EVENTS 256    /* as the projector commits */

static void must(sqlite3 *db, int code, const char *doing) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        bench_fail(doing, sqlite3_errmsg(db));
    }
}

static void run_sql(sqlite3 *db, const char *sql) {
    must(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement;
    must(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), sql);
    return statement;
}

static sqlite3 *open_by_hand(const char *path) {
    sqlite3 *db;
    must(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL), path);
    run_sql(db, "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536;");
    sqlite3_wal_autocheckpoint(db, 16000);
    return db;
}

/* ---- the sink -------------------------------------------------------------------------------- */

struct null_sink {
    int64_t taken, bytes;
};

static cfa_status sink_send(void *self, const cfa_event_view *events, size_t count,
                            size_t *out_taken) {
    struct null_sink *sink = self;
    for (size_t i = 0; i < count; i++) {
        sink->bytes += (int64_t)events[i].data.size + events[i].subject[4];
    }
    sink->taken = events[count - 1].position;
    *out_taken = count;
    return CFA_OK;
}

static cfa_status sink_poll(void *self, int64_t *out_acknowledged) {
    *out_acknowledged = ((struct null_sink *)self)->taken;
    return CFA_OK;
}

static cfa_status sink_reset(void *self, int64_t position) {
    ((struct null_sink *)self)->taken = position;
    return CFA_OK;
}

static void sink_close(void *self) { (void)self; }

static const cfa_sink_ops sink_ops = {
    .struct_size = sizeof(cfa_sink_ops),
    .name = "null",
    .send = sink_send,
    .poll = sink_poll,
    .reset = sink_reset,
    .close = sink_close,
};

/* ---- the relay by hand ----------------------------------------------------------------------- */

static const char *text_of(cfa_arena *arena, const char *prefix, const void *id) {
    char text[CFA_ID_TEXT_SIZE];
    cfa__id copy;
    memcpy(copy.bytes, id, sizeof(copy.bytes));
    cfa__id_format(text, prefix, copy);
    return cfa_arena_copy(arena, text, strlen(text));
}

static size_t read_page(sqlite3_stmt *select, int64_t after, cfa_arena *arena,
                        cfa_event_view *views) {
    size_t count = 0;
    sqlite3_bind_int64(select, 1, after);
    while (sqlite3_step(select) == SQLITE_ROW) {
        size_t size = (size_t)sqlite3_column_bytes(select, 7);
        views[count++] = (cfa_event_view){
            .struct_size = sizeof(cfa_event_view),
            .position = sqlite3_column_int64(select, 0),
            .source = "/careforall/by-hand/1",
            .id = text_of(arena, "evt", sqlite3_column_blob(select, 1)),
            .event_type = "org.careforall.pledge.created.v1",
            .subject = text_of(arena, "pay", sqlite3_column_blob(select, 4)),
            .sequence = sqlite3_column_int64(select, 5),
            .time_us = sqlite3_column_int64(select, 6),
            .data = { cfa_arena_copy(arena, sqlite3_column_blob(select, 7), size), size },
        };
    }
    sqlite3_reset(select);
    return count;
}

static double relay_by_hand(const char *path, int64_t head) {
    struct null_sink sink = { 0, 0 };
    cfa_event_view views[PAGE_EVENTS];
    cfa_arena *arena;
    sqlite3 *db = open_by_hand(path);
    bench_check(cfa_arena_new(&arena), "cfa_arena_new");
    sqlite3_stmt *select =
        prepare(db, "SELECT position, id, type, subject_kind, subject_id, sequence, created_us,"
                    " payload FROM cfa_event WHERE position > ? ORDER BY position LIMIT 500");
    sqlite3_stmt *settle =
        prepare(db, "INSERT INTO cfa_sink (name, acknowledged, epoch, lease_until_us,"
                    " updated_us, version) VALUES ('hand', ?1, 1, 0, 0, 1) ON CONFLICT (name)"
                    " DO UPDATE SET acknowledged = ?1, version = version + 1");
    int64_t started = bench_now_ns(), settled = 0;
    while (sink.taken < head) {
        size_t taken;
        run_sql(db, "BEGIN");
        size_t count = read_page(select, sink.taken, arena, views);
        bench_check(sink_send(&sink, views, count, &taken), "send");
        run_sql(db, "COMMIT");
        cfa_arena_reset(arena);
        if (sink.taken - settled >= SETTLE_EVENTS || sink.taken == head) {
            sqlite3_bind_int64(settle, 1, sink.taken);
            must(db, sqlite3_step(settle), "settle");
            sqlite3_reset(settle);
            settled = sink.taken;
        }
    }
    double per_second = (double)head / ((double)(bench_now_ns() - started) / 1e9);
    sqlite3_finalize(select);
    sqlite3_finalize(settle);
    sqlite3_close(db);
    cfa_arena_free(arena);
    return per_second;
}

/* ---- the projector by hand ------------------------------------------------------------------- */

struct hand {
    sqlite3 *db;
    sqlite3_stmt *select, *old, *insert, *add, *settle;
};

static void bind_id(sqlite3_stmt *statement, int column, const json_t *object, const char *name,
                    const char *prefix) {
    cfa__id id;
    if (cfa__id_parse(&id, prefix, json_string_value(json_object_get(object, name)), name) !=
        CFA_OK) {
        bench_fail("a bad id", name);
    }
    sqlite3_bind_blob(statement, column, id.bytes, 16, SQLITE_TRANSIENT);
}

static int64_t number(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

/* One event: parse it, look for what is there, write the contribution; sums are added once per
 * commit. */
static void apply(struct hand *hand, int64_t sums[5], const char *payload, size_t size,
                  int64_t sequence) {
    json_error_t error;
    json_t *event = json_loadb(payload, size, JSON_REJECT_DUPLICATES, &error);
    const json_t *part = json_object_get(event, "contribution");
    static const char *const buckets[] = { "pledged_minor", "authorized_minor", "raised_minor",
                                           "refunded_minor", "disputed_minor" };
    if (part == NULL) {
        json_decref(event); /* the campaign's */
        return;
    }
    bind_id(hand->old, 1, event, "payment_id", "pay");
    must(hand->db, sqlite3_step(hand->old), "read");
    sqlite3_reset(hand->old);
    bind_id(hand->insert, 1, event, "payment_id", "pay");
    bind_id(hand->insert, 2, event, "campaign_id", "cmp");
    bind_id(hand->insert, 3, event, "pledge_id", "plg");
    bind_id(hand->insert, 4, event, "donor_id", "dnr");
    sqlite3_bind_text(hand->insert, 5, json_string_value(json_object_get(event, "currency")), 3,
                      SQLITE_TRANSIENT);
    sqlite3_bind_int64(hand->insert, 6, sequence);
    sqlite3_bind_int64(hand->insert, 7, number(part, "state_code"));
    for (int i = 0; i < 5; i++) {
        int64_t value = number(part, buckets[i]);
        sqlite3_bind_int64(hand->insert, 8 + i, value);
        sums[i] += value;
    }
    sqlite3_bind_int64(hand->insert, 13, number(event, "pledged_us"));
    must(hand->db, sqlite3_step(hand->insert), "write");
    sqlite3_reset(hand->insert);
    json_decref(event);
}

static int64_t apply_batch(struct hand *hand, const cfa__id *campaign, int64_t cursor) {
    int64_t sums[5] = { 0 };
    run_sql(hand->db, "BEGIN IMMEDIATE");
    sqlite3_bind_int64(hand->select, 1, cursor);
    while (sqlite3_step(hand->select) == SQLITE_ROW) {
        cursor = sqlite3_column_int64(hand->select, 0);
        apply(hand, sums, sqlite3_column_blob(hand->select, 2),
              (size_t)sqlite3_column_bytes(hand->select, 2), sqlite3_column_int64(hand->select, 1));
    }
    sqlite3_reset(hand->select);
    for (int i = 0; i < 5; i++) {
        sqlite3_bind_int64(hand->add, 1 + i, sums[i]);
    }
    sqlite3_bind_blob(hand->add, 6, campaign->bytes, 16, SQLITE_STATIC);
    must(hand->db, sqlite3_step(hand->add), "add");
    sqlite3_reset(hand->add);
    sqlite3_bind_int64(hand->settle, 1, cursor);
    must(hand->db, sqlite3_step(hand->settle), "settle");
    sqlite3_reset(hand->settle);
    run_sql(hand->db, "COMMIT");
    return cursor;
}

static double project_by_hand(const char *path, const char *campaign_id, int64_t head) {
    cfa__id campaign;
    bench_check(cfa__id_parse(&campaign, "cmp", campaign_id, "campaign_id"), "campaign");
    struct hand hand = { .db = open_by_hand(path) };
    hand.select =
        prepare(hand.db, "SELECT position, sequence, payload FROM cfa_event WHERE position > ?"
                         " ORDER BY position LIMIT 256");
    hand.old = prepare(
        hand.db, "SELECT sequence, pledged_minor, authorized_minor, raised_minor, refunded_minor,"
                 " disputed_minor FROM cfa_contribution WHERE payment_id = ?");
    hand.insert =
        prepare(hand.db, "INSERT INTO cfa_contribution VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1)");
    hand.add = prepare(hand.db,
                       "UPDATE cfa_totals SET pledged_minor = pledged_minor + ?,"
                       " authorized_minor = authorized_minor + ?, raised_minor = raised_minor + ?,"
                       " refunded_minor = refunded_minor + ?, disputed_minor = disputed_minor + ?,"
                       " version = version + 1 WHERE campaign_id = ? AND currency = 'EUR'");
    hand.settle = prepare(
        hand.db, "INSERT INTO cfa_sink (name, acknowledged, epoch, lease_until_us, updated_us,"
                 " version) VALUES ('hand-totals', ?1, 1, 0, 0, 1) ON CONFLICT"
                 " (name) DO UPDATE SET acknowledged = ?1, version = version + 1");
    int64_t started = bench_now_ns();
    for (int64_t cursor = 0; cursor < head;) {
        cursor = apply_batch(&hand, &campaign, cursor);
    }
    double per_second = (double)head / ((double)(bench_now_ns() - started) / 1e9);
    sqlite3_finalize(hand.select);
    sqlite3_finalize(hand.old);
    sqlite3_finalize(hand.insert);
    sqlite3_finalize(hand.add);
    sqlite3_finalize(hand.settle);
    sqlite3_close(hand.db);
    return per_second;
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* Take back what a projector wrote. */
static void forget_totals(const char *path) {
    sqlite3 *db = open_by_hand(path);
    run_sql(db, "DELETE FROM cfa_contribution; DELETE FROM cfa_sink; UPDATE cfa_totals SET "
                "pledged_minor = 0;"
                "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(db);
}

static double run_engine(cfa_engine *engine, uint32_t work, int64_t head) {
    int64_t started = bench_now_ns();
    int32_t done = 1, idle = 0;
    while (idle < 2) {
        bench_check(cfa_engine_tick(&done, engine, work, 100), "cfa_engine_tick");
        idle = done > 0 ? 0 : idle + 1;
    }
    return (double)head / ((double)(bench_now_ns() - started) / 1e9);
}

struct turn {
    double relay, relay_by_hand, project, project_by_hand;
};

static struct turn take_turn(bench_book *book, int64_t head) {
    struct turn turn;
    struct null_sink sink = { 0, 0 };
    cfa_sink_binding binding = { .name = SINK_NAME, .sink = { &sink_ops, &sink } };
    forget_totals(book->path);
    bench_book_reopen_with(book, &binding);
    turn.relay = run_engine(book->engine, CFA_WORK_RELAY | CFA_WORK_COMMANDS, head);
    if (sink.taken != head) {
        bench_fail("relay", "it did not send everything");
    }
    bench_book_close(book);
    turn.relay_by_hand = relay_by_hand(book->path, head);
    forget_totals(book->path);
    bench_book_reopen_with(book, NULL);
    turn.project = run_engine(book->engine, CFA_WORK_TOTALS | CFA_WORK_COMMANDS, head);
    bench_book_close(book);
    forget_totals(book->path);
    turn.project_by_hand = project_by_hand(book->path, book->campaign_id, head);
    return turn;
}

int main(int argc, char **argv) {
    bench_options options = bench_start(argc, argv);
    size_t pledges = options.quick ? 10000 : 100000;
    for (int disk = BENCH_NATIVE; disk <= BENCH_FIXED; disk++) {
        if (!(disk == BENCH_NATIVE ? options.native : options.fixed)) {
            continue;
        }
        double relay[BENCH_REPETITIONS_MAX], project[BENCH_REPETITIONS_MAX];
        struct turn turns[BENCH_REPETITIONS_MAX];
        bench_book book;
        bench_disk_use((bench_disk)disk);
        bench_book_open(&book, "outbox", NULL);
        char(*keys)[BENCH_KEY_SIZE] = bench_keys(pledges, false);
        bench_run_polled(&book, 256, keys, pledges, NULL);
        free(keys);
        bench_book_close(&book);
        int64_t head = (int64_t)pledges + 1; /* and the campaign's own event */
        for (int i = 0; i < options.repetitions; i++) {
            turns[i] = take_turn(&book, head);
            relay[i] = turns[i].relay / turns[i].relay_by_hand;
            project[i] = turns[i].project / turns[i].project_by_hand;
        }
        bench_report("relay to a null sink / by hand", (bench_disk)disk, "x", relay,
                     options.repetitions, BENCH_AT_LEAST, 0.7);
        bench_report("projector / by hand", (bench_disk)disk, "x", project, options.repetitions,
                     BENCH_AT_LEAST, 0.7);
        bench_note(
            "events/s of the last turn: relay %.0f, by hand %.0f; projector %.0f, by hand %.0f",
            turns[options.repetitions - 1].relay, turns[options.repetitions - 1].relay_by_hand,
            turns[options.repetitions - 1].project, turns[options.repetitions - 1].project_by_hand);
        bench_remove(book.path);
    }
    return bench_finish();
}
