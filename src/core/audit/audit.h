/*
 * audit.h - the recomputation of a book: what is checked, in which order a difference is named, and
 * what the parts of an audit share. Reads one snapshot; nothing in this folder ever writes.
 *
 * The tables are read once, as pages in the order of their keys, so that memory does not grow with
 * the book. What belongs to one payment comes together by merging the tables in the order of its id
 * (payment.c). What has no such order - the log against the payments it tells of, keys against
 * pledges, objects against payments - is compared as sums of keyed hashes (tally.c): equal sums prove
 * equal sets, and a sum that differs says in which small part of the book to look again.
 */
#ifndef CFA_CORE_AUDIT_AUDIT_H
#define CFA_CORE_AUDIT_AUDIT_H

#include <careforall/audit.h>
#include <stdbool.h>

#include "core/records.h"

#define CFA__AUDIT_PAGE 256        /* rows of one read */
#define CFA__AUDIT_FINDINGS_MAX 16 /* kept per check; the rest are counted */
#define CFA__AUDIT_CHAINS_MAX 32   /* findings whose causes are told */
#define CFA__AUDIT_CHAIN_MAX 6     /* steps of such a chain */
#define CFA__AUDIT_TEXT_SIZE 160
#define CFA__AUDIT_TOTALS_MAX 1048576 /* campaigns times currencies */
#define CFA__AUDIT_CAUSES_MAX 1024    /* webhooks named as causes by one payment's walk */

/*
 * X(symbol, name, severity, doc), causes before what follows from them: the first finding that is
 * named is the one with the lowest number. Names are part of the contract.
 */
#define CFA__AUDIT_CHECK_MAP(X)                                                                    \
    X(BOOK_MISSING, "book.missing", ERROR, "the row that the database is pinned to is there")      \
    X(ACT_CHAIN, "act.chain", ERROR, "each act holds the hash of the one before it, and its own")  \
    X(ACT_COUNT, "act.count", ERROR, "the book counts its acts and knows the newest hash")         \
    X(CAMPAIGN_MISSING, "campaign.missing", ERROR, "the campaign of a payment or event is there")  \
    X(PAYMENT_MISSING, "payment.missing", ERROR, "the payment that a row belongs to is there")     \
    X(LOG_HOLE, "log.hole", ERROR, "positions are 1, 2, 3, ... without a gap")                     \
    X(LOG_ID, "log.id", ERROR, "an event's id is made of its time, subject and sequence")          \
    X(LOG_DOUBLED, "log.doubled", ERROR, "a subject has each sequence once")                       \
    X(LOG_MISSING, "log.missing", ERROR, "a subject has every sequence up to its newest")          \
    X(LOG_BEYOND, "log.beyond", ERROR, "no event is newer than its subject knows of")              \
    X(LOG_SUBJECT, "log.subject", ERROR, "an event's payload is about its subject")                \
    X(LOG_PAYLOAD, "log.payload", ERROR, "an event's payload can be read")                         \
    X(LOG_CONTRIBUTION, "log.contribution", ERROR,                                                 \
      "the newest event that was applied says what the contribution row says")                     \
    X(LOG_CURSOR, "log.cursor", ERROR, "no cursor is beyond the log")                              \
    X(WEBHOOK_FACTS, "webhook.facts", ERROR, "the facts of a webhook can be read")                 \
    X(WEBHOOK_PAYMENT, "webhook.payment", ERROR, "a webhook that was applied has its payment")     \
    X(OBJECT_MISSING, "object.missing", ERROR, "the provider's object of a payment leads to it")   \
    X(OBJECT_STRAY, "object.stray", ERROR, "a provider's object leads to a payment that is there") \
    X(PARKED_COUNT, "parked.count", ERROR, "an object counts the webhooks that waited for it")     \
    X(PARKED_WEBHOOK, "parked.webhook", ERROR, "a webhook that waited is there")                   \
    X(PARKED_WAITING, "parked.waiting", ERROR, "an object knows since when its webhooks wait")     \
    X(PLEDGE_MISSING, "pledge.missing", ERROR, "each payment has its pledge")                      \
    X(PLEDGE_PAYMENT, "pledge.payment", ERROR, "each pledge has its payment")                      \
    X(PLEDGE_DIFFERS, "pledge.differs", ERROR, "pledge and payment agree")                         \
    X(KEY_MISSING, "key.missing", ERROR, "each pledge has its idempotency key")                    \
    X(KEY_STRAY, "key.stray", ERROR, "the pledge that a key made is there")                        \
    X(KEY_DOUBLED, "key.doubled", ERROR, "a pledge has one key")                                   \
    X(DONOR_MISSING, "donor.missing", ERROR, "the donor that a pledge names is there")             \
    X(DONOR_STRAY, "donor.stray", ERROR, "a donor row has its pledge")                             \
    X(DONOR_PERSON, "donor.person", ERROR, "payment and donor row are of one person")              \
    X(ANSWER_STRAY, "answer.stray", ERROR, "an answer has its pledge")                             \
    X(ANSWER_DIFFERS, "answer.differs", ERROR, "a fixed answer says what the pledge says")         \
    X(OPERATION_NUMBER, "operation.number", ERROR, "operations are numbered 1, 2, 3, ...")         \
    X(OPERATION_COUNT, "operation.count", ERROR, "a payment counts its operations")                \
    X(OPERATION_KEY, "operation.key", ERROR,                                                       \
      "a provider key is made of payment, number and attempt")                                     \
    X(OPERATION_AMOUNT, "operation.amount", ERROR, "an operation asks for the payment's amount")   \
    X(OPERATION_DUE, "operation.due", ERROR, "an operation is due exactly while it is open")       \
    X(REFUND_STATE, "refund.state", ERROR, "a refund's state follows from its facts")              \
    X(REFUND_CALL, "refund.call", ERROR, "the operation that makes a refund is about it")          \
    X(REFUND_SUM, "refund.sum", ERROR, "a payment's sums are those of its refunds and disputes")   \
    X(TRANSITION_NUMBER, "transition.number", ERROR, "steps are numbered 1, 2, 3, ...")            \
    X(TRANSITION_COUNT, "transition.count", ERROR, "a payment counts its steps")                   \
    X(TRANSITION_WALK, "transition.walk", ERROR, "each step begins where the one before ended")    \
    X(TRANSITION_ILLEGAL, "transition.illegal", ERROR, "the table has the step")                   \
    X(TRANSITION_CAUSE, "transition.cause", ERROR, "the webhook that caused a step is there")      \
    X(TRANSITION_ACT, "transition.act", ERROR, "what is held is accepted by a person's act")       \
    X(PAYMENT_RANGE, "payment.range", ERROR, "amounts are between 0 and what was asked for")       \
    X(PAYMENT_FACT_LOST, "payment.fact_lost", ERROR,                                               \
      "the payment has every fact that its webhooks brought")                                      \
    X(PAYMENT_FACT_UNPROVED, "payment.fact_unproved", ERROR,                                       \
      "the payment has no fact that neither a webhook nor a call can have brought")                \
    X(PAYMENT_STATE, "payment.state", ERROR, "the state follows from the facts")                   \
    X(TRANSITION_END, "transition.end", ERROR, "the walk ends in the state")                       \
    X(PAYMENT_FLAGS, "payment.flags", ERROR, "the flags follow from the facts")                    \
    X(PAYMENT_CURRENCY, "payment.currency", ERROR, "the campaign accepts the payment's currency")  \
    X(PAYMENT_FACTS, "payment.facts", ERROR,                                                       \
      "the facts amount to what the newest event and the contribution row say")                    \
    X(CONTRIBUTION_MISSING, "contribution.missing", ERROR,                                         \
      "a payment whose events were applied has its contribution row")                              \
    X(CONTRIBUTION_SEQUENCE, "contribution.sequence", ERROR,                                       \
      "a contribution row is of the newest event that was applied")                                \
    X(CONTRIBUTION_DIFFERS, "contribution.differs", ERROR,                                         \
      "a contribution row says what the payment's facts amount to")                                \
    X(CONTRIBUTION_IDENTITY, "contribution.identity", ERROR,                                       \
      "a contribution row has the payment's campaign, pledge, donor and currency")                 \
    X(SUPPORTER_DIFFERS, "supporter.differs", ERROR,                                               \
      "a supporter row counts the donor's donations")                                              \
    X(TOTALS_MISSING, "totals.missing", ERROR, "a campaign has a total per currency")              \
    X(TOTALS_STRAY, "totals.stray", ERROR, "a total has its campaign")                             \
    X(TOTALS_POSITION, "totals.position", ERROR, "a total is not beyond what was applied")         \
    X(TOTALS_COUNTER, "totals.counter", ERROR, "a total is the sum of its contribution rows")      \
    X(PROVIDER_MISSING_HERE, "provider.missing_here", ERROR,                                       \
      "the book knows every object of the provider's record that is its own")                      \
    X(PROVIDER_MISSING_THERE, "provider.missing_there", ERROR,                                     \
      "the provider's record has all that moved money in its time")                                \
    X(PROVIDER_AMOUNT_DIFFERS, "provider.amount_differs", ERROR,                                   \
      "amounts and currencies are those of the provider's record")                                 \
    X(PROVIDER_STATE_BEHIND, "provider.state_behind", ERROR,                                       \
      "the book knows all that the provider's record says")                                        \
    X(PROVIDER_STATE_AHEAD, "provider.state_ahead", ERROR,                                         \
      "the provider's record says all that the book knows")

enum cfa__audit_check {
#define CFA__AUDIT_ENUM(symbol, name, severity, doc) CFA__AUDIT_##symbol,
    CFA__AUDIT_CHECK_MAP(CFA__AUDIT_ENUM)
#undef CFA__AUDIT_ENUM
        CFA__AUDIT_CHECKS
};

/* What a finding is about. */
typedef struct cfa__place {
    const char *prefix; /* of `id`; NULL: `text` says it */
    cfa__id id;
    int64_t number; /* of an operation or a step; 0: none */
    const char *text;
    cfa__id payment_id, campaign_id; /* null: none */
    char currency[4];
    int64_t position; /* of an event; 0: none */
} cfa__place;

typedef struct cfa__finding {
    int32_t check;
    cfa__place place; /* its `text` is the finding's own */
    char subject[CFA__AUDIT_TEXT_SIZE];
    char field[32];
    char expected[CFA__AUDIT_TEXT_SIZE], found[CFA__AUDIT_TEXT_SIZE];
    char (*chain)[CFA__AUDIT_TEXT_SIZE]; /* in the audit's arena */
    int32_t chain_count;
    int64_t newest; /* position of the payment's newest event; 0: not known */
    bool dropped;   /* follows from another one */
} cfa__finding;

/* One campaign's numbers in one currency. */
typedef struct cfa__sum {
    cfa__id campaign_id;
    char currency[4];
    bool used, listed, has_row, has_payment;
    int64_t row[5], sum[5]; /* pledged, authorized, raised, refunded, disputed */
    int64_t row_donations, row_donors, donations, donors;
    int64_t position;
} cfa__sum;

typedef struct cfa__tally cfa__tally;
typedef struct cfa__stream cfa__stream;

/* An audit that runs; its findings and counts outlive it in `cfa_audit`. */
typedef struct cfa__audit {
    const cfa_storage *storage;
    cfa_session *session;
    const cfa_audit_spec *spec;
    cfa__id campaign_id; /* null: the whole book */
    cfa_arena *arena;    /* of findings and sums */
    cfa_arena *scratch;  /* of one payment */
    uint64_t hash_key[2];
    int64_t head;    /* newest position */
    int64_t applied; /* the projector's cursor */
    bool staged;     /* events wait for their position */
    bool filled;     /* columns that a migration left empty were filled since */
    cfa__finding *findings[CFA__AUDIT_CHECKS];
    int64_t counts[CFA__AUDIT_CHECKS];
    int64_t dropped[CFA__AUDIT_CHECKS]; /* of them: they follow from others */
    int64_t rows[32];                   /* read, by kind id */
    int64_t row_count;                  /* all of them */
    cfa__sum *sums;                     /* open hash table */
    size_t sum_capacity, sum_count;
    cfa__tally *tallies;
    cfa__id last_missing;       /* payment that was just reported as missing */
    cfa_reconciliation *record; /* what came of the provider's record; NULL: nothing */
    char record_problem[256];   /* why it could not be compared; empty: it was, or there is none */
    cfa_status status;          /* first failure */
} cfa__audit;

/* ---- findings (finding.c) -------------------------------------------------------------------- */

/* NULL beyond the last one. */
const char *cfa__audit_check_name(int32_t check);
int32_t cfa__audit_severity(int32_t check);
const char *cfa__audit_rule(int32_t check);
/* Note a difference; `field` may be NULL. */
void cfa__audit_texts(cfa__audit *audit, int32_t check, const cfa__place *place, const char *field,
                      const char *expected, const char *found);
void cfa__audit_numbers(cfa__audit *audit, int32_t check, const cfa__place *place,
                        const char *field, int64_t expected, int64_t found);
/* The same if the numbers differ; true when they do. */
bool cfa__audit_compare(cfa__audit *audit, int32_t check, const cfa__place *place,
                        const char *field, int64_t expected, int64_t found);
cfa__place cfa__place_of(const char *prefix, cfa__id id);
cfa__place cfa__place_of_payment(const cfa__payment *payment);
/* The payment of some row is not there: noted once per payment in a row. */
void cfa__audit_no_payment(cfa__audit *audit, cfa__id payment_id);
/* Of payment, event and contribution row, say which one stands alone. */
void cfa__audit_judge(cfa__audit *audit);
/* Make the report of everything found. */
CFA_MUST_CHECK cfa_status cfa__audit_report(cfa_audit **out, cfa__audit *audit);

/* ---- reading (stream.c) ---------------------------------------------------------------------- */

/* All rows of an index, or those that match `key` on its first fields, in order. */
struct cfa__stream {
    cfa__audit *audit;
    const cfa_kind *kind;
    int32_t index, match_count;
    cfa_arena *pages[2]; /* the newest, and the one before it, whose last row is a key */
    void **records;
    int32_t count, at;
    int32_t page; /* which of the two is the newest */
    bool ended, begun;
    cfa__any_record first;
};

CFA_MUST_CHECK cfa_status cfa__stream_open(cfa__stream *stream, cfa__audit *audit,
                                           const cfa_kind *kind, int32_t index, int32_t match_count,
                                           const void *key);
void cfa__stream_close(cfa__stream *stream);
/* False: whoever asked for the audit ends it, which is the last error. */
bool cfa__audit_goes_on(const cfa__audit *audit);
/* The row at hand, NULL at the end; valid until the second next page. */
CFA_MUST_CHECK cfa_status cfa__stream_peek(cfa__stream *stream, const void **out);
void cfa__stream_skip(cfa__stream *stream);
/* One record by its primary key, into `arena`; NULL when absent. */
CFA_MUST_CHECK cfa_status cfa__audit_get(cfa__audit *audit, cfa_arena *arena, const cfa_kind *kind,
                                         const void *key, const void **out);
CFA_MUST_CHECK cfa_status cfa__audit_get_id(cfa__audit *audit, cfa_arena *arena,
                                            const cfa_kind *kind, cfa__id id, const void **out);

/* ---- sets that must be equal (tally.c) ------------------------------------------------------- */

enum {
    CFA__TALLY_LOG,       /* events against sequences of their subjects */
    CFA__TALLY_APPLIED,   /* payments' events up to the cursor against contribution rows */
    CFA__TALLY_PLEDGE,    /* payments against pledges */
    CFA__TALLY_KEY,       /* keys against pledges */
    CFA__TALLY_DONOR,     /* donors against pledges */
    CFA__TALLY_SUPPORTER, /* donations against supporters */
    CFA__TALLY_OBJECT,    /* provider's objects against payments */
    CFA__TALLY_PART,      /* provider's objects against refunds and disputes */
    CFA__TALLY_ACCEPTED,  /* steps that take held money into the totals against acts */
    CFA__TALLIES
};

/* One member of a set. `group` is what findings name; equal members have all equal but `place`. */
typedef struct cfa__member {
    cfa__id group, other;
    uint64_t rest;
    int64_t number;
    int64_t place;  /* a position, for those who look closer */
    int64_t weight; /* how often; positive on one side, negative on the other */
} cfa__member;

CFA_MUST_CHECK cfa_status cfa__tally_open(cfa__audit *audit);
void cfa__tally_close(cfa__audit *audit);
uint64_t cfa__hash_of(const cfa__audit *audit, cfa_slice text, uint64_t more);
void cfa__tally_note(cfa__audit *audit, int32_t tally, const cfa__member *member);
/* Note what a record says in every tally that it belongs to. */
void cfa__feed(cfa__audit *audit, const cfa_kind *kind, const void *record);
/* Look closer at what did not come out even. */
CFA_MUST_CHECK cfa_status cfa__tally_resolve(cfa__audit *audit);
/* Called for all members of one group that do not cancel out, sorted by number. */
CFA_MUST_CHECK cfa_status cfa__audit_explain(cfa__audit *audit, int32_t tally,
                                             const cfa__member *members, size_t count);

/* ---- the passes ------------------------------------------------------------------------------ */

/* sums.c: campaigns, totals, supporters. */
CFA_MUST_CHECK cfa_status cfa__audit_no_campaign(void);
CFA_MUST_CHECK cfa_status cfa__audit_campaigns(cfa__audit *audit);
CFA_MUST_CHECK cfa_status cfa__audit_totals(cfa__audit *audit);
/* NULL when the campaign is not known, or does not accept the currency and `make` is false. */
cfa__sum *cfa__sum_of(cfa__audit *audit, cfa__id campaign_id, const char *currency, bool make);
bool cfa__sum_knows(const cfa__audit *audit, cfa__id campaign_id);

/* payment.c: every payment with what belongs to it. */
CFA_MUST_CHECK cfa_status cfa__audit_payments(cfa__audit *audit);
/* log.c: the outbox. */
CFA_MUST_CHECK cfa_status cfa__audit_log(cfa__audit *audit);
/* rows.c: pledges, keys, donors, answers, provider's objects, parked webhooks, acts. */
CFA_MUST_CHECK cfa_status cfa__audit_rows(cfa__audit *audit);
/* acts.c */
CFA_MUST_CHECK cfa_status cfa__audit_acts(cfa__audit *audit);
/* provider.c: the provider's own record, if there is one. */
CFA_MUST_CHECK cfa_status cfa__audit_provider(cfa__audit *audit);
/* chain.c: what the findings come from. */
CFA_MUST_CHECK cfa_status cfa__audit_chains(cfa__audit *audit);

/* The whole of it. */
CFA_MUST_CHECK cfa_status cfa__audit_run(cfa_audit **out, const cfa_storage *storage,
                                         const cfa_audit_spec *spec);

#endif
