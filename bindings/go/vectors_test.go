package careforall

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"careforall.org/go/internal/native"
)

// The conformance vectors of tests/vectors, told in docs/vectors.md, by this binding: one subtest per vector.

const (
	eventPrefix    = "org.careforall."
	callSecondsMax = 20
)

// strictly reads JSON in which nothing may be that nobody looks at.
func strictly(t testing.TB, data []byte, out any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(out); err != nil {
		t.Fatal(err)
	}
}

func vectorFile(t testing.TB, stem string) map[string]json.RawMessage {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "tests", "vectors", stem+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	var schema string
	strictly(t, data, &file)
	strictly(t, file["schema"], &schema)
	if schema != "careforall.vectors."+stem+".v1" {
		t.Fatal(schema)
	}
	return file
}

// vector is what all have.
type vector struct {
	Name, About, Status, Field string
	Wide                       bool
}

func (v vector) name() string { return v.Name }

// each runs every vector of a section as a subtest.
func each[T interface{ name() string }](t *testing.T, file map[string]json.RawMessage, section string,
	run func(t *testing.T, vector T)) {
	var vectors []T
	strictly(t, file[section], &vectors)
	if len(vectors) == 0 {
		t.Fatal("there are no vectors in " + section)
	}
	for _, one := range vectors {
		t.Run(one.name(), func(t *testing.T) { run(t, one) })
	}
}

// judge compares an error with the vector's status and field; true when there should be and is none.
func (v vector) judge(t testing.TB, err error) bool {
	t.Helper()
	if err == nil {
		if v.Status != "" && v.Status != "CFA_OK" {
			t.Fatalf("want %s, got no error", v.Status)
		}
		return true
	}
	var failure *Error
	if !errors.As(err, &failure) || failure.Status.Error() != v.Status || failure.Field != v.Field ||
		failure.Message == "" {
		t.Fatalf("want %s (%s), got %v", v.Status, v.Field, err)
	}
	return false
}

func same(t testing.TB, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestMoneyVectors(t *testing.T) {
	file := vectorFile(t, "money")
	type currency struct {
		vector
		Currency string
		Exponent int
	}
	each(t, file, "currencies", func(t *testing.T, v currency) {
		exponent, err := Exponent(v.Currency)
		if v.judge(t, err) {
			same(t, exponent, v.Exponent)
		}
	})
	type parse struct {
		vector
		Text, Formatted string
		Amount          Money
	}
	each(t, file, "parse", func(t *testing.T, v parse) {
		amount, err := ParseMoney(v.Text)
		if v.judge(t, err) {
			same(t, amount, v.Amount)
			same(t, amount.String(), v.Formatted)
			same(t, must[Money](t)(ParseMoney(v.Formatted)), amount)
		}
	})
	type check struct {
		vector
		Rules  string
		Amount Money
	}
	each(t, file, "check", func(t *testing.T, v check) {
		rules, known := map[string]native.Rules{"iso": nil, "stripe": native.Money_rules_stripe()}[v.Rules]
		same(t, known, true)
		v.judge(t, wrap(native.Money_check(v.Amount.native(), rules)))
	})
	type arithmetic struct {
		vector
		Operation           string
		Left, Right, Result Money
		Order               int
	}
	each(t, file, "arithmetic", func(t *testing.T, v arithmetic) {
		if v.Operation == "compare" {
			order, err := v.Left.Compare(v.Right)
			if v.judge(t, err) {
				same(t, order, v.Order)
			}
			return
		}
		operation := map[string]func(Money) (Money, error){"add": v.Left.Add, "subtract": v.Left.Sub}[v.Operation]
		result, err := operation(v.Right)
		if v.judge(t, err) {
			same(t, result, v.Result)
		}
	})
}

// ---- fingerprints

type pledgeRequest struct {
	Campaign                       int
	Amount                         Money
	Scope, Visibility, Traceparent string
	PaymentMethod                  string `json:"payment_method"`
	DonorReference                 string `json:"donor_reference"`
	DonorName                      string `json:"donor_name"`
	DonorEmail                     string `json:"donor_email"`
	DonorMessage                   string `json:"donor_message"`
	ReturnURL                      string `json:"return_url"`
	CancelURL                      string `json:"cancel_url"`
}

type campaignRequest struct {
	Title, Currencies, Scope string
	Goal                     Money
	DeadlineUs               int64  `json:"deadline_us"`
	LateRule                 string `json:"late_rule"`
}

// vectorBook makes the requests of fingerprints.json.
type vectorBook struct {
	engine    *Engine
	campaigns [2]string
	base      map[string]json.RawMessage
}

// made is what a request was answered with.
type made struct {
	id, answer string
	replayed   bool
}

func newVectorBook(t testing.TB, file map[string]json.RawMessage) *vectorBook {
	t.Helper()
	book := &vectorBook{engine: must[*Engine](t)(OpenMemory(Options{Provider: newPlay(t, PlayOptions{})}))}
	t.Cleanup(func() { book.engine.Close() })
	strictly(t, file["base"], &book.base)
	for i := range book.campaigns {
		book.campaigns[i] = must[*Campaign](t)(book.engine.CreateCampaign(background,
			CampaignSpec{Title: "Clean water", Currencies: []string{"EUR", "USD"}})).ID
	}
	return book
}

// make makes the base request of a kind with some members changed.
func (b *vectorBook) make(t testing.TB, kind string, changes json.RawMessage, key string) (made, error) {
	t.Helper()
	switch kind {
	case "", "pledge":
		var request pledgeRequest
		change(t, &request, b.base["pledge"], changes)
		pledge, err := b.engine.CreatePledge(background, request.spec(t, b.campaigns, key))
		if err != nil {
			return made{}, err
		}
		return made{pledge.ID, string(pledge.Answer), pledge.Replayed}, nil
	case "campaign":
		var request campaignRequest
		change(t, &request, b.base["campaign"], changes)
		campaign, err := b.engine.CreateCampaign(background, request.spec(t, key))
		if err != nil {
			return made{}, err
		}
		return made{id: campaign.ID, replayed: campaign.Replayed}, nil
	}
	t.Fatal("no such kind: " + kind)
	return made{}, nil
}

// change reads an object and changes over it; null takes a member away.
func change(t testing.TB, out any, base, changes json.RawMessage) {
	t.Helper()
	all := map[string]json.RawMessage{}
	strictly(t, base, &all)
	if changes != nil {
		strictly(t, changes, &all)
	}
	strictly(t, must[[]byte](t)(json.Marshal(all)), out)
}

func (r pledgeRequest) spec(t testing.TB, campaigns [2]string, key string) PledgeSpec {
	visibility, known := map[string]Visibility{"PUBLIC": VisibilityPublic, "OWNER": VisibilityOwner,
		"HIDDEN": VisibilityHidden}[r.Visibility]
	same(t, known, true)
	return PledgeSpec{Key: key, Scope: r.Scope, CampaignID: campaigns[r.Campaign], Amount: r.Amount,
		PaymentMethod: r.PaymentMethod, DonorReference: r.DonorReference, DonorName: r.DonorName,
		DonorEmail: r.DonorEmail, DonorMessage: r.DonorMessage, Visibility: visibility, Traceparent: r.Traceparent,
		ReturnURL: r.ReturnURL, CancelURL: r.CancelURL}
}

func (r campaignRequest) spec(t testing.TB, key string) CampaignSpec {
	rule, known := map[string]LateRule{"ACCEPT": LateAccept, "REFUSE": LateRefuse}[r.LateRule]
	same(t, known, true)
	return CampaignSpec{Key: key, Scope: r.Scope, Title: r.Title, Currencies: strings.Split(r.Currencies, ","),
		Goal: r.Goal, Deadline: instant(r.DeadlineUs), LateRule: rule}
}

func expectResult(t testing.TB, result string, first, second made) {
	t.Helper()
	wanted, known := map[string]bool{"same": true, "new": false}[result]
	same(t, known, true)
	same(t, second.replayed, wanted)
	same(t, first.id == second.id, wanted)
	same(t, first.answer == second.answer, wanted || first.answer == "")
}

func TestFingerprintVectors(t *testing.T) {
	file := vectorFile(t, "fingerprints")
	type request struct {
		vector
		Kind, Result  string
		RepeatKind    string `json:"repeat_kind"`
		First, Repeat json.RawMessage
	}
	each(t, file, "requests", func(t *testing.T, v request) {
		book := newVectorBook(t, file)
		first, err := book.make(t, v.Kind, v.First, "the-key")
		same(t, err, nil)
		same(t, first.replayed, false)
		if v.RepeatKind == "" {
			v.RepeatKind = v.Kind
		}
		second, err := book.make(t, v.RepeatKind, v.Repeat, "the-key")
		if v.judge(t, err) {
			expectResult(t, v.Result, first, second)
		}
	})
	type key struct {
		vector
		Key string
	}
	each(t, file, "keys", func(t *testing.T, v key) {
		_, err := newVectorBook(t, file).make(t, "pledge", nil, v.Key)
		v.judge(t, err)
	})
	type pair struct {
		vector
		First, Repeat, Result string
	}
	each(t, file, "key_pairs", func(t *testing.T, v pair) {
		book := newVectorBook(t, file)
		first, err := book.make(t, "pledge", nil, v.First)
		same(t, err, nil)
		second, err := book.make(t, "pledge", nil, v.Repeat)
		same(t, err, nil)
		expectResult(t, v.Result, first, second)
	})
}

// ---- transitions and contributions

type storyFacts struct {
	Ref             string
	OriginRef       string `json:"origin_ref"`
	PaymentID       string `json:"payment_id"`
	Amount          Money
	Flags           []string
	AuthorizedMinor int64 `json:"authorized_minor"`
	CapturedMinor   int64 `json:"captured_minor"`
	Attempt         int
	OccurredUs      int64  `json:"occurred_us"`
	FailureCode     string `json:"failure_code"`
	CancelReason    string `json:"cancel_reason"`
}

type storyReply struct {
	Outcome, Code string
	Facts         storyFacts
	Stored        bool
}

type storyStep struct {
	Pledge                             *int
	Call, Event, Verdict, Command, Key string
	Status, Field, Account, State      string
	Reply                              storyReply
	Facts                              storyFacts
	Relevant                           *bool
	Livemode, Fetch                    bool
	Amount                             Money
	Payment                            int
	Totals                             []totalsVector
	AdvanceS                           int64 `json:"advance_s"`
}

type totalsVector struct {
	Currency      string
	PledgedMinor  int64 `json:"pledged_minor"`
	Authorized    int64 `json:"authorized_minor"`
	Raised        int64 `json:"raised_minor"`
	Refunded      int64 `json:"refunded_minor"`
	Disputed      int64 `json:"disputed_minor"`
	Net           int64 `json:"net_minor"`
	DonationCount int64 `json:"donation_count"`
	DonorCount    int64 `json:"donor_count"`
}

type paymentVector struct {
	State       string
	Flags       []string
	Authorized  int64   `json:"authorized_minor"`
	Captured    int64   `json:"captured_minor"`
	FailureCode *string `json:"failure_code"`
	Ref         *string
	History     [][4]any
	Events      []string
}

type eventVector struct {
	Payment         int
	Type            string
	State, Currency string
	Pledged         int64 `json:"pledged_minor"`
	Authorized      int64 `json:"authorized_minor"`
	Raised          int64 `json:"raised_minor"`
	Refunded        int64 `json:"refunded_minor"`
	Disputed        int64 `json:"disputed_minor"`
}

type storyVector struct {
	vector
	Rules      []string
	Clock      bool
	Currencies string
	Payments   []struct {
		Amount Money
		Donor  string
	}
	Steps  []storyStep
	Expect struct {
		Payments []paymentVector
		Events   []eventVector
		Totals   []totalsVector
	}
}

// story is a book whose provider answers what the steps say, and nothing else.
type story struct {
	t         testing.TB
	vector    storyVector
	engine    *Engine
	campaign  string
	ids       []string // the library's, by the story's number
	calls     []storyStep
	answered  int
	allowed   int
	strangers []Request // calls that no step told of
}

func (s *story) Name() string               { return "vectors" }
func (s *story) Capabilities() Capabilities { return ProviderTwoStep | ProviderLookupAuthoritative }

// Call answers the next step's call. A panic would be an answer, so what is wrong is kept for the step.
func (s *story) Call(_ context.Context, request Request) Reply {
	kinds := map[string]CallKind{"CREATE": CallCreate, "CAPTURE": CallCapture, "CANCEL": CallCancel,
		"RETRIEVE": CallRetrieve, "LOOKUP": CallLookup, "REFUND": CallRefund}
	if s.answered < s.allowed {
		step := s.calls[s.answered]
		if request.Kind == kinds[step.Call] && request.PaymentID == s.ids[step.Payment] {
			s.answered++
			outcomes := map[string]Outcome{"UNKNOWN": OutcomeUnknown, "DONE": OutcomeDone, "PENDING": OutcomePending,
				"REFUSED": OutcomeRefused, "NOT_SENT": OutcomeNotSent}
			return Reply{Outcome: outcomes[step.Reply.Outcome], Facts: s.facts(step.Reply.Facts),
				Code: step.Reply.Code, Stored: step.Reply.Stored}
		}
	}
	s.strangers = append(s.strangers, request)
	return Reply{}
}

func (s *story) facts(given storyFacts) Facts {
	flags := map[string]FactFlags{"SUCCEEDED": FactSucceeded, "CANCELED": FactCanceled, "EXPIRED": FactExpired,
		"NEEDS_ACTION": FactNeedsAction, "PROCESSING": FactProcessing, "FAILED": FactFailed}
	facts := Facts{Ref: given.Ref, OriginRef: given.OriginRef, PaymentID: given.PaymentID, Amount: given.Amount,
		AuthorizedMinor: given.AuthorizedMinor, CapturedMinor: given.CapturedMinor, Attempt: given.Attempt,
		Occurred: instant(given.OccurredUs), FailureCode: given.FailureCode, CancelReason: given.CancelReason}
	for _, flag := range given.Flags {
		facts.Flags |= flags[flag]
	}
	if number := strings.TrimPrefix(given.PaymentID, "$"); number != given.PaymentID {
		index, _ := strconv.Atoi(number)
		facts.PaymentID = s.ids[index]
	}
	return facts
}

func tell(t *testing.T, vector storyVector) {
	if vector.Clock {
		t.Skip("needs a clock that the test moves")
	}
	s := &story{t: t, vector: vector, ids: make([]string, len(vector.Payments))}
	for _, step := range vector.Steps {
		if step.Call != "" {
			s.calls = append(s.calls, step)
		}
	}
	s.engine = must[*Engine](t)(OpenMemory(Options{Provider: Host(s)}))
	defer s.engine.Close()
	if vector.Currencies == "" {
		vector.Currencies = "EUR"
	}
	s.campaign = must[*Campaign](t)(s.engine.CreateCampaign(background,
		CampaignSpec{Title: "Clean water", Currencies: strings.Split(vector.Currencies, ",")})).ID
	for index, step := range vector.Steps {
		s.take(index, step)
		if step.State != "" {
			same(t, must[*Payment](t)(s.engine.Payment(s.ids[step.Payment])).State.String(), step.State)
		}
	}
	s.compare()
}

func (s *story) take(index int, step storyStep) {
	switch {
	case step.Pledge != nil:
		number := *step.Pledge
		s.ids[number] = must[*Pledge](s.t)(s.engine.CreatePledge(background, PledgeSpec{
			Key: "pledge-" + strconv.Itoa(number), CampaignID: s.campaign, Amount: s.vector.Payments[number].Amount,
			DonorReference: s.vector.Payments[number].Donor, Wait: WaitCommit})).PaymentID
	case step.Call != "":
		s.serve(index)
	case step.Event != "":
		verdict := must[WebhookVerdict](s.t)(s.engine.AcceptWebhook(background, WebhookEvent{EventID: step.Event,
			EventType: "vector", Account: step.Account, Livemode: step.Livemode, Fetch: step.Fetch,
			Irrelevant: step.Relevant != nil && !*step.Relevant, Facts: s.facts(step.Facts)}))
		same(s.t, step.Event+" "+verdict.String(), step.Event+" "+step.Verdict)
	case step.Command == "capture":
		_, err := s.engine.CapturePayment(background, s.ids[step.Payment], step.Amount, "", step.Key, Actor{})
		vector{Status: step.Status, Field: step.Field}.judge(s.t, err)
	case step.Command == "cancel":
		_, err := s.engine.CancelPayment(background, s.ids[step.Payment], "", step.Key, Actor{})
		vector{Status: step.Status, Field: step.Field}.judge(s.t, err)
	case step.Totals != nil:
		s.compareTotals(step.Totals)
	default:
		s.t.Fatalf("no step is like this: %+v", step)
	}
}

// serve has a step's call made and answered, if it was not with the one before: they may be due at once.
func (s *story) serve(index int) {
	ordinal, end := 0, index
	for _, step := range s.vector.Steps[:index] {
		if step.Call != "" {
			ordinal++
		}
	}
	for end < len(s.vector.Steps) && s.vector.Steps[end].Call != "" {
		end++
	}
	s.allowed = ordinal + end - index
	until := time.Now().Add(callSecondsMax * time.Second)
	for s.answered <= ordinal && len(s.strangers) == 0 {
		if time.Now().After(until) {
			s.t.Fatal("no call became due")
		}
		must[bool](s.t)(s.engine.ServeOne(background, s, slice))
	}
	if len(s.strangers) > 0 {
		s.t.Fatalf("no step tells of this call: %+v", s.strangers[0])
	}
}

func (s *story) compare() {
	for number, wanted := range s.vector.Expect.Payments {
		same(s.t, s.seen(number), wanted)
	}
	if s.vector.Expect.Events != nil {
		var got []eventVector
		for _, event := range s.events("pay_") {
			got = append(got, s.contribution(event))
		}
		same(s.t, append([]eventVector{}, got...), s.vector.Expect.Events)
	}
	if s.vector.Expect.Totals != nil {
		s.compareTotals(s.vector.Expect.Totals)
	}
}

func (s *story) events(subject string) (found []Event) {
	for _, event := range must[[]Event](s.t)(s.engine.Events(0, 1000)) {
		if strings.HasPrefix(event.Subject, subject) {
			found = append(found, event)
		}
	}
	return found
}

func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (s *story) seen(number int) paymentVector {
	payment := must[*Payment](s.t)(s.engine.Payment(s.ids[number]))
	seen := paymentVector{State: payment.State.String(), Flags: []string{}, Authorized: payment.Authorized.Minor,
		Captured: payment.Captured.Minor, FailureCode: orNil(payment.FailureCode), Ref: orNil(payment.Ref)}
	for bit, name := range []string{"UNKNOWN", "CONFLICT", "SETTLED", "LATE"} {
		if payment.Flags&(1<<bit) != 0 {
			seen.Flags = append(seen.Flags, name)
		}
	}
	for _, step := range must[[]Transition](s.t)(s.engine.PaymentHistory(payment.ID)) {
		row := [4]any{nil, step.To.String(), step.Rule, step.Implied}
		if step.From != 0 {
			row[0] = step.From.String()
		}
		seen.History = append(seen.History, row)
	}
	for _, event := range s.events(payment.ID) {
		seen.Events = append(seen.Events, strings.TrimPrefix(event.Type, eventPrefix))
	}
	return seen
}

func (s *story) contribution(event Event) eventVector {
	var data struct {
		State, Currency string
		Contribution    json.RawMessage
	}
	if err := json.Unmarshal(event.Data, &data); err != nil {
		s.t.Fatal(err)
	}
	var seen eventVector
	if err := json.Unmarshal(data.Contribution, &seen); err != nil {
		s.t.Fatal(err)
	}
	seen.Type, seen.State, seen.Currency = strings.TrimPrefix(event.Type, eventPrefix), data.State, data.Currency
	for seen.Payment = 0; s.ids[seen.Payment] != event.Subject; seen.Payment++ {
	}
	return seen
}

func (s *story) compareTotals(wanted []totalsVector) {
	s.t.Helper()
	log := must[[]Event](s.t)(s.engine.Events(0, 1000))
	totals := must[*Totals](s.t)(s.engine.Totals(background, s.campaign,
		TotalsSpec{AtLeast: log[len(log)-1].Position}))
	got := []totalsVector{}
	for _, row := range totals.Rows {
		got = append(got, totalsVector{row.Currency, row.Pledged.Minor, row.Authorized.Minor, row.Raised.Minor,
			row.Refunded.Minor, row.Disputed.Minor, row.Net.Minor, row.Donations, row.Donors})
	}
	same(s.t, got, wanted)
	same(s.t, must[bool](s.t)(s.engine.VerifyTotals(background, s.campaign)), true)
}

func TestTransitionVectors(t *testing.T) {
	each(t, vectorFile(t, "transitions"), "stories", tell)
}

func TestContributionVectors(t *testing.T) {
	each(t, vectorFile(t, "contributions"), "stories", tell)
}
