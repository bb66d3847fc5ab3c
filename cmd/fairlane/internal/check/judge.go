package check

import (
	"fmt"
	"slices"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Cluster judges the nodes. The limits are how many more voters may fail before nothing is decided any longer. reports are nil when the node
// that was asked is of a former version: then all that is known is whether there is a leader.
func Cluster(s *fairlanev1.StatusResponse, reports []*fairlanev1.NodeReport, l Limits, certificateDays int, now time.Time) Result {
	var r Result
	if s.GetLeaderId() == "" {
		r.raise(Critical, "node "+s.GetNodeId()+" knows of no leader")
	}
	if reports == nil {
		if r.State == OK {
			r.raise(Unknown, "the node that answered is of a former version and cannot ask the others")
		}
		return r
	}
	voters, healthy := 0, 0
	for _, n := range reports {
		id, status := n.GetMember().GetNodeId(), n.GetStatus()
		fit := status != nil && status.GetNotReady() == ""
		if n.GetMember().GetVoter() {
			voters++
			if fit {
				healthy++
			}
		}
		switch {
		case status == nil:
			r.raise(Warning, "node "+id+" does not answer: "+n.GetUnreachable())
		case !fit:
			r.raise(Warning, "node "+id+" is not ready: "+status.GetNotReady())
		}
		if why := status.GetNotLeading(); why != "" {
			r.raise(Warning, "node "+id+" does not lead: "+why)
		}
		r.certificate(id, status.GetCertificate(), certificateDays, now)
	}
	spare := healthy - (voters/2 + 1)
	// One voter alone can never spare one: that is how it is meant, and no news.
	if state := l.below(float64(spare)); voters > 1 || spare < 0 {
		if state != OK {
			r.raise(state, fmt.Sprintf("%d of %d voters are fit and %d must agree: %d may still fail", healthy, voters, voters/2+1, max(spare, 0)))
		}
	}
	r.Values = []Value{
		{Name: "nodes", Value: float64(len(reports))}, {Name: "voters", Value: float64(voters)},
		{Name: "healthy_voters", Value: float64(healthy)}, l.value("spare_voters", float64(spare), ""),
	}
	if r.State == OK {
		r.Text = fmt.Sprintf("node %s leads; %d of %d voters are fit, %d may still fail", s.GetLeaderId(), healthy, voters, spare)
	}
	return r
}

func (r *Result) certificate(id string, c *fairlanev1.Certificate, days int, now time.Time) {
	if c == nil {
		return
	}
	left := time.UnixMilli(c.GetNotAfterMs()).Sub(now)
	switch {
	case left <= 0:
		r.raise(Critical, fmt.Sprintf("the certificate of node %s ended %v ago", id, (-left).Round(time.Minute)))
	case left < time.Duration(days)*24*time.Hour:
		r.raise(Warning, fmt.Sprintf("the certificate of node %s ends in %v", id, left.Round(time.Minute)))
	}
}

// Queue judges how long its oldest job has waited, or how many wait.
func Queue(q *fairlanev1.Queue, byJobs bool, l Limits) Result {
	var r Result
	waiting := float64(q.GetCounts().GetPending())
	oldest := max(0, float64(q.GetOldestWaitMs())/1000) // -1: none waits
	text := fmt.Sprintf("%d jobs wait in queue %s, the oldest for %v", q.GetCounts().GetPending(), q.GetName(), time.Duration(oldest*float64(time.Second)).Round(time.Millisecond))
	judged := oldest
	if byJobs {
		judged = waiting
	}
	r.Text = text
	if state := l.above(judged); state != OK && waiting > 0 {
		r.raise(state, text)
	}
	if q.GetPaused() && waiting > 0 {
		r.raise(Warning, fmt.Sprintf("queue %s is paused, and %d jobs wait", q.GetName(), q.GetCounts().GetPending()))
	}
	oldestValue, waitingValue := Value{Name: "oldest_wait", Value: oldest, Unit: "s"}, Value{Name: "pending", Value: waiting}
	if byJobs {
		waitingValue = l.value("pending", waiting, "")
	} else {
		oldestValue = l.value("oldest_wait", oldest, "s")
	}
	r.Values = []Value{oldestValue, waitingValue, {Name: "running", Value: float64(q.GetCounts().GetRunning())}, {Name: "users", Value: float64(q.GetUsers())}}
	return r
}

// Workers judges how many take jobs, and whether each queue with waiting jobs has one that takes it.
func Workers(workers []*fairlanev1.Worker, queues []*fairlanev1.Queue, l Limits) Result {
	var r Result
	live, draining := 0, 0
	slots, used := 0, 0
	var chains [][]string
	for _, w := range workers {
		if w.GetDraining() {
			draining++
			continue
		}
		live++
		for _, lane := range w.GetLanes() {
			slots += int(lane.GetLane().GetSlots())
			used += int(lane.GetRunning())
			chains = append(chains, lane.GetLane().GetChain())
		}
	}
	if state := l.below(float64(live)); state != OK {
		r.raise(state, fmt.Sprintf("%d workers take jobs (%d drain)", live, draining))
	}
	for _, q := range queues {
		taken := slices.ContainsFunc(chains, func(chain []string) bool {
			return slices.Contains(chain, "*") || slices.Contains(chain, q.GetName())
		})
		if q.GetCounts().GetPending() > 0 && !taken {
			r.raise(Warning, fmt.Sprintf("%d jobs wait in queue %s, which no worker takes", q.GetCounts().GetPending(), q.GetName()))
		}
	}
	r.Values = []Value{
		l.value("workers", float64(live), ""), {Name: "draining", Value: float64(draining)},
		{Name: "slots", Value: float64(slots)}, {Name: "slots_used", Value: float64(used)},
	}
	if r.State == OK {
		r.Text = fmt.Sprintf("%d workers take jobs, %d of %d slots are used", live, used, slots)
	}
	return r
}

// Lag judges how far the slowest node's state is behind what is committed. Nodes that do not answer are for Cluster to tell.
func Lag(reports []*fairlanev1.NodeReport, l Limits) Result {
	var r Result
	committed := uint64(0)
	for _, n := range reports {
		committed = max(committed, n.GetStatus().GetCommitIndex())
	}
	worst, who := uint64(0), ""
	for _, n := range reports {
		s := n.GetStatus()
		if s == nil {
			continue
		}
		if behind := committed - min(committed, s.GetAppliedIndex()); who == "" || behind > worst {
			worst, who = behind, s.GetNodeId()
		}
	}
	if who == "" {
		r.raise(Unknown, "no node told its index")
		return r
	}
	r.Text = fmt.Sprintf("the slowest node, %s, is %d log entries behind", who, worst)
	if state := l.above(float64(worst)); state != OK {
		r.raise(state, r.Text)
	}
	r.Values = []Value{l.value("entries", float64(worst), ""), {Name: "committed", Value: float64(committed)}}
	return r
}
