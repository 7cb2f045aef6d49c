package careforall

import (
	"context"
	"strings"
	"time"

	"careforall.org/go/internal/native"
)

// CampaignState is OPEN or ENDED.
type CampaignState int32

const (
	CampaignOpen  CampaignState = 1
	CampaignEnded CampaignState = 2
)

func (s CampaignState) String() string { return native.Campaign_state_name(int32(s)) }

// LateRule says what becomes of money that is captured after the campaign's end, or after a cancel or expiry.
type LateRule int32

const (
	LateAccept LateRule = 0
	LateRefuse LateRule = 1 // unpaid payments are cancelled; paid money still counts
	LateRefund LateRule = 2 // as refuse, and money that comes all the same is given back
	LateHold   LateRule = 3 // it is held, in no total, until AcceptPayment or a refund
)

// Campaign is a snapshot of what people give to.
type Campaign struct {
	ID         string
	Title      string
	Currencies []string
	Goal       Money     // the zero value: none
	Deadline   time.Time // the zero value: none
	LateRule   LateRule
	State      CampaignState
	Version    int64
	Created    time.Time
	Updated    time.Time
	Replayed   bool  // the answer repeats an earlier one with the same key
	Position   int64 // for Totals' AtLeast; 0 for reads
}

// CampaignSpec is what a campaign is created with, or changed to: an update replaces every field.
type CampaignSpec struct {
	Key        string // the idempotency key; "": a fresh one, which protects this one call
	Scope      string // whose key it is
	Title      string
	Currencies []string
	Goal       Money
	Deadline   time.Time
	LateRule   LateRule
	By         Actor
}

// CreateCampaign creates a campaign, once per (scope, key). Durable when it returns.
func (e *Engine) CreateCampaign(ctx context.Context, spec CampaignSpec) (*Campaign, error) {
	return e.campaignCommand(ctx, spec.Key, func(out *native.Campaign, key string, limit int32) error {
		return native.Campaign_create(out, e.handle, key, spec.Scope, spec.Title, strings.Join(spec.Currencies, ","),
			spec.Goal.native(), microseconds(spec.Deadline), int32(spec.LateRule), spec.By.Actor, spec.By.Reason,
			limit)
	})
}

// UpdateCampaign replaces a campaign's fields if its version still is expectedVersion, else EVERSION.
func (e *Engine) UpdateCampaign(ctx context.Context, id string, expectedVersion int64,
	spec CampaignSpec) (*Campaign, error) {
	return e.campaignCommand(ctx, spec.Key, func(out *native.Campaign, key string, limit int32) error {
		return native.Campaign_update(out, e.handle, id, expectedVersion, key, spec.Scope, spec.Title,
			strings.Join(spec.Currencies, ","), spec.Goal.native(), microseconds(spec.Deadline),
			int32(spec.LateRule), spec.By.Actor, spec.By.Reason, limit)
	})
}

// EndCampaign ends a campaign: no pledge commits after it.
func (e *Engine) EndCampaign(ctx context.Context, id string, expectedVersion int64, scope, key string,
	by Actor) (*Campaign, error) {
	return e.campaignCommand(ctx, key, func(out *native.Campaign, key string, _ int32) error {
		return native.Campaign_end(out, e.handle, id, expectedVersion, scope, key, by.Actor, by.Reason)
	})
}

// Campaign reads one campaign.
func (e *Engine) Campaign(id string) (*Campaign, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Campaign
	if err := native.Campaign_get(&handle, e.handle, id); err != nil {
		return nil, wrap(err)
	}
	defer native.Campaign_free(handle)
	return readCampaign(handle), nil
}

// CampaignWithTotals reads a campaign and its totals from one snapshot.
func (e *Engine) CampaignWithTotals(id string) (*Campaign, *Totals, error) {
	if err := e.enter(); err != nil {
		return nil, nil, err
	}
	defer e.gate.leave()
	var campaign native.Campaign
	var totals native.Totals
	if err := native.Campaign_get_with_totals(&campaign, &totals, e.handle, id); err != nil {
		return nil, nil, wrap(err)
	}
	defer native.Campaign_free(campaign)
	defer native.Totals_free(totals)
	return readCampaign(campaign), readTotals(totals), nil
}

// Campaigns reads one page, oldest first, of at most limit rows (0: 100) after the id `after`; next is "" at the end.
func (e *Engine) Campaigns(after string, limit int) (page []*Campaign, next string, err error) {
	if err := e.enter(); err != nil {
		return nil, "", err
	}
	defer e.gate.leave()
	var list native.CampaignList
	if err := native.Campaign_page(&list, e.handle, after, clamp(int64(limit))); err != nil {
		return nil, "", wrap(err)
	}
	defer native.Campaign_list_free(list)
	for i, size := int64(0), native.Campaign_list_size(list); i < size; i++ {
		page = append(page, readCampaign(native.Campaign_list_at(list, i)))
	}
	return page, native.Campaign_list_next(list), nil
}

func (e *Engine) campaignCommand(ctx context.Context, key string,
	command func(out *native.Campaign, key string, limit int32) error) (*Campaign, error) {
	key, err := keyOr(key)
	if err != nil {
		return nil, err
	}
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Campaign
	if err := command(&handle, key, limit); err != nil {
		return nil, wrapKey(err, key)
	}
	defer native.Campaign_free(handle)
	return readCampaign(handle), nil
}

func keyOr(key string) (string, error) {
	if key != "" {
		return key, nil
	}
	return NewKey()
}

func readCampaign(handle native.Campaign) *Campaign {
	return &Campaign{
		ID:         native.Campaign_id(handle),
		Title:      native.Campaign_title(handle),
		Currencies: strings.Split(native.Campaign_currencies(handle), ","),
		Goal:       moneyOf(native.Campaign_goal(handle)),
		Deadline:   instant(native.Campaign_deadline_us(handle)),
		LateRule:   LateRule(native.Campaign_late_rule(handle)),
		State:      CampaignState(native.Campaign_state_of(handle)),
		Version:    native.Campaign_version(handle),
		Created:    instant(native.Campaign_created_us(handle)),
		Updated:    instant(native.Campaign_updated_us(handle)),
		Replayed:   native.Campaign_replayed(handle) != 0,
		Position:   native.Campaign_position(handle),
	}
}
