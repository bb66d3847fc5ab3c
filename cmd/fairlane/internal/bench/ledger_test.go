package bench

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// life puts a job with these times into the ledger; 0: it did not happen.
func life(t *testing.T, l *ledger, due, acked, started, finished int64) uint64 {
	t.Helper()
	seq, err := l.begin(1, due)
	if err != nil {
		t.Fatal(err)
	}
	if acked != 0 {
		l.ack(seq, seq+1, acked)
	}
	if started != 0 {
		if got, ok := l.start(l.payload(seq, LeastPayload), seq+1, 0, started); !ok || got != seq {
			t.Fatalf("the ledger does not know its own job %d: %d, %v", seq, got, ok)
		}
	}
	if finished != 0 {
		l.finish(seq, finished)
	}
	return seq
}

// TestAccount: each way in which a job can go wrong has a number of its own, and fails the run.
func TestAccount(t *testing.T) {
	other := newLedger(2)
	_, _ = other.begin(1, 1)
	for name, c := range map[string]struct {
		do   func(*testing.T, *ledger)
		idle bool // no workers
		want Account
		ok   bool
	}{
		"whole":    {do: func(t *testing.T, l *ledger) { life(t, l, 1, 2, 3, 4) }, want: Account{Acknowledged: 1, Finished: 1}, ok: true},
		"waiting":  {do: func(t *testing.T, l *ledger) { life(t, l, 1, 2, 0, 0) }, idle: true, want: Account{Acknowledged: 1}, ok: true},
		"unsent":   {do: func(t *testing.T, l *ledger) { life(t, l, 1, 0, 0, 0) }, want: Account{Unacknowledged: 1}, ok: true},
		"unsure":   {do: func(t *testing.T, l *ledger) { life(t, l, 1, 0, 3, 4) }, want: Account{Unacknowledged: 1}, ok: true},
		"lost":     {do: func(t *testing.T, l *ledger) { life(t, l, 1, 2, 0, 0) }, want: Account{Acknowledged: 1, Lost: 1}},
		"held":     {do: func(t *testing.T, l *ledger) { life(t, l, 1, 2, 3, 0) }, want: Account{Acknowledged: 1, Lost: 1}},
		"held too": {do: func(t *testing.T, l *ledger) { life(t, l, 1, 2, 3, 0) }, idle: true, want: Account{Acknowledged: 1, Lost: 1}},
		"started twice": {do: func(t *testing.T, l *ledger) {
			l.start(l.payload(life(t, l, 1, 2, 3, 4), LeastPayload), 1, 0, 5)
		}, want: Account{Acknowledged: 1, Finished: 1, Twice: 1}},
		"finished twice": {do: func(t *testing.T, l *ledger) {
			if l.finish(life(t, l, 1, 2, 3, 4), 5) {
				t.Error("the second end counts as the first")
			}
		}, want: Account{Acknowledged: 1, Finished: 1, Twice: 1}},
		"another id": {do: func(t *testing.T, l *ledger) {
			l.ack(life(t, l, 1, 2, 3, 4), 77, 2)
		}, want: Account{Acknowledged: 1, Finished: 1, Confused: 1}},
		"of another run": {do: func(t *testing.T, l *ledger) {
			life(t, l, 1, 2, 3, 4)
			if _, ok := l.start(other.payload(0, 64), 1, 0, 3); ok {
				t.Error("a job of another run is taken for one of this")
			}
		}, want: Account{Acknowledged: 1, Finished: 1, Strange: 1}},
		"never begun": {do: func(t *testing.T, l *ledger) { l.start(l.payload(9, 64), 1, 0, 3) }, want: Account{Strange: 1}},
		"no payload":  {do: func(t *testing.T, l *ledger) { l.start(nil, 1, 0, 3) }, want: Account{Strange: 1}},
	} {
		l := newLedger(1)
		c.do(t, l)
		got := l.account(!c.idle)
		if got != c.want || (got.Err() == nil) != c.ok {
			t.Errorf("%s: %+v (%v), want %+v", name, got, got.Err(), c.want)
		}
	}
}

// TestLedgerGrows: jobs beyond the first chunk are kept like the others.
func TestLedgerGrows(t *testing.T) {
	l := newLedger(1)
	const n = 3<<chunkBits + 5
	first, err := l.begin(n, 7)
	if err != nil || first != 0 {
		t.Fatal(first, err)
	}
	l.ack(n-1, 42, 9)
	if r := l.record(n - 1); r.due != 7 || r.id.Load() != 42 {
		t.Errorf("due %d, id %d", r.due, r.id.Load())
	}
	count := 0
	l.each(func(*record) { count++ })
	if count != n {
		t.Errorf("%d jobs, want %d", count, n)
	}
}
