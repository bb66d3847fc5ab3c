package fsm

import (
	"fmt"
	"slices"

	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// MostEpoch is the highest epoch: a fence has 63 bits.
const MostEpoch = 1<<23 - 1

const (
	firstMinute   = 1_767_225_600_000 / 60_000 // 2026-01-01 00:00 UTC, in minutes since 1970
	sparedEpochs  = 1 << 16                    // kept for when the minutes have used up the others, in 2041
	minutesMillis = 60_000
)

// NextEpoch is one for a cluster that is restored or recovered: larger than the old one, and than the minutes since 2026-01-01, so that one
// backup that is restored twice never gives a number twice (up to 2041; then only larger than the old one).
func NextEpoch(old uint32, nowMs int64) uint32 {
	minutes := min(max(nowMs/minutesMillis-firstMinute, 0), MostEpoch-sparedEpochs)
	return max(old, uint32(minutes)) + 1
}

// Reopening is what a state gets of the cluster in which it goes on.
type Reopening struct {
	// Epoch: higher than that of the state, at most MostEpoch. See NextEpoch.
	Epoch uint32
	// Nodes, ClusterID, ClusterName and Removed (oldest first, at most 1,024) replace those of the state; both names or neither.
	Nodes                  []*logv1.SetNode
	ClusterID, ClusterName string
	Removed                []string
}

// Reopen is the state in which a cluster goes on after a restore from a backup or a recovery: the same facts at the same index in a higher
// epoch. All claims and sessions end, with the stored answers: what they hold may be done by others since, or never was. Jobs that ran wait
// again in their old place, not charged; those that were cancelled are history. Numbers of claims begin anew below the new epoch, and those of
// sessions above it, so no former one comes again. m stays as it is; it must not Apply meanwhile. An error says which value is wrong.
func Reopen(m *Machine, o Reopening) (*Machine, error) {
	if o.Epoch <= m.epoch || o.Epoch > MostEpoch {
		return nil, fmt.Errorf("epoch %d of the state cannot become %d: it must rise, up to %d", m.epoch, o.Epoch, MostEpoch)
	}
	nodes, err := nodesOf(o.Nodes)
	if err != nil {
		return nil, err
	}
	n := &Machine{facts: m.Snapshot().facts}
	if err := n.rebuild(false); err != nil {
		return nil, fmt.Errorf("the state cannot be reopened: %w", err)
	}
	n.endAll()
	n.epoch, n.lastClaim, n.started = o.Epoch, 0, false
	n.lastSession = max(n.lastSession, uint64(o.Epoch)<<fenceBits)
	n.nodes, n.clusterID, n.clusterName, n.removed = nodes, o.ClusterID, o.ClusterName, slices.Clone(o.Removed)
	if n.clusterID != "" || len(n.removed) > 0 {
		n.rules = max(n.rules, 4)
	}
	if err := n.rebuild(false); err != nil { // instances may have ended: what waits behind them is found
		return nil, fmt.Errorf("the state cannot be reopened: %w", err)
	}
	if err := n.CheckInvariants(); err != nil {
		return nil, fmt.Errorf("the state cannot be reopened: %w", err)
	}
	return n, nil
}

func nodesOf(list []*logv1.SetNode) (*btree.Map[string, *logv1.SetNode], error) {
	nodes := new(btree.Map[string, *logv1.SetNode])
	for _, node := range list {
		if r := checkNode(node); r != nil || has(nodes, node.GetId()) || nodes.Len() >= mostNodes {
			return nil, fmt.Errorf("node %q is there twice, is one too many, or has a wrong value: %v", node.GetId(), r)
		}
		nodes.Set(node.GetId(), node)
	}
	return nodes, nil
}

// endAll ends every claim, oldest first, then every session. The steps say that the jobs were given back.
func (m *Machine) endAll() {
	m.batch = current{rules: m.rules}
	for _, fence := range m.claims.Keys() {
		m.giveBack(fence)
	}
	for _, s := range m.sessions.Values() {
		m.close(s, false)
	}
	m.batch = current{}
}
