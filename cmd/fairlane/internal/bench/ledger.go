package bench

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkBits = 14
	mostJobs  = 1 << 26 // of one run
)

// record is the life of one job. Times are nanoseconds since the ledger's epoch; 0: it did not happen.
type record struct {
	id       atomic.Uint64 // as the enqueue was acknowledged
	claimed  atomic.Uint64 // id under which it was started
	due      int64         // when it was to be enqueued; written before the job is sent, read after the run
	acked    atomic.Int64
	asked    atomic.Int64 // when the call began that claimed it; 0: it is not measured
	started  atomic.Int64
	finished atomic.Int64
	starts   atomic.Uint32
	ends     atomic.Uint32
}

// ledger holds every job of a run. Safe for many goroutines.
type ledger struct {
	run   uint64 // in the payload of each job, so that those of others are recognised
	epoch time.Time

	mu     sync.Mutex
	chunks [mostJobs >> chunkBits]atomic.Pointer[[1 << chunkBits]record]

	begun    atomic.Uint64
	acked    atomic.Int64
	started  atomic.Int64
	finished atomic.Int64
	strange  atomic.Int64 // claims of jobs that are not this run's
}

func newLedger(run uint64) *ledger { return &ledger{run: run, epoch: time.Now()} }

func (l *ledger) now() int64 { return max(1, int64(time.Since(l.epoch))) }

// begin makes room for n jobs that are due at a time and gives the number of the first; the others follow.
func (l *ledger) begin(n int, due int64) (uint64, error) {
	last := l.begun.Add(uint64(n))
	if last > mostJobs {
		return 0, fmt.Errorf("more than %d jobs in one run: make it shorter", mostJobs)
	}
	first := last - uint64(n)
	for seq := first; seq < last; seq++ {
		l.grow(seq).due = due
	}
	return first, nil
}

func (l *ledger) grow(seq uint64) *record {
	at := &l.chunks[seq>>chunkBits]
	c := at.Load()
	if c == nil {
		l.mu.Lock()
		if c = at.Load(); c == nil {
			c = new([1 << chunkBits]record)
			at.Store(c)
		}
		l.mu.Unlock()
	}
	return &c[seq&(1<<chunkBits-1)]
}

// record of a job that was begun.
func (l *ledger) record(seq uint64) *record {
	return &l.chunks[seq>>chunkBits].Load()[seq&(1<<chunkBits-1)]
}

// payload of a job, of the size given.
func (l *ledger) payload(seq uint64, size int) []byte {
	p := make([]byte, size)
	binary.LittleEndian.PutUint64(p, l.run)
	binary.LittleEndian.PutUint64(p[8:], seq)
	return p
}

// ack notes that the enqueue of a job was acknowledged.
func (l *ledger) ack(seq, id uint64, at int64) {
	r := l.record(seq)
	r.id.Store(id)
	if r.acked.Swap(at) == 0 {
		l.acked.Add(1)
	}
}

// start notes the claim of a job and finds out which one it is. false: it is not of this run.
func (l *ledger) start(payload []byte, id uint64, asked, at int64) (seq uint64, ok bool) {
	if len(payload) < LeastPayload || binary.LittleEndian.Uint64(payload) != l.run {
		l.strange.Add(1)
		return 0, false
	}
	seq = binary.LittleEndian.Uint64(payload[8:])
	if seq >= l.begun.Load() {
		l.strange.Add(1)
		return 0, false
	}
	r := l.record(seq)
	if r.starts.Add(1) == 1 {
		r.claimed.Store(id)
		r.asked.Store(asked)
		r.started.Store(at)
		l.started.Add(1)
	}
	return seq, true
}

// finish notes that the cluster accepted the outcome. It reports whether this was the first time.
func (l *ledger) finish(seq uint64, at int64) bool {
	r := l.record(seq)
	if r.ends.Add(1) != 1 {
		return false
	}
	r.finished.Store(at)
	l.finished.Add(1)
	return true
}

// each calls f for every job that was begun. Nothing may be running any more.
func (l *ledger) each(f func(*record)) {
	for seq := range min(l.begun.Load(), mostJobs) {
		f(l.record(seq))
	}
}

// Account is what became of the jobs of a run.
type Account struct {
	// Acknowledged enqueues, and those among them that were finished.
	Acknowledged int64 `json:"acknowledged"`
	Finished     int64 `json:"finished"`
	// Lost were acknowledged and not finished. Twice were started or finished more than once. Confused were started under
	// another id than was acknowledged, and Strange are claims of jobs that are not of this run.
	Lost     int64 `json:"lost"`
	Twice    int64 `json:"twice"`
	Confused int64 `json:"confused"`
	Strange  int64 `json:"strange"`
	// Unacknowledged enqueues failed, or nobody knows.
	Unacknowledged int64 `json:"unacknowledged"`
}

// account compares enqueues, starts and ends. worked: everything should be done, and not only what was started.
func (l *ledger) account(worked bool) Account {
	a := Account{Strange: l.strange.Load()}
	l.each(func(r *record) {
		acked, starts, ends := r.acked.Load() != 0, r.starts.Load(), r.ends.Load()
		switch {
		case acked:
			a.Acknowledged++
		default:
			a.Unacknowledged++
		}
		if acked && ends > 0 {
			a.Finished++
		}
		if acked && ends == 0 && (worked || starts > 0) {
			a.Lost++
		}
		if starts > 1 || ends > 1 {
			a.Twice++
		}
		if acked && starts > 0 && r.id.Load() != r.claimed.Load() {
			a.Confused++
		}
	})
	return a
}

// Err is nil if every job was started and finished once.
func (a Account) Err() error {
	if a.Lost+a.Twice+a.Confused+a.Strange == 0 {
		return nil
	}
	return &AccountError{a}
}

// AccountError says that jobs were lost, ran twice or were mixed up: the figures of such a run mean nothing.
type AccountError struct{ Account Account }

func (e *AccountError) Error() string {
	a := e.Account
	return fmt.Sprintf("of %d acknowledged jobs %d were lost, %d started or finished twice, %d under another id; %d were not of this run",
		a.Acknowledged, a.Lost, a.Twice, a.Confused, a.Strange)
}
