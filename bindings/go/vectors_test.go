package careforall

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"careforall.org/go/internal/native"
)

// The conformance vectors of tests/vectors, told in docs/vectors.md, by this binding: one subtest per vector.

const (
	eventPrefix    = "org.careforall."
	callSecondsMax = 120 // only what is broken waits so long
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

// leftOut need a clock that the runner moves. Here time is the system's; every other vector is run.
var leftOut = map[string]bool{"P14-after-our-own-time-out": true,
	"P08-found-by-a-probe-when-every-webhook-was-lost": true}

// each runs every vector of a section as a subtest.
func each[T interface{ name() string }](t *testing.T, file map[string]json.RawMessage, section string,
	run func(t *testing.T, vector T)) {
	var vectors []T
	strictly(t, file[section], &vectors)
	if len(vectors) == 0 {
		t.Fatal("there are no vectors in " + section)
	}
	for _, one := range vectors {
		t.Run(one.name(), func(t *testing.T) {
			t.Cleanup(func() { same(t, t.Skipped(), leftOut[one.name()]) })
			run(t, one)
		})
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

var lateRules = map[string]LateRule{"ACCEPT": LateAccept, "REFUSE": LateRefuse, "REFUND": LateRefund, "HOLD": LateHold}

func (r campaignRequest) spec(t testing.TB, key string) CampaignSpec {
	rule, known := lateRules[r.LateRule]
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

// ---- transitions, contributions and reversals

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
	Refunds         []refundFactsVector
	Disputes        []disputeFactsVector
	Fee             Money
}

type refundFactsVector struct {
	Ref, State  string
	RefundID    string `json:"refund_id"`
	Amount      Money
	FailureCode string `json:"failure_code"`
	OccurredUs  int64  `json:"occurred_us"`
}

type disputeFactsVector struct {
	Ref, State, Reason string
	Amount, Fee        Money
	Withdrawn          int64 `json:"withdrawn_minor"`
	Reinstated         int64 `json:"reinstated_minor"`
	EvidenceDueUs      int64 `json:"evidence_due_us"`
	OccurredUs         int64 `json:"occurred_us"`
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
	Refund                             *int
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
	Refundable  *int64 `json:"refundable_minor"`
	Fee         *Money
	Refunds     []refundVector
	Disputes    []disputeVector
}

type refundVector struct {
	Ref           *string
	State, Origin string
	Amount        Money
	FailureCode   *string `json:"failure_code"`
}

type disputeVector struct {
	Ref, State string
	Amount     Money
	Withdrawn  int64 `json:"withdrawn_minor"`
	Reinstated int64 `json:"reinstated_minor"`
	Fee        *Money
	Reason     *string
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
	LateRule   string `json:"late_rule"`
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
	ids       []string       // the library's, by the story's number
	refundIDs map[int]string // likewise
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
			return Reply{Outcome: outcomes[step.Reply.Outcome], Facts: s.facts(step.Reply.Facts, request.RefundID),
				Code: step.Reply.Code, Stored: step.Reply.Stored}
		}
	}
	s.strangers = append(s.strangers, request)
	return Reply{}
}

// facts are what a report says; called is the refund that its call is about.
func (s *story) facts(given storyFacts, called string) Facts {
	flags := map[string]FactFlags{"SUCCEEDED": FactSucceeded, "CANCELED": FactCanceled, "EXPIRED": FactExpired,
		"NEEDS_ACTION": FactNeedsAction, "PROCESSING": FactProcessing, "FAILED": FactFailed, "FRAUD_WARNING": FactFraudWarning,
		"SETTLED": FactSettled}
	facts := Facts{Ref: given.Ref, OriginRef: given.OriginRef, PaymentID: given.PaymentID, Amount: given.Amount,
		AuthorizedMinor: given.AuthorizedMinor, CapturedMinor: given.CapturedMinor, Attempt: given.Attempt,
		Occurred: instant(given.OccurredUs), FailureCode: given.FailureCode, CancelReason: given.CancelReason,
		Fee: given.Fee}
	for _, flag := range given.Flags {
		known, is := flags[flag]
		same(s.t, is, true)
		facts.Flags |= known
	}
	for _, one := range given.Refunds {
		facts.Refunds = append(facts.Refunds, RefundFacts{Ref: one.Ref, RefundID: s.refundID(one.RefundID, called),
			Amount: one.Amount, State: stateNamed[RefundState](s.t, one.State), FailureCode: one.FailureCode,
			Occurred: instant(one.OccurredUs)})
	}
	for _, one := range given.Disputes {
		facts.Disputes = append(facts.Disputes, DisputeFacts{Ref: one.Ref, Amount: one.Amount,
			State: stateNamed[DisputeState](s.t, one.State), WithdrawnMinor: one.Withdrawn,
			ReinstatedMinor: one.Reinstated, Fee: one.Fee, Reason: one.Reason,
			EvidenceDue: instant(one.EvidenceDueUs), Occurred: instant(one.OccurredUs)})
	}
	if number := strings.TrimPrefix(given.PaymentID, "$"); number != given.PaymentID {
		index, _ := strconv.Atoi(number)
		facts.PaymentID = s.ids[index]
	}
	return facts
}

// refundID is the library's of "$0", or of "$", the refund that a call is about.
func (s *story) refundID(given, called string) string {
	number := strings.TrimPrefix(given, "$")
	if number == given {
		return given
	}
	if number == "" {
		same(s.t, called != "", true)
		return called
	}
	id := s.refundIDs[must[int](s.t)(strconv.Atoi(number))]
	same(s.t, id != "", true)
	return id
}

// stateNamed is the state of that name, of refunds or of disputes.
func stateNamed[S interface {
	~int32
	String() string
}](t testing.TB, name string) S {
	for state := S(1); state < 16; state++ {
		if state.String() == name {
			return state
		}
	}
	t.Fatal("no such state: " + name)
	return 0
}

func tell(t *testing.T, vector storyVector) {
	if vector.Clock {
		t.Skip("needs a clock that the test moves")
	}
	for tries := 5; !ended(t, vector, tries > 1); tries-- {
	}
}

// ended is false where a story met a call that no step tells of, took a second, and may be told again: a second later a
// payment is read by itself, and that is too soon where the machine is slow.
func ended(t *testing.T, vector storyVector, again bool) bool {
	began := time.Now()
	s := &story{t: t, vector: vector, ids: make([]string, len(vector.Payments)), refundIDs: map[int]string{}}
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
	if vector.LateRule == "" {
		vector.LateRule = "ACCEPT"
	}
	rule, known := lateRules[vector.LateRule]
	same(t, known, true)
	s.campaign = must[*Campaign](t)(s.engine.CreateCampaign(background, CampaignSpec{Title: "Clean water",
		Currencies: strings.Split(vector.Currencies, ","), LateRule: rule})).ID
	for index, step := range vector.Steps {
		s.take(index, step)
		if len(s.strangers) > 0 {
			if again && time.Since(began) >= time.Second {
				return false
			}
			t.Fatalf("no step tells of this call: %+v", s.strangers[0])
		}
		if step.State != "" {
			same(t, must[*Payment](t)(s.engine.Payment(s.ids[step.Payment])).State.String(), step.State)
		}
	}
	s.compare()
	return true
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
			Irrelevant: step.Relevant != nil && !*step.Relevant, Facts: s.facts(step.Facts, "")}))
		same(s.t, step.Event+" "+verdict.String(), step.Event+" "+step.Verdict)
	case step.Command == "capture":
		_, err := s.engine.CapturePayment(background, s.ids[step.Payment], step.Amount, "", step.Key, Actor{})
		vector{Status: step.Status, Field: step.Field}.judge(s.t, err)
	case step.Command == "cancel":
		_, err := s.engine.CancelPayment(background, s.ids[step.Payment], "", step.Key, Actor{})
		vector{Status: step.Status, Field: step.Field}.judge(s.t, err)
	case step.Command == "accept":
		_, err := s.engine.AcceptPayment(background, s.ids[step.Payment], "", step.Key, Actor{})
		vector{Status: step.Status, Field: step.Field}.judge(s.t, err)
	case step.Command == "refund":
		s.refund(step)
	case step.Totals != nil:
		s.compareTotals(step.Totals)
	default:
		s.t.Fatalf("no step is like this: %+v", step)
	}
}

func (s *story) refund(step storyStep) {
	made, err := s.engine.CreateRefund(background, RefundSpec{Key: step.Key, PaymentID: s.ids[step.Payment],
		Amount: step.Amount})
	if (vector{Status: step.Status, Field: step.Field}).judge(s.t, err) {
		same(s.t, made.Replayed, s.refundIDs[*step.Refund] == made.ID)
		s.refundIDs[*step.Refund] = made.ID
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
}

func (s *story) compare() {
	same(s.t, s.vector.Expect.Payments == nil || len(s.vector.Expect.Payments) == len(s.vector.Payments), true)
	for number, wanted := range s.vector.Expect.Payments {
		seen := s.seen(number)
		sort.Strings(wanted.Flags)
		sort.Slice(wanted.Refunds, byRef(wanted.Refunds))
		sort.Slice(wanted.Disputes, func(a, b int) bool { return wanted.Disputes[a].Ref < wanted.Disputes[b].Ref })
		if wanted.Events == nil {
			seen.Events = nil
		}
		if wanted.Refundable == nil {
			seen.Refundable = nil
		}
		if len(wanted.Refunds) == 0 {
			wanted.Refunds = nil
		}
		if len(wanted.Disputes) == 0 {
			wanted.Disputes = nil
		}
		if !reflect.DeepEqual(seen, wanted) {
			s.t.Fatalf("got %s\nwant %s", must[[]byte](s.t)(json.Marshal(seen)), must[[]byte](s.t)(json.Marshal(wanted)))
		}
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

// byRef orders refunds, which come in any order; one that the provider did not name yet is first.
func byRef(refunds []refundVector) func(a, b int) bool {
	return func(a, b int) bool {
		left, right := refunds[a].Ref, refunds[b].Ref
		return right != nil && (left == nil || *left < *right)
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
	for bit, name := range []string{"UNKNOWN", "CONFLICT", "SETTLED", "LATE", "FRAUD_WARNING", "HELD"} {
		if payment.Flags&(1<<bit) != 0 {
			seen.Flags = append(seen.Flags, name)
		}
	}
	sort.Strings(seen.Flags)
	seen.Refundable, seen.Fee = &payment.Refundable.Minor, noMoney(payment.Fee)
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
	for _, one := range must[[]*Refund](s.t)(s.engine.Refunds(payment.ID)) {
		origins := map[RefundOrigin]string{RefundAsked: "ASKED", RefundExternal: "EXTERNAL", RefundLate: "LATE"}
		seen.Refunds = append(seen.Refunds, refundVector{orNil(one.Ref), one.State.String(), origins[one.Origin],
			one.Amount, orNil(one.FailureCode)})
	}
	sort.Slice(seen.Refunds, byRef(seen.Refunds))
	for _, one := range must[[]*Dispute](s.t)(s.engine.Disputes(payment.ID)) {
		seen.Disputes = append(seen.Disputes, disputeVector{one.Ref, one.State.String(), one.Amount,
			one.Withdrawn.Minor, one.Reinstated.Minor, noMoney(one.Fee), orNil(one.Reason)})
	}
	sort.Slice(seen.Disputes, func(a, b int) bool { return seen.Disputes[a].Ref < seen.Disputes[b].Ref })
	return seen
}

func noMoney(amount Money) *Money {
	if amount == (Money{}) {
		return nil
	}
	return &amount
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

func TestReversalVectors(t *testing.T) {
	each(t, vectorFile(t, "reversals"), "stories", tell)
}

func TestEveryVectorFileIsRun(t *testing.T) {
	found := must[[]string](t)(filepath.Glob(filepath.Join("..", "..", "tests", "vectors", "*.json")))
	for i := range found {
		found[i] = strings.TrimSuffix(filepath.Base(found[i]), ".json")
	}
	sort.Strings(found) // signatures.json is run by the package stripe
	same(t, found, []string{"contributions", "fingerprints", "money", "reversals", "signatures", "transitions"})
}
