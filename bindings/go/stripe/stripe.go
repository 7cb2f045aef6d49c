// Package stripe takes payments through Stripe. It is the one part of the binding that is optional: it needs
// libcareforall-stripe with its pkg-config file. docs/stripe.md has all details.
package stripe

/*
#cgo pkg-config: careforall-stripe
#include <careforall/adapters/stripe.h>
#include <careforall/error.h>
#include <stdlib.h>

// Errors are copied out inside the failing call: afterwards a goroutine may be on another thread.
static cfa_status stripe_new(cfa_stripe **out, const cfa_stripe_options *options, cfa_error *error)
{
	const cfa_status status = cfa_stripe_new(out, options);
	return status == CFA_OK || cfa_error_last(error) == CFA_OK ? status : CFA_EBUG;
}

static cfa_status stripe_secrets_set(cfa_stripe *stripe, const char *secret_key, const char *const *webhook_secrets,
                                     size_t webhook_secret_count, cfa_error *error)
{
	const cfa_status status = cfa_stripe_secrets_set(stripe, secret_key, webhook_secrets, webhook_secret_count);
	return status == CFA_OK || cfa_error_last(error) == CFA_OK ? status : CFA_EBUG;
}

static cfa_status stripe_export_open(cfa_stripe_export **out, const char *path, cfa_error *error)
{
	const cfa_status status = cfa_stripe_export_open(out, path);
	return status == CFA_OK || cfa_error_last(error) == CFA_OK ? status : CFA_EBUG;
}
*/
import "C"

import (
	"math"
	"strings"
	"sync"
	"time"
	"unsafe"

	careforall "careforall.org/go"
	"careforall.org/go/internal/native"
)

// APIVersion is the version of Stripe's API that every request asks for; give the webhook endpoint the same one.
const APIVersion = C.CFA_STRIPE_API_VERSION

// Mode is how a donor pays.
type Mode int32

const (
	Checkout Mode = C.CFA_STRIPE_CHECKOUT // on Stripe's hosted page: pledges have a RedirectURL
	Intent   Mode = C.CFA_STRIPE_INTENT   // in the host's own page: pledges have a ClientSecret
)

// Options of a provider. SecretKey and WebhookSecrets are required; the zero value of each other field is the default.
type Options struct {
	SecretKey          string   // sk_test_, rk_test_, sk_live_ or rk_live_
	WebhookSecrets     []string // whsec_...; any of them may have signed
	Account            string   // a connected account; leave it out where the engine's own Account is set
	BaseURL            string   // for sandboxes; http:// only to a loopback address
	Mode               Mode
	ProductName        string // what the hosted page says is paid for
	CAFile             string // PEM file of trusted authorities
	ConnectTimeout     time.Duration
	ResponseLimitBytes int
	InFlightLimit      int // calls at once
}

// Provider is Stripe, for one engine at a time.
type Provider struct {
	handle   *C.cfa_stripe
	shared   *native.Shared
	livemode bool
	mutex    sync.Mutex
	lent     bool
}

// New makes a provider; no request is made yet. Close it when done; an engine that uses it keeps it alive.
func New(options Options) (*Provider, error) {
	var texts texts
	defer texts.free()
	settings := C.cfa_stripe_options{
		struct_size:          C.sizeof_cfa_stripe_options,
		secret_key:           texts.add(options.SecretKey),
		account:              texts.add(options.Account),
		base_url:             texts.add(options.BaseURL),
		mode:                 C.int32_t(options.Mode),
		product_name:         texts.add(options.ProductName),
		ca_file:              texts.add(options.CAFile),
		connect_timeout_ms:   clamp(int64((options.ConnectTimeout + time.Millisecond - 1) / time.Millisecond)),
		response_limit_bytes: clamp(int64(options.ResponseLimitBytes)),
		in_flight_limit:      clamp(int64(options.InFlightLimit)),
	}
	settings.webhook_secrets, settings.webhook_secret_count = texts.addAll(options.WebhookSecrets)
	var handle *C.cfa_stripe
	failure := C.cfa_error{struct_size: C.sizeof_cfa_error}
	if status := C.stripe_new(&handle, &settings, &failure); status != C.CFA_OK {
		return nil, failed(status, &failure)
	}
	return &Provider{handle: handle, shared: native.Share(func() { C.cfa_stripe_free(handle) }),
		livemode: C.cfa_stripe_livemode(handle) != 0}, nil
}

// Lend is for engines.
func (p *Provider) Lend() (native.Provider, func(), error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.lent {
		return nil, nil, misused("a stripe.Provider serves one engine at a time")
	}
	if !p.shared.Acquire() {
		return nil, nil, misused("the provider is closed")
	}
	p.lent = true
	return native.Provider(unsafe.Pointer(C.cfa_stripe_provider(p.handle))), p.takeBack, nil
}

func (p *Provider) takeBack() {
	p.mutex.Lock()
	p.lent = false
	p.mutex.Unlock()
	p.shared.Release()
}

// Close frees the provider, once the engine that uses it is closed too. A repeat does nothing.
func (p *Provider) Close() error {
	p.shared.GiveUp()
	return nil
}

// Livemode reports whether the secret key moves real money: what the engine's Livemode must say.
func (p *Provider) Livemode() bool { return p.livemode }

// SetSecrets replaces the API key, the webhook secrets, or both, while calls are made; "" and none keep what there is. To
// roll a signing secret: give both, roll at Stripe, then give the new one alone. EMODE for a key of the other mode.
func (p *Provider) SetSecrets(secretKey string, webhookSecrets ...string) error {
	if !p.shared.Acquire() {
		return misused("the provider is closed")
	}
	defer p.shared.Release()
	var texts texts
	defer texts.free()
	secrets, count := texts.addAll(webhookSecrets)
	failure := C.cfa_error{struct_size: C.sizeof_cfa_error}
	if status := C.stripe_secrets_set(p.handle, texts.add(secretKey), secrets, count, &failure); status != C.CFA_OK {
		return failed(status, &failure)
	}
	return nil
}

// Export is a file that was exported from Stripe, JSON or CSV, for Engine.Reconcile and Engine.Repair: no network and no
// key is needed. docs/reconcile.md has the forms. Each use reads the file whole before anything is compared: one that
// cannot be read to its end is refused, with its line.
type Export struct {
	Path string
}

// LendRecord is for engines.
func (e *Export) LendRecord() (native.Source, func(), error) {
	var texts texts
	defer texts.free()
	var file *C.cfa_stripe_export
	failure := C.cfa_error{struct_size: C.sizeof_cfa_error}
	if status := C.stripe_export_open(&file, texts.copy(e.Path), &failure); status != C.CFA_OK {
		return nil, nil, failed(status, &failure)
	}
	var source native.Source
	err := native.Source_new(&source, unsafe.Pointer(C.cfa_stripe_export_next), unsafe.Pointer(file), "stripe")
	if err != nil {
		C.cfa_stripe_export_free(file)
		return nil, nil, err
	}
	return source, func() {
		native.Source_free(source)
		C.cfa_stripe_export_free(file)
	}, nil
}

func failed(status C.cfa_status, failure *C.cfa_error) error {
	return &careforall.Error{
		Status: careforall.Status(status), NativeCode: int(failure.native_code), Origin: C.GoString(&failure.origin[0]),
		Field: C.GoString(&failure.field[0]), Message: C.GoString(&failure.message[0]),
		RetryAfter: time.Duration(failure.retry_after_ms) * time.Millisecond,
	}
}

func misused(message string) error {
	return &careforall.Error{Status: careforall.EMISUSE, Origin: "go", Field: "provider", Message: message}
}

func clamp(value int64) C.int32_t {
	if value > math.MaxInt32 {
		return math.MaxInt32
	}
	if value < math.MinInt32 {
		return math.MinInt32
	}
	return C.int32_t(value)
}

// texts are copies for the time of one call.
type texts []unsafe.Pointer

// add makes "" NULL. What C cannot carry becomes a control character, which every rule for text refuses.
func (t *texts) add(text string) *C.char {
	if text == "" {
		return nil
	}
	return t.copy(text)
}

func (t *texts) copy(text string) *C.char {
	made := C.CString(strings.ReplaceAll(text, "\x00", "\x01"))
	*t = append(*t, unsafe.Pointer(made))
	return made
}

func (t *texts) addAll(all []string) (**C.char, C.size_t) {
	if len(all) == 0 {
		return nil, 0
	}
	array := C.malloc(C.size_t(len(all)) * C.size_t(unsafe.Sizeof((*C.char)(nil))))
	*t = append(*t, array)
	pointers := unsafe.Slice((**C.char)(array), len(all))
	for i, text := range all {
		pointers[i] = t.copy(text)
	}
	return &pointers[0], C.size_t(len(all))
}

func (t *texts) free() {
	for _, text := range *t {
		C.free(text)
	}
}
