package careforall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func euro(minor int64) Money { return Money{minor, "EUR"} }

func paidPayment(t *testing.T, engine *Engine, play *Play, campaign *Campaign) *Payment {
	t.Helper()
	pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
	if err := play.Confirm(pledge.ClientSecret, "pm_ok"); err != nil {
		t.Fatal(err)
	}
	payment := must[*Payment](t)(engine.WaitPayment(background, pledge.PaymentID))
	must[int](t)(play.Deliver(engine, 0))
	return payment
}

func TestARefundGoesBackOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		payment := paidPayment(t, engine, play, campaign)
		if payment.Refunded != euro(0) || payment.Disputed != euro(0) || payment.Refundable != amount || payment.Fee != (Money{}) {
			t.Fatalf("%+v", payment)
		}
		spec := RefundSpec{Key: must[string](t)(NewKey()), PaymentID: payment.ID, Amount: euro(1000),
			By: Actor{Actor: "ann", Reason: "asked by mail"}}
		made := must[*Refund](t)(engine.CreateRefund(background, spec))
		if made.State != RefundSucceeded || made.Origin != RefundAsked || made.Amount != spec.Amount || made.Ref == "" ||
			made.PaymentID != payment.ID || made.Reason != "asked by mail" || made.Replayed || made.State.String() != "SUCCEEDED" {
			t.Fatalf("%+v", made)
		}
		again := must[*Refund](t)(engine.CreateRefund(background, spec))
		if again.ID != made.ID || !again.Replayed {
			t.Fatalf("%+v", again)
		}
		spec.Amount.Minor--
		_, err := engine.CreateRefund(background, spec)
		expect(t, err, EKEYREUSE, "")
		if books := must[PlayBooks](t)(play.Books()); books.Refunds != 1 || books.RefundedTwice != 0 {
			t.Fatalf("%+v", books)
		}
		read := must[*Refund](t)(engine.Refund(made.ID))
		if list := must[[]*Refund](t)(engine.Refunds(payment.ID)); len(list) != 1 || *list[0] != *read || read.State != made.State {
			t.Fatalf("%+v", list)
		}
		after := must[*Payment](t)(engine.Payment(payment.ID))
		if after.Refunded != euro(1000) || after.Refundable != euro(1500) {
			t.Fatalf("%+v", after)
		}
		row := must[*Totals](t)(engine.Totals(background, campaign.ID, TotalsSpec{AtLeast: after.Position})).In("EUR")
		if row.Raised != amount || row.Refunded != euro(1000) || row.Net != euro(1500) {
			t.Fatalf("%+v", row)
		}
		acts := must[[]Act](t)(engine.Acts(0, 0))
		if act := acts[len(acts)-1]; act.Action != "refund.create" || act.Actor != "ann" {
			t.Fatalf("%+v", act)
		}
	})
}

func TestNoMoreThanIsLeftGoesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		payment := paidPayment(t, engine, play, newCampaign(t, engine))
		_, err := engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID, Amount: euro(2501)})
		expect(t, err, ERANGE, "")
		_, err = engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID, Amount: Money{100, "USD"}})
		expect(t, err, ECURRENCY, "")
		must[*Refund](t)(engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID, Amount: euro(2000)}))
		rest := must[*Refund](t)(engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID}))
		if rest.Amount != euro(500) {
			t.Fatalf("%+v", rest)
		}
		_, err = engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID})
		expect(t, err, ESTATE, "")
	})
}

func TestRefundsMoveOnAndAreMadeAtTheProvider(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		payment := paidPayment(t, engine, play, newCampaign(t, engine))
		if err := play.RefundNext(RefundPending); err != nil {
			t.Fatal(err)
		}
		pending := must[*Refund](t)(engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID, Amount: euro(500)}))
		if pending.State != RefundPending {
			t.Fatalf("%+v", pending)
		}
		must[string](t)(play.Refund(PlayRefund{Ref: pending.Ref, State: RefundFailed, FailureCode: "lost_card"}))
		byHand := must[string](t)(play.Refund(PlayRefund{Ref: payment.Ref, AmountMinor: 700}))
		must[int](t)(play.Deliver(engine, 0))
		list := must[[]*Refund](t)(engine.Refunds(payment.ID))
		if len(list) != 2 || list[0].State != RefundFailed || list[0].FailureCode != "lost_card" ||
			list[1].Ref != byHand || list[1].Origin != RefundExternal || list[1].State != RefundSucceeded {
			t.Fatalf("%+v", list)
		}
	})
}

func TestADisputeMovesTheTotals(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		payment := paidPayment(t, engine, play, campaign)
		due := time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)
		ref := must[string](t)(play.Dispute(PlayDispute{Ref: payment.Ref, WithdrawnMinor: 2500, Fee: Money{1500, "USD"},
			Reason: "fraudulent", EvidenceDue: due}))
		if err := play.Fee(payment.Ref, euro(103)); err != nil {
			t.Fatal(err)
		}
		if err := play.FraudWarning(payment.Ref); err != nil {
			t.Fatal(err)
		}
		must[int](t)(play.Deliver(engine, 0))
		list := must[[]*Dispute](t)(engine.Disputes(payment.ID))
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		dispute := *list[0]
		want := Dispute{dispute.ID, payment.ID, ref, amount, DisputeOpen, amount, euro(0), Money{1500, "USD"}, "fraudulent", due,
			dispute.Created, dispute.Updated}
		if dispute != want || dispute.State.String() != "OPEN" || dispute.Created.IsZero() {
			t.Fatalf("%+v", dispute)
		}
		after := must[*Payment](t)(engine.Payment(payment.ID))
		if after.Disputed != amount || after.Refundable != euro(0) || after.Fee != euro(103) ||
			after.Flags&PaymentFlagFraudWarning == 0 {
			t.Fatalf("%+v", after)
		}
		net := func() Money {
			at := must[*Payment](t)(engine.Payment(payment.ID)).Position
			return must[*Totals](t)(engine.Totals(background, campaign.ID, TotalsSpec{AtLeast: at, MaxAge: -1})).In("EUR").Net
		}
		if net() != euro(0) {
			t.Fatal(net())
		}
		must[string](t)(play.Dispute(PlayDispute{Ref: ref, State: DisputeWon, ReinstatedMinor: 2500}))
		must[int](t)(play.Deliver(engine, 0))
		if won := must[*Dispute](t)(engine.Dispute(dispute.ID)); won.State != DisputeWon || won.Reinstated != amount || net() != amount {
			t.Fatalf("%+v %v", won, net())
		}
	})
}

func TestLateMoneyIsGivenBackByRule(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := must[*Campaign](t)(engine.CreateCampaign(background, CampaignSpec{Title: "Well",
			Currencies: []string{"EUR"}, LateRule: LateRefund}))
		pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
		if err := play.Confirm(pledge.ClientSecret, "pm_ok"); err != nil {
			t.Fatal(err)
		}
		must[*Campaign](t)(engine.EndCampaign(background, campaign.ID, campaign.Version, "", "", Actor{}))
		var list []*Refund
		for i := 0; i < 500 && (len(list) == 0 || list[0].State != RefundSucceeded); i++ {
			must[int](t)(play.Deliver(engine, 0))
			must[int](t)(engine.Tick(WorkAll, 20*time.Millisecond))
			list = must[[]*Refund](t)(engine.Refunds(pledge.PaymentID))
		}
		if len(list) != 1 || list[0].Origin != RefundLate || list[0].Amount != amount || list[0].State != RefundSucceeded {
			t.Fatalf("%+v", list)
		}
	})
}

func TestSuspectedMoneyGoesBackByRule(t *testing.T) {
	play := newPlay(t, PlayOptions{})
	engine := must[*Engine](t)(OpenMemory(Options{Provider: play, FraudRule: FraudRefund}))
	defer engine.Close()
	campaign := must[*Campaign](t)(engine.CreateCampaign(background, CampaignSpec{Title: "Well", Currencies: []string{"EUR"}}))
	payment := paidPayment(t, engine, play, campaign)
	if err := play.FraudWarning(payment.Ref); err != nil {
		t.Fatal(err)
	}
	var list []*Refund
	for i := 0; i < 500 && (len(list) == 0 || list[0].State != RefundSucceeded); i++ {
		must[int](t)(play.Deliver(engine, 0))
		must[int](t)(engine.Tick(WorkAll, 20*time.Millisecond))
		list = must[[]*Refund](t)(engine.Refunds(payment.ID))
	}
	if len(list) != 1 || list[0].Origin != RefundFraud || list[0].Amount != amount || list[0].State != RefundSucceeded {
		t.Fatalf("%+v", list)
	}
}

func TestLateMoneyIsHeldUntilSomebodyAcceptsIt(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := must[*Campaign](t)(engine.CreateCampaign(background, CampaignSpec{Title: "Well",
			Currencies: []string{"EUR"}, LateRule: LateHold}))
		pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
		must[*Campaign](t)(engine.EndCampaign(background, campaign.ID, campaign.Version, "", "", Actor{}))
		if err := play.Confirm(pledge.ClientSecret, "pm_ok"); err != nil {
			t.Fatal(err)
		}
		must[int](t)(play.Deliver(engine, 0))
		raised := func(at int64) Money {
			return must[*Totals](t)(engine.Totals(background, campaign.ID, TotalsSpec{AtLeast: at, MaxAge: -1})).In("EUR").Raised
		}
		held := must[*Payment](t)(engine.Payment(pledge.PaymentID))
		if !held.Held() || held.State != PaymentCompleted || held.Refundable != amount || raised(held.Position) != euro(0) {
			t.Fatalf("%+v", held)
		}
		by := Actor{Actor: "desk-3", Reason: "the bank was slow"}
		accepted := must[*Payment](t)(engine.AcceptPayment(background, pledge.PaymentID, "", "yes", by))
		if accepted.Held() || accepted.Flags != PaymentFlagLate || raised(accepted.Position) != amount {
			t.Fatalf("%+v", accepted)
		}
		again := must[*Payment](t)(engine.AcceptPayment(background, pledge.PaymentID, "", "yes", by))
		if again.Sequence != accepted.Sequence {
			t.Fatalf("%+v", again)
		}
		if _, err := engine.AcceptPayment(background, pledge.PaymentID, "", "", by); !errors.Is(err, ESTATE) {
			t.Fatal(err)
		}
	})
}

// desk is a provider that gives money back.
type desk struct {
	notebook
	refunds []Request
}

func (d *desk) Capabilities() Capabilities {
	return ProviderTwoStep | ProviderLookupAuthoritative | ProviderReadsReversals
}

func (d *desk) Call(ctx context.Context, request Request) Reply {
	if request.Kind != CallRefund {
		return d.notebook.Call(ctx, request)
	}
	d.refunds = append(d.refunds, request)
	return Reply{Outcome: OutcomeDone, Facts: Facts{Ref: request.Ref, PaymentID: request.PaymentID, Refunds: []RefundFacts{
		{Ref: "re_1", RefundID: request.RefundID, Amount: request.Amount, State: RefundSucceeded, Occurred: time.Now()}}}}
}

func TestAProviderInGoAnswersARefundAndReportsReversals(t *testing.T) {
	provider := &desk{}
	engine := must[*Engine](t)(OpenMemory(Options{Provider: Host(provider)}))
	defer engine.Close()
	pledge := must[*Pledge](t)(engine.CreatePledge(background,
		PledgeSpec{CampaignID: newCampaign(t, engine).ID, Amount: amount, Wait: WaitCommit}))
	serve := func(done func() bool) {
		t.Helper()
		for i := 0; !done(); i++ {
			must[bool](t)(engine.ServeOne(background, provider, slice))
			if i > 100 {
				t.Fatal("the provider was not asked")
			}
		}
	}
	accept := func(id string, facts Facts) (WebhookVerdict, error) {
		facts.Ref = "nb_1"
		return engine.AcceptWebhook(background, WebhookEvent{EventID: id, EventType: "told", Facts: facts})
	}
	serve(func() bool { return len(provider.requests) > 0 })
	must[WebhookVerdict](t)(accept("ev_1", Facts{PaymentID: pledge.PaymentID, Amount: amount, Flags: FactSucceeded,
		AuthorizedMinor: 2500, CapturedMinor: 2500, Attempt: 1, Occurred: time.Now()}))

	refund := within(t, func(short context.Context) (*Refund, error) { // nobody serves the provider
		return engine.CreateRefund(short, RefundSpec{PaymentID: pledge.PaymentID, Amount: euro(400), Key: "refund"})
	})
	if refund.State != RefundRequested || refund.Ref != "" {
		t.Fatalf("%+v", refund)
	}
	serve(func() bool { return must[*Refund](t)(engine.Refund(refund.ID)).State == RefundSucceeded })
	request := provider.refunds[0]
	if request.RefundID != refund.ID || request.Amount != euro(400) || request.Ref != "nb_1" ||
		!bytes.Contains(request.Body, []byte(`"refund_id":"`+refund.ID+`"`)) {
		t.Fatalf("%+v", request)
	}

	facts := Facts{Flags: FactFraudWarning, Fee: euro(75),
		Refunds: []RefundFacts{{Ref: "re_2", Amount: euro(200), State: RefundFailed, FailureCode: "lost_card"}},
		Disputes: []DisputeFacts{{Ref: "dp_1", Amount: euro(1000), State: DisputeOpen, WithdrawnMinor: 1000,
			Fee: euro(1500), Reason: "fraudulent"}}}
	if verdict := must[WebhookVerdict](t)(accept("ev_2", facts)); verdict != WebhookApplied {
		t.Fatal(verdict)
	}
	payment := must[*Payment](t)(engine.Payment(pledge.PaymentID))
	if payment.Refunded != euro(400) || payment.Disputed != euro(1000) || payment.Fee != euro(75) ||
		payment.Flags&PaymentFlagFraudWarning == 0 {
		t.Fatalf("%+v", payment)
	}
	disputes := must[[]*Dispute](t)(engine.Disputes(pledge.PaymentID))
	if len(disputes) != 1 || disputes[0].Ref != "dp_1" || disputes[0].Fee != euro(1500) || disputes[0].Reason != "fraudulent" {
		t.Fatalf("%+v", disputes)
	}

	many := make([]RefundFacts, 300)
	for i := range many {
		many[i] = RefundFacts{Ref: fmt.Sprint("re_many_", i), Amount: euro(1), State: RefundSucceeded}
	}
	_, err := accept("ev_3", Facts{Refunds: many})
	expect(t, err, EINVAL, "refunds")
}
