package careforall

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// notebook is a provider written in Go.
type notebook struct {
	mutex    sync.Mutex
	requests []Request
	panics   bool
}

func (n *notebook) Name() string               { return "notebook" }
func (n *notebook) Capabilities() Capabilities { return ProviderTwoStep | ProviderLookupAuthoritative }

func (n *notebook) Call(_ context.Context, request Request) Reply {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.requests = append(n.requests, request)
	if n.panics {
		n.panics = false
		panic("the line went dead")
	}
	return Reply{Outcome: OutcomeDone, ClientSecret: "nb_1_secret", RedirectURL: "https://pay.example/nb_1",
		Facts: Facts{Ref: "nb_1", PaymentID: request.PaymentID, Amount: request.Amount}}
}

func TestAProviderWrittenInGo(t *testing.T) {
	notes := &notebook{}
	engine := must[*Engine](t)(OpenSQLite(filepath.Join(t.TempDir(), "book.db"), Options{Provider: Host(notes)}))
	defer engine.Close()
	campaign := newCampaign(t, engine)
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error, 1)
	go func() { ended <- engine.ServeProvider(ctx, notes) }()
	pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount,
		ReturnURL: "https://give.example/thanks", CancelURL: "https://give.example/back"}))
	if pledge.Pending || pledge.ClientSecret != "nb_1_secret" || pledge.RedirectURL != "https://pay.example/nb_1" {
		t.Fatalf("%+v", pledge)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	request := notes.requests[0]
	if request.Kind != CallCreate || request.Amount != amount || !bytes.Contains(request.Body, []byte(`"amount":2500,`)) ||
		request.ReturnURL != "https://give.example/thanks" || request.CancelURL != "https://give.example/back" {
		t.Fatalf("%+v", request)
	}
	event := WebhookEvent{EventID: "ev_1", EventType: "paid", Facts: Facts{Ref: "nb_1", PaymentID: pledge.PaymentID,
		Amount: amount, Flags: FactSucceeded, AuthorizedMinor: 2500, CapturedMinor: 2500, Attempt: 1, Occurred: time.Now()}}
	if verdict := must[WebhookVerdict](t)(engine.AcceptWebhook(background, event)); verdict != WebhookApplied {
		t.Fatal(verdict)
	}
	if verdict := must[WebhookVerdict](t)(engine.AcceptWebhook(background, event)); verdict != WebhookDuplicate {
		t.Fatal(verdict)
	}
	if payment := must[*Payment](t)(engine.Payment(pledge.PaymentID)); payment.State != PaymentCompleted {
		t.Fatal(payment.State)
	}
}

func TestAPanicInAProviderMeansThatNobodyKnows(t *testing.T) {
	notes := &notebook{panics: true}
	engine := must[*Engine](t)(OpenMemory(Options{Provider: Host(notes)}))
	defer engine.Close()
	campaign := newCampaign(t, engine)
	pledge := must[*Pledge](t)(engine.CreatePledge(background,
		PledgeSpec{CampaignID: campaign.ID, Amount: amount, Wait: WaitCommit}))
	for i := 0; len(notes.requests) == 0; i++ {
		must[bool](t)(engine.ServeOne(background, notes, slice))
		if i > 100 {
			t.Fatal("the provider was never asked")
		}
	}
	payment := must[*Payment](t)(engine.Payment(pledge.PaymentID))
	if payment.State != PaymentPending || payment.Flags&PaymentFlagUnknown == 0 {
		t.Fatalf("%+v", payment)
	}
}

func TestAnUnavailableProviderIsLeftAlone(t *testing.T) {
	out := &outage{}
	engine := must[*Engine](t)(OpenMemory(Options{Provider: Host(out), CircuitRule: CircuitQueue, CircuitFailures: 1,
		CircuitOpen: time.Hour}))
	defer engine.Close()
	spec := PledgeSpec{CampaignID: newCampaign(t, engine).ID, Amount: amount, Wait: WaitCommit}
	must[*Pledge](t)(engine.CreatePledge(background, spec))
	for i := 0; out.asked == 0; i++ {
		must[bool](t)(engine.ServeOne(background, out, slice))
		if i > 100 {
			t.Fatal("the provider was never asked")
		}
	}
	must[*Pledge](t)(engine.CreatePledge(background, spec))
	if must[bool](t)(engine.ServeOne(background, out, 0)) || out.asked != 1 {
		t.Fatal("a provider that is out was asked again")
	}
	if statistics := must[[]byte](t)(engine.Statistics()); !bytes.Contains(statistics, []byte(`"OPEN"`)) {
		t.Fatal(string(statistics))
	}
}

// outage is a provider that cannot be reached.
type outage struct{ asked int }

func (o *outage) Name() string               { return "outage" }
func (o *outage) Capabilities() Capabilities { return ProviderTwoStep | ProviderLookupAuthoritative }

func (o *outage) Call(context.Context, Request) Reply {
	o.asked++
	return Reply{Outcome: OutcomeNotSent, Unavailable: true}
}

func TestAThinEventOnlyNamesWhatIsToBeRead(t *testing.T) {
	page := &pageProvider{}
	engine := must[*Engine](t)(OpenMemory(Options{Provider: Host(page)}))
	defer engine.Close()
	pledge := must[*Pledge](t)(engine.CreatePledge(background,
		PledgeSpec{CampaignID: newCampaign(t, engine).ID, Amount: amount, Wait: WaitCommit}))
	serve := func(done func() bool) {
		t.Helper()
		for i := 0; !done(); i++ {
			must[bool](t)(engine.ServeOne(background, page, slice))
			if i > 100 {
				t.Fatal("the provider was not asked")
			}
		}
	}
	state := func() PaymentState { return must[*Payment](t)(engine.Payment(pledge.PaymentID)).State }
	serve(func() bool { return len(page.kinds) == 1 })
	thin := WebhookEvent{EventID: "ev_1", EventType: "page.paid", Facts: Facts{Ref: "page_1"}, Fetch: true}
	must[WebhookVerdict](t)(engine.AcceptWebhook(background, thin))
	if state() != PaymentPending {
		t.Fatal(state())
	}
	serve(func() bool { return state() == PaymentCompleted })
	if ref := must[*Payment](t)(engine.Payment(pledge.PaymentID)).Ref; ref != "nb_1" || page.kinds[len(page.kinds)-1] != CallRetrieve {
		t.Fatal(ref, page.kinds)
	}
}

// pageProvider has a hosted page, whose payment gets another id than the page.
type pageProvider struct{ kinds []CallKind }

func (p *pageProvider) Name() string { return "page" }
func (p *pageProvider) Capabilities() Capabilities {
	return ProviderTwoStep | ProviderLookupAuthoritative
}

func (p *pageProvider) Call(_ context.Context, request Request) Reply {
	p.kinds = append(p.kinds, request.Kind)
	facts := Facts{Ref: "page_1", PaymentID: request.PaymentID, Amount: request.Amount}
	if request.Kind != CallCreate {
		facts.Ref, facts.OriginRef, facts.Flags, facts.Occurred = "nb_1", "page_1", FactSucceeded, time.Now()
		facts.AuthorizedMinor, facts.CapturedMinor = request.Amount.Minor, request.Amount.Minor
	}
	return Reply{Outcome: OutcomeDone, Facts: facts}
}
