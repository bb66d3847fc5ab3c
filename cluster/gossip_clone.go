package cluster

import (
	"context"
	"fmt"
	"net"
	"time"
)

const (
	// rivalLook is how often an address at which this node's id was seen is asked again.
	rivalLook = time.Second
	// rivalSilence is after how many asks without an answer it is forgotten.
	rivalSilence = 3
)

// CloneError says that a live process elsewhere has this node's id: the data directory was copied.
type CloneError struct{ ID, Address, Dir string }

func (e *CloneError) Error() string {
	return fmt.Sprintf("cluster: node id %s is in use by a live process whose gossip is at %s: %s is a copy of its data directory. "+
		"Two nodes with one id would corrupt each other. Start this node with an empty directory, or end the other one first", e.ID, e.Address, e.Dir)
}

// refuseClone looks for another process with this node's id at the seeds, for a short while: raft has not begun yet.
func (g *gossip) refuseClone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cloneTime)
	defer cancel()
	g.mu.Lock()
	seeds := append([]string(nil), g.seeds...)
	g.mu.Unlock()
	if len(seeds) == 0 {
		return nil
	}
	done := make(chan struct{})
	g.running.Go(func() { // a seed that does not answer ends by itself, soon after
		defer close(done)
		g.join(ctx, seeds)
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
	if at := g.askRivals(); at != "" {
		return &CloneError{ID: g.id, Address: at, Dir: g.dir}
	}
	return nil
}

// askRivals pings this node's id at the other addresses where it was seen, and gives one that answers. A node that has moved is seen at its former
// address for a while, but nobody answers there for it.
func (g *gossip) askRivals() (answers string) {
	g.mu.Lock()
	var asked []string
	for at := range g.rivals {
		if at == g.address {
			delete(g.rivals, at)
			continue
		}
		asked = append(asked, at)
	}
	g.mu.Unlock()
	for _, at := range asked {
		address, err := net.ResolveUDPAddr("udp", at)
		if err == nil {
			_, err = g.list.Ping(g.id, address)
		}
		g.mu.Lock()
		if err == nil {
			g.rivals[at], answers = 0, at
		} else if g.rivals[at]++; g.rivals[at] >= rivalSilence {
			delete(g.rivals, at)
		}
		g.mu.Unlock()
	}
	return answers
}

// watchRivals notices a copy of this node that was started later.
func (g *gossip) watchRivals(ctx context.Context) {
	look := time.NewTicker(rivalLook)
	defer look.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		at := g.askRivals()
		if at != last { // a copy that is refused while it starts answers once
			last, at = at, ""
		}
		g.mu.Lock()
		former := g.rival
		g.rival = at
		g.mu.Unlock()
		if at != "" && former == "" {
			g.log.Error("another live process has this node's id: a copy of its data directory", "gossip", at, "id", g.id)
		}
	}
}

// notReady says that a copy of this node runs; empty: none is known.
func (g *gossip) notReady() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rival == "" {
		return ""
	}
	return "another live process, whose gossip is at " + g.rival + ", has this node's id: end the one whose data directory is a copy"
}
