package careforall

import (
	"strings"
	"testing"
)

func TestActsAreReadAndVerified(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, _ *Play) {
		campaign := must[*Campaign](t)(engine.CreateCampaign(background, CampaignSpec{Title: "Well",
			Currencies: []string{"EUR"}, By: Actor{Actor: "ann", Reason: "spring"}}))
		must[*Campaign](t)(engine.EndCampaign(background, campaign.ID, campaign.Version, "", "", Actor{Actor: "bob"}))
		acts := must[[]Act](t)(engine.Acts(0, 0))
		if len(acts) != 2 || acts[0].Action != "campaign.create" || acts[0].Actor != "ann" || acts[0].Reason != "spring" ||
			acts[0].Before != "" || acts[0].PreviousHash != "" || acts[0].Created.IsZero() {
			t.Fatalf("%+v", acts)
		}
		last := acts[1]
		if last.Number != 2 || last.Subject != campaign.ID || last.Reason != "" || last.PreviousHash != acts[0].Hash ||
			!strings.Contains(last.Before, `"OPEN"`) || !strings.Contains(last.After, `"ENDED"`) {
			t.Fatalf("%+v", last)
		}
		if behind := must[[]Act](t)(engine.Acts(1, 1)); len(behind) != 1 || behind[0] != last {
			t.Fatalf("%+v", behind)
		}
		report := must[ActReport](t)(engine.VerifyActs())
		if report != (ActReport{2, 2, true, ActNone, 0, last.Hash}) || report.Fault.String() != "NONE" {
			t.Fatalf("%+v", report)
		}
		_, err := engine.EndCampaign(background, campaign.ID, 2, "", "", Actor{Reason: strings.Repeat("x", 501)})
		expect(t, err, ETOOLONG, "reason")
	})
}
