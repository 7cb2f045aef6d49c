package careforall

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	background = context.Background()
	amount     = Money{2500, "EUR"}
)

func newPlay(t testing.TB, options PlayOptions) *Play {
	t.Helper()
	play, err := NewPlay(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { play.Close() })
	return play
}

// onBoth runs a test on the memory store and on SQLite.
func onBoth(t *testing.T, run func(t *testing.T, engine *Engine, play *Play)) {
	t.Run("memory", func(t *testing.T) {
		play := newPlay(t, PlayOptions{})
		engine, err := OpenMemory(Options{Provider: play})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		run(t, engine, play)
	})
	t.Run("sqlite", func(t *testing.T) {
		play := newPlay(t, PlayOptions{})
		engine, err := OpenSQLite(filepath.Join(t.TempDir(), "book.db"), Options{Provider: play})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		run(t, engine, play)
	})
}

func newCampaign(t testing.TB, engine *Engine) *Campaign {
	t.Helper()
	campaign, err := engine.CreateCampaign(background, CampaignSpec{Title: "Clean water", Currencies: []string{"EUR"},
		Goal: Money{1000000, "EUR"}})
	if err != nil {
		t.Fatal(err)
	}
	return campaign
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// within makes a call that has 50 ms; more of them, where the machine was so busy that they were over before it began.
func within[T any](t testing.TB, call func(context.Context) (T, error)) T {
	t.Helper()
	for limit := 50 * time.Millisecond; ; limit *= 4 {
		ctx, cancel := context.WithTimeout(background, limit)
		value, err := call(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || limit > time.Minute {
			return must[T](t)(value, err)
		}
	}
}

func expect(t testing.TB, err error, status Status, field string) {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("want %v, got %v", status, err)
	}
	if failure.Status != status || (field != "" && failure.Field != field) || failure.Message == "" {
		t.Fatalf("want %v (%s), got %v", status, field, err)
	}
	if !errors.Is(err, status) || !errors.Is(err, status.Class()) {
		t.Fatalf("errors.Is does not find %v in %v", status, err)
	}
}

func TestQuickstartPrintsTheExpectedLines(t *testing.T) {
	examples := filepath.Join("..", "..", "examples")
	want, err := os.ReadFile(filepath.Join(examples, "quickstart.expected"))
	if err != nil {
		t.Skip("not in the source tree")
	}
	program := filepath.Join(t.TempDir(), "quickstart")
	build := exec.Command(filepath.Join(runtime.GOROOT(), "bin", "go"), "build", "-o", program, "./quickstart")
	build.Dir = filepath.Join(examples, "go")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(program, filepath.Join(t.TempDir(), "book.db"))
	var out, complaints bytes.Buffer
	run.Stdout, run.Stderr = &out, &complaints
	if err := run.Run(); err != nil || complaints.Len() != 0 {
		t.Fatalf("%v\n%s", err, &complaints)
	}
	if out.String() != string(want) {
		t.Fatalf("got\n%swant\n%s", &out, want)
	}
}

func TestTheGeneratedFilesAreWhatSwigMakesNow(t *testing.T) {
	script := filepath.Join("..", "swig", "regenerate.sh")
	if _, err := exec.LookPath("swig"); err != nil {
		t.Skip("no swig here")
	}
	out, err := exec.Command(script, "--check").CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 || errors.Is(err, os.ErrNotExist) {
		t.Skip(string(out))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestADoubleClickFromHundredGoroutinesIsOnePledge(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		key := must[string](t)(NewKey())
		var wait sync.WaitGroup
		pledges, failures := make([]*Pledge, 100), make([]error, 100)
		start := make(chan struct{})
		for i := range pledges {
			wait.Add(1)
			go func(i int) {
				defer wait.Done()
				<-start
				pledges[i], failures[i] = engine.CreatePledge(background,
					PledgeSpec{Key: key, CampaignID: campaign.ID, Amount: amount})
			}(i)
		}
		close(start)
		wait.Wait()
		first := 0
		for i, pledge := range pledges {
			if failures[i] != nil {
				t.Fatal(failures[i])
			}
			if pledge.ID != pledges[0].ID || !bytes.Equal(pledge.Answer, pledges[0].Answer) {
				t.Fatalf("%v differs from %v", pledge, pledges[0])
			}
			if !pledge.Replayed {
				first++
			}
		}
		if first != 1 {
			t.Fatalf("%d calls say that they made the pledge", first)
		}
		if err := play.Confirm(pledges[0].ClientSecret, "pm_ok"); err != nil {
			t.Fatal(err)
		}
		payment := must[*Payment](t)(engine.WaitPayment(background, pledges[0].PaymentID))
		if payment.State != PaymentCompleted || payment.Captured != amount {
			t.Fatalf("%+v", payment)
		}
		books := must[PlayBooks](t)(play.Books())
		if books.Intents != 1 || books.Charges != 1 || books.ChargedTwice != 0 {
			t.Fatalf("%+v", books)
		}
		totals := must[*Totals](t)(engine.Totals(background, campaign.ID, TotalsSpec{AtLeast: payment.Position}))
		if row := totals.In("EUR"); row == nil || row.Raised != amount || row.Donations != 1 || totals.In("USD") != nil {
			t.Fatalf("%+v", totals)
		}
		if !must[bool](t)(engine.VerifyTotals(background, campaign.ID)) {
			t.Fatal("totals differ from a recomputation")
		}
		history := must[[]Transition](t)(engine.PaymentHistory(payment.ID))
		if len(history) == 0 || history[0].From != 0 || history[len(history)-1].To != PaymentCompleted {
			t.Fatalf("%+v", history)
		}
	})
}

func TestErrorsSayWhatToDo(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		_, err := engine.CreateCampaign(background, CampaignSpec{Currencies: []string{"EUR"}})
		var failure *Error
		if !errors.As(err, &failure) || failure.Field != "title" || !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		_, err = engine.CreateCampaign(background, CampaignSpec{Title: "Clean\x00water", Currencies: []string{"EUR"}})
		if !errors.As(err, &failure) || failure.Field != "title" || !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		_, err = engine.Campaign(campaign.ID[:len(campaign.ID)-3] + "000")
		expect(t, err, ENOTFOUND, "")
		if !errors.Is(err, ErrPermanent) || errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
		spec := PledgeSpec{Key: "one key", CampaignID: campaign.ID, Amount: amount}
		_, err = engine.CreatePledge(background, spec)
		expect(t, err, EKEY, "key")
		spec.Key = "one-key"
		must[*Pledge](t)(engine.CreatePledge(background, spec))
		spec.Amount = Money{2600, "EUR"}
		_, err = engine.CreatePledge(background, spec)
		expect(t, err, EKEYREUSE, "")
		if !errors.Is(err, ErrConflict) || !errors.As(err, &failure) || failure.Key != "one-key" ||
			!strings.HasPrefix(failure.Field, "amount") {
			t.Fatal(err)
		}
		_, err = engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: Money{1, "EURO"}})
		expect(t, err, ECURRENCY, "")
		pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
		expect(t, play.Confirm(pledge.ClientSecret, "pm_declined"), EDECLINED, "")
		changed := CampaignSpec{Title: "Cleaner water", Currencies: []string{"EUR"}}
		must[*Campaign](t)(engine.UpdateCampaign(background, campaign.ID, campaign.Version, changed))
		_, err = engine.UpdateCampaign(background, campaign.ID, campaign.Version, changed)
		expect(t, err, EVERSION, "")
	})
}

func TestMessagesOfGoroutinesAreNeverMixed(t *testing.T) {
	cases := map[string]Status{"x": EINVAL, "1.234 EUR": EAMOUNT, "1 QQQ": ECURRENCY}
	var wait sync.WaitGroup
	for i := 0; i < 20; i++ {
		for text, status := range cases {
			wait.Add(1)
			go func(text string, status Status) {
				defer wait.Done()
				for n := 0; n < 500; n++ {
					if _, err := ParseMoney(text); !errors.Is(err, status) {
						t.Errorf("%q: want %v, got %v", text, status, err)
						return
					}
				}
			}(text, status)
		}
	}
	wait.Wait()
}

func TestMoneyIsExact(t *testing.T) {
	for _, minor := range []int64{0, 1, -1, 99, 100, 123456789012345, -250000} {
		for _, currency := range []string{"EUR", "JPY", "KWD"} {
			money := must[Money](t)(NewMoney(minor, currency))
			if again := must[Money](t)(ParseMoney(money.String())); again != money {
				t.Fatalf("%v became %v", money, again)
			}
		}
	}
	sum := must[Money](t)(amount.Add(amount))
	rest := must[Money](t)(sum.Sub(amount))
	if sum != (Money{5000, "EUR"}) || rest != amount || must[int](t)(amount.Compare(sum)) != -1 {
		t.Fatal(sum, rest)
	}
	_, err := amount.Add(Money{1, "USD"})
	expect(t, err, ECURRENCY, "")
	_, err = Money{1<<63 - 1, "EUR"}.Add(amount)
	expect(t, err, ERANGE, "")
	_, err = ParseMoney("12.505 EUR")
	expect(t, err, EAMOUNT, "")
	if exponent := must[int](t)(Exponent("KWD")); exponent != 3 {
		t.Fatal(exponent)
	}
	if text := (Money{1, "no"}).String(); !strings.Contains(text, "CFA_ECURRENCY") {
		t.Fatal(text)
	}
}

func TestContextsLimitCalls(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		canceled, cancel := context.WithCancel(background)
		cancel()
		if _, err := engine.CreatePledge(canceled, PledgeSpec{CampaignID: campaign.ID, Amount: amount}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		past, cancel := context.WithDeadline(background, time.Now().Add(-time.Second))
		defer cancel()
		if _, err := engine.Totals(past, campaign.ID, TotalsSpec{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		page, _, err := engine.Pledges(campaign.ID, "", 0)
		if err != nil || len(page) != 0 {
			t.Fatal(page, err)
		}
		pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
		soon, cancel := context.WithTimeout(background, 50*time.Millisecond)
		defer cancel()
		payment := must[*Payment](t)(engine.WaitPayment(soon, pledge.PaymentID))
		if payment.State.Settled() {
			t.Fatal(payment.State)
		}
		soon, cancel = context.WithTimeout(background, 50*time.Millisecond)
		defer cancel()
		_, err = engine.Totals(soon, campaign.ID, TotalsSpec{AtLeast: 1 << 40})
		if err == nil {
			t.Fatal("totals of the far future")
		}
	})
}

func TestTimeOutsAreDeadlinesToo(t *testing.T) {
	if err := error(&Error{Status: ETIMEOUT}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTransient) {
		t.Fatal(err)
	}
	if err := error(&Error{Status: EBUSY}); errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestCloseWaitsForCallsAndRefusesNewOnes(t *testing.T) {
	play := newPlay(t, PlayOptions{})
	path := filepath.Join(t.TempDir(), "book.db")
	engine := must[*Engine](t)(OpenSQLite(path, Options{Provider: play}))
	campaign := newCampaign(t, engine)
	var wait sync.WaitGroup
	var mutex sync.Mutex
	made := map[string]bool{}
	running := make(chan struct{}, 1)
	for i := 0; i < 16; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				pledge, err := engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount})
				if err != nil {
					if !errors.Is(err, EMISUSE) && !errors.Is(err, ECLOSING) {
						t.Error(err)
					}
					return
				}
				mutex.Lock()
				made[pledge.ID] = true
				mutex.Unlock()
				select {
				case running <- struct{}{}:
				default:
				}
			}
		}()
	}
	<-running
	for i := 0; i < 4; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			engine.Close()
		}()
	}
	wait.Wait()
	if _, err := engine.Campaign(campaign.ID); !errors.Is(err, EMISUSE) {
		t.Fatal(err)
	}
	if _, err := engine.Subscribe("late"); !errors.Is(err, EMISUSE) {
		t.Fatal(err)
	}
	engine = must[*Engine](t)(OpenSQLite(path, Options{Provider: play}))
	defer engine.Close()
	for after := ""; ; {
		page, next, err := engine.Pledges(campaign.ID, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, pledge := range page {
			delete(made, pledge.ID)
		}
		if after = next; next == "" {
			break
		}
	}
	if len(made) != 0 {
		t.Fatalf("%d acknowledged pledges are not there", len(made))
	}
}

func TestSubscriptionsRepeatUntilAcknowledged(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		reader := must[*Subscription](t)(engine.Subscribe("reader"))
		events := must[[]Event](t)(reader.Next(background, 0))
		if len(events) == 0 || events[0].Subject != campaign.ID || events[0].Position != 1 || len(events[0].Data) == 0 {
			t.Fatalf("%+v", events)
		}
		if rest := must[[]Event](t)(reader.Poll(0)); len(rest) != 0 {
			t.Fatalf("%+v", rest)
		}
		expect(t, reader.Ack(1<<40), ERANGE, "")
		second := must[*Subscription](t)(engine.Subscribe("reader"))
		expect(t, reader.Ack(events[0].Position), EFENCED, "")
		if again := must[[]Event](t)(second.Poll(0)); len(again) != len(events) || again[0].ID != events[0].ID {
			t.Fatalf("%+v", again)
		}
		if err := second.Ack(events[len(events)-1].Position); err != nil {
			t.Fatal(err)
		}
		reader.Close()
		reader.Close()
		if _, err := reader.Poll(0); !errors.Is(err, EMISUSE) {
			t.Fatal(err)
		}
		soon, cancel := context.WithTimeout(background, 20*time.Millisecond)
		defer cancel()
		if _, err := second.Next(soon, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if page := must[[]Event](t)(engine.Events(0, 1)); len(page) != 1 || page[0].ID != events[0].ID {
			t.Fatalf("%+v", page)
		}
	})
}

func TestWebhooksAreVerifiedAndApplied(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		pledge := must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
		if err := play.Confirm(pledge.ClientSecret, "pm_ok"); err != nil {
			t.Fatal(err)
		}
		applied := false
		for {
			signature, body, err := play.TakeWebhook()
			if err != nil {
				t.Fatal(err)
			}
			if body == nil {
				break
			}
			verdict := must[WebhookVerdict](t)(engine.ReceiveWebhook(background, signature, body))
			applied = applied || verdict == WebhookApplied
			_, err = engine.ReceiveWebhook(background, signature, append(body, ' '))
			expect(t, err, ESIGNATURE, "")
			if again := must[WebhookVerdict](t)(engine.ReceiveWebhook(background, signature, body)); again != WebhookDuplicate {
				t.Fatal(again)
			}
		}
		payment := must[*Payment](t)(engine.Payment(pledge.PaymentID))
		if !applied || payment.State != PaymentCompleted {
			t.Fatal(applied, payment.State)
		}
	})
}

func TestTheHostDrivesTheEngine(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		commit := PledgeSpec{CampaignID: campaign.ID, Amount: amount, Wait: WaitCommit}
		called := func(intents int64) bool { return must[PlayBooks](t)(play.Books()).Intents == intents }
		until := time.Now().Add(2 * time.Minute) // only what is broken waits so long

		pledge := must[*Pledge](t)(engine.CreatePledge(background, commit))
		for !called(1) && time.Now().Before(until) {
			must[int](t)(engine.Tick(WorkAll, 10*time.Millisecond))
		}
		ctx, cancel := context.WithCancel(background)
		ended := make(chan error, 1)
		go func() { ended <- engine.Run(ctx, WorkAll) }()
		must[*Pledge](t)(engine.CreatePledge(background, commit))
		for !called(2) && time.Now().Before(until) {
			runtime.Gosched()
		}
		if !called(2) {
			t.Fatal("the provider was never called")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := engine.StartRunner(WorkAll); err != nil {
			t.Fatal(err)
		}
		if err := engine.StartRunner(WorkAll); !errors.Is(err, ESTATE) {
			t.Fatal(err)
		}
		if err := engine.StopRunner(); err != nil {
			t.Fatal(err)
		}
		if statistics := must[[]byte](t)(engine.Statistics()); statistics[0] != '{' {
			t.Fatal(string(statistics))
		}
		must[*Pledge](t)(engine.Pledge(pledge.ID))
		if err := engine.EraseDonor(background, pledge.ID, Actor{}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPlayLivesAsLongAsItsEngines(t *testing.T) {
	play := must[*Play](t)(NewPlay(PlayOptions{}))
	engine := must[*Engine](t)(OpenMemory(Options{Provider: play}))
	play.Close()
	play.Close()
	campaign := newCampaign(t, engine)
	must[*Pledge](t)(engine.CreatePledge(background, PledgeSpec{CampaignID: campaign.ID, Amount: amount}))
	engine.Close()
	if _, err := play.Books(); !errors.Is(err, EMISUSE) {
		t.Fatal(err)
	}
	if _, err := OpenMemory(Options{Provider: play}); !errors.Is(err, EMISUSE) {
		t.Fatal(err)
	}
}

func TestABookIsPinnedAndNamed(t *testing.T) {
	play := newPlay(t, PlayOptions{})
	path := filepath.Join(t.TempDir(), "book.db")
	must[*Engine](t)(OpenSQLite(path, Options{Provider: play})).Close()
	_, err := OpenSQLite(path, Options{Provider: play, Livemode: true})
	expect(t, err, EMODE, "")
	_, err = OpenSQLite("", Options{})
	expect(t, err, EINVAL, "path")
	_, err = OpenSQLite("a\x00b", Options{})
	expect(t, err, EINVAL, "path")
	if _, err := OpenSQLite(filepath.Join(t.TempDir(), "missing", "book.db"), Options{}); err == nil {
		t.Fatal("a book in a missing directory")
	}
}
