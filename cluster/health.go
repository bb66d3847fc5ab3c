package cluster

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// healthLook is how often a node judges itself. Durations are counted in looks: a process that was frozen has not looked.
	healthLook = 500 * time.Millisecond
	// heardAge is how old the word of another member may be.
	heardAge = 3 * time.Second
	// reserveLooks between two attempts to make the reserve anew.
	reserveLooks = 120
	// AskEvery is how often each member is to be asked for a word of itself (Heard or Missed).
	AskEvery = time.Second
	// unreachable so long by a majority of the voters, a leader gives its leadership away.
	unreachable = 5 * time.Second
)

// Neighbour is what another member said of itself, when it was asked.
type Neighbour struct {
	ID string
	// ClockMillis is its wall clock when it answered, RoundTrip how long the answer took: a slow one tells nothing of the clock.
	ClockMillis int64
	RoundTrip   time.Duration
	// LeaderID as it knows it, and for how long it could not call that leader.
	LeaderID          string
	LeaderUnreachable time.Duration
	// NotLeading: something keeps it from leading.
	NotLeading bool
}

// health is what this node knows of its own fitness, and what the others said. The zero value knows nothing.
type health struct {
	mu     sync.Mutex
	heard  map[string]heard // by id, of members only
	missed map[string]int   // asked in vain so often in a row

	clock clockJudgement
	disk  string // why the disk keeps this node from leading; empty: it does not
}

type heard struct {
	Neighbour
	at    time.Time
	ahead time.Duration // of this node's clock
	timed bool          // ahead is known
}

// Heard takes down what a member said. One that is no member is forgotten at the next look.
func (n *Node) Heard(from Neighbour) {
	h := heard{Neighbour: from, at: time.Now(), timed: from.RoundTrip <= slowAnswer}
	h.ahead = time.Duration(from.ClockMillis-n.config.Clock.WallMillis())*time.Millisecond + from.RoundTrip/2
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	if n.health.heard == nil {
		n.health.heard = make(map[string]heard)
	}
	n.health.heard[from.ID] = h
	delete(n.health.missed, from.ID)
}

// Reached takes down that a member answered, though not what it was asked.
func (n *Node) Reached(id string) {
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	delete(n.health.missed, id)
}

// Missed takes down that a member was asked and could not be reached.
func (n *Node) Missed(id string) {
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	if n.health.missed == nil {
		n.health.missed = make(map[string]int)
	}
	n.health.missed[id]++
}

// LeaderUnreachable is for how long this node has asked its leader in vain; 0: it answers, there is none, or this is the leader.
func (n *Node) LeaderUnreachable() time.Duration {
	_, leader := n.raft.LeaderWithID()
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	return time.Duration(n.health.missed[string(leader)]) * AskEvery
}

// NotLeading says what keeps this node from leading; empty: nothing does.
func (n *Node) NotLeading() string {
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	var reasons []string
	for _, reason := range []string{n.health.clock.reason, n.health.disk} {
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// watchHealth judges this node for as long as it lives.
func (n *Node) watchHealth() {
	ticker := time.NewTicker(healthLook)
	defer ticker.Stop()
	if n.disk.hasGivenUp() {
		select { // a snapshot lets raft drop the log that fills the disk
		case n.machine.full <- struct{}{}:
		default:
		}
	}
	for looks := 1; ; looks++ {
		n.judge()
		if looks%reserveLooks == 0 {
			n.disk.keepReserve()
		}
		select {
		case <-ticker.C:
		case <-n.life.Done():
			return
		}
	}
}

// judge this node by its disk and, as far as others answer, by its clock.
func (n *Node) judge() {
	before := n.NotLeading()
	low := n.disk.look()
	servers := n.servers()
	n.health.mu.Lock()
	n.health.disk = low
	n.health.keepOnly(servers)
	n.health.judgeClock(n.id, servers)
	n.health.mu.Unlock()
	switch now := n.NotLeading(); {
	case now != "" && before == "":
		n.log.Warn("this node does not lead", "reason", now)
	case now == "" && before != "":
		n.log.Warn("this node may lead again", "reason before", before)
	}
}

// keepOnly what members said. The caller holds mu.
func (h *health) keepOnly(servers []raft.Server) {
	members := make(map[string]bool, len(servers))
	for _, server := range servers {
		members[string(server.ID)] = true
	}
	for id := range h.heard {
		if !members[id] {
			delete(h.heard, id)
		}
	}
	for id := range h.missed {
		if !members[id] {
			delete(h.missed, id)
		}
	}
}

// heir is the voter to give the leadership to: one that answers and that nothing keeps from leading, of these the one with most of the log.
// For the sake of the clock alone one will do whose clock is right.
func (n *Node) heir(forClock bool) (raft.Server, bool) {
	servers := n.servers()
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	var best raft.Server
	var found, fit bool
	var most uint64
	for _, server := range servers {
		h, known := n.health.heard[string(server.ID)]
		if string(server.ID) == n.id || !isVoter(server) || !known || time.Since(h.at) > heardAge || !n.health.clockFits(h) {
			continue
		}
		if h.NotLeading && !forClock {
			continue
		}
		has := n.wire.contact(server.ID).lastIndex
		if better := !h.NotLeading && !fit; !found || better || h.NotLeading != fit && has > most {
			best, found, fit, most = server, true, !h.NotLeading, has
		}
	}
	return best, found
}

// cutOff says that a majority of the voters cannot call this leader, though it calls them; empty: it is not so.
func (n *Node) cutOff() string {
	voters, complain := 0, 0
	servers := n.servers()
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	for _, server := range servers {
		if !isVoter(server) {
			continue
		}
		voters++
		h, known := n.health.heard[string(server.ID)]
		if known && time.Since(h.at) <= heardAge && h.LeaderID == n.id && h.LeaderUnreachable > unreachable {
			complain++
		}
	}
	if complain < voters/2+1 {
		return ""
	}
	return fmt.Sprintf("%d of %d voters have not reached this leader for more than %v, though it reaches them: is %s open to them?",
		complain, voters, unreachable, n.wire.LocalAddr())
}

// errNoHeir says that nobody else is fit to lead.
var errNoHeir = errors.New("no other voter answers that is fit to lead")
