/*
 * audit_damage.c - see audit_damage.h. Every statement picks its row by what it is, so that the book
 * may grow.
 */
#include "core/audit_damage.h"

#include "core/audit/audit.h"

/* A payment that was paid and had nothing else happen to it. */
#define PAID                                                                                       \
    "(SELECT id FROM cfa_payment WHERE state = 6 AND refund_count = 0 AND dispute_count = 0 "      \
    "AND currency = 'EUR' ORDER BY id LIMIT 1)"
#define PAID_ID "SELECT id FROM cfa_payment WHERE id = " PAID
#define REFUNDED "(SELECT payment_id FROM cfa_refund WHERE amount_minor = 400)"
#define REFUNDED_ID "SELECT payment_id FROM cfa_refund WHERE amount_minor = 400"
#define DISPUTED                                                                                   \
    "(SELECT payment_id FROM cfa_dispute WHERE withdrawn_minor > 0 AND reinstated_minor = 0)"
#define PENDING "(SELECT id FROM cfa_payment WHERE state = 1 AND flags = 0 ORDER BY id LIMIT 1)"
/* Late money: one payment is held, the other was accepted. */
#define HELD "(SELECT id FROM cfa_payment WHERE flags & 32)"
#define ACCEPTED "(SELECT payment_id FROM cfa_transition WHERE rule = 'L02' ORDER BY 1 LIMIT 1)"
#define PLEDGE "(SELECT pledge_id FROM cfa_payment WHERE id = " PAID ")"
#define PLEDGE_ID "SELECT id FROM cfa_pledge WHERE id = " PLEDGE
/* Of that payment, an event in the middle and the newest. */
#define MIDDLE "(SELECT position FROM cfa_event WHERE subject_id = " PAID " AND sequence = 2)"
#define NEWEST "(SELECT max(position) FROM cfa_event WHERE subject_id = " PAID ")"
#define EUR_TOTAL "SELECT campaign_id, ' EUR' FROM cfa_totals WHERE currency = 'EUR'"

static const struct damage list[] = {
    /* totals */
    { "a counter one too high",
      "UPDATE cfa_totals SET raised_minor = raised_minor + 1 "
      "WHERE currency = 'EUR'",
      "totals.counter", EUR_TOTAL, "cmp", false },
    { "a counter of refunds", "UPDATE cfa_totals SET refunded_minor = 0 WHERE currency = 'EUR'",
      "totals.counter", EUR_TOTAL, "cmp", false },
    { "a count of donations",
      "UPDATE cfa_totals SET donation_count = donation_count - 1 "
      "WHERE currency = 'EUR'",
      "totals.counter", EUR_TOTAL, "cmp", false },
    { "a count of donors",
      "UPDATE cfa_totals SET donor_count = donor_count + 1 "
      "WHERE currency = 'EUR'",
      "totals.counter", EUR_TOTAL, "cmp", false },
    { "a total that is gone", "DELETE FROM cfa_totals WHERE currency = 'EUR'", "totals.missing",
      EUR_TOTAL, "cmp", false },
    { "a total of no campaign",
      "INSERT INTO cfa_totals SELECT x'01980000000070008000000000000001',"
      "'EUR',0,0,0,0,0,0,0,1,1,1",
      "totals.stray", "SELECT x'01980000000070008000000000000001', ' EUR'", "cmp", false },
    { "a total from the future", "UPDATE cfa_totals SET position = 100000 WHERE currency = 'EUR'",
      "totals.position", EUR_TOTAL, "cmp", false },
    { "swapped currencies of totals",
      "UPDATE cfa_totals SET currency = CASE currency "
      "WHEN 'EUR' THEN 'XXX' ELSE currency END; UPDATE cfa_totals SET currency = 'EUR' "
      "WHERE currency = 'KWD'; UPDATE cfa_totals SET currency = 'KWD' WHERE currency = 'XXX'",
      "totals.counter", "SELECT campaign_id, ' EUR' FROM cfa_totals WHERE currency = 'EUR'", "cmp",
      true },
    /* supporters */
    { "a donor counted twice",
      "UPDATE cfa_supporter SET donation_count = donation_count + 1 "
      "WHERE currency = 'USD'",
      "supporter.differs", "SELECT person_id FROM cfa_supporter WHERE currency = 'USD'", "dnr",
      false },
    { "a donor who is gone", "DELETE FROM cfa_supporter WHERE currency = 'USD'",
      "supporter.differs", "SELECT person_id FROM cfa_supporter WHERE currency = 'USD'", "dnr",
      false },
    /* contributions */
    { "a missing contribution", "DELETE FROM cfa_contribution WHERE payment_id = " PAID,
      "contribution.missing", PAID_ID, "pay", false },
    { "a contribution with another amount",
      "UPDATE cfa_contribution SET raised_minor = 1 "
      "WHERE payment_id = " PAID,
      "contribution.differs", PAID_ID, "pay", false },
    { "a contribution that is behind",
      "UPDATE cfa_contribution SET sequence = sequence - 1 "
      "WHERE payment_id = " PAID,
      "contribution.sequence", PAID_ID, "pay", false },
    { "a contribution that is ahead",
      "UPDATE cfa_contribution SET sequence = sequence + 1 "
      "WHERE payment_id = " PAID,
      "contribution.sequence", PAID_ID, "pay", false },
    { "a contribution in another currency",
      "UPDATE cfa_contribution SET currency = 'KWD' "
      "WHERE payment_id = " PAID,
      "contribution.identity", PAID_ID, "pay", false },
    { "a contribution to another campaign",
      "UPDATE cfa_contribution SET campaign_id = "
      "(SELECT campaign_id FROM cfa_payment WHERE currency = 'USD') WHERE payment_id = " PAID,
      "contribution.identity", PAID_ID, "pay", false },
    /* the log */
    { "a hole in positions", "DELETE FROM cfa_event WHERE position = " MIDDLE, "log.hole",
      "SELECT " MIDDLE " + 1", "position ", false },
    { "the newest event is gone",
      "DELETE FROM cfa_event WHERE position = "
      "(SELECT max(position) FROM cfa_event)",
      "log.missing", "SELECT subject_id FROM cfa_event ORDER BY position DESC LIMIT 1", "pay",
      false },
    { "a doubled event",
      "INSERT INTO cfa_event SELECT (SELECT max(position) + 1 FROM cfa_event), "
      "id, type, subject_kind, subject_id, sequence, created_us, trace, payload FROM cfa_event "
      "WHERE position = " MIDDLE,
      "log.doubled", PAID_ID, "pay", false },
    { "an event of a sequence that is not there yet",
      "INSERT INTO cfa_event SELECT "
      "(SELECT max(position) + 1 FROM cfa_event), id, type, subject_kind, subject_id, 90, "
      "created_us, trace, payload FROM cfa_event WHERE position = " MIDDLE,
      "log.id", "SELECT max(position) FROM cfa_event", "position ", true },
    { "a payment that forgot its newest event",
      "UPDATE cfa_payment SET sequence = sequence - 1 "
      "WHERE id = " PAID,
      "log.beyond", PAID_ID, "pay", false },
    { "a payment that knows of an event too many",
      "UPDATE cfa_payment SET sequence = sequence + 1 "
      "WHERE id = " PAID,
      "log.missing", PAID_ID, "pay", false },
    { "an event's id",
      "UPDATE cfa_event SET id = x'01980000000070008000000000000001' "
      "WHERE position = " MIDDLE,
      "log.id", "SELECT " MIDDLE, "position ", false },
    { "an event's time",
      "UPDATE cfa_event SET created_us = created_us + 1000000 "
      "WHERE position = " MIDDLE,
      "log.id", "SELECT " MIDDLE, "position ", false },
    { "an event's amount",
      "UPDATE cfa_event SET payload = CAST(replace(CAST(payload AS TEXT), "
      "'\"raised_minor\":', '\"raised_minor\":9') AS BLOB) WHERE position = " NEWEST,
      "log.contribution", "SELECT " NEWEST, "position ", false },
    { "a torn payload",
      "UPDATE cfa_event SET payload = substr(payload, 1, 90) WHERE position = " MIDDLE,
      "log.payload", "SELECT " MIDDLE, "position ", false },
    { "a payload without an end",
      "UPDATE cfa_event SET payload = substr(payload, 1, "
      "length(payload) - 1) WHERE position = " NEWEST,
      "log.payload", "SELECT " NEWEST, "position ", false },
    { "an unknown type of event", "UPDATE cfa_event SET type = 999 WHERE position = " MIDDLE,
      "log.payload", "SELECT " MIDDLE, "position ", false },
    { "another event's payload",
      "UPDATE cfa_event SET payload = (SELECT payload FROM cfa_event "
      "WHERE subject_id = " PENDING " LIMIT 1) WHERE position = " MIDDLE,
      "log.subject", "SELECT " MIDDLE, "position ", false },
    { "a cursor beyond the log", "UPDATE cfa_sink SET acknowledged = 100000", "log.cursor",
      "SELECT 'totals'", "", false },
    /* payments */
    { "a payment that is gone", "DELETE FROM cfa_payment WHERE id = " PAID, "payment.missing",
      PAID_ID, "pay", false },
    { "a state", "UPDATE cfa_payment SET state = 5 WHERE id = " PAID, "payment.state", PAID_ID,
      "pay", false },
    { "a capture that nobody reported",
      "UPDATE cfa_payment SET durable = 1, captured_minor = "
      "amount_minor WHERE id = " PENDING,
      "payment.state", "SELECT id FROM cfa_payment WHERE id = " PENDING, "pay", false },
    { "a capture without a call",
      "UPDATE cfa_payment SET captured_minor = 5, state = 5 "
      "WHERE id = " PENDING "; UPDATE cfa_operation SET tries = 0, attempt = 1, first_sent_us = 0 "
      "WHERE payment_id = (SELECT id FROM cfa_payment WHERE captured_minor = 5)",
      "payment.fact_unproved", "SELECT id FROM cfa_payment WHERE id = " PENDING, "pay", false },
    { "a lost capture",
      "UPDATE cfa_payment SET captured_minor = captured_minor - 1 WHERE id = " PAID,
      "payment.fact_lost", PAID_ID, "pay", false },
    { "a lost success", "UPDATE cfa_payment SET durable = 0, state = 5 WHERE id = " PAID,
      "payment.fact_lost", PAID_ID, "pay", false },
    { "a lost decline", "UPDATE cfa_payment SET volatile_fact = 0, state = 1 WHERE state = 7",
      "payment.fact_lost", "SELECT id FROM cfa_payment WHERE state = 7", "pay", false },
    { "a capture above what was asked for",
      "UPDATE cfa_payment SET captured_minor = amount_minor "
      "+ 1 WHERE id = " PAID,
      "payment.range", PAID_ID, "pay", false },
    { "an amount", "UPDATE cfa_payment SET amount_minor = amount_minor + 1 WHERE id = " PAID,
      "pledge.differs", PLEDGE_ID, "plg", false },
    { "a conflict that is hidden", "UPDATE cfa_payment SET flags = 0 WHERE durable & 65536",
      "payment.flags", "SELECT id FROM cfa_payment WHERE durable & 65536", "pay", false },
    { "a payout that is made up", "UPDATE cfa_payment SET flags = 4 WHERE id = " PAID,
      "payment.flags", PAID_ID, "pay", false },
    { "a conflict that is made up", "UPDATE cfa_payment SET flags = 2 WHERE id = " PAID,
      "payment.flags", PAID_ID, "pay", false },
    { "what is held is let go by hand",
      "UPDATE cfa_payment SET flags = flags - 32 WHERE id = " HELD, "payment.flags", "SELECT " HELD,
      "pay", false },
    { "what was accepted is held again",
      "UPDATE cfa_payment SET flags = flags + 32 WHERE id = " ACCEPTED, "payment.flags",
      "SELECT " ACCEPTED, "pay", false },
    { "late money that is not late any more",
      "UPDATE cfa_payment SET flags = flags - 8, durable = durable - 2, canceled_us = 0 "
      "WHERE id = " ACCEPTED,
      "payment.fact_lost", "SELECT " ACCEPTED, "pay", false },
    { "another currency", "UPDATE cfa_payment SET currency = 'GBP' WHERE id = " PAID,
      "pledge.differs", PLEDGE_ID, "plg", false },
    /* the walk */
    { "a step that is gone",
      "DELETE FROM cfa_transition WHERE payment_id = " PAID " AND number = 2", "transition.number",
      "SELECT " PAID ", '/3'", "pay", false },
    { "the last step is gone",
      "DELETE FROM cfa_transition WHERE payment_id = " PAID
      " AND number = (SELECT max(number) FROM cfa_transition WHERE payment_id = " PAID ")",
      "transition.count", PAID_ID, "pay", false },
    { "a step from elsewhere",
      "UPDATE cfa_transition SET from_state = 8 WHERE payment_id = " PAID " AND number = 2",
      "transition.walk", "SELECT " PAID ", '/2'", "pay", false },
    { "a step that the table does not have",
      "UPDATE cfa_transition SET to_state = 8 "
      "WHERE payment_id = " PAID " AND number = 3; UPDATE cfa_transition SET from_state = 8 "
      "WHERE payment_id = " PAID " AND number = 4",
      "transition.illegal", "SELECT " PAID ", '/4'", "pay", false },
    { "a cause that is nobody's",
      "UPDATE cfa_transition SET cause_id = "
      "x'01980000000070008000000000000001' WHERE payment_id = " PAID " AND number = 2",
      "transition.cause", "SELECT " PAID ", '/2'", "pay", false },
    { "an acceptance that nobody spoke",
      "INSERT INTO cfa_transition SELECT id, transition_count + 1, state, state, 'L02', 0, NULL, "
      "updated_us, NULL FROM cfa_payment WHERE id = " HELD "; UPDATE cfa_payment SET flags = "
      "flags - 32, transition_count = transition_count + 1 WHERE id = " HELD,
      "transition.act",
      "SELECT id, '/' || (transition_count + 1) FROM cfa_payment WHERE id = " HELD, "pay", false },
    { "a hold that is hidden in the walk",
      "DELETE FROM cfa_transition WHERE rule = 'L01' AND payment_id = " ACCEPTED,
      "transition.number",
      "SELECT " ACCEPTED ", (SELECT '/' || (number + 1) FROM cfa_transition WHERE "
      "rule = 'L01' AND payment_id = " ACCEPTED ")",
      "pay", false },
    { "a hold under another rule's name",
      "UPDATE cfa_transition SET rule = 'P17' WHERE rule = 'L01' AND payment_id = " ACCEPTED,
      "transition.illegal",
      "SELECT " ACCEPTED ", (SELECT '/' || number FROM cfa_transition WHERE "
      "rule = 'L02' AND payment_id = " ACCEPTED ")",
      "pay", false },
    /* calls */
    { "a call that is gone", "DELETE FROM cfa_operation WHERE payment_id = " PAID " AND number = 1",
      "operation.number", "SELECT " PAID ", '/2'", "pay", false },
    { "a count of calls",
      "UPDATE cfa_payment SET operation_count = operation_count + 1 "
      "WHERE id = " PAID,
      "operation.count", PAID_ID, "pay", false },
    { "another provider key",
      "UPDATE cfa_operation SET idempotency_key = 'cfa_other' "
      "WHERE payment_id = " PAID " AND number = 1",
      "operation.key", "SELECT " PAID ", '/1'", "pay", false },
    { "a call for another amount",
      "UPDATE cfa_operation SET amount_minor = 1 WHERE payment_id = " PAID " AND number = 1",
      "operation.amount", "SELECT " PAID ", '/1'", "pay", false },
    { "an open call that is never due",
      "UPDATE cfa_operation SET due_us = 0 WHERE payment_id = " PENDING " AND due_us > 0",
      "operation.due",
      "SELECT payment_id, '/' || number FROM cfa_operation WHERE payment_id = " PENDING
      " AND due_us > 0",
      "pay", false },
    /* refunds and disputes */
    { "a refund that is gone", "DELETE FROM cfa_refund WHERE amount_minor = 400", "object.stray",
      "SELECT id FROM cfa_refund WHERE amount_minor = 400", "part", false },
    { "a refund of another amount",
      "UPDATE cfa_refund SET amount_minor = 399 "
      "WHERE amount_minor = 400",
      "refund.sum", REFUNDED_ID, "pay", false },
    { "a refund's state", "UPDATE cfa_refund SET state = 5 WHERE amount_minor = 400",
      "refund.state", "SELECT id FROM cfa_refund WHERE amount_minor = 400", "rfd", false },
    { "a refund's call", "UPDATE cfa_refund SET operation_number = 1 WHERE amount_minor = 400",
      "refund.call", "SELECT id FROM cfa_refund WHERE amount_minor = 400", "rfd", false },
    { "a sum of refunds",
      "UPDATE cfa_payment SET refunded_minor = refunded_minor + 1 WHERE id = " REFUNDED,
      "refund.sum", REFUNDED_ID, "pay", false },
    { "a dispute that took less",
      "UPDATE cfa_dispute SET withdrawn_minor = withdrawn_minor - 1 "
      "WHERE payment_id = " DISPUTED,
      "refund.sum", "SELECT " DISPUTED, "pay", false },
    { "a dispute that forgot what was given back",
      "UPDATE cfa_payment SET reinstated_minor = 0 "
      "WHERE reinstated_minor > 0",
      "refund.sum", "SELECT id FROM cfa_payment WHERE reinstated_minor > 0", "pay", false },
    /* webhooks and objects */
    { "facts that are no JSON",
      "UPDATE cfa_webhook SET facts = x'00' WHERE event_id = "
      "(SELECT max(event_id) FROM cfa_webhook WHERE payment_id = " PAID " AND verdict = 1)",
      "webhook.facts",
      "SELECT id FROM cfa_webhook WHERE event_id = (SELECT max(event_id) FROM "
      "cfa_webhook WHERE payment_id = " PAID " AND verdict = 1)",
      "whk", false },
    { "a webhook without its payment",
      "UPDATE cfa_webhook SET payment_id = NULL WHERE event_id = "
      "'evt_slow'",
      "webhook.payment", "SELECT id FROM cfa_webhook WHERE event_id = 'evt_slow'", "whk", false },
    { "an object that is gone",
      "DELETE FROM cfa_provider_object WHERE ref = "
      "(SELECT ref FROM cfa_payment WHERE id = " PAID ")",
      "object.missing", PAID_ID, "pay", false },
    { "an object that leads to another payment",
      "UPDATE cfa_provider_object SET payment_id = " PENDING
      " WHERE ref = (SELECT ref FROM cfa_payment WHERE id = " PAID ")",
      "object.missing", PAID_ID, "pay", false },
    { "a reference", "UPDATE cfa_payment SET ref = 'pi_other' WHERE id = " PAID, "object.missing",
      PAID_ID, "pay", false },
    { "a webhook that stopped waiting", "DELETE FROM cfa_parked WHERE number = 2", "parked.count",
      "SELECT ref FROM cfa_parked WHERE number = 2", "", false },
    { "a webhook that waits since another time",
      "UPDATE cfa_provider_object SET waiting_us = waiting_us + 1 WHERE ref = 'pi_nobody'",
      "parked.waiting", "SELECT 'pi_nobody'", "", false },
    { "an object that forgot that a webhook waits",
      "UPDATE cfa_provider_object SET waiting_us = 0 WHERE ref = 'pi_nobody'", "parked.waiting",
      "SELECT 'pi_nobody'", "", false },
    { "an object whose webhooks wait no more",
      "UPDATE cfa_provider_object SET waiting_us = 5 WHERE ref = "
      "(SELECT ref FROM cfa_payment WHERE id = " PAID ")",
      "parked.waiting", "SELECT ref FROM cfa_payment WHERE id = " PAID, "", false },
    { "a parked webhook that is gone", "DELETE FROM cfa_webhook WHERE event_id = 'evt_early'",
      "parked.webhook", "SELECT 'evt_early'", "", false },
    /* pledges, keys, donors, answers */
    { "a pledge that is gone", "DELETE FROM cfa_pledge WHERE id = " PLEDGE, "pledge.missing",
      PLEDGE_ID, "plg", false },
    { "a pledge of another amount", "UPDATE cfa_pledge SET amount_minor = 1 WHERE id = " PLEDGE,
      "pledge.differs", PLEDGE_ID, "plg", false },
    { "a pledge of another payment",
      "UPDATE cfa_pledge SET payment_id = " PENDING " WHERE id = " PLEDGE, "pledge.payment",
      PLEDGE_ID, "plg", false },
    { "a key that is gone", "DELETE FROM cfa_key_recent WHERE resource_id = " PLEDGE, "key.missing",
      PLEDGE_ID, "plg", false },
    { "a key of no pledge",
      "UPDATE cfa_key_recent SET resource_id = "
      "x'01980000000070008000000000000001' WHERE resource_id = " PLEDGE,
      "key.missing", PLEDGE_ID, "plg", false },
    { "a pledge with two keys",
      "INSERT INTO cfa_key SELECT digest, scope_hash, command, "
      "fingerprint, resource_id, created_us FROM cfa_key_recent WHERE resource_id = " PLEDGE,
      "key.doubled", PLEDGE_ID, "plg", false },
    { "a donor that is gone",
      "DELETE FROM cfa_donor WHERE id = (SELECT donor_id FROM cfa_pledge "
      "WHERE id = " PLEDGE ")",
      "donor.missing", "SELECT donor_id FROM cfa_pledge WHERE id = " PLEDGE, "dnr", false },
    { "a donor of no pledge", "UPDATE cfa_pledge SET donor_id = zeroblob(16) WHERE id = " PLEDGE,
      "donor.stray", "SELECT donor_id FROM cfa_pledge WHERE id = " PLEDGE, "dnr", false },
    { "a donor who is somebody else",
      "UPDATE cfa_donor SET person_id = x'01980000000070008000000000000001' WHERE id = (SELECT "
      "donor_id FROM cfa_pledge WHERE id = " PLEDGE ")",
      "donor.person", "SELECT donor_id FROM cfa_pledge WHERE id = " PLEDGE, "dnr", false },
    { "a payment of somebody else",
      "UPDATE cfa_payment SET person_id = x'01980000000070008000000000000001' WHERE id = " PAID,
      "contribution.identity", PAID_ID, "pay", false },
    { "a payment of somebody else before its totals",
      "UPDATE cfa_payment SET person_id = x'01980000000070008000000000000001' WHERE id = " PAID
      "; DELETE FROM cfa_contribution WHERE payment_id = " PAID,
      "donor.person", "SELECT donor_id FROM cfa_pledge WHERE id = " PLEDGE, "dnr", false },
    { "a total with a donor too few",
      "UPDATE cfa_totals SET donor_count = donor_count - 1 "
      "WHERE currency = 'EUR'",
      "totals.counter", EUR_TOTAL, "cmp", false },
    { "two donors who were swapped",
      "CREATE TEMP TABLE two AS SELECT id, person_id, row_number() OVER (ORDER BY id) AS n, "
      "count(*) OVER () AS c FROM cfa_donor; UPDATE cfa_donor SET person_id = (SELECT b.person_id "
      "FROM two a JOIN two b ON b.n = 3 - a.n WHERE a.id = cfa_donor.id) WHERE id IN (SELECT id "
      "FROM two WHERE n <= 2)",
      "donor.person", "SELECT id FROM cfa_donor ORDER BY id LIMIT 1", "dnr", false },
    { "an answer of no pledge",
      "UPDATE cfa_answer SET pledge_id = "
      "x'01980000000070008000000000000001' WHERE pledge_id = " PLEDGE,
      "answer.stray", "SELECT x'01980000000070008000000000000001'", "plg", false },
    { "an answer with another amount",
      "UPDATE cfa_answer SET body = CAST(replace(CAST(body AS "
      "TEXT), '\"minor\":', '\"minor\":9') AS BLOB) WHERE pledge_id = " PLEDGE,
      "answer.differs", PLEDGE_ID, "plg", false },
    { "a capture that differs from what was told of it",
      "UPDATE cfa_payment SET captured_minor = captured_minor - 1 WHERE id = " PAID
      "; UPDATE cfa_webhook SET verdict = 6 WHERE payment_id = " PAID,
      "payment.facts", PAID_ID, "pay", false },
    { "a walk to another end",
      "UPDATE cfa_transition SET to_state = 9 WHERE to_state = 8 AND subject_id IS NULL "
      "AND payment_id IN (SELECT id FROM cfa_payment WHERE state = 8)",
      "transition.end", "SELECT id FROM cfa_payment WHERE state = 8", "pay", false },
    { "a key of a pledge that is not there",
      "INSERT INTO cfa_key SELECT digest, scope_hash, "
      "command, fingerprint, x'01980000000070008000000000000001', created_us FROM cfa_key_recent "
      "WHERE resource_id = " PLEDGE,
      "key.stray", "SELECT x'01980000000070008000000000000001'", "plg", false },
    /* campaigns, acts, the book */
    { "a campaign that is gone", "DELETE FROM cfa_campaign WHERE currencies = 'USD'",
      "campaign.missing", "SELECT id FROM cfa_payment WHERE currency = 'USD'", "pay", false },
    { "a currency that is not accepted",
      "UPDATE cfa_campaign SET currencies = 'GBP' "
      "WHERE currencies = 'USD'",
      "payment.currency", "SELECT id FROM cfa_payment WHERE currency = 'USD'", "pay", false },
    { "a tampered act", "UPDATE cfa_act SET action = 'nothing' WHERE number = 2", "act.chain",
      "SELECT 'act/2'", "", false },
    { "an act that is gone", "DELETE FROM cfa_act WHERE number = 2", "act.chain", "SELECT 'act/3'",
      "", false },
    { "the last act is gone",
      "DELETE FROM cfa_act WHERE number = (SELECT max(number) "
      "FROM cfa_act)",
      "act.count", "SELECT 'book'", "", false },
    { "the book's row", "DELETE FROM cfa_book", "book.missing", "SELECT 'book'", "", false },
};

const struct damage *damage_list(size_t *out_count) {
    *out_count = sizeof list / sizeof list[0];
    return list;
}

static const char *const checks[] = {
#define CHECK_NAME(symbol, name, severity, doc) name,
    CFA__AUDIT_CHECK_MAP(CHECK_NAME)
#undef CHECK_NAME
};

const char *const *damage_checks(size_t *out_count) {
    *out_count = sizeof checks / sizeof checks[0];
    return checks;
}
