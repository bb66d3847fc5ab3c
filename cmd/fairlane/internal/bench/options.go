package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"
)

// Mode says what a run measures.
type Mode string

// The modes.
const (
	Enqueue Mode = "enqueue" // durable enqueues, nobody claims
	Claim   Mode = "claim"   // single claims with a backlog that stays as long as it is
	Cycle   Mode = "cycle"   // producers and workers as fast as they can
	Latency Mode = "latency" // producers and workers at a fixed rate
)

// Limits of what a run may be told.
const (
	// LeastPayload of a job in bytes: the run and the number of the job are in it.
	LeastPayload = 16
	mostPayload  = 1 << 20
	mostCallers  = 10_000
	mostBatch    = 1000
	mostSlots    = 512       // of a stream: a session has 1,024 numbers
	mostArrivals = 5_000_000 // of an open loop
)

// Options of a run. Check refuses what makes no sense; it changes nothing.
type Options struct {
	Mode Mode
	// Producers are concurrent callers that enqueue, Batch jobs in each call. In an open loop they are the most calls under way.
	Producers, Batch int
	// Workers are claims under way at any time. Without Stream each is a session with one slot that makes unary calls.
	Workers int
	// Stream makes the workers share Streams streams with Slots slots each.
	Stream         bool
	Streams, Slots int
	// SDK makes the load with the public client instead of bare calls.
	SDK bool

	Payload int // bytes of each job
	Users   int // between whom the jobs are shared
	// Waiting jobs of the mode claim.
	Waiting int
	// Rate of an open loop in jobs/s, and how they arrive: poisson or uniform.
	Rate     float64
	Arrivals string

	Warmup, Duration time.Duration
	// Patience is how long jobs may take to be done after the window, and how long the cluster may be without an answer.
	Patience time.Duration
	// Queue to use; empty: one of its own. Keep leaves its jobs there.
	Queue string
	Keep  bool

	// Endpoints are base URLs of a running cluster, and TLS how its certificates are checked; nil: without TLS. Not with Self.
	Endpoints []string
	TLS       *tls.Config
	// Self starts a cluster for the run; nil: measure that of the endpoints.
	Self *Self

	// Progress gets what the run is about, in lines.
	Progress io.Writer
	// OnAbort registers the clean-up of a process that is told to end at once.
	OnAbort func(func()) (done func())
}

// Self is a cluster of real processes that lives as long as the run.
type Self struct {
	Binary   string
	Dir      string // in which the temporary directory is made; empty: the system's
	LogStore string
	Nodes    int
	// KillLeaderAt after the beginning of the window; 0: never. The node is started again at once.
	KillLeaderAt time.Duration
}

// Check gives what is wrong with the options, all of it.
func (o *Options) Check() error {
	var wrong []error
	within := func(flag string, v, least, most int) {
		if v < least || v > most {
			wrong = append(wrong, fmt.Errorf("--%s %d: want %d to %d", flag, v, least, most))
		}
	}
	within("producers", o.Producers, 1, mostCallers)
	within("workers", o.Workers, 1, mostCallers)
	within("batch", o.Batch, 1, mostBatch)
	within("payload", o.Payload, LeastPayload, mostPayload)
	within("users", o.Users, 1, 1_000_000)
	if o.streaming() {
		within("streams", o.Streams, 1, mostCallers)
		within("slots", o.Slots, 1, mostSlots)
	}
	if o.Mode == Claim {
		within("waiting", o.Waiting, 1, 10_000_000)
	}
	if o.Warmup < 0 || o.Duration < 100*time.Millisecond || o.Duration > time.Hour {
		wrong = append(wrong, fmt.Errorf("--warmup %v --duration %v: want a warm-up of 0 or more and 100ms to 1h", o.Warmup, o.Duration))
	}
	wrong = append(wrong, o.checkRate(), o.checkSelf())
	return errors.Join(wrong...)
}

// streaming reports that Streams and Slots count.
func (o *Options) streaming() bool {
	return (o.Stream || o.SDK) && (o.Mode == Cycle || o.Mode == Latency)
}

func (o *Options) checkRate() error {
	if o.Mode != Latency {
		return nil
	}
	if o.Arrivals != Poisson && o.Arrivals != Uniform {
		return fmt.Errorf("--arrivals %q: want %s or %s", o.Arrivals, Poisson, Uniform)
	}
	if !(o.Rate > 0) {
		return fmt.Errorf("--rate %v: want jobs in a second, more than 0", o.Rate)
	}
	if n := o.Rate * (o.Warmup + o.Duration).Seconds(); n > mostArrivals {
		return fmt.Errorf("--rate %v: %.0f jobs in one run; at most %d", o.Rate, n, mostArrivals)
	}
	return nil
}

func (o *Options) checkSelf() error {
	if o.Self == nil {
		return nil
	}
	if o.Self.Nodes < 1 || o.Self.Nodes > 7 {
		return fmt.Errorf("--nodes %d: want 1 to 7", o.Self.Nodes)
	}
	if at := o.Self.KillLeaderAt; at != 0 {
		switch {
		case at < 0 || at >= o.Duration:
			return fmt.Errorf("--kill-leader-at %v: want a time within --duration %v", at, o.Duration)
		case o.Self.Nodes < 3:
			return fmt.Errorf("--kill-leader-at with --nodes %d: want 3 nodes or more, so that two are left to go on", o.Self.Nodes)
		}
	}
	return nil
}
