// The official Stripe package for Go talks to the sandbox unmodified: one donation, a decline, a refund, a hosted
// session, a list and a verified webhook. Says "good" when everything was as it should be.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/stripe/stripe-go/v83"
	"github.com/stripe/stripe-go/v83/webhook"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func expect(what string, got, wanted any) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		must(fmt.Errorf("%s: %v instead of %v", what, got, wanted))
	}
}

// Receive passes on the type of every webhook whose signature fits.
func receive(secret *string) (*httptest.Server, chan string) {
	types := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		event, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), *secret)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			types <- err.Error()
			return
		}
		types <- string(event.Type)
	}))
	return server, types
}

func payments(ctx context.Context, client *stripe.Client) {
	intent, err := client.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Amount: stripe.Int64(2500), Currency: stripe.String("eur"),
		Metadata: map[string]string{"payment_id": "go"}})
	must(err)
	confirm := &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String("pm_card_visa")}
	confirm.AddExpand("latest_charge")
	intent, err = client.V1PaymentIntents.Confirm(ctx, intent.ID, confirm)
	must(err)
	expect("status", intent.Status, "succeeded")
	expect("captured", intent.LatestCharge.AmountCaptured, 2500)
	refund, err := client.V1Refunds.Create(ctx, &stripe.RefundCreateParams{
		PaymentIntent: &intent.ID, Amount: stripe.Int64(500)})
	must(err)
	expect("refund", refund.Status, "succeeded")

	_, err = client.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Amount: stripe.Int64(2500), Currency: stripe.String("eur"), Confirm: stripe.Bool(true),
		PaymentMethod: stripe.String("pm_card_chargeDeclined")})
	declined, ok := err.(*stripe.Error)
	expect("an error of the package", ok, true)
	expect("decline", declined.DeclineCode, "generic_decline")
	expect("its intent", declined.PaymentIntent.Status, "requires_payment_method")

	count := 0
	for _, err := range client.V1PaymentIntents.List(ctx, &stripe.PaymentIntentListParams{}) {
		must(err)
		count++
	}
	expect("listed", count, 2)
}

func sessions(ctx context.Context, client *stripe.Client) {
	session, err := client.V1CheckoutSessions.Create(ctx, &stripe.CheckoutSessionCreateParams{
		Mode: stripe.String("payment"), SuccessURL: stripe.String("http://127.0.0.1:9/"),
		LineItems: []*stripe.CheckoutSessionCreateLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionCreateLineItemPriceDataParams{
				Currency: stripe.String("eur"), UnitAmount: stripe.Int64(500),
				ProductData: &stripe.CheckoutSessionCreateLineItemPriceDataProductDataParams{
					Name: stripe.String("Gift")}}}}})
	must(err)
	expect("open", session.Status, "open")
	expect("no intent yet", session.PaymentIntent == nil, true)
	session, err = client.V1CheckoutSessions.Expire(ctx, session.ID, &stripe.CheckoutSessionExpireParams{})
	must(err)
	expect("expired", session.Status, "expired")
}

func main() {
	if len(os.Args) < 2 {
		fmt.Println(stripe.APIVersion)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: &os.Args[1], MaxNetworkRetries: stripe.Int64(4)})
	client := stripe.NewClient("sk_test_careforall", stripe.WithBackends(&stripe.Backends{API: backend}))
	var secret string
	server, types := receive(&secret)
	endpoint, err := client.V1WebhookEndpoints.Create(ctx, &stripe.WebhookEndpointCreateParams{
		URL: &server.URL, EnabledEvents: []*string{stripe.String("payment_intent.succeeded")}})
	must(err)
	secret = endpoint.Secret
	payments(ctx, client)
	sessions(ctx, client)
	select {
	case got := <-types:
		expect("webhook", got, "payment_intent.succeeded")
	case <-ctx.Done():
		must(ctx.Err())
	}
	fmt.Println("good")
}
