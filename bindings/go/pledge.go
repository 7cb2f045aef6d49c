package careforall

import (
	"context"
	"time"

	"careforall.org/go/internal/native"
)

// Visibility says who sees a donor's name.
type Visibility int32

const (
	VisibilityPublic Visibility = 0
	VisibilityOwner  Visibility = 1
	VisibilityHidden Visibility = 2
)

// WaitFor says how far CreatePledge waits.
type WaitFor int32

const (
	WaitAnswer WaitFor = 0 // until the provider's object is stored and the answer fixed
	WaitCommit WaitFor = 1 // until the pledge is durable
	WaitPaid   WaitFor = 2 // until the payment is settled
)

// Pledge is a snapshot of a promise and its payment.
type Pledge struct {
	ID           string
	CampaignID   string
	PaymentID    string
	Amount       Money
	State        PaymentState
	Created      time.Time
	DonorID      string
	DonorName    string
	DonorEmail   string
	DonorMessage string
	Visibility   Visibility
	Replayed     bool   // an earlier call with this key made it
	Pending      bool   // the provider has not answered: there is no final answer yet
	Answer       []byte // fixed once: equal bytes for every repeat of the key
	ClientSecret string // what the donor's browser confirms with
	RedirectURL  string // the provider's hosted page where the donor pays
	Position     int64  // for Totals' AtLeast
}

// PledgeSpec is what a pledge is created with.
type PledgeSpec struct {
	// Key is the idempotency key that the donor's form was made with: a double click, a retry or a resend then returns
	// the same pledge and never charges again. "": a fresh one, which protects this one call; an *Error
	// carries it for the repeat.
	Key            string
	Scope          string // whose key it is
	CampaignID     string
	Amount         Money
	PaymentMethod  string // provider token
	DonorReference string // the host's own stable id of the donor
	DonorName      string
	DonorEmail     string
	DonorMessage   string
	Visibility     Visibility
	Wait           WaitFor
	Traceparent    string
	ReturnURL      string // where the provider's hosted page sends the donor afterwards
	CancelURL      string
}

// CreatePledge creates a pledge and its payment, once per (scope, key). Durable when it returns.
func (e *Engine) CreatePledge(ctx context.Context, spec PledgeSpec) (*Pledge, error) {
	key, err := keyOr(spec.Key)
	if err != nil {
		return nil, err
	}
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Pledge
	err = native.Pledge_create(&handle, e.handle, key, spec.Scope, spec.CampaignID, spec.Amount.native(),
		spec.PaymentMethod, spec.DonorReference, spec.DonorName, spec.DonorEmail, spec.DonorMessage,
		int32(spec.Visibility), int32(spec.Wait), limit, spec.Traceparent, spec.ReturnURL, spec.CancelURL)
	if err != nil {
		return nil, wrapKey(err, key)
	}
	defer native.Pledge_free(handle)
	return readPledge(handle), nil
}

// Pledge reads one pledge with its payment's state.
func (e *Engine) Pledge(id string) (*Pledge, error) {
	return e.pledge(func(out *native.Pledge) error { return native.Pledge_get(out, e.handle, id) })
}

// FindPledge finds the pledge that a key made; ENOTFOUND when it made none.
func (e *Engine) FindPledge(scope, key string) (*Pledge, error) {
	return e.pledge(func(out *native.Pledge) error { return native.Pledge_find(out, e.handle, scope, key) })
}

func (e *Engine) pledge(read func(out *native.Pledge) error) (*Pledge, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Pledge
	if err := read(&handle); err != nil {
		return nil, wrap(err)
	}
	defer native.Pledge_free(handle)
	return readPledge(handle), nil
}

// Pledges reads one page of a campaign's pledges, oldest first; next is "" at the end.
func (e *Engine) Pledges(campaignID, after string, limit int) (page []*Pledge, next string, err error) {
	if err := e.enter(); err != nil {
		return nil, "", err
	}
	defer e.gate.leave()
	var list native.PledgeList
	if err := native.Pledge_page(&list, e.handle, campaignID, after, clamp(int64(limit))); err != nil {
		return nil, "", wrap(err)
	}
	defer native.Pledge_list_free(list)
	for i, size := int64(0), native.Pledge_list_size(list); i < size; i++ {
		page = append(page, readPledge(native.Pledge_list_at(list, i)))
	}
	return page, native.Pledge_list_next(list), nil
}

// EraseDonor erases the personal data of a pledge's donor. Amounts stay.
func (e *Engine) EraseDonor(ctx context.Context, pledgeID string, by Actor) error {
	limit, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer e.gate.leave()
	return wrap(native.Donor_erase(e.handle, pledgeID, by.Actor, by.Reason, limit))
}

func readPledge(handle native.Pledge) *Pledge {
	return &Pledge{
		ID:           native.Pledge_id(handle),
		CampaignID:   native.Pledge_campaign_id(handle),
		PaymentID:    native.Pledge_payment_id(handle),
		Amount:       moneyOf(native.Pledge_amount(handle)),
		State:        PaymentState(native.Pledge_state(handle)),
		Created:      instant(native.Pledge_created_us(handle)),
		DonorID:      native.Pledge_donor_id(handle),
		DonorName:    native.Pledge_donor_name(handle),
		DonorEmail:   native.Pledge_donor_email(handle),
		DonorMessage: native.Pledge_donor_message(handle),
		Visibility:   Visibility(native.Pledge_visibility(handle)),
		Replayed:     native.Pledge_replayed(handle) != 0,
		Pending:      native.Pledge_pending(handle) != 0,
		Answer:       []byte(native.Pledge_answer(handle)),
		ClientSecret: native.Pledge_client_secret(handle),
		RedirectURL:  native.Pledge_redirect_url(handle),
		Position:     native.Pledge_position(handle),
	}
}
