package stripe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	careforall "careforall.org/go"
)

const (
	key    = "sk_test_of_these_tests"
	secret = "whsec_of_these_tests"
)

var (
	background = context.Background()
	amount     = careforall.Money{Minor: 2500, Currency: "EUR"}
)

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	until := time.Now().Add(2 * time.Minute) // only what is broken waits so long
	for !check() {
		if time.Now().After(until) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

type webhook struct {
	signature, body []byte
	verdict         careforall.WebhookVerdict
}

// sandbox is the provider as a process, and a receiver of its webhooks in this one.
type sandbox struct {
	t      testing.TB
	url    string
	mutex  sync.Mutex
	engine *careforall.Engine
	hooks  []webhook
}

// start needs $CAREFORALL_SANDBOX to name careforall-sandbox, the program.
func start(t testing.TB) *sandbox {
	binary := os.Getenv("CAREFORALL_SANDBOX")
	if binary == "" {
		t.Skip("CAREFORALL_SANDBOX does not name careforall-sandbox")
	}
	s := &sandbox{t: t}
	receiver := httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(receiver.Close)
	command := exec.Command(binary, "--listen", "127.0.0.1:0", "--quiet", "--async-ms", "20", "--secret-key", key,
		"--webhook", receiver.URL, "--webhook-secret", secret)
	out := must[io.ReadCloser](t)(command.StdoutPipe())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Error("the sandbox:", err)
		}
	})
	line := must[string](t)(bufio.NewReader(out).ReadString('\n'))
	s.url = strings.TrimSpace(line[strings.LastIndex(line, " ")+1:])
	return s
}

func (s *sandbox) receive(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		answer.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	signature := []byte(request.Header.Get("Stripe-Signature"))
	verdict, err := s.engine.ReceiveWebhook(request.Context(), signature, body)
	if err != nil { // a late one: its secret was rolled, or the engine is closed
		answer.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.hooks = append(s.hooks, webhook{signature, body, verdict})
}

func (s *sandbox) panel(lever, wanted string, out any) {
	s.t.Helper()
	var answer *http.Response
	var err error
	if wanted == "" {
		answer, err = http.Get(s.url + "/_sandbox/" + lever)
	} else {
		answer, err = http.Post(s.url+"/_sandbox/"+lever, "application/json", strings.NewReader(wanted))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body := must[[]byte](s.t)(io.ReadAll(answer.Body))
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", lever, body)
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *sandbox) provider(mode Mode) *Provider {
	provider := must[*Provider](s.t)(New(Options{SecretKey: key, WebhookSecrets: []string{secret}, BaseURL: s.url, Mode: mode}))
	s.t.Cleanup(func() { provider.Close() })
	return provider
}

func (s *sandbox) open(options careforall.Options) (*careforall.Engine, careforall.PledgeSpec) {
	engine := must[*careforall.Engine](s.t)(careforall.OpenSQLite(filepath.Join(s.t.TempDir(), "book.db"), options))
	s.mutex.Lock()
	s.engine = engine
	s.mutex.Unlock()
	s.t.Cleanup(func() { engine.Close() })
	campaign := must[*careforall.Campaign](s.t)(engine.CreateCampaign(background,
		careforall.CampaignSpec{Title: "Clean water", Currencies: []string{"EUR"}}))
	return engine, careforall.PledgeSpec{Key: must[string](s.t)(careforall.NewKey()), CampaignID: campaign.ID,
		Amount: amount, ReturnURL: "https://give.example/thanks", CancelURL: "https://give.example/back"}
}

// pay does what the donor does on the page.
func (s *sandbox) pay(pledge *careforall.Pledge) {
	s.t.Helper()
	s.panel("pay", `{"payment_id":"`+pledge.PaymentID+`","payment_method":"pm_card_visa"}`, nil)
}

func TestADonationWithADoubleClickIsPaidOnce(t *testing.T) {
	for name, mode := range map[string]Mode{"checkout": Checkout, "intent": Intent} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			provider := s.provider(mode)
			engine, spec := s.open(careforall.Options{Provider: provider, Livemode: provider.Livemode(), CallsInFlight: 8})
			pledges, failures := make([]*careforall.Pledge, 10), make([]error, 10)
			var wait sync.WaitGroup
			begin := make(chan struct{})
			for i := range pledges {
				wait.Add(1)
				go func(i int) {
					defer wait.Done()
					<-begin
					pledges[i], failures[i] = engine.CreatePledge(background, spec)
				}(i)
			}
			close(begin)
			wait.Wait()
			pledge, first := pledges[0], 0
			for i, each := range pledges {
				if failures[i] != nil {
					t.Fatal(failures[i])
				}
				if each.ID != pledge.ID || !bytes.Equal(each.Answer, pledge.Answer) || each.RedirectURL != pledge.RedirectURL {
					t.Fatalf("%+v differs from %+v", each, pledge)
				}
				if !each.Replayed {
					first++
				}
			}
			if first != 1 {
				t.Fatalf("%d calls say that they made the pledge", first)
			}
			if mode == Checkout && !strings.HasPrefix(pledge.RedirectURL, s.url) ||
				mode == Intent && !strings.HasPrefix(pledge.ClientSecret, "pi_") {
				t.Fatalf("%+v", pledge)
			}
			s.pay(pledge)
			var payment *careforall.Payment
			eventually(t, "the payment", func() bool {
				payment = must[*careforall.Payment](t)(engine.Payment(pledge.PaymentID))
				return payment.State == careforall.PaymentCompleted
			})
			totals := must[*careforall.Totals](t)(engine.Totals(background, spec.CampaignID,
				careforall.TotalsSpec{AtLeast: payment.Position}))
			if payment.Captured != amount || totals.In("EUR").Raised != amount {
				t.Fatalf("%+v, %+v", payment, totals)
			}
			var books struct {
				Charges, Captured int64
				ChargedTwice      int64 `json:"charged_twice"`
			}
			s.panel("payments/"+pledge.PaymentID, "", &books)
			if books.Charges != 1 || books.Captured != 2500 || books.ChargedTwice != 0 {
				t.Fatalf("%+v", books)
			}
		})
	}
}

func TestWebhooksAreVerifiedWithSecretsThatCanBeRolled(t *testing.T) {
	s := start(t)
	provider := s.provider(Checkout)
	engine, spec := s.open(careforall.Options{Provider: provider})
	s.pay(must[*careforall.Pledge](t)(engine.CreatePledge(background, spec)))
	var hook webhook
	eventually(t, "a webhook", func() bool {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if len(s.hooks) == 0 {
			return false
		}
		hook = s.hooks[0]
		return true
	})
	refused := func(signature, body []byte) {
		t.Helper()
		if _, err := engine.ReceiveWebhook(background, signature, body); !errors.Is(err, careforall.ESIGNATURE) {
			t.Fatal(err)
		}
	}
	known := func() {
		t.Helper()
		verdict := must[careforall.WebhookVerdict](t)(engine.ReceiveWebhook(background, hook.signature, hook.body))
		if verdict != careforall.WebhookDuplicate {
			t.Fatal(verdict)
		}
	}
	known()
	refused(hook.signature, append(append([]byte{}, hook.body...), ' '))
	refused(nil, hook.body)
	if err := provider.SetSecrets("", "whsec_of_tomorrow", secret); err != nil {
		t.Fatal(err)
	}
	known()
	if err := provider.SetSecrets("", "whsec_of_tomorrow"); err != nil {
		t.Fatal(err)
	}
	refused(hook.signature, hook.body)
	if err := provider.SetSecrets("", secret); err != nil { // for the webhooks that are still to come
		t.Fatal(err)
	}
	if err := provider.SetSecrets("sk_live_of_the_other_mode"); !errors.Is(err, careforall.EMODE) {
		t.Fatal(err)
	}
}

func TestAnOpenCircuitSaysWhenToComeBack(t *testing.T) {
	s := start(t)
	engine, spec := s.open(careforall.Options{Provider: s.provider(Checkout), CircuitRule: careforall.CircuitReject,
		CircuitFailures: 1, CircuitOpen: time.Second})
	s.panel("faults", `{"outage":true}`, nil)
	var err error
	eventually(t, "an open circuit", func() bool {
		soon, cancel := context.WithTimeout(background, 200*time.Millisecond)
		defer cancel()
		spec.Key = must[string](t)(careforall.NewKey())
		var pledge *careforall.Pledge
		if pledge, err = engine.CreatePledge(soon, spec); err == nil && !pledge.Pending {
			t.Fatalf("%+v", pledge)
		}
		return errors.Is(err, careforall.ECIRCUIT)
	})
	var failure *careforall.Error
	if !errors.As(err, &failure) || !errors.Is(err, careforall.ErrTransient) ||
		failure.Key != spec.Key || failure.RetryAfter <= 0 || failure.RetryAfter > time.Second {
		t.Fatalf("%+v", err)
	}
	s.panel("faults", `{"clear":true}`, nil)
	eventually(t, "the hosted page", func() bool {
		pledge, err := engine.CreatePledge(background, spec)
		if err != nil && !errors.Is(err, careforall.ECIRCUIT) {
			t.Fatal(err)
		}
		return err == nil && strings.HasPrefix(pledge.RedirectURL, s.url)
	})
}

func TestOptionsAreCheckedByName(t *testing.T) {
	good := Options{SecretKey: key, WebhookSecrets: []string{secret}}
	for field, spoil := range map[string]func(*Options){
		"secret_key":      func(o *Options) { o.SecretKey = "pk_test_published" },
		"webhook_secrets": func(o *Options) { o.WebhookSecrets = nil },
		"base_url":        func(o *Options) { o.BaseURL = "http://give.example" },
		"mode":            func(o *Options) { o.Mode = 7 },
	} {
		options := good
		spoil(&options)
		_, err := New(options)
		var failure *careforall.Error
		if !errors.As(err, &failure) || failure.Status != careforall.EINVAL || failure.Field != field ||
			strings.Contains(err.Error(), "whsec_") || failure.Message == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, secrets := range [][]string{{""}, {secret + "\x00"}, make([]string, 9)} {
		if _, err := New(Options{SecretKey: key, WebhookSecrets: secrets}); !errors.Is(err, careforall.EINVAL) {
			t.Errorf("%q: %v", secrets, err)
		}
	}
}

func TestAProviderServesOneEngineAtATimeAndLivesAsLong(t *testing.T) {
	provider := must[*Provider](t)(New(Options{SecretKey: "rk_live_of_these_tests", WebhookSecrets: []string{secret}}))
	if !provider.Livemode() {
		t.Fatal("a live key in test mode")
	}
	engine := must[*careforall.Engine](t)(careforall.OpenMemory(careforall.Options{Provider: provider}))
	if _, err := careforall.OpenMemory(careforall.Options{Provider: provider}); !errors.Is(err, careforall.EMISUSE) {
		t.Fatal(err)
	}
	engine.Close()
	missing := filepath.Join(t.TempDir(), "missing", "book.db")
	if _, err := careforall.OpenSQLite(missing, careforall.Options{Provider: provider}); err == nil {
		t.Fatal("a book in a missing directory")
	}
	engine = must[*careforall.Engine](t)(careforall.OpenMemory(careforall.Options{Provider: provider}))
	provider.Close()
	provider.Close()
	if err := provider.SetSecrets("", secret); err != nil {
		t.Fatal(err)
	}
	engine.Close()
	if err := provider.SetSecrets("", secret); !errors.Is(err, careforall.EMISUSE) {
		t.Fatal(err)
	}
	if _, err := careforall.OpenMemory(careforall.Options{Provider: provider}); !errors.Is(err, careforall.EMISUSE) {
		t.Fatal(err)
	}
}

func TestCloseAndContextEndALiveReconciliation(t *testing.T) {
	asked := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		asked <- struct{}{}
	}))
	defer server.Close()
	provider := must[*Provider](t)(New(Options{SecretKey: key, WebhookSecrets: []string{secret}, BaseURL: server.URL}))
	defer provider.Close()
	engine := must[*careforall.Engine](t)(careforall.OpenMemory(careforall.Options{Provider: provider}))
	defer engine.Close()
	spec := careforall.LiveSpec{Since: time.Now().Add(-time.Hour)} // it would go on for half a minute
	ctx, cancel := context.WithCancel(background)
	go func() {
		<-asked
		cancel()
	}()
	if _, err := engine.ReconcileLive(ctx, spec); err != context.Canceled {
		t.Fatal(err)
	}
	for len(asked) > 0 {
		<-asked
	}
	go func() {
		<-asked
		engine.Close()
	}()
	if _, err := engine.ReconcileLive(background, spec); !errors.Is(err, careforall.ECLOSING) {
		t.Fatal(err)
	}
}

// likeStripe makes a book of Stripe's without a network.
type likeStripe struct{}

func (likeStripe) Name() string                          { return "stripe" }
func (likeStripe) Capabilities() careforall.Capabilities { return careforall.ProviderTwoStep }

func (likeStripe) Call(_ context.Context, request careforall.Request) careforall.Reply {
	return careforall.Reply{Outcome: careforall.OutcomeDone, Facts: careforall.Facts{Ref: "pi_of_this_book",
		PaymentID: request.PaymentID, Amount: request.Amount}}
}

func TestARecordOfAnotherProviderIsRefused(t *testing.T) {
	play := must[*careforall.Play](t)(careforall.NewPlay(careforall.PlayOptions{}))
	defer play.Close()
	engine := must[*careforall.Engine](t)(careforall.OpenMemory(careforall.Options{Provider: play}))
	defer engine.Close()
	export := &Export{Path: filepath.Join(t.TempDir(), "export.json")}
	if err := os.WriteFile(export.Path, []byte(`{"object": "list", "data": [], "has_more": false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var failure *careforall.Error
	_, err := engine.Audit(background, careforall.AuditSpec{Record: export})
	if !errors.As(err, &failure) || failure.Status != careforall.EMODE || failure.Field != "provider" {
		t.Fatal(err)
	}
}

func TestAnExportedFileIsASource(t *testing.T) {
	engine := must[*careforall.Engine](t)(careforall.OpenMemory(careforall.Options{Provider: careforall.Host(likeStripe{})}))
	defer engine.Close()
	ctx, cancel := context.WithCancel(background)
	served := make(chan error, 1)
	go func() { served <- engine.ServeProvider(ctx, likeStripe{}) }()
	defer func() {
		cancel()
		<-served
	}()
	campaign := must[*careforall.Campaign](t)(engine.CreateCampaign(background,
		careforall.CampaignSpec{Title: "Well", Currencies: []string{"EUR"}}))
	pledge := must[*careforall.Pledge](t)(engine.CreatePledge(background, careforall.PledgeSpec{
		CampaignID: campaign.ID, Amount: careforall.Money{Minor: 2500, Currency: "EUR"}}))
	payment := must[*careforall.Payment](t)(engine.Payment(pledge.PaymentID))
	export := &Export{Path: filepath.Join(t.TempDir(), "export.json")}
	write := func(text string) {
		if err := os.WriteFile(export.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf(`{"id": %q, "object": "payment_intent", "amount": 2500, "amount_capturable": 0,
		"amount_received": 2500, "currency": "eur", "created": %d, "livemode": false, "status": "succeeded",
		"metadata": {"payment_id": %q}}`, payment.Ref, time.Now().Unix(), payment.ID))
	for i := 0; i < 2; i++ {
		report := must[*careforall.Reconciliation](t)(engine.Reconcile(export, careforall.ReconcileSpec{}))
		if report.Objects != 1 || report.Counts["state_behind"] == 0 || report.Listed[0].Line != 1 {
			t.Fatal(report.Text)
		}
	}
	write("{ nonsense")
	var failure *careforall.Error
	_, err := engine.Reconcile(export, careforall.ReconcileSpec{})
	if !errors.As(err, &failure) || !strings.HasPrefix(failure.Message, "line 1:") {
		t.Fatal(err)
	}
}
