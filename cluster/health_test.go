package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// voters with the ids a, b, c and so on; own is the first.
func votersOf(n int) (servers []raft.Server) {
	for i := range n {
		servers = append(servers, raft.Server{ID: raft.ServerID(rune('a' + i)), Suffrage: raft.Voter})
	}
	return servers
}

func TestClockIsJudgedByTheMedian(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name   string
		voters int
		ahead  []time.Duration // of the others that answer: b, c and so on
		before string
		known  bool
		offset time.Duration
		unfit  bool
	}{
		{"alone", 1, nil, "", true, 0, false},
		{"nobody answers", 3, nil, "", false, 0, false},
		{"all agree", 3, []time.Duration{0, s}, "", true, 0, false},
		{"behind two", 3, []time.Duration{10 * s, 11 * s}, "", true, -10 * s, true},
		{"ahead of two", 3, []time.Duration{-6 * s, -7 * s}, "", true, 6 * s, true},
		{"exactly at the limit", 3, []time.Duration{-5 * s, -9 * s}, "", true, 5 * s, false},
		{"not yet close again", 3, []time.Duration{-4500 * time.Millisecond, -9 * s}, "was off", true, 4500 * time.Millisecond, true},
		{"close again", 3, []time.Duration{-4 * s, -9 * s}, "was off", true, 4 * s, false},
		{"in the middle", 3, []time.Duration{-10 * s, 10 * s}, "", true, 0, false},
		{"of two the earlier is right: ahead", 3, []time.Duration{-10 * s}, "", true, 10 * s, true},
		{"of two the earlier is right: behind", 3, []time.Duration{10 * s}, "", true, 0, false},
		{"two of five are no majority", 5, []time.Duration{10 * s}, "", false, 0, false},
	} {
		h := health{heard: map[string]heard{}, clock: clockJudgement{reason: c.before}}
		for i, ahead := range c.ahead {
			h.heard[string(rune('b'+i))] = heard{ahead: ahead, timed: true, at: time.Now()}
		}
		h.judgeClock("a", votersOf(c.voters))
		if h.clock.known != c.known || h.clock.offset != c.offset || (h.clock.reason != "") != c.unfit {
			t.Errorf("%s: %+v, want known %v, offset %v, unfit %v", c.name, h.clock, c.known, c.offset, c.unfit)
		}
	}
	h := health{heard: map[string]heard{"b": {ahead: 10 * s, timed: true, at: time.Now().Add(-2 * heardAge)}, "c": {ahead: 10 * s, at: time.Now()}}}
	if h.judgeClock("a", votersOf(3)); h.clock.known {
		t.Error("old and slow answers were counted")
	}
}

// say lets the nodes of a world hear what edit makes of each other, as if they had asked, until the condition holds.
func (w *world) say(what string, edit func(from *Node, said *Neighbour), done func() bool) {
	w.t.Helper()
	w.until(what, func() bool {
		for _, to := range w.nodes {
			for _, from := range w.nodes {
				if from != to {
					self := from.Introduction()
					said := Neighbour{ID: self.ID, ClockMillis: self.ClockMillis, LeaderID: self.LeaderID, NotLeading: from.NotLeading() != ""}
					edit(from, &said)
					to.Heard(said)
				}
			}
		}
		return done()
	})
}

// A leader whose clock is off gives its leadership to a node whose clock is right, says by how much, and may lead again when it is right.
func TestLeaderWithAWrongClockGivesWay(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	wrong := w.leader()
	off := func(from *Node, said *Neighbour) {
		if from != wrong { // to the wrong one they are behind
			said.ClockMillis -= 8000
		}
	}
	w.say("another leader", func(from *Node, said *Neighbour) {
		off(from, said)
	}, func() bool { return !wrong.IsLeader() && wrong.raft.State() == raft.Follower })
	if why := wrong.Status().NotLeading; !strings.Contains(why, "ahead of the median of the 3 voters") || !strings.Contains(why, "8") {
		t.Errorf("it says %q", why)
	}
	w.say("the clock to be right", func(*Node, *Neighbour) {}, func() bool { return wrong.Status().NotLeading == "" })
}

// A leader that reaches the others, and that a majority cannot reach, gives its leadership away.
func TestLeaderThatNobodyReachesGivesWay(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	cut := w.leader()
	one := cut.Status().Members
	w.say("time to pass", func(from *Node, said *Neighbour) {
		if from.ID() == one[1].ID { // one alone is no majority
			said.LeaderUnreachable = time.Minute
		}
	}, func() bool { return cut.cutOff() == "" && cut.IsLeader() })
	w.say("another leader", func(from *Node, said *Neighbour) {
		if said.LeaderID == cut.ID() {
			said.LeaderUnreachable = unreachable + time.Second
		}
	}, func() bool { return !cut.IsLeader() && cut.raft.State() == raft.Follower })
}

func TestUnreachableLeaderIsCounted(t *testing.T) {
	w := newWorld(t, StoreWAL, 2, nil)
	follower := w.nodes[0]
	if follower == w.leader() {
		follower = w.nodes[1]
	}
	for range 6 {
		follower.Missed(w.leader().ID())
	}
	if got := follower.LeaderUnreachable(); got != 6*AskEvery {
		t.Errorf("unreachable for %v after six attempts", got)
	}
	follower.Reached(w.leader().ID())
	if got := follower.LeaderUnreachable(); got != 0 {
		t.Errorf("unreachable for %v after an answer", got)
	}
	follower.Missed("nobody")
	w.until("a stranger to be forgotten", func() bool {
		follower.health.mu.Lock()
		defer follower.health.mu.Unlock()
		return len(follower.health.missed) == 0
	})
}

// The heir is a voter that answers, whose clock is right and that may lead.
func TestHeir(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	leader := w.leader()
	var others []string
	for _, n := range w.nodes {
		if n != leader {
			others = append(others, n.ID())
		}
	}
	if _, found := leader.heir(false); found {
		t.Error("an heir was found though nobody answered")
	}
	now := leader.config.Clock.WallMillis()
	leader.Heard(Neighbour{ID: others[0], ClockMillis: now, NotLeading: true})
	if _, found := leader.heir(false); found {
		t.Error("an heir was found that may not lead")
	}
	if to, found := leader.heir(true); !found || string(to.ID) != others[0] {
		t.Error("for the sake of the clock it would do")
	}
	leader.Heard(Neighbour{ID: others[1], ClockMillis: now})
	for _, forClock := range []bool{false, true} {
		if to, found := leader.heir(forClock); !found || string(to.ID) != others[1] {
			t.Errorf("the heir is %v", to)
		}
	}
}

// While nothing that waits gets done, or a transfer of leadership blocks all, the process ends; while it only waits for work, it does not.
func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    func(look int) vitals
		looks int // at which it ends; 0: never
	}{
		{"idle", func(int) vitals { return vitals{applied: 7} }, 0},
		{"busy", func(look int) vitals { return vitals{applied: uint64(look), waiting: true} }, 0},
		{"slow", func(look int) vitals { return vitals{applied: uint64(look / 15), waiting: true} }, 0},
		{"without effect", func(int) vitals { return vitals{applied: 7, waiting: true} }, 22},
		{"transfers", func(look int) vitals {
			return vitals{applied: uint64(look / 10), waiting: true, inHandOff: look%10 < 4}
		}, 0},
		{"stuck transfer", func(int) vitals { return vitals{applied: 7, inHandOff: true} }, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d watchdog
			ended := 0
			for look := 1; look <= 200 && ended == 0; look++ {
				if d.look(c.at(look)) != nil {
					ended = look
				}
			}
			if c.looks == 0 && ended != 0 || c.looks != 0 && (ended < c.looks-1 || ended > c.looks) {
				t.Error(fmt.Sprintf("ended at look %d, want %d", ended, c.looks))
			}
		})
	}
}
