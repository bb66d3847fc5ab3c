package check

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

var now = time.UnixMilli(1_790_000_000_000)

func report(id string, voter bool, s *fairlanev1.StatusResponse) *fairlanev1.NodeReport {
	r := &fairlanev1.NodeReport{Member: &fairlanev1.Member{NodeId: id, Voter: voter}, Status: s}
	if s == nil {
		r.Unreachable = "no answer in time"
	} else {
		s.NodeId = id
	}
	return r
}

func fit() *fairlanev1.StatusResponse { return &fairlanev1.StatusResponse{} }

func TestCluster(t *testing.T) {
	certificate := func(left time.Duration) *fairlanev1.StatusResponse {
		return &fairlanev1.StatusResponse{Certificate: &fairlanev1.Certificate{NotAfterMs: now.Add(left).UnixMilli()}}
	}
	leads, none := &fairlanev1.StatusResponse{NodeId: "a", LeaderId: "a"}, &fairlanev1.StatusResponse{NodeId: "a"}
	for name, c := range map[string]struct {
		asked *fairlanev1.StatusResponse
		nodes []*fairlanev1.NodeReport
		want  State
		text  string
	}{
		"all well":           {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, fit()), report("c", true, fit())}, OK, "3 of 3 voters are fit, 1 may still fail"},
		"one voter":          {leads, []*fairlanev1.NodeReport{report("a", true, fit())}, OK, "1 of 1"},
		"one away":           {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, fit()), report("c", true, nil)}, Warning, "node c does not answer: no answer in time"},
		"one of five away":   {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, fit()), report("c", true, fit()), report("d", true, fit()), report("e", true, nil)}, Warning, "node e does not answer"},
		"majority away":      {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, nil), report("c", true, nil)}, Critical, "1 of 3 voters are fit and 2 must agree"},
		"no leader":          {none, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, fit()), report("c", true, fit())}, Critical, "node a knows of no leader"},
		"follower away":      {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", false, nil)}, Warning, "node b does not answer"},
		"not ready":          {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, &fairlanev1.StatusResponse{NotReady: "behind"}), report("c", true, fit())}, Warning, "node b is not ready: behind"},
		"does not lead":      {leads, []*fairlanev1.NodeReport{report("a", true, fit()), report("b", true, &fairlanev1.StatusResponse{NotLeading: "its disk is full"}), report("c", true, fit())}, Warning, "its disk is full"},
		"certificate soon":   {leads, []*fairlanev1.NodeReport{report("a", true, certificate(100*time.Hour))}, Warning, "ends in 100h0m0s"},
		"certificate ended":  {leads, []*fairlanev1.NodeReport{report("a", true, certificate(-time.Hour))}, Critical, "ended 1h0m0s ago"},
		"certificate is new": {leads, []*fairlanev1.NodeReport{report("a", true, certificate(1000*time.Hour))}, OK, ""},
		"former version":     {leads, nil, Unknown, "former version"},
	} {
		r := Cluster(c.asked, c.nodes, Limits{Warn: 0, Crit: -1}, 14, now)
		if r.State != c.want || !strings.Contains(r.Text, c.text) {
			t.Errorf("%s: %v %q %q", name, r.State, r.Text, r.More)
		}
	}
}

func TestQueueWorkersLag(t *testing.T) {
	queue := func(pending, oldest int64, paused bool) *fairlanev1.Queue {
		return &fairlanev1.Queue{Name: "q", Counts: &fairlanev1.QueueCounts{Pending: pending}, OldestWaitMs: oldest, Paused: paused}
	}
	worker := func(draining bool, chain ...string) *fairlanev1.Worker {
		return &fairlanev1.Worker{Draining: draining, Lanes: []*fairlanev1.LaneStatus{{Lane: &fairlanev1.Lane{Chain: chain, Slots: 2}, Running: 1}}}
	}
	behind := func(id string, commit, applied uint64) *fairlanev1.NodeReport {
		return report(id, true, &fairlanev1.StatusResponse{CommitIndex: commit, AppliedIndex: applied})
	}
	times, few, entries := Limits{300, 1800}, Limits{1, 0}, Limits{100, 1000}
	for name, c := range map[string]struct {
		got  Result
		want State
	}{
		"empty queue":       {Queue(queue(0, -1, false), false, Limits{0, 0}), OK},
		"short wait":        {Queue(queue(4, 299_999, false), false, times), OK},
		"long wait":         {Queue(queue(4, 300_000, false), false, times), Warning},
		"too long wait":     {Queue(queue(4, 1_800_000, false), false, times), Critical},
		"few wait":          {Queue(queue(9, 1, false), true, Limits{10, 20}), OK},
		"many wait":         {Queue(queue(20, 1, false), true, Limits{10, 20}), Critical},
		"paused, empty":     {Queue(queue(0, -1, true), false, times), OK},
		"paused, waiting":   {Queue(queue(1, 5, true), false, times), Warning},
		"no worker":         {Workers(nil, nil, few), Critical},
		"one worker":        {Workers([]*fairlanev1.Worker{worker(false, "*")}, nil, few), Warning},
		"two workers":       {Workers([]*fairlanev1.Worker{worker(false, "*"), worker(false, "q")}, nil, few), OK},
		"they drain":        {Workers([]*fairlanev1.Worker{worker(true, "*"), worker(true, "*")}, nil, few), Critical},
		"taken by star":     {Workers([]*fairlanev1.Worker{worker(false, "a", "*"), worker(false, "b")}, []*fairlanev1.Queue{queue(1, 1, false)}, few), OK},
		"taken by name":     {Workers([]*fairlanev1.Worker{worker(false, "a", "q"), worker(false, "b")}, []*fairlanev1.Queue{queue(1, 1, false)}, few), OK},
		"nobody takes it":   {Workers([]*fairlanev1.Worker{worker(false, "a"), worker(false, "b")}, []*fairlanev1.Queue{queue(1, 1, false)}, few), Warning},
		"nobody, none wait": {Workers([]*fairlanev1.Worker{worker(false, "a"), worker(false, "b")}, []*fairlanev1.Queue{queue(0, -1, false)}, few), OK},
		"no lag":            {Lag([]*fairlanev1.NodeReport{behind("a", 500, 500), behind("b", 450, 450)}, entries), OK},
		"lag":               {Lag([]*fairlanev1.NodeReport{behind("a", 500, 500), behind("b", 400, 400)}, entries), Warning},
		"great lag":         {Lag([]*fairlanev1.NodeReport{behind("a", 5000, 5000), behind("b", 400, 400), report("c", true, nil)}, entries), Critical},
		"nobody told":       {Lag([]*fairlanev1.NodeReport{report("c", true, nil)}, entries), Unknown},
		"ahead of itself":   {Lag([]*fairlanev1.NodeReport{behind("a", 5, 50)}, entries), OK},
	} {
		if c.got.State != c.want || c.got.Text == "" {
			t.Errorf("%s: %v %q %q", name, c.got.State, c.got.Text, c.got.More)
		}
	}
}

func TestFormats(t *testing.T) {
	l := Limits{5, 10}
	r := Result{Check: "lag", State: Warning, Text: "a | b\nc", More: []string{"a | b\nc", "second"}, Values: []Value{l.value("wait", 7.5, "s"), {Name: "n", Value: 3}}}
	for format, want := range map[string]string{
		FormatText:   "WARNING: a | b c\n  second\n",
		FormatNagios: "FAIRLANE LAG WARNING - a / b c; second | wait=7.5s;5;10 n=3;;\n",
		FormatPrometheus: "# HELP fairlane_check_state 0 ok, 1 warning, 2 critical, 3 unknown.\n# TYPE fairlane_check_state gauge\nfairlane_check_state{check=\"lag\"} 1\n" +
			"# TYPE fairlane_check_lag_wait_seconds gauge\nfairlane_check_lag_wait_seconds 7.5\n# TYPE fairlane_check_lag_n gauge\nfairlane_check_lag_n 3\n",
	} {
		var out strings.Builder
		if err := r.Print(&out, format); err != nil || out.String() != want || !KnownFormat(format) {
			t.Errorf("%s: %q, %v", format, out.String(), err)
		}
	}
	var out strings.Builder
	var parsed struct {
		State  string
		Code   int
		Values []Value
	}
	if err := r.Print(&out, FormatJSON); err != nil || json.Unmarshal([]byte(out.String()), &parsed) != nil || parsed.State != "warning" || parsed.Code != 1 || len(parsed.Values) != 2 {
		t.Errorf("%s %v", out.String(), err)
	}
}

func TestLimits(t *testing.T) {
	if l, err := ParseLimits("90s", "1h", Duration); err != nil || l != (Limits{90, 3600}) {
		t.Errorf("%v %v", l, err)
	}
	for _, bad := range [][2]string{{"x", "1"}, {"1", "x"}, {"1.5", "2"}, {"99999999999", "1"}} {
		if _, err := ParseLimits(bad[0], bad[1], Count); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := ParseLimits("-5s", "1h", Duration); err == nil {
		t.Error("a negative time was taken")
	}
}
