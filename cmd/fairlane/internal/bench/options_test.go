package bench

import (
	"strings"
	"testing"
	"time"
)

// TestCheck: what makes no sense is refused with the flag in the sentence.
func TestCheck(t *testing.T) {
	good := Options{
		Mode: Latency, Producers: 1, Workers: 1, Batch: 1, Payload: 256, Users: 1, Rate: 200, Arrivals: Poisson, Duration: time.Second,
		Waiting: 1, Streams: 1, Slots: 1, Self: &Self{Nodes: 3, KillLeaderAt: time.Millisecond},
	}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Options){
		"--producers 0":                         func(o *Options) { o.Producers = 0 },
		"--workers 100000":                      func(o *Options) { o.Workers = 100_000 },
		"--batch 1001":                          func(o *Options) { o.Batch = 1001 },
		"--payload 8: want 16 to 1048576":       func(o *Options) { o.Payload = 8 },
		"--users 0":                             func(o *Options) { o.Users = 0 },
		"--streams 0":                           func(o *Options) { o.Stream, o.Streams = true, 0 },
		"--slots 513: want 1 to 512":            func(o *Options) { o.SDK, o.Slots = true, 513 },
		"--waiting 0":                           func(o *Options) { o.Mode, o.Waiting = Claim, 0 },
		"--duration 1ms":                        func(o *Options) { o.Duration = time.Millisecond },
		`--arrivals "even"`:                     func(o *Options) { o.Arrivals = "even" },
		"--rate -1":                             func(o *Options) { o.Rate = -1 },
		"at most 5000000":                       func(o *Options) { o.Rate = 1e7 },
		"--nodes 8":                             func(o *Options) { o.Self.Nodes = 8 },
		"--kill-leader-at 1s: want a time with": func(o *Options) { o.Self.KillLeaderAt = time.Second },
		"--kill-leader-at with --nodes 1":       func(o *Options) { o.Self.Nodes = 1 },
	} {
		o := good
		self := *good.Self
		o.Self = &self
		spoil(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
