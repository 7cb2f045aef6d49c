-- The tables of a book, as SQLite's own catalogue shows them. Made from src/core/records.h
-- by tests/adapters/test_sqlite_schema.c --update; a test fails when the two differ.

CREATE TABLE cfa_schema ( -- migrations that were applied
    version INTEGER NOT NULL,
    applied_us INTEGER NOT NULL,
    library TEXT NOT NULL, -- that applied it
    PRIMARY KEY (version)
) STRICT;

CREATE TABLE cfa_book ( -- what the database is pinned to
    id INTEGER NOT NULL, -- always 1
    book_id BLOB NOT NULL, -- names this book in event sources
    incarnation INTEGER NOT NULL, -- raised when a restore takes positions back
    secret BLOB NOT NULL, -- 32 bytes: key of the hashes of scopes, keys and donor references
    livemode INTEGER NOT NULL, -- 1: real money; pinned at the first start with a provider
    provider TEXT, -- provider's name, pinned with livemode
    account TEXT NOT NULL, -- provider account
    key_generation INTEGER NOT NULL, -- current generation of key_recent
    keys_moved INTEGER NOT NULL, -- to the permanent table; its change is seen by whoever binds a key
    created_us INTEGER NOT NULL, -- first start
    version INTEGER NOT NULL, act_count INTEGER NOT NULL DEFAULT 0, act_hash BLOB, filled INTEGER NOT NULL DEFAULT 0, reconciled_from_us INTEGER NOT NULL DEFAULT 0, reconciled_until_us INTEGER NOT NULL DEFAULT 0, reconciled_at_us INTEGER NOT NULL DEFAULT 0, -- counts updates
    PRIMARY KEY (id)
) STRICT;

CREATE TABLE cfa_campaign ( -- what people give to
    id BLOB NOT NULL, -- cmp_
    title TEXT NOT NULL, -- shown to donors
    currencies TEXT NOT NULL, -- accepted codes, sorted, comma-separated
    goal_minor INTEGER NOT NULL, -- 0: no goal
    goal_currency TEXT, -- of the goal
    deadline_us INTEGER NOT NULL, -- 0: none
    late_rule INTEGER NOT NULL, -- cfa_late_rule
    state INTEGER NOT NULL, -- cfa_campaign_state
    sequence INTEGER NOT NULL, -- of its newest event
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts updates; what If-Match compares
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_key ( -- idempotency keys, for ever
    digest BLOB NOT NULL, -- the key itself if a UUIDv7, else a keyed hash of scope and key
    scope_hash BLOB NOT NULL, -- keyed hash of the caller's scope
    command INTEGER NOT NULL, -- cfa__keyed_command
    fingerprint BLOB NOT NULL, -- format version, then 8 bytes of keyed hash per field
    resource_id BLOB NOT NULL, -- what the command made or changed: pledge, campaign, payment
    created_us INTEGER NOT NULL,
    PRIMARY KEY (digest, scope_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_key_recent ( -- random idempotency keys of late
    generation INTEGER NOT NULL,
    digest BLOB NOT NULL, -- the key itself if a UUIDv7, else a keyed hash of scope and key
    scope_hash BLOB NOT NULL, -- keyed hash of the caller's scope
    command INTEGER NOT NULL, -- cfa__keyed_command
    fingerprint BLOB NOT NULL, -- format version, then 8 bytes of keyed hash per field
    resource_id BLOB NOT NULL, -- what the command made or changed: pledge, campaign, payment
    created_us INTEGER NOT NULL,
    PRIMARY KEY (generation, digest, scope_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_donor ( -- personal data, erasable
    id BLOB NOT NULL, -- one per pledge
    person_id BLOB NOT NULL, -- dnr_: equal for equal references, else equal to id
    reference TEXT, -- the host's id of the donor; erasable
    name TEXT, -- erasable
    email TEXT, -- erasable
    message TEXT, -- erasable
    visibility INTEGER NOT NULL, -- cfa_visibility
    created_us INTEGER NOT NULL,
    erased_us INTEGER NOT NULL, -- 0: not erased
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_pledge ( -- promises
    id BLOB NOT NULL, -- plg_
    campaign_id BLOB NOT NULL,
    payment_id BLOB NOT NULL,
    donor_id BLOB NOT NULL,
    amount_minor INTEGER NOT NULL, -- promised
    currency TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX cfa_pledge_by_campaign ON cfa_pledge (campaign_id, id);

CREATE TABLE cfa_answer ( -- the fixed answers to pledges
    pledge_id BLOB NOT NULL,
    body BLOB NOT NULL, -- JSON, the same bytes for every repeat
    client_secret TEXT, -- as in the body; kept nowhere else
    created_us INTEGER NOT NULL, redirect_url TEXT,
    PRIMARY KEY (pledge_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_payment ( -- payment intents and what is known of them
    id BLOB NOT NULL, -- pay_
    pledge_id BLOB NOT NULL,
    campaign_id BLOB NOT NULL,
    person_id BLOB NOT NULL, -- dnr_
    amount_minor INTEGER NOT NULL, -- asked for
    currency TEXT NOT NULL,
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    ref TEXT, -- the provider's id, once known
    state INTEGER NOT NULL, -- cfa_payment_state, computed from the facts below
    flags INTEGER NOT NULL, -- CFA_PAYMENT_FLAG_*
    durable INTEGER NOT NULL, -- facts: SUCCEEDED, CANCELED, EXPIRED; 65536: some were quarantined
    authorized_minor INTEGER NOT NULL, -- fact: most ever reported as held; 0: only captures were
    captured_minor INTEGER NOT NULL, -- fact: most ever captured
    hold INTEGER NOT NULL, -- fact: twice the attempt of the newest hold, plus 1 once it was lost
    cancel_reason TEXT, -- fact
    canceled_us INTEGER NOT NULL, -- fact: earliest provider time of the cancel or expiry; 0: unknown
    volatile_fact INTEGER NOT NULL, -- facts of the newest attempt: NEEDS_ACTION, PROCESSING, FAILED
    volatile_attempt INTEGER NOT NULL, -- attempt the volatile fact is of
    volatile_us INTEGER NOT NULL, -- provider time of the volatile fact
    failure_code TEXT, -- of the volatile fact
    expires_us INTEGER NOT NULL, -- when an unpaid payment is cancelled at the provider
    sequence INTEGER NOT NULL, -- of its newest event
    capture_manual INTEGER NOT NULL, -- 1: authorize first, capture by a command
    transition_count INTEGER NOT NULL,
    operation_count INTEGER NOT NULL,
    trace BLOB, -- W3C traceparent of the request that made it
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, origin_ref TEXT, requested_minor INTEGER NOT NULL DEFAULT 0, refunded_minor INTEGER NOT NULL DEFAULT 0, withdrawn_minor INTEGER NOT NULL DEFAULT 0, reinstated_minor INTEGER NOT NULL DEFAULT 0, exposed_minor INTEGER NOT NULL DEFAULT 0, refund_count INTEGER NOT NULL DEFAULT 0, dispute_count INTEGER NOT NULL DEFAULT 0, open_count INTEGER NOT NULL DEFAULT 0, fee_minor INTEGER NOT NULL DEFAULT 0, fee_currency TEXT, -- raised by any change at or below the payment
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_transition ( -- each payment's walk through the states
    payment_id BLOB NOT NULL,
    number INTEGER NOT NULL, -- 1, 2, 3, ... per payment
    from_state INTEGER NOT NULL, -- 0: did not exist
    to_state INTEGER NOT NULL,
    rule TEXT NOT NULL, -- P01 to L02, docs/payment-states.md
    implied INTEGER NOT NULL, -- 1: no evidence named this step
    cause_id BLOB, -- operation or webhook that brought the fact
    created_us INTEGER NOT NULL, subject_id BLOB,
    PRIMARY KEY (payment_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_operation ( -- provider calls, recorded before they are made
    payment_id BLOB NOT NULL,
    number INTEGER NOT NULL, -- 1, 2, 3, ... per payment
    call INTEGER NOT NULL, -- CFA_CALL_*; RETRIEVE: the payment's standing probe
    attempt INTEGER NOT NULL, -- a new one only when the provider proved the old did nothing
    idempotency_key TEXT NOT NULL, -- sent to the provider
    body BLOB NOT NULL, -- exact request bytes
    method TEXT, -- payment method token
    amount_minor INTEGER NOT NULL,
    state INTEGER NOT NULL, -- cfa__operation_state
    due_us INTEGER NOT NULL, -- when to act next; the lease's end while leased; 0: closed
    lease_owner BLOB, -- engine that works on it
    lease_epoch INTEGER NOT NULL, -- raised by each lease; fences a late owner
    tries INTEGER NOT NULL, -- calls made
    first_sent_us INTEGER NOT NULL, -- 0: never; guards re-use of the key
    last_sent_us INTEGER NOT NULL, -- newest time that the call itself, not a look-up, was sent
    outcome INTEGER NOT NULL, -- CFA_OUTCOME_* of the newest call
    stored INTEGER NOT NULL, -- 1: a repeat brings the same answer; 2: the same error; 3: read again
    code TEXT, -- provider's code of the newest call
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, refund_id BLOB, -- counts updates
    PRIMARY KEY (payment_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX cfa_operation_by_due ON cfa_operation (due_us, payment_id, number) WHERE due_us <> 0;

CREATE TABLE cfa_provider_object ( -- which payment a provider's object is
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    ref TEXT NOT NULL, -- the provider's id
    payment_id BLOB, -- null: seen in a webhook, not bound yet
    parked_count INTEGER NOT NULL, -- webhooks that ever waited for the binding
    drained_count INTEGER NOT NULL, -- of them applied since
    created_us INTEGER NOT NULL,
    version INTEGER NOT NULL, part_id BLOB, waiting_us INTEGER NOT NULL DEFAULT 0, -- counts updates
    PRIMARY KEY (provider, account, ref)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_webhook ( -- provider events, once each
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    event_id TEXT NOT NULL, -- the provider's
    id BLOB NOT NULL, -- whk_: named as the cause of transitions
    event_type TEXT NOT NULL, -- the provider's
    ref TEXT, -- provider object it is about
    payment_id BLOB, -- once known
    verdict INTEGER NOT NULL, -- cfa_webhook_verdict
    facts BLOB, -- normalised, JSON
    body_hash BLOB, -- BLAKE2b-256 of the raw body
    received_us INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (provider, account, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_parked ( -- webhooks that wait for their object
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    ref TEXT NOT NULL,
    number INTEGER NOT NULL, -- 1, 2, 3, ... per object
    event_id TEXT NOT NULL,
    PRIMARY KEY (provider, account, ref, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_sink ( -- cursors into the log
    name TEXT NOT NULL,
    acknowledged INTEGER NOT NULL, -- position of the contiguous prefix that is delivered
    epoch INTEGER NOT NULL, -- raised by each owner; fences the earlier one
    owner BLOB, -- engine that leads it
    lease_until_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, paused INTEGER NOT NULL DEFAULT 0, paused_us INTEGER NOT NULL DEFAULT 0, reason TEXT, refused INTEGER NOT NULL DEFAULT 0, refused_tries INTEGER NOT NULL DEFAULT 0, refused_us INTEGER NOT NULL DEFAULT 0, dead_count INTEGER NOT NULL DEFAULT 0, requeued_count INTEGER NOT NULL DEFAULT 0, -- counts updates
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_contribution ( -- each payment's part of the totals
    payment_id BLOB NOT NULL,
    campaign_id BLOB NOT NULL,
    pledge_id BLOB NOT NULL,
    person_id BLOB NOT NULL,
    currency TEXT NOT NULL,
    sequence INTEGER NOT NULL, -- of the newest event applied
    state INTEGER NOT NULL, -- cfa_payment_state
    pledged_minor INTEGER NOT NULL,
    authorized_minor INTEGER NOT NULL,
    raised_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    disputed_minor INTEGER NOT NULL,
    created_us INTEGER NOT NULL, -- when the pledge was made: orders the public list
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (payment_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX cfa_contribution_by_campaign ON cfa_contribution (campaign_id, created_us, payment_id);

CREATE TABLE cfa_totals ( -- sums per campaign and currency
    campaign_id BLOB NOT NULL,
    currency TEXT NOT NULL,
    pledged_minor INTEGER NOT NULL,
    authorized_minor INTEGER NOT NULL,
    raised_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    disputed_minor INTEGER NOT NULL,
    donation_count INTEGER NOT NULL, -- payments with money raised
    donor_count INTEGER NOT NULL, -- distinct donors among them
    position INTEGER NOT NULL, -- newest event that changed this row
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts changes
    PRIMARY KEY (campaign_id, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_supporter ( -- distinct donors per campaign and currency
    campaign_id BLOB NOT NULL,
    currency TEXT NOT NULL,
    person_id BLOB NOT NULL,
    donation_count INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (campaign_id, currency, person_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_staged ( -- events of joined transactions, before the log
    id BLOB NOT NULL, -- evt_; time-ordered
    type INTEGER NOT NULL,
    subject_kind INTEGER NOT NULL,
    subject_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    trace BLOB,
    payload BLOB NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_event ( -- the outbox: an insert-only log
    position INTEGER NOT NULL, -- 1, 2, 3, ... in commit order
    id BLOB NOT NULL, -- evt_: CloudEvents id
    type INTEGER NOT NULL, -- cfa__event_type, docs/events.md
    subject_kind INTEGER NOT NULL, -- kind id of the subject: campaign or payment
    subject_id BLOB NOT NULL, -- partition key
    sequence INTEGER NOT NULL, -- 1, 2, 3, ... per subject
    created_us INTEGER NOT NULL,
    trace BLOB, -- W3C traceparent
    payload BLOB NOT NULL, -- JSON, final bytes
    PRIMARY KEY (position)
) STRICT;

CREATE TABLE cfa_breaker ( -- circuit breakers of providers' accounts
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    id BLOB NOT NULL, -- brk_: subject of its events
    state INTEGER NOT NULL, -- 1: closed, 2: open, 3: half open
    retry_us INTEGER NOT NULL, -- open: when one call may try; half open: until when it has time
    opened_us INTEGER NOT NULL, -- start of the newest outage
    sequence INTEGER NOT NULL, -- of its newest event
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (provider, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE cfa_dead_letter ( -- events that a sink refused, set aside
    sink TEXT NOT NULL,
    position INTEGER NOT NULL, -- of the event
    requeued INTEGER NOT NULL, -- 1: to be delivered again, out of order
    tries INTEGER NOT NULL,
    code INTEGER NOT NULL, -- the sink's own code of the newest refusal
    reason TEXT, -- the sink's words
    first_us INTEGER NOT NULL, -- first refusal
    last_us INTEGER NOT NULL, -- newest refusal
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (sink, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX cfa_dead_letter_by_requeued ON cfa_dead_letter (requeued, sink, position) WHERE requeued <> 0;

CREATE INDEX cfa_webhook_by_payment ON cfa_webhook (payment_id, received_us, event_id) WHERE payment_id IS NOT NULL;

CREATE TABLE cfa_refund ( -- money that goes back
    id BLOB NOT NULL, -- rfd_
    payment_id BLOB NOT NULL,
    amount_minor INTEGER NOT NULL, -- in the payment's currency
    ref TEXT, -- the provider's id, once known
    origin INTEGER NOT NULL, -- 1: asked for here, 2: made at the provider, 3: late rule, 4: fraud
    reason TEXT, -- the caller's
    state INTEGER NOT NULL, -- cfa_refund_state, computed from the facts below
    durable INTEGER NOT NULL, -- facts: 1 seen, 2 succeeded, 4 canceled, 8 failed, 16 rejected
    waiting_us INTEGER NOT NULL, -- fact: provider time of the newest PENDING or REQUIRES_ACTION
    waiting_action INTEGER NOT NULL, -- fact: 1: that was REQUIRES_ACTION
    failure_code TEXT, -- fact
    operation_number INTEGER NOT NULL, -- the call that makes it; 0: not made here
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX cfa_refund_by_payment ON cfa_refund (payment_id, id);

CREATE TABLE cfa_dispute ( -- money that donors' banks ask back
    id BLOB NOT NULL, -- dsp_
    payment_id BLOB NOT NULL,
    ref TEXT NOT NULL, -- the provider's id
    amount_minor INTEGER NOT NULL, -- fact: most ever disputed, in the payment's currency
    state INTEGER NOT NULL, -- cfa_dispute_state: the furthest that was reported
    withdrawn_minor INTEGER NOT NULL, -- fact: most ever taken
    reinstated_minor INTEGER NOT NULL, -- fact: most ever given back
    fee_minor INTEGER NOT NULL, -- fact: most ever charged for it, booked apart
    fee_currency TEXT, -- of the fee
    reason TEXT, -- fact
    evidence_due_us INTEGER NOT NULL, -- fact: latest that was told; 0: none
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    version INTEGER NOT NULL, -- counts updates
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX cfa_dispute_by_payment ON cfa_dispute (payment_id, id);

CREATE TABLE cfa_act ( -- what persons did, each chained to the one before
    number INTEGER NOT NULL, -- 1, 2, 3, ... per book
    action TEXT NOT NULL, -- "campaign.update", "refund.create", ...
    subject TEXT NOT NULL, -- what it was done to: an id or a name
    actor TEXT, -- who, as the host named them
    reason TEXT, -- why, in their words
    before BLOB, -- JSON
    after BLOB, -- JSON
    created_us INTEGER NOT NULL,
    previous_hash BLOB, -- of the act before; null for the first
    hash BLOB NOT NULL, -- BLAKE2b-256 of all of the above
    PRIMARY KEY (number)
) STRICT;

CREATE INDEX cfa_provider_object_by_waiting ON cfa_provider_object (waiting_us, provider, account, ref) WHERE waiting_us <> 0;

CREATE INDEX cfa_webhook_by_id ON cfa_webhook (id);
