package cluster

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// patient is a cluster of three whose leader makes no entry of its own, and waits for the callers whom it answered however slow the machine is.
func patient(t *testing.T) (w *world, leader *Node) {
	w = newWorld(t, StoreWAL, 3, nil)
	leader = w.leader()
	w.until("the cluster to be named", func() (done bool) { // else that takes an entry in the midst of a test
		leader.View(func(m *fsm.Machine) {
			id, _ := m.ClusterID()
			done = id != "" && len(m.Nodes()) == 3
		})
		return done
	})
	l := leader.leading.Load()
	l.idle.Store(int64(time.Hour))
	l.patience.Store(int64(10 * time.Second))
	return w, leader
}

// A claim that waits takes its job in the very entry that enqueues it, and the finish takes one more: two entries for a job.
func TestParkedJobTakesTwoEntries(t *testing.T) {
	w, leader := patient(t)
	session := w.worker(leader, "worker", 1)
	leader.leading.Load().patience.Store(0) // nobody comes back by himself here
	w.propose(leader, checkpoint())         // whatever was still to come has an entry now
	const jobs = 50
	before := leader.raft.LastIndex()
	for range jobs {
		waiting := w.claimLater(leader, session, time.Minute)
		w.parked(leader, 1)
		enqueued := w.propose(leader, enqueue(1))
		waiting.wait(t)
		if waiting.err != nil || waiting.result.GetIndex() != enqueued.GetIndex() {
			t.Fatalf("enqueued in entry %d, started in %d: %v", enqueued.GetIndex(), waiting.result.GetIndex(), waiting.err)
		}
		w.propose(leader, finish(session, waiting.result.GetClaim().GetFence()))
	}
	if entries := leader.raft.LastIndex() - before; entries > 2*jobs {
		t.Errorf("%d jobs took %d log entries", jobs, entries)
	}
}

// One producer and one worker, each with one call in flight: by gathering, the finish of a job, the next enqueue and its claim share an entry.
func TestGatheredJobTakesAboutOneEntry(t *testing.T) {
	w, leader := patient(t)
	session := w.worker(leader, "worker", 1)
	const jobs = 500
	before := leader.raft.LastIndex()
	together(2, func(i int) {
		if i == 0 {
			produce(t, leader, jobs)
		} else {
			work(t, leader, session, jobs)
		}
	})
	entries := leader.raft.LastIndex() - before
	t.Logf("%.3f entries a job", float64(entries)/jobs)
	if entries > jobs*110/100 {
		t.Errorf("%d jobs took %d log entries", jobs, entries)
	}
}

func produce(t *testing.T, n *Node, jobs int) {
	for range jobs {
		if _, err := n.Propose(t.Context(), enqueue(1)); err != nil {
			t.Error(err)
			return
		}
	}
}

// work so many jobs, each finish with the claim of the next; what finds nothing waits.
func work(t *testing.T, n *Node, session uint64, jobs int) {
	var held *logv1.ClaimResult
	for done := 0; done < jobs; {
		if held.GetJob() == nil {
			result, _, err := n.Claim(t.Context(), claim(session), time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			held = result.GetClaim()
			continue
		}
		command := finish(session, held.GetFence())
		command.GetFinish().Next = &logv1.NextClaim{}
		result, err := n.Propose(t.Context(), command)
		if err != nil || result.GetFinish().GetRefusal() != nil {
			t.Error(result, err)
			return
		}
		held = result.GetFinish().GetNext()
		done++
	}
}

// What the proposer itself allocates for a command: from its caller to the bytes of the entry, and back.
func TestAllocationsOfTheProposer(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates too")
	}
	l := blocked(t)
	l.nextTick = time.Now().Add(time.Hour)
	const commands = 256
	all := make([]*logv1.Command, commands)
	for i := range all {
		all[i] = enqueue(1)
	}
	results := make([]*logv1.Result, commands)
	for i := range results {
		results[i] = &logv1.Result{}
	}
	each := testing.AllocsPerRun(20, func() {
		callers := make([]*pending, commands)
		for i, c := range all {
			callers[i] = newPending(c)
			if err := l.submit(t.Context(), callers[i]); err != nil {
				t.Fatal(err)
			}
		}
		b := l.pack()
		if len(b.pending) != commands {
			t.Fatalf("the batch holds %d commands", len(b.pending))
		}
		if _, err := proto.Marshal(&b.entry); err != nil {
			t.Fatal(err)
		}
		l.settle(b, fsm.Outcome{Results: results})
		for _, p := range callers {
			<-p.answered
		}
	}) / commands
	t.Logf("%.2f allocations a command", each)
	if each > 2.5 { // the pending command and the channel of its answer, and a share of what a batch needs
		t.Errorf("%.2f allocations a command", each)
	}
}
