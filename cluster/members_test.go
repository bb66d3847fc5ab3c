package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// voters of the cluster, as its leader knows them.
func (w *world) voters() (count int) {
	for _, m := range w.leader().Status().Members {
		if m.Voter {
			count++
		}
	}
	return count
}

// untilRules waits until the state remembers removals.
func (w *world) untilRules() {
	w.t.Helper()
	w.until("the rules of the members' changes", func() bool { return w.leader().rulesInForce() >= memberRules })
}

func (w *world) followers() (list []*Node) {
	leader := w.leader()
	for _, n := range w.nodes {
		if n != leader {
			list = append(list, n)
		}
	}
	return list
}

func (w *world) drop(gone *Node) {
	for i, n := range w.nodes {
		if n == gone {
			w.nodes = append(w.nodes[:i:i], w.nodes[i+1:]...)
		}
	}
}

func (w *world) member(id string) (found Member, in bool) {
	for _, m := range w.leader().Status().Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// A node that joins votes only after Timing.PromoteAfter.
func TestPromotionTakesItsTime(t *testing.T) {
	const after = 1200 * time.Millisecond
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Timing.PromoteAfter = after })
	w.nodes = append(w.nodes, w.open(t.TempDir(), false))
	began := time.Now()
	w.join(w.nodes[1])
	w.until("the node to vote", func() bool { return w.voters() == 2 })
	if took := time.Since(began); took < after {
		t.Errorf("the node voted after %v, it was to be looked at for %v", took, after)
	}
}

// A change that was made from an older configuration does nothing; so does one of a node that is none, or that would endanger the cluster.
func TestChangesAreCompared(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	w.untilRules()
	leader := w.leader()
	w.propose(leader, checkpoint()) // by then the last promotion is committed
	now := leader.Status().ConfigurationIndex
	other := w.followers()[0].ID()
	var stale *ConfigurationError
	if _, err := leader.RemoveNode(w.limit(10*time.Second), other, now-1); !errors.As(err, &stale) || stale.Now != now {
		t.Errorf("removal from an older configuration: %v", err)
	}
	var unknown *UnknownNodeError
	if _, err := leader.RemoveNode(w.limit(10*time.Second), "nobody", 0); !errors.As(err, &unknown) {
		t.Errorf("removal of nobody: %v", err)
	}
	if _, err := w.followers()[0].RemoveNode(w.limit(10*time.Second), other, 0); !errors.Is(err, ErrNotLeader) {
		t.Errorf("removal by a follower: %v", err)
	}
	if got := leader.Status().ConfigurationIndex; got != now || w.voters() != 3 {
		t.Errorf("the configuration is %d after refusals, was %d", got, now)
	}
	index, err := leader.DemoteNode(w.limit(10*time.Second), other, now)
	if err != nil || index <= now {
		t.Fatalf("demotion: %d, %v", index, err)
	}
	if _, err := leader.PromoteNode(w.limit(10*time.Second), other, now); !errors.As(err, &stale) {
		t.Errorf("promotion from an older configuration: %v", err)
	}
}

// raft itself refuses a change that was made from another configuration than its own.
func TestRaftComparesToo(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	leader := w.leader()
	r := leader.roster()
	r.index--
	server, _ := serverOf(r.servers, raft.ServerID(w.followers()[0].ID()))
	var stale *ConfigurationError
	err := leader.reconfigure(w.limit(10*time.Second), r, leader.raft.RemoveServer(server.ID, r.index, 0))
	if !errors.As(err, &stale) || w.voters() != 3 {
		t.Errorf("%v, %d voters", err, w.voters())
	}
}

// While one of three voters is gone, none of the others can be removed or demoted; the one that is gone can.
func TestUnsafeChangesAreRefused(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	w.untilRules()
	leader, gone, other := w.leader(), w.followers()[0], w.followers()[1]
	w.close(gone)
	w.until("the leader to miss a voter", func() bool { return !leader.answers(raft.ServerID(gone.ID())) })
	for what, change := range map[string]func() (uint64, error){
		"removal":               func() (uint64, error) { return leader.RemoveNode(w.limit(10*time.Second), other.ID(), 0) },
		"demotion":              func() (uint64, error) { return leader.DemoteNode(w.limit(10*time.Second), other.ID(), 0) },
		"removal of the leader": func() (uint64, error) { return leader.RemoveNode(w.limit(10*time.Second), leader.ID(), 0) },
		"promotion of the dead": func() (uint64, error) { return leader.PromoteNode(w.limit(10*time.Second), gone.ID(), 0) },
	} {
		_, err := change()
		var unsafe *UnsafeChangeError
		if what == "promotion of the dead" {
			if err != nil { // it is a voter already
				t.Errorf("%s: %v", what, err)
			}
		} else if !errors.As(err, &unsafe) || !strings.Contains(unsafe.Why, "1 of the 2 voters") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if w.leader() != leader || w.voters() != 3 {
		t.Fatalf("the members changed: %v", leader.Status().Members)
	}
	if _, err := leader.RemoveNode(w.limit(10*time.Second), gone.ID(), 0); err != nil || w.voters() != 2 {
		t.Errorf("removal of the dead voter: %v, %d voters", err, w.voters())
	}
	if _, err := leader.RemoveNode(w.limit(10*time.Second), gone.ID(), 0); err != nil {
		t.Errorf("the same removal again: %v", err)
	}
	w.drop(gone)
	w.sameDigests()
}

func TestLastVoterStays(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	w.untilRules()
	leader := w.leader()
	for _, change := range []func() (uint64, error){
		func() (uint64, error) { return leader.RemoveNode(w.limit(10*time.Second), leader.ID(), 0) },
		func() (uint64, error) { return leader.DemoteNode(w.limit(10*time.Second), leader.ID(), 0) },
	} {
		var unsafe *UnsafeChangeError
		if _, err := change(); !errors.As(err, &unsafe) || unsafe.Why != "it is the last voter" {
			t.Errorf("%v", err)
		}
	}
}

// A demoted node is not promoted again by itself, also not under the next leader; by hand it is.
func TestDemotedStaysDemoted(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	w.untilRules()
	demoted := w.followers()[0]
	if _, err := w.leader().DemoteNode(w.limit(10*time.Second), demoted.ID(), 0); err != nil {
		t.Fatal(err)
	}
	to, err := w.leader().TransferLeadership(w.limit(10*time.Second), "")
	if err != nil {
		t.Fatal(err)
	}
	w.until("the next leader", func() bool { return w.leader().ID() == to })
	w.nodes = append(w.nodes, w.open(t.TempDir(), false))
	w.join(w.nodes[3]) // by the time that it votes the demoted one would, too
	w.until("the node to vote", func() bool { m, _ := w.member(w.nodes[3].ID()); return m.Voter })
	if m, in := w.member(demoted.ID()); !in || m.Voter {
		t.Errorf("the demoted node: %+v", m)
	}
	if _, err := w.leader().PromoteNode(w.limit(10*time.Second), demoted.ID(), 0); err != nil {
		t.Fatal(err)
	}
	if m, _ := w.member(demoted.ID()); !m.Voter || w.leader().record(demoted.ID()).GetDemoted() {
		t.Errorf("the promoted node: %+v", m)
	}
}

// Removing the leader: it hands over and says that another one is to be asked, which does it.
func TestRemovalOfTheLeader(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	w.untilRules()
	former := w.leader()
	if _, err := former.RemoveNode(w.limit(10*time.Second), former.ID(), 0); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("%v", err)
	}
	w.until("another leader", func() bool { return w.leader() != former })
	if _, err := w.leader().RemoveNode(w.limit(10*time.Second), former.ID(), 0); err != nil {
		t.Fatal(err)
	}
	if _, in := w.member(former.ID()); in || !w.leader().wasRemoved(former.ID()) {
		t.Errorf("the former leader is a member: %v, remembered: %v", in, w.leader().wasRemoved(former.ID()))
	}
	var removed *RemovedError
	s := former.Status()
	if err := w.leader().AddNode(w.limit(10*time.Second), s.ID, s.RaftAddress, s.APIAddress, s.Rules); !errors.As(err, &removed) {
		t.Errorf("the removed node joined: %v", err)
	}
}

// What a leader that ended in between did not record is finished by the next look, and a join in between is refused.
func TestRemovalIsFinished(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	w.untilRules()
	leader, gone := w.leader(), w.followers()[0]
	w.close(gone)
	if err := await(w.limit(10*time.Second), leader.raft.RemoveServer(raft.ServerID(gone.ID()), 0, 0)); err != nil {
		t.Fatal(err)
	}
	w.until("the removal to be recorded", func() bool { return leader.wasRemoved(gone.ID()) })
	leader.View(func(m *fsm.Machine) {
		if nodeOf(m.Nodes(), gone.ID()) != nil {
			t.Error("the record of the removed node is still there")
		}
	})
}

// A dead voter stays until a successor votes, and goes then.
func TestDeadVoterIsReplaced(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.Timing.DeadAfter = 4 * time.Second })
	w.untilRules()
	leader, dead := w.leader(), w.followers()[0]
	w.close(dead)
	w.until("the leader to miss a voter", func() bool { return !leader.answers(raft.ServerID(dead.ID())) })
	w.until("it to count as dead", func() bool { return time.Since(leader.wire.contact(raft.ServerID(dead.ID())).answered) > 5*time.Second })
	if _, in := w.member(dead.ID()); !in {
		t.Fatal("a dead voter without a successor was removed")
	}
	w.drop(dead)
	w.nodes = append(w.nodes, w.open(t.TempDir(), false))
	w.join(w.nodes[2])
	w.until("the dead voter to be removed", func() bool { _, in := w.member(dead.ID()); return !in })
	if m, _ := w.member(w.nodes[2].ID()); !m.Voter || w.voters() != 3 {
		t.Errorf("the members after it: %v", leader.Status().Members)
	}
	w.sameDigests()
}

// A voter that comes back after a successor has come stays.
func TestRevivedVoterStays(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.Timing.DeadAfter = time.Hour })
	w.untilRules()
	leader, away := w.leader(), w.followers()[0]
	w.close(away)
	w.until("the leader to miss a voter", func() bool { return !leader.answers(raft.ServerID(away.ID())) })
	fresh := w.open(t.TempDir(), false)
	w.drop(away)
	w.nodes = append(w.nodes, fresh)
	w.join(fresh)
	w.until("the successor to vote", func() bool { m, _ := w.member(fresh.ID()); return m.Voter })
	if got := leader.record(away.ID()).GetSuccessor(); got != fresh.ID() {
		t.Fatalf("the successor is %q, want %s", got, fresh.ID())
	}
	back := w.reopen(away)
	w.nodes = append(w.nodes, back)
	w.until("the voter to count again", func() bool { return leader.record(back.ID()).GetSuccessor() == "" })
	if w.voters() != 4 {
		t.Errorf("%d voters, want 4", w.voters())
	}
}

// A removed node ends with the reason, does not start on its data again, and begins anew when it is told to; its old data are kept.
func TestRemovedNodeEnds(t *testing.T) {
	fatal := make(chan error, 1)
	w := newWorld(t, StoreWAL, 1, nil)
	w.untilRules()
	dir := t.TempDir()
	c := w.config(dir)
	c.OnFatal = func(err error) { fatal <- err }
	node := w.start(c)
	w.nodes = append(w.nodes, node)
	w.join(node)
	w.until("the node to vote", func() bool { return w.voters() == 2 })
	id := node.ID()
	if _, err := w.nodes[0].RemoveNode(w.limit(10*time.Second), id, 0); err != nil {
		t.Fatal(err)
	}
	node.Expelled("the test says so") // its own log may have said so before
	var removed *RemovedError
	select {
	case err := <-fatal:
		if !errors.As(err, &removed) || ExitCode(err) != exitFatal {
			t.Fatalf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the removed node goes on")
	}
	if err := w.nodes[0].AddNode(w.limit(10*time.Second), id, "127.0.0.1:1", "", fsm.Rules); !errors.As(err, &removed) {
		t.Errorf("the leader takes a removed node in: %v", err)
	}
	w.close(node)
	w.drop(node)
	if _, err := Open(w.config(dir)); !errors.As(err, &removed) || removed.ID != id || !strings.Contains(err.Error(), "--rejoin") {
		t.Fatalf("a removed node was started again: %v", err)
	}
	c = w.config(dir)
	c.Rejoin = true
	again := w.start(c)
	w.nodes = append(w.nodes, again)
	if again.ID() == id {
		t.Error("the node came back under its old id")
	}
	if kept, err := filepath.Glob(filepath.Join(dir, asidePrefix+"*", identityFile)); err != nil || len(kept) != 1 {
		t.Errorf("the old data: %v %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(dir, removedFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark of the removal: %v", err)
	}
	w.join(again)
	w.until("the node to vote", func() bool { return w.voters() == 2 })
	w.sameDigests()
}

// --rejoin may stay in place: on data of a node that was not removed it does nothing; together with --bootstrap it is refused.
func TestRejoinOfAMember(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	id := w.nodes[0].ID()
	w.close(w.nodes[0])
	c := w.config(w.nodes[0].config.DataDir)
	c.Rejoin, c.Bootstrap = true, true
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "--join") {
		t.Errorf("--rejoin with --bootstrap: %v", err)
	}
	c.Bootstrap = false
	if w.nodes[0] = w.start(c); w.nodes[0].ID() != id {
		t.Error("the data of a member were set aside")
	}
	w.leader()
}

// A data directory is set aside wholly, also when the attempt before was cut short.
func TestSetAsideAgain(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{removedFile, "stable.db", "wal/1", asidePrefix + "before/node_id"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := setAside(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), asidePrefix) {
			t.Errorf("%s is still there", e.Name())
		}
	}
}
