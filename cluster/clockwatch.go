package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// clockApart is how far a leader's wall clock may be from the median of the voters; it may lead again when it is within clockClose.
	clockApart = 5 * time.Second
	clockClose = 4 * time.Second
	// slowAnswer tells nothing of the clock of the one who gave it.
	slowAnswer = time.Second
)

// clockJudgement of this node's wall clock.
type clockJudgement struct {
	offset time.Duration // this node's from the median; positive: ahead
	known  bool
	reason string // why it keeps this node from leading; empty: it does not
}

// judgeClock by the median of the voters that answer, this node among them if it votes, when they are a majority. Of an even number the
// earlier of the two in the middle counts: a clock that is ahead moves the cluster's for good, one that is behind does not. The caller holds mu.
func (h *health) judgeClock(own string, servers []raft.Server) {
	voters := 0
	var ahead []time.Duration // of this node's
	for _, server := range servers {
		if !isVoter(server) {
			continue
		}
		voters++
		switch said, known := h.heard[string(server.ID)]; {
		case string(server.ID) == own:
			ahead = append(ahead, 0)
		case known && said.timed && time.Since(said.at) <= heardAge:
			ahead = append(ahead, said.ahead)
		}
	}
	if voters == 0 || len(ahead) < voters/2+1 {
		h.clock = clockJudgement{}
		return
	}
	slices.Sort(ahead)
	offset := -ahead[(len(ahead)-1)/2]
	limit := clockApart
	if h.clock.reason != "" {
		limit = clockClose
	}
	h.clock = clockJudgement{offset: offset, known: true}
	if offset.Abs() > limit {
		way := "ahead of"
		if offset < 0 {
			way = "behind"
		}
		h.clock.reason = fmt.Sprintf("this node's clock is %v %s the median of the %d voters that answer, and a leader's may be %v off: set it right",
			offset.Abs().Round(time.Millisecond), way, len(ahead), clockApart)
	}
}

// clockFits tells whether a neighbour's clock lets it lead, as far as is known. The caller holds mu.
func (h *health) clockFits(said heard) bool {
	return !h.clock.known || !said.timed || (said.ahead+h.clock.offset).Abs() <= clockApart
}
