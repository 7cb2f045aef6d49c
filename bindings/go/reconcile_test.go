package careforall

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// told is what the provider has of a payment that was paid in full.
func told(payment *Payment) ReconcileObject {
	return ReconcileObject{Kind: ReconcilePayment, Whole: true, Livemode: new(bool),
		Facts: Facts{Ref: payment.Ref, PaymentID: payment.ID, Amount: payment.Amount, Flags: FactSucceeded,
			AuthorizedMinor: payment.Amount.Minor, CapturedMinor: payment.Amount.Minor, Attempt: 1}}
}

func newRecord(t *testing.T, objects ...ReconcileObject) *Record {
	t.Helper()
	record := must[*Record](t)(NewRecord())
	t.Cleanup(func() { record.Close() })
	if err := record.Add(objects...); err != nil {
		t.Fatal(err)
	}
	return record
}

func around(payment *Payment) ReconcileSpec {
	return ReconcileSpec{Since: payment.Created.Add(-time.Hour), Until: payment.Created.Add(time.Hour)}
}

func TestEqualBooksHaveNoDifferences(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		record := newRecord(t)
		var payment *Payment
		for i := 0; i < 3; i++ {
			payment = paidPayment(t, engine, play, campaign)
			if err := record.Add(told(payment)); err != nil {
				t.Fatal(err)
			}
		}
		report := must[*Reconciliation](t)(engine.Reconcile(record, around(payment)))
		if report.Differences != 0 || report.Objects != 3 || report.Foreign != 0 || report.Repairable != 0 ||
			len(report.Listed) != 0 || report.Counts["missing_here"] != 0 || len(report.Counts) != 5 ||
			report.Provider != "play" || report.Account != "" || report.Livemode ||
			!bytes.Contains(report.JSON, []byte(`"clean":true`)) || report.Text == "" {
			t.Fatalf("%+v", report)
		}
	})
}

func TestWhatIsOnlyCountedIsToldApart(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		other := ReconcileObject{Kind: ReconcileOther, Facts: Facts{Ref: "po_1", Amount: amount}}
		unnamed := ReconcileObject{Kind: ReconcileUnnamed, Facts: Facts{Amount: amount}}
		nobodys := ReconcileObject{Kind: ReconcilePayment, Facts: Facts{Ref: "pi_of_somebody_else", Amount: amount}}
		report := must[*Reconciliation](t)(engine.Reconcile(
			newRecord(t, nobodys, other, other, unnamed, unnamed, unnamed), ReconcileSpec{}))
		if report.Objects != 6 || report.Foreign != 1 || report.Other != 2 || report.Unnamed != 3 {
			t.Fatalf("%+v", report)
		}
	})
}

func TestATimeThatEndsBeforeItBeginsHasTheCallersName(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, _ *Play) {
		_, err := engine.Reconcile(newRecord(t), ReconcileSpec{Since: time.Now()})
		expect(t, err, EINVAL, "Until")
		_, err = engine.ReconcileLive(background, LiveSpec{})
		expect(t, err, EINVAL, "Since")
		_, err = engine.ReconcileLive(background, LiveSpec{Since: time.Now(), Until: time.Now().Add(-time.Hour)})
		expect(t, err, EINVAL, "Until")
	})
}

func TestDifferencesAreTold(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		lost, dear := paidPayment(t, engine, play, campaign), paidPayment(t, engine, play, campaign)
		other := told(dear)
		other.Facts.Amount.Minor++
		stranger := ReconcileObject{Facts: Facts{Ref: "pi_of_somebody_else", Amount: amount}, Line: 7}
		spec := around(lost)
		spec.AllOurs = true
		report := must[*Reconciliation](t)(engine.Reconcile(newRecord(t, other, stranger), spec))
		found := map[string]Difference{}
		var sum int64
		for _, one := range report.Listed {
			found[one.Code+" "+one.PaymentID] = one
		}
		for _, count := range report.Counts {
			sum += count
		}
		if sum != report.Differences || found["missing_there "+lost.ID].ID != lost.ID ||
			found["amount_differs "+dear.ID].Ref != dear.Ref || found["missing_here "].Ref != "pi_of_somebody_else" ||
			found["missing_here "].Line != 7 || !strings.Contains(report.Text, lost.ID) {
			t.Fatalf("%+v", report)
		}
	})
}

func TestARepairTellsWhatTheProviderSays(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
		payment := must[*Payment](t)(engine.Payment(pledge.PaymentID))
		object := told(payment)
		object.Facts.Disputes = []DisputeFacts{{Ref: "dp_1", Amount: amount, State: DisputeOpen,
			WithdrawnMinor: amount.Minor, Fee: euro(1500), Reason: "fraudulent"}}
		record := newRecord(t, object)
		before := must[*Reconciliation](t)(engine.Reconcile(record, ReconcileSpec{}))
		same(t, before.Repairable > 0, true)
		same(t, must[int64](t)(engine.Repair(background, record)), int64(1))
		same(t, must[int64](t)(engine.Repair(background, record)), int64(0))
		same(t, must[*Reconciliation](t)(engine.Reconcile(record, ReconcileSpec{})).Differences, int64(0))
		dispute := must[[]*Dispute](t)(engine.Disputes(payment.ID))[0]
		if dispute.Ref != "dp_1" || dispute.Reason != "fraudulent" || dispute.Fee != euro(1500) {
			t.Fatalf("%+v", dispute)
		}
		same(t, must[*Audit](t)(engine.Audit(background, AuditSpec{})).Differences, int64(0))
	})
}

func TestAnAuditComparesWithTheRecordInItsSnapshot(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		known, lost := paidPayment(t, engine, play, campaign), paidPayment(t, engine, play, campaign)
		spec := AuditSpec{Record: newRecord(t, told(known)), Compare: around(known)}
		audit := must[*Audit](t)(engine.Audit(background, spec))
		if audit.Differences != 1 || !bytes.Contains(audit.JSON, []byte(`"check":"provider.missing_there"`)) ||
			!strings.Contains(audit.Text, lost.ID) || !strings.Contains(audit.Text, "record: 1 difference") {
			t.Fatal(audit.Text)
		}
		spec.CampaignID = campaign.ID
		_, err := engine.Audit(background, spec)
		expect(t, err, EINVAL, "campaign_id")
		_, err = engine.Audit(background, AuditSpec{Compare: around(known)})
		expect(t, err, EINVAL, "Record")
		_, err = engine.Audit(background, AuditSpec{Record: newRecord(t), Compare: ReconcileSpec{Since: known.Created}})
		expect(t, err, EINVAL, "Until")
	})
}

func TestARecordKeepsWhatItWasGiven(t *testing.T) {
	engine := must[*Engine](t)(OpenMemory(Options{}))
	defer engine.Close()
	record := newRecord(t)
	for _, ref := range []string{"a", "", strings.Repeat("ö", 1000)} {
		if err := record.Add(ReconcileObject{Kind: ReconcileOther, Facts: Facts{Ref: ref}}); err != nil {
			t.Fatal(err)
		}
	}
	long := ReconcileObject{Kind: ReconcileOther, Facts: Facts{Ref: strings.Repeat("x", 65536)}}
	expect(t, record.Add(long), ETOOLONG, "facts")
	same(t, record.Len(), 3)
	same(t, must[*Reconciliation](t)(engine.Reconcile(record, ReconcileSpec{})).Objects, int64(3))
	if err := record.Add(ReconcileObject{Kind: ReconcileOther}); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if report, err := engine.Reconcile(record, ReconcileSpec{}); err != nil || report.Objects != 4 {
				t.Errorf("%+v %v", report, err)
			}
		}()
	}
	group.Wait()
	record.Close()
	_, err := engine.Reconcile(record, ReconcileSpec{})
	expect(t, err, EMISUSE, "source")
	expect(t, record.Add(ReconcileObject{}), EMISUSE, "source")
	same(t, record.Close(), nil)
}

func TestARecordOfTheOtherModeIsRefused(t *testing.T) {
	engine := must[*Engine](t)(OpenMemory(Options{}))
	defer engine.Close()
	live := true
	_, err := engine.Reconcile(newRecord(t, ReconcileObject{Facts: Facts{Ref: "pi_1"}, Livemode: &live}), ReconcileSpec{})
	expect(t, err, EMODE, "")
}

func TestAFileIsReconciledAndAuditedReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.db")
	play := newPlay(t, PlayOptions{})
	engine := must[*Engine](t)(OpenSQLite(path, Options{Provider: play}))
	payment := paidPayment(t, engine, play, newCampaign(t, engine))
	record := newRecord(t, told(payment))
	same(t, must[*Reconciliation](t)(ReconcileFile(path, record, ReconcileSpec{})).Differences, int64(0)) // beside the engine
	engine.Close()
	before := must[[]byte](t)(os.ReadFile(path))
	other := newRecord(t, ReconcileObject{Facts: Facts{Ref: "pi_other", Amount: amount}})
	same(t, must[*Reconciliation](t)(ReconcileFile(path, other, around(payment))).Counts["missing_there"], int64(1))
	same(t, must[*Audit](t)(AuditFile(background, path, AuditSpec{})).Differences, int64(0))
	same(t, must[*Audit](t)(AuditFile(background, path, AuditSpec{Record: other, Compare: around(payment)})).Differences,
		int64(1))
	found, known, err := FileSchema(path)
	same(t, err, nil)
	same(t, found > 0 && found == known, true)
	same(t, bytes.Equal(before, must[[]byte](t)(os.ReadFile(path))), true)
	if _, err := ReconcileFile(filepath.Join(t.TempDir(), "none.db"), record, ReconcileSpec{}); err == nil {
		t.Fatal("there is no such book")
	}
	_, err = AuditFile(background, "", AuditSpec{})
	expect(t, err, EINVAL, "path")
}

func TestWhatWasComparedIsRecordedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		payment := paidPayment(t, engine, play, newCampaign(t, engine))
		report := must[*Reconciliation](t)(engine.Reconcile(newRecord(t, told(payment)), around(payment)))
		for i := 0; i < 2; i++ {
			if err := engine.RecordReconciliation(background, report, Actor{Actor: "ann", Reason: "month end"}); err != nil {
				t.Fatal(err)
			}
		}
		found := 0
		for _, act := range must[[]Act](t)(engine.Acts(0, 100)) {
			if act.Action == "book.reconcile" {
				same(t, act.Actor+" "+act.Reason, "ann month end")
				found++
			}
		}
		same(t, found, 1)
	})
}

func TestTheProviderItselfIsAsked(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		payment := paidPayment(t, engine, play, newCampaign(t, engine))
		ref := must[string](t)(play.Refund(PlayRefund{Ref: payment.Ref, AmountMinor: 100, State: RefundSucceeded}))
		same(t, must[int64](t)(play.Payout()), int64(1))
		spec := LiveSpec{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
		report := must[*Reconciliation](t)(engine.ReconcileLive(background, spec))
		same(t, report.Differences > 0 && report.Repaired == 0, true)
		spec.Repair, spec.By = true, Actor{Actor: "ann"}
		report = must[*Reconciliation](t)(engine.ReconcileLive(background, spec))
		if report.Differences != 0 || report.Repaired == 0 {
			t.Fatal(report.Text)
		}
		same(t, must[[]*Refund](t)(engine.Refunds(payment.ID))[0].Ref, ref)
		same(t, must[*Payment](t)(engine.Payment(payment.ID)).Flags, PaymentFlagSettled)
		acts := must[[]Act](t)(engine.Acts(0, 100))
		same(t, acts[len(acts)-1].Action+" "+acts[len(acts)-1].Actor, "book.reconcile ann")
		ended, cancel := context.WithCancel(background)
		cancel()
		_, err := engine.ReconcileLive(ended, spec)
		same(t, err, context.Canceled)
	})
}

func TestAProviderThatListsNothingIsNotAsked(t *testing.T) {
	engine := must[*Engine](t)(OpenMemory(Options{Provider: Host(&notebook{})}))
	defer engine.Close()
	_, err := engine.ReconcileLive(background, LiveSpec{Since: time.Now().Add(-time.Hour)})
	expect(t, err, ENOTSUP, "")
}
