package careforall

import (
	"context"
	"time"

	"careforall.org/go/internal/native"
)

// TotalsRow is one currency's numbers; Net = Raised - Refunded - Disputed.
type TotalsRow struct {
	Currency                                             string
	Pledged, Authorized, Raised, Refunded, Disputed, Net Money
	Donations, Donors                                    int64
}

// Totals is what a campaign raised, one row per currency in alphabetical order.
type Totals struct {
	CampaignID string
	Position   int64 // the numbers include everything up to here
	Version    int64 // rises with every change
	AsOf       time.Time
	Stale      bool // the store could not be read: the last known good numbers
	Rows       []TotalsRow
}

// In returns a currency's row; nil when the campaign does not take the currency.
func (t *Totals) In(currency string) *TotalsRow {
	for i := range t.Rows {
		if t.Rows[i].Currency == currency {
			return &t.Rows[i]
		}
	}
	return nil
}

// TotalsSpec says how fresh totals must be. The zero value is the library's default.
type TotalsSpec struct {
	AtLeast int64         // the Position of a result that must be included
	MaxAge  time.Duration // accept a cached answer this old; negative: none
}

// Totals reads what a campaign raised, normally from memory.
func (e *Engine) Totals(ctx context.Context, campaignID string, spec TotalsSpec) (*Totals, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Totals
	err = native.Totals_get(&handle, e.handle, campaignID, spec.AtLeast, milliseconds(spec.MaxAge), limit)
	if err != nil {
		return nil, wrap(err)
	}
	defer native.Totals_free(handle)
	return readTotals(handle), nil
}

// VerifyTotals recomputes the totals from the payments' facts and reports whether they are equal.
func (e *Engine) VerifyTotals(ctx context.Context, campaignID string) (bool, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return false, err
	}
	defer e.gate.leave()
	var equal int32
	err = native.Totals_verify(&equal, e.handle, campaignID, limit)
	return equal != 0, wrap(err)
}

func readTotals(handle native.Totals) *Totals {
	totals := &Totals{
		CampaignID: native.Totals_campaign_id(handle),
		Position:   native.Totals_position(handle),
		Version:    native.Totals_version(handle),
		AsOf:       instant(native.Totals_as_of_us(handle)),
		Stale:      native.Totals_stale(handle) != 0,
	}
	for i, size := int64(0), native.Totals_size(handle); i < size; i++ {
		row := native.CopyRow(native.Totals_at(handle, i))
		money := func(minor int64) Money { return Money{minor, row.Currency} }
		totals.Rows = append(totals.Rows, TotalsRow{row.Currency, money(row.Pledged), money(row.Authorized),
			money(row.Raised), money(row.Refunded), money(row.Disputed), money(row.Net), row.Donations, row.Donors})
	}
	return totals
}
