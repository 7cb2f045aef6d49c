/*
 * window.c - many objects of a record at once: the rows that they are about are loaded in the order
 * of their keys, so that neighbours share pages, and each object is judged on them in the record's
 * order. What a window does not have is loaded alone; it is never a reason to judge otherwise.
 */
#include <string.h>

#include "core/decide/evidence.h"
#include "core/reconcile/reconcile.h"
#include "util/sort.h"

/* Bounds of one window's memory: 50 MB of objects and rows as most records have them. */
#define OBJECTS_MAX 32768
#define REVERSALS_MAX 32768 /* refunds and disputes that these name */
#define ROWS_MAX 65535      /* keys that they ask for */
#define PLACES (2 * ROWS_MAX)
#define TRIP 64 /* keys of one load */
#define PAGE 64 /* rows of one load, where many neighbours are asked for */

/* What an object of the provider's may be younger than our payment: a donor takes a while to pay.
 * And older: these are two clocks. */
#define PAID_WITHIN_MS UINT64_C(3600000)
#define CLOCKS_DIFFER_MS UINT64_C(10000)
#define PASSED_MAX 4     /* payments that may be passed for each that is looked for by its time */
#define PASSED_IN_VAIN 8 /* so many for each that was found, and the next windows do without */
#define SKIPS_MAX 64

/* A row that is asked for, by its id or by the provider's. */
struct row {
    const cfa_kind *kind;
    cfa_slice ref;
    cfa__id id;
    bool named;        /* a payment that an object of payments names first */
    const void *found; /* once loaded; NULL: there is none */
};

struct cfa__window {
    cfa_arena *arena;
    cfa_reconcile_object objects[OBJECTS_MAX];
    size_t object_count, reversal_count;
    struct row rows[ROWS_MAX];
    size_t row_count, loaded;
    uint16_t places[PLACES];  /* of rows by hash, and 1; 0: free */
    uint64_t order[ROWS_MAX]; /* of keys, with the row's number in the last 16 bits */
    uint32_t skips, skipped;  /* windows that need not look by time, and those that did not */
    cfa__any_record keys[TRIP];
    cfa_query queries[TRIP];
};

/* ---- rows by key ----------------------------------------------------------------------------- */

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return value ^ (value >> 32);
}

static uint64_t hash_of(const struct row *row) {
    uint64_t words[2], hash = (uint64_t)row->kind->id;
    const char *data = (const char *)row->id.bytes;
    size_t size = sizeof row->id;
    if (row->ref.data != NULL) {
        data = row->ref.data;
        size = row->ref.size;
    }
    for (; size > 0; data += sizeof words, size -= size < sizeof words ? size : sizeof words) {
        words[0] = words[1] = size;
        memcpy(words, data, size < sizeof words ? size : sizeof words);
        hash = mix(mix(hash ^ words[0]) ^ words[1]);
    }
    return hash;
}

static bool is_same(const struct row *a, const struct row *b) {
    return a->kind == b->kind && memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
           a->ref.size == b->ref.size &&
           (a->ref.size == 0 || memcmp(a->ref.data, b->ref.data, a->ref.size) == 0);
}

/* Where the row is, or would be. There is always a free place. */
static uint16_t *place_of(cfa__window *window, const struct row *row) {
    size_t at = hash_of(row) % PLACES;
    while (window->places[at] != 0 && !is_same(&window->rows[window->places[at] - 1], row))
        at = (at + 1) % PLACES;
    return &window->places[at];
}

/* A window that is full asks for no more. */
static void ask(cfa__window *window, const struct row *row) {
    uint16_t *place = place_of(window, row);
    if (*place != 0)
        window->rows[*place - 1].named = window->rows[*place - 1].named || row->named;
    if (*place != 0 || window->row_count == ROWS_MAX)
        return;
    window->rows[window->row_count++] = *row;
    *place = (uint16_t)window->row_count;
}

static void ask_ref(cfa__window *window, const char *ref) {
    struct row row = { .kind = &cfa__provider_object_kind, .ref = cfa__slice(ref) };
    if (ref != NULL && ref[0] != '\0')
        ask(window, &row);
}

static const void *id_in(const cfa_kind *kind, const void *record) {
    return (const char *)record + kind->fields[kind->indexes[0].fields[0]].offset;
}

bool cfa__window_find(cfa__window *window, const cfa_kind *kind, const void *key,
                      const void **out) {
    struct row row = { .kind = kind };
    if (kind == &cfa__provider_object_kind)
        row.ref = ((const cfa__provider_object *)key)->ref;
    else if (kind->indexes[0].field_count == 1)
        memcpy(&row.id, id_in(kind, key), sizeof row.id);
    uint16_t place = *place_of(window, &row);
    if (place == 0 || place > window->loaded)
        return false;
    *out = window->rows[place - 1].found;
    return true;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Keys are loaded in about the order of their index: a number of their first letters that differ.
 * Of the provider's ids these stand behind what names their kind, "pi_". */
static uint64_t order_of(const struct row *row) {
    uint8_t bytes[8] = { 0 };
    if (row->ref.data == NULL) {
        memcpy(bytes, row->id.bytes, sizeof bytes);
    } else {
        const char *text = row->ref.data, *from = memchr(text, '_', row->ref.size);
        size_t skipped = from != NULL ? (size_t)(from - text) + 1 : 0;
        size_t size = row->ref.size - skipped;
        bytes[0] = (uint8_t)text[0];
        memcpy(bytes + 1, text + skipped, size < 7 ? size : 7);
    }
    uint64_t order = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        order = order << 8 | bytes[i];
    return order;
}

static void set_key(const cfa__reconcile *run, cfa__any_record *out, const struct row *row) {
    if (row->ref.data == NULL) {
        cfa__key_of_id(out, row->kind, row->id);
        return;
    }
    memset(&out->provider_object, 0, sizeof out->provider_object);
    out->provider_object.provider = run->book.provider;
    out->provider_object.account = run->book.account;
    out->provider_object.ref = row->ref;
}

static cfa_status load_trip(cfa__reconcile *run, const uint64_t *order, size_t count) {
    cfa__window *window = run->window;
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &window->rows[order[i] & 0xffff];
        set_key(run, &window->keys[i], row);
        window->queries[i] = (cfa_query){ .kind = row->kind,
                                          .match_count = row->kind->indexes[0].field_count,
                                          .limit = 1,
                                          .key = &window->keys[i] };
    }
    cfa_status status =
        run->storage->ops->load(run->session, window->queries, count, window->arena);
    for (size_t i = 0; i < count && status == CFA_OK; i++) {
        const cfa_query *query = &window->queries[i];
        window->rows[order[i] & 0xffff].found = query->count == 1 ? query->records[0] : NULL;
    }
    return status;
}

/* Load rows, each by its key. */
static cfa_status load_keys(cfa__reconcile *run, const uint64_t *order, size_t count) {
    cfa_status status = CFA_OK;
    for (size_t at = 0; at < count && status == CFA_OK; at += TRIP)
        status = load_trip(run, order + at, count - at < TRIP ? count - at : TRIP);
    return status;
}

/*
 * Load a page of neighbours from the first row on, since a window is of a time and ids are of one,
 * too. Returns how many of the rows are decided by it: those of an earlier millisecond than the
 * page's last. None, when there are none but in one millisecond.
 */
static cfa_status load_page(cfa__reconcile *run, const uint64_t *order, size_t count,
                            size_t *out_decided) {
    cfa__window *window = run->window;
    struct row row = { .kind = window->rows[order[0] & 0xffff].kind };
    cfa_query query = {
        .kind = row.kind, .flags = CFA_QUERY_AFTER, .limit = PAGE, .key = &window->keys[0]
    };
    memcpy(&row.id, window->rows[order[0] & 0xffff].id.bytes, 6);
    set_key(run, &window->keys[0], &row);
    cfa_status status = run->storage->ops->load(run->session, &query, 1, window->arena);
    *out_decided = 0;
    if (status != CFA_OK)
        return status;
    uint64_t first = order[0] >> 16;
    bool passed = run->keeps_seen;
    for (int32_t i = 0; i < query.count; i++) {
        memcpy(&row.id, id_in(row.kind, query.records[i]), sizeof row.id);
        uint16_t place = *place_of(window, &row);
        if (place != 0)
            window->rows[place - 1].found = query.records[i];
        if (passed && (place == 0 || !window->rows[place - 1].named) &&
            cfa__reconcile_must(run, query.records[i]))
            passed = cfa__walked_doubt(&run->walked, row.id);
    }
    uint64_t last = query.count > 0 ? order_of(&row) >> 16 : first;
    if (passed)
        cfa__walked_add(&run->walked, first, last);
    last = query.count < PAGE ? UINT64_MAX : last;
    while (*out_decided < count && order[*out_decided] >> 16 < last)
        ++*out_decided;
    return CFA_OK;
}

/* By pages while these bring what is asked for, else by keys, and ever more of them. */
static cfa_status load_neighbours(cfa__reconcile *run, const uint64_t *order, size_t count) {
    size_t alone = TRIP, decided;
    for (size_t at = 0; at < count; at += decided) {
        cfa_status status = load_page(run, order + at, count - at, &decided);
        if (status == CFA_OK && decided < PAGE / 4 && decided < count - at) {
            size_t rest = count - at - decided, size = alone < rest ? alone : rest;
            status = load_keys(run, order + at + decided, size);
            decided += size;
            alone *= 2;
        }
        if (status != CFA_OK)
            return status;
    }
    return CFA_OK;
}

/* Load what was asked for since the last time and is not found yet; all of it is of one kind or not
 * of neighbours. */
static cfa_status load_rows(cfa__reconcile *run, bool neighbours) {
    cfa__window *window = run->window;
    size_t count = 0;
    for (size_t i = window->loaded; i < window->row_count; i++) {
        if (window->rows[i].found == NULL)
            window->order[count++] = (order_of(&window->rows[i]) & ~UINT64_C(0xffff)) | i;
    }
    cfa__sort_words(window->order, count, 1);
    window->loaded = window->row_count;
    return neighbours ? load_neighbours(run, window->order, count)
                      : load_keys(run, window->order, count);
}

/* ---- payments that objects name --------------------------------------------------------------- */

/* The payment that an object names by our own id; else false. */
static bool names(const cfa_reconcile_object *object, struct row *out) {
    const cfa_facts *facts = &object->facts;
    *out =
        (struct row){ .kind = &cfa__payment_kind, .named = object->kind == CFA_RECONCILE_PAYMENT };
    return facts->payment_id != NULL &&
           cfa__id_parse(&out->id, "pay", facts->payment_id, NULL) == CFA_OK;
}

/* A payment that has the object's id knows what the provider's object stands for: both were written
 * in one commit, and the audit proves it. So that is not read. */
static bool is_bound(const cfa__reconcile *run, cfa_slice ref, const cfa__payment *payment) {
    return cfa__slices_equal(payment->ref, ref) &&
           cfa__slices_equal(payment->provider, run->book.provider) &&
           cfa__slices_equal(payment->account, run->book.account);
}

static cfa_status bind(cfa__reconcile *run, struct row *row, cfa__id payment_id) {
    cfa__provider_object object = { .provider = run->book.provider,
                                    .account = run->book.account,
                                    .ref = row->ref,
                                    .payment_id = payment_id };
    row->found = cfa_arena_copy(run->window->arena, &object, sizeof object);
    return row->found != NULL ? CFA_OK : CFA_ENOMEM;
}

static cfa_status take_binding(cfa__reconcile *run, cfa_slice ref, cfa__id payment_id) {
    cfa__window *window = run->window;
    struct row row = { .kind = &cfa__provider_object_kind, .ref = ref };
    cfa_status status = bind(run, &row, payment_id);
    ask(window, &row);
    window->loaded = window->row_count;
    return status;
}

/* First the payments by our ids, which lie beside each other as the provider's do not. One that is
 * not the object's after all was not named by it; a movement has no object, and names what it is of. */
static cfa_status load_named(cfa__reconcile *run) {
    cfa__window *window = run->window;
    struct row row;
    for (size_t i = 0; i < window->object_count; i++) {
        if (names(&window->objects[i], &row))
            ask(window, &row);
    }
    cfa_status status = load_rows(run, true);
    for (size_t i = 0; i < window->object_count && status == CFA_OK; i++) {
        cfa_slice ref = cfa__slice(window->objects[i].facts.ref);
        uint16_t place = names(&window->objects[i], &row) ? *place_of(window, &row) : 0;
        const cfa__payment *payment = place != 0 ? window->rows[place - 1].found : NULL;
        if (payment == NULL || ref.size == 0)
            continue;
        if (is_bound(run, ref, payment))
            status = take_binding(run, ref, payment->id);
        else if (run->keeps_seen && cfa__reconcile_must(run, payment) &&
                 !cfa__walked_doubt(&run->walked, payment->id))
            run->walked.range_count = 0; /* all is walked again, and nothing else passed */
    }
    return status;
}

/* ---- payments that objects do not name -------------------------------------------------------- */

/* When objects of payments were made that name none of ours, in order. Returns how many. */
static size_t order_times(cfa__window *window) {
    size_t count = 0;
    struct row row;
    for (size_t i = 0; i < window->object_count; i++) {
        const cfa_reconcile_object *object = &window->objects[i];
        if (object->kind == CFA_RECONCILE_PAYMENT && object->facts.ref != NULL &&
            object->facts.occurred_us > 0 && !names(object, &row))
            window->order[count++] = (uint64_t)object->facts.occurred_us / 1000;
    }
    cfa__sort_words(window->order, count, 1);
    return count;
}

/* How much younger than their payments objects may be that are found by their time: twice the time
 * that most of them are of, so that few payments are passed in vain, however many a second has. */
static uint64_t younger_ms(const uint64_t *times, size_t count) {
    uint64_t lead = 4 * (times[count - count / 4 - 1] - times[count / 4]);
    lead = lead < PAID_WITHIN_MS ? lead : PAID_WITHIN_MS;
    return lead > CLOCKS_DIFFER_MS ? lead : CLOCKS_DIFFER_MS;
}

static cfa__id id_before(uint64_t ms, uint64_t lead_ms) {
    static const uint8_t none[10] = { 0 };
    return cfa__id_make(ms > lead_ms ? (int64_t)(ms - lead_ms) * 1000 : 0, none);
}

/* The next page of payments behind `last`: those that were asked for by the provider's id are bound.
 * Returns how many in `*found`, and in `*passed` how many there are. */
static cfa_status pass_page(cfa__reconcile *run, cfa__any_record *last, size_t *found,
                            size_t *passed) {
    cfa__window *window = run->window;
    cfa_query query = {
        .kind = &cfa__payment_kind, .flags = CFA_QUERY_AFTER, .limit = PAGE, .key = last
    };
    cfa_arena_reset(run->scratch);
    cfa_status status = run->storage->ops->load(run->session, &query, 1, run->scratch);
    *found = *passed = 0;
    for (int32_t i = 0; status == CFA_OK && i < query.count; i++) {
        const cfa__payment *payment = query.records[i];
        struct row row = { .kind = &cfa__provider_object_kind, .ref = payment->ref };
        uint16_t place = row.ref.data != NULL ? *place_of(window, &row) : 0;
        last->payment.id = payment->id;
        ++*passed;
        if (place <= window->loaded || window->rows[place - 1].found != NULL ||
            !is_bound(run, row.ref, payment))
            continue;
        status = bind(run, &window->rows[place - 1], payment->id);
        ++*found;
    }
    return status;
}

/*
 * The provider's ids lie nowhere near each other, and a look-up of each is at a random place of the
 * book. But they were made about when their payments were, and these lie in the order of time. What
 * is not found by it is looked up.
 */
static cfa_status find_by_time(cfa__reconcile *run) {
    cfa__window *window = run->window;
    const uint64_t *times = window->order;
    size_t count = order_times(window), at = 0, found = 0, passed = 0;
    if (count == 0 || window->skipped++ < window->skips)
        return CFA_OK;
    const uint64_t lead_ms = younger_ms(times, count);
    cfa__any_record last;
    cfa__key_of_id(&last, &cfa__payment_kind, id_before(times[0], lead_ms));
    while (at < count && found < count && passed < PASSED_MAX * count + PAGE) {
        size_t now_found, now_passed;
        cfa_status status = pass_page(run, &last, &now_found, &now_passed);
        if (status != CFA_OK)
            return status;
        found += now_found;
        passed += now_passed;
        uint64_t reached_ms = now_passed < PAGE ? UINT64_MAX : cfa__walked_ms(last.payment.id);
        while (at < count && times[at] + CLOCKS_DIFFER_MS < reached_ms)
            at++;
        if (at < count && times[at] > lead_ms && times[at] - lead_ms > reached_ms)
            cfa__key_of_id(&last, &cfa__payment_kind, id_before(times[at], lead_ms));
    }
    bool in_vain = found * PASSED_IN_VAIN < passed;
    window->skips = !in_vain ? 0 : window->skips == 0 ? 1 : 2 * window->skips;
    window->skips = window->skips < SKIPS_MAX ? window->skips : SKIPS_MAX;
    window->skipped = 0;
    return CFA_OK;
}

/* ---- what objects are about ------------------------------------------------------------------ */

static void ask_objects(cfa__window *window, const cfa_facts *facts) {
    ask_ref(window, facts->ref);
    ask_ref(window, facts->origin_ref);
    for (int32_t i = 0; i < facts->refund_count; i++)
        ask_ref(window, facts->refunds[i]->ref);
    for (int32_t i = 0; i < facts->dispute_count; i++)
        ask_ref(window, facts->disputes[i]->ref);
}

static const cfa__provider_object *object_of(cfa__window *window, const char *ref) {
    struct row row = { .kind = &cfa__provider_object_kind, .ref = cfa__slice(ref) };
    uint16_t place = ref != NULL ? *place_of(window, &row) : 0;
    return place != 0 ? window->rows[place - 1].found : NULL;
}

static void ask_payment(cfa__window *window, const char *ref, bool named) {
    const cfa__provider_object *object = object_of(window, ref);
    struct row row = { .kind = &cfa__payment_kind, .named = named };
    if (object == NULL || cfa__id_is_null(object->payment_id))
        return;
    row.id = object->payment_id;
    ask(window, &row);
}

static void ask_part(cfa__window *window, const cfa_kind *kind, const char *ref) {
    const cfa__provider_object *object = object_of(window, ref);
    struct row row = { .kind = kind };
    if (object == NULL || cfa__id_is_null(object->part_id))
        return;
    row.id = object->part_id;
    ask(window, &row);
}

cfa_status cfa__window_load(cfa__reconcile *run) {
    cfa__window *window = run->window;
    cfa_status status = load_named(run);
    for (size_t i = 0; i < window->object_count; i++)
        ask_objects(window, &window->objects[i].facts);
    if (status == CFA_OK)
        status = find_by_time(run);
    if (status == CFA_OK)
        status = load_rows(run, false);
    for (size_t i = 0; i < window->object_count && status == CFA_OK; i++) {
        const cfa_reconcile_object *object = &window->objects[i];
        ask_payment(window, object->facts.ref, object->kind == CFA_RECONCILE_PAYMENT);
        ask_payment(window, object->facts.origin_ref, false);
    }
    if (status == CFA_OK)
        status = load_rows(run, true);
    for (size_t i = 0; i < window->object_count && status == CFA_OK; i++) {
        const cfa_facts *facts = &window->objects[i].facts;
        for (int32_t at = 0; at < facts->refund_count; at++)
            ask_part(window, &cfa__refund_kind, facts->refunds[at]->ref);
        for (int32_t at = 0; at < facts->dispute_count; at++)
            ask_part(window, &cfa__dispute_kind, facts->disputes[at]->ref);
    }
    return status == CFA_OK ? load_rows(run, false) : status;
}

/* ---- objects --------------------------------------------------------------------------------- */

cfa_status cfa__window_new(cfa__window **out) {
    cfa__window *window = cfa_alloc(sizeof *window);
    if (window == NULL)
        return cfa_error_set(CFA_ENOMEM, CFA__RECONCILE_ORIGIN, NULL, 0, "out of memory");
    memset(window, 0, sizeof *window);
    cfa_status status = cfa_arena_new(&window->arena);
    if (status == CFA_OK)
        *out = window;
    else
        cfa_free(window);
    return status;
}

cfa_arena *cfa__window_begin(cfa__window *window) {
    cfa_arena_reset(window->arena);
    memset(window->places, 0, sizeof window->places);
    window->object_count = window->reversal_count = window->row_count = window->loaded = 0;
    return window->arena;
}

cfa_reconcile_object *cfa__window_next(cfa__window *window) {
    if (window->object_count > 0) {
        const cfa_facts *facts = &window->objects[window->object_count - 1].facts;
        window->reversal_count += (size_t)facts->refund_count + (size_t)facts->dispute_count;
    }
    if (window->object_count == OBJECTS_MAX || window->reversal_count >= REVERSALS_MAX)
        return NULL;
    return &window->objects[window->object_count++];
}

void cfa__window_end(cfa__window *window) { window->object_count--; }

const cfa_reconcile_object *cfa__window_at(const cfa__window *window, size_t index) {
    return index < window->object_count ? &window->objects[index] : NULL;
}

void cfa__window_free(cfa__window *window) {
    if (window != NULL)
        cfa_arena_free(window->arena);
    cfa_free(window);
}
