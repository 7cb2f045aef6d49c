package careforall

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// shutting is a context that closes an engine when it is looked at.
type shutting struct {
	context.Context
	engine *Engine
}

func (s shutting) Done() <-chan struct{} {
	go s.engine.Close()
	<-s.engine.gate.shutting
	return nil
}

func TestCloseAndContextEndAnAudit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.db")
	engine := must[*Engine](t)(OpenSQLite(path, Options{}))
	defer engine.Close()
	canceled, cancel := context.WithCancel(background)
	cancel()
	if _, err := engine.Audit(canceled, AuditSpec{}); err != context.Canceled {
		t.Fatal(err)
	}
	if _, err := AuditFile(canceled, path, AuditSpec{}); err != context.Canceled {
		t.Fatal(err)
	}
	_, err := engine.Audit(shutting{background, engine}, AuditSpec{})
	expect(t, err, ECLOSING, "")
}

func TestABookExplainsItself(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, play *Play) {
		campaign := newCampaign(t, engine)
		payment := paidPayment(t, engine, play, campaign)
		refund := must[*Refund](t)(engine.CreateRefund(background, RefundSpec{PaymentID: payment.ID}))
		for _, id := range []string{"", campaign.ID} {
			audit := must[*Audit](t)(engine.Audit(background, AuditSpec{CampaignID: id}))
			if audit.Differences != 0 || audit.Position < payment.Position || !json.Valid(audit.JSON) || audit.Text == "" {
				t.Fatalf("%+v", audit)
			}
		}
		_, err := engine.Audit(background, AuditSpec{CampaignID: "cmp_01arz3ndektsv4rrffq69g5fav"})
		expect(t, err, ENOTFOUND, "")

		for _, id := range []string{payment.ID, payment.Ref, refund.ID} {
			story := must[*Story](t)(engine.Explain(background, id))
			if story.PaymentID != payment.ID || !json.Valid(story.JSON) || !strings.Contains(story.Text, refund.ID) ||
				!strings.HasPrefix(story.HTML, "<!") {
				t.Fatalf("%+v", story)
			}
		}
		_, err = engine.Explain(background, "what?")
		if err == nil {
			t.Fatal("a story of nothing")
		}

		if err := play.FaultNext(PlayFaultReplyLost); err != nil {
			t.Fatal(err)
		}
		pledge := must[*Pledge](t)(engine.CreatePledge(background,
			PledgeSpec{CampaignID: campaign.ID, Amount: amount, Wait: WaitCommit}))
		for must[*Payment](t)(engine.Payment(pledge.PaymentID)).Flags&PaymentFlagUnknown == 0 {
			must[int](t)(engine.Tick(WorkCalls, 0)) // one call, and not the next one, which would find out
		}
		checkup := must[*Checkup](t)(engine.Doctor(background, true))
		found := false
		for _, finding := range checkup.Findings {
			if finding.Code == "operation_in_doubt" {
				found = finding.Count == 1 && finding.Safe && strings.Contains(finding.IDs[0], pledge.PaymentID) &&
					finding.Severity == "warning" && finding.Text != "" && finding.Action != ""
			}
		}
		if !found || !strings.Contains(checkup.Text, "operation_in_doubt") || !json.Valid(checkup.JSON) || checkup.HTML == "" {
			t.Fatalf("%+v", checkup)
		}
		if done := must[int64](t)(engine.DoctorDo(background, "operation_in_doubt", false, Actor{Actor: "ann"})); done != 1 {
			t.Fatal(done)
		}
		_, err = engine.DoctorDo(background, "no_such_code", false, Actor{})
		expect(t, err, EINVAL, "")
	})
}
