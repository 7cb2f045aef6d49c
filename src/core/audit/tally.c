/*
 * tally.c - sets that must be equal, compared by sums of keyed hashes over a fixed number of
 * buckets; and the second look at the buckets that did not come out even, which names the members.
 * The key is drawn for each audit, so that nobody can make two sets that look equal.
 */
#include "core/audit/audit.h"
#include "util/secure.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536
#define MEMBERS_MAX 262144 /* looked at in one round */

struct cfa__tally {
    uint64_t *sums[CFA__TALLIES];
    /* While looking closer: */
    int32_t tally; /* -1: none */
    size_t from, until;
    cfa__member *members;
    size_t member_count;
};

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static uint64_t mix_id(uint64_t hash, cfa__id id) {
    uint64_t words[2];
    memcpy(words, id.bytes, sizeof words);
    return mix(mix(hash ^ words[0]) ^ words[1]);
}

uint64_t cfa__hash_of(const cfa__audit *audit, cfa_slice text, uint64_t more) {
    uint8_t key[16], out[8];
    uint64_t hash;
    memcpy(key, audit->hash_key, sizeof key);
    cfa__hash_short(out, key, text);
    memcpy(&hash, out, sizeof hash);
    return mix(hash ^ more);
}

static size_t bucket_of(const cfa__audit *audit, cfa__id group) {
    return (size_t)(mix_id(audit->hash_key[0], group) % BUCKETS);
}

static uint64_t hash_member(const cfa__audit *audit, const cfa__member *member) {
    uint64_t hash = mix_id(mix_id(audit->hash_key[1], member->group), member->other);
    return mix(mix(hash ^ member->rest) + (uint64_t)member->number);
}

cfa_status cfa__tally_open(cfa__audit *audit) {
    cfa__tally *tally = cfa_alloc(sizeof *tally);
    if (tally == NULL)
        return cfa_error_set(CFA_ENOMEM, "core.audit", NULL, 0, "out of memory");
    memset(tally, 0, sizeof *tally);
    tally->tally = -1;
    audit->tallies = tally;
    for (int32_t i = 0; i < CFA__TALLIES; i++) {
        tally->sums[i] = cfa_alloc(BUCKETS * sizeof(uint64_t));
        if (tally->sums[i] == NULL)
            return cfa_error_set(CFA_ENOMEM, "core.audit", NULL, 0, "out of memory");
        memset(tally->sums[i], 0, BUCKETS * sizeof(uint64_t));
    }
    return CFA_OK;
}

void cfa__tally_close(cfa__audit *audit) {
    cfa__tally *tally = audit->tallies;
    if (tally == NULL)
        return;
    for (int32_t i = 0; i < CFA__TALLIES; i++)
        cfa_free(tally->sums[i]);
    cfa_free(tally->members);
    cfa_free(tally);
    audit->tallies = NULL;
}

/* ---- the second look ------------------------------------------------------------------------- */

/* No room for more: leave the upper half of the buckets to a later round. */
static void narrow(cfa__audit *audit) {
    cfa__tally *tally = audit->tallies;
    size_t kept = 0;
    tally->until = tally->from + (tally->until - tally->from + 1) / 2;
    for (size_t i = 0; i < tally->member_count; i++) {
        if (bucket_of(audit, tally->members[i].group) < tally->until)
            tally->members[kept++] = tally->members[i];
    }
    tally->member_count = kept;
}

static void collect(cfa__audit *audit, const cfa__member *member) {
    cfa__tally *tally = audit->tallies;
    size_t bucket = bucket_of(audit, member->group);
    if (bucket < tally->from || bucket >= tally->until || tally->sums[tally->tally][bucket] == 0)
        return;
    while (tally->member_count == MEMBERS_MAX && tally->until > tally->from + 1)
        narrow(audit);
    if (tally->member_count == MEMBERS_MAX) {
        audit->status = cfa_error_set(CFA_ERANGE, "core.audit", NULL, 0,
                                      "too much differs about one row for an audit to look at");
        return;
    }
    if (bucket < tally->until)
        tally->members[tally->member_count++] = *member;
}

void cfa__tally_note(cfa__audit *audit, int32_t which, const cfa__member *member) {
    cfa__tally *tally = audit->tallies;
    if (tally->tally == which)
        collect(audit, member);
    else if (tally->tally < 0)
        tally->sums[which][bucket_of(audit, member->group)] +=
            hash_member(audit, member) * (uint64_t)member->weight;
}

static int compare_members(const void *left, const void *right) {
    const cfa__member *a = left, *b = right;
    int order = cfa__id_compare(a->group, b->group);
    if (order == 0)
        order = (a->number > b->number) - (a->number < b->number);
    if (order == 0)
        order = cfa__id_compare(a->other, b->other);
    if (order == 0)
        order = (a->rest > b->rest) - (a->rest < b->rest);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

static bool is_same(const cfa__member *a, const cfa__member *b) {
    return a->number == b->number && a->rest == b->rest &&
           cfa__id_compare(a->group, b->group) == 0 && cfa__id_compare(a->other, b->other) == 0;
}

/* Tell of each group that does not come out even. */
static cfa_status explain_all(cfa__audit *audit) {
    cfa__tally *tally = audit->tallies;
    cfa__member *members = tally->members;
    size_t count = tally->member_count, kept = 0;
    qsort(members, count, sizeof *members, compare_members);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        int64_t weight = 0;
        for (; end < count && is_same(&members[i], &members[end]); end++)
            weight += members[end].weight;
        for (size_t j = i; weight != 0 && j < end; j++)
            members[kept++] = members[j];
        i = end;
    }
    cfa_status status = CFA_OK;
    for (size_t i = 0; status == CFA_OK && i < kept;) {
        size_t end = i;
        while (end < kept && cfa__id_compare(members[i].group, members[end].group) == 0)
            end++;
        status = cfa__audit_explain(audit, tally->tally, members + i, end - i);
        i = end;
    }
    return status;
}

static const cfa_kind *const sources[CFA__TALLIES][6] = {
    [CFA__TALLY_LOG] = { &cfa__event_kind, &cfa__staged_kind, &cfa__payment_kind,
                         &cfa__campaign_kind, &cfa__breaker_kind },
    [CFA__TALLY_APPLIED] = { &cfa__event_kind, &cfa__contribution_kind },
    [CFA__TALLY_PLEDGE] = { &cfa__payment_kind, &cfa__pledge_kind },
    [CFA__TALLY_KEY] = { &cfa__key_kind, &cfa__key_recent_kind, &cfa__pledge_kind },
    [CFA__TALLY_DONOR] = { &cfa__donor_kind, &cfa__pledge_kind },
    [CFA__TALLY_SUPPORTER] = { &cfa__contribution_kind, &cfa__supporter_kind },
    [CFA__TALLY_OBJECT] = { &cfa__provider_object_kind, &cfa__payment_kind },
    [CFA__TALLY_PART] = { &cfa__provider_object_kind, &cfa__refund_kind, &cfa__dispute_kind },
    [CFA__TALLY_ACCEPTED] = { &cfa__transition_kind, &cfa__act_kind },
};

static cfa_status feed_all(cfa__audit *audit, const cfa_kind *kind) {
    cfa__stream stream;
    const void *record = NULL;
    int64_t rows = audit->rows[kind->id];
    cfa_status status = cfa__stream_open(&stream, audit, kind, 0, 0, NULL);
    while (status == CFA_OK) {
        status = cfa__stream_peek(&stream, &record);
        if (status != CFA_OK || record == NULL)
            break;
        cfa__feed(audit, kind, record);
        status = audit->status;
        cfa__stream_skip(&stream);
    }
    cfa__stream_close(&stream);
    audit->rows[kind->id] = rows; /* read again, not more of it */
    return status;
}

static cfa_status resolve(cfa__audit *audit, int32_t which) {
    cfa__tally *tally = audit->tallies;
    size_t from = 0, last = BUCKETS;
    while (last > 0 && tally->sums[which][last - 1] == 0)
        last--;
    cfa_status status = CFA_OK;
    tally->tally = which;
    while (status == CFA_OK && from < last) {
        tally->from = from;
        tally->until = last;
        tally->member_count = 0;
        for (size_t i = 0; status == CFA_OK && sources[which][i] != NULL; i++)
            status = feed_all(audit, sources[which][i]);
        if (status == CFA_OK)
            status = explain_all(audit);
        from = tally->until;
    }
    tally->tally = -1;
    return status;
}

cfa_status cfa__tally_resolve(cfa__audit *audit) {
    cfa__tally *tally = audit->tallies;
    bool even = true;
    for (size_t i = 0; i < (size_t)CFA__TALLIES * BUCKETS && even; i++)
        even = tally->sums[i / BUCKETS][i % BUCKETS] == 0;
    if (even)
        return CFA_OK;
    tally->members = cfa_alloc(MEMBERS_MAX * sizeof *tally->members);
    if (tally->members == NULL)
        return cfa_error_set(CFA_ENOMEM, "core.audit", NULL, 0, "out of memory");
    cfa_status status = CFA_OK;
    for (int32_t which = 0; which < CFA__TALLIES && status == CFA_OK; which++)
        status = resolve(audit, which);
    return status;
}
