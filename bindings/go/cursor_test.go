package careforall

import "testing"

func TestOperatorsSeeAndRewindCursors(t *testing.T) {
	onBoth(t, func(t *testing.T, engine *Engine, _ *Play) {
		newCampaign(t, engine)
		newCampaign(t, engine)
		reader := must[*Subscription](t)(engine.Subscribe("reader"))
		events := must[[]Event](t)(reader.Poll(0))
		if err := reader.Ack(2); err != nil || len(events) != 2 {
			t.Fatal(err, events)
		}
		cursors := must[[]Cursor](t)(engine.Cursors())
		if len(cursors) != 1 || cursors[0].Name != "sub.reader" || cursors[0].Acknowledged != 2 || cursors[0].Head != 2 ||
			cursors[0].Lag != 0 || !cursors[0].Owned || !cursors[0].Oldest.IsZero() || cursors[0].State != CursorRuns {
			t.Fatalf("%+v", cursors)
		}
		if letters := must[[]DeadLetter](t)(engine.DeadLetters("sub.reader", 0, 0)); len(letters) != 0 {
			t.Fatalf("%+v", letters)
		}
		_, err := engine.RewindCursor("sub.reader", 1, 0, "", "back", Actor{})
		expect(t, err, EVERSION, "expected")
		back := must[*Cursor](t)(engine.RewindCursor("sub.reader", 2, 1, "", "back", Actor{}))
		if back.Acknowledged != 1 || back.Lag != 1 || back.Oldest.IsZero() || back.Replayed || back.Epoch <= cursors[0].Epoch {
			t.Fatalf("%+v", back)
		}
		if again := must[*Cursor](t)(engine.RewindCursor("sub.reader", 2, 1, "", "back", Actor{})); !again.Replayed {
			t.Fatalf("%+v", again)
		}
		expect(t, reader.Ack(2), EFENCED, "")
		_, err = engine.RewindCursor("sub.reader", 1, 0, "", "back", Actor{})
		expect(t, err, EKEYREUSE, "expected")
		_, err = engine.PauseCursor("sub.reader", Actor{Reason: "no reason"})
		expect(t, err, ENOTSUP, "name")
		_, err = engine.Requeue("sub.reader", 1, "", "", Actor{})
		expect(t, err, ENOTFOUND, "position")
		_, err = engine.ResumeCursor("nobody", Actor{})
		expect(t, err, ENOTFOUND, "name")
	})
}
