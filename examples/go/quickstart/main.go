// quickstart is one donation: a campaign, a pledge, the double click, the payment, the total.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	careforall "careforall.org/go"
)

func main() {
	path := "quickstart.db"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	if err := donate(path); err != nil {
		log.Fatal(err)
	}
}

func donate(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	play, err := careforall.NewPlay(careforall.PlayOptions{}) // a provider that moves no money
	if err != nil {
		return err
	}
	defer play.Close()
	engine, err := careforall.OpenSQLite(path, careforall.Options{Provider: play}) // the book: one SQLite file
	if err != nil {
		return err
	}
	defer engine.Close()

	campaign, err := engine.CreateCampaign(ctx, careforall.CampaignSpec{
		Title: "Clean water", Currencies: []string{"EUR"}, Goal: careforall.Money{Minor: 1000000, Currency: "EUR"},
	})
	if err != nil {
		return err
	}
	fmt.Printf("%-9s %s\n%-9s %s\n", "campaign", campaign.Title, "goal", campaign.Goal)

	key, err := careforall.NewKey() // made once, kept until an answer came
	if err != nil {
		return err
	}
	gift := careforall.PledgeSpec{Key: key, CampaignID: campaign.ID, Amount: careforall.Money{Minor: 2500, Currency: "EUR"}}
	first, err := engine.CreatePledge(ctx, gift)
	if err != nil {
		return err
	}
	again, err := engine.CreatePledge(ctx, gift) // the double click
	if err != nil {
		return err
	}
	answer := "a second pledge"
	if again.Replayed {
		answer = "replayed"
	}
	fmt.Printf("%-9s %s\n%-9s %s\n", "pledge", first.Amount, "again", answer)

	if err := play.Confirm(first.ClientSecret, "pm_ok"); err != nil { // the donor pays in the browser; we wait
		return err
	}
	payment, err := engine.WaitPayment(ctx, first.PaymentID)
	if err != nil {
		return err
	}
	fmt.Printf("%-9s %s\n", "payment", payment.State)

	totals, err := engine.Totals(ctx, campaign.ID, careforall.TotalsSpec{AtLeast: payment.Position})
	if err != nil {
		return err
	}
	fmt.Printf("%-9s %s\n", "raised", totals.In("EUR").Raised)
	return nil
}
