package fsm

import (
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Peek is what a claim would find now.
type Peek uint8

// The answers of Machine.Peek.
const (
	PeekNothing Peek = iota
	PeekJob
	PeekAtCapacity
	PeekDraining
	PeekRefused
)

// String is the answer in words.
func (p Peek) String() string {
	return [...]string{"nothing", "job", "at_capacity", "draining", "refused"}[p]
}

// Peek says whether a claim of this lane would find something now. It changes nothing.
func (m *Machine) Peek(id SessionID, lane uint32) Peek {
	s, ok := m.sessions.Get(uint64(id))
	if !ok {
		return PeekRefused
	}
	empty, refusal := m.lane(s, lane)
	switch {
	case refusal != nil:
		return PeekRefused
	case empty == logv1.Empty_EMPTY_DRAINING:
		return PeekDraining
	case empty == logv1.Empty_EMPTY_AT_CAPACITY:
		return PeekAtCapacity
	}
	if _, found := m.board.Next(m.offer(s, lane)); found {
		return PeekJob
	}
	return PeekNothing
}

// Offer is what a lane can take now, for parking its claim. False: it cannot claim.
func (m *Machine) Offer(id SessionID, lane uint32) (scheduler.Offer, bool) {
	s, ok := m.sessions.Get(uint64(id))
	if !ok {
		return scheduler.Offer{}, false
	}
	if empty, refusal := m.lane(s, lane); refusal != nil || empty != 0 {
		return scheduler.Offer{}, false
	}
	return m.offer(s, lane), true
}

// Job returns a job. The message must not be changed.
func (m *Machine) Job(id JobID) (*logv1.Job, bool) {
	rec, ok := m.find(uint64(id))
	if !ok {
		return nil, false
	}
	return rec.job, true
}

// Queue returns a queue with its counts.
func (m *Machine) Queue(name string) (*logv1.Queue, bool) {
	rec, ok := m.queues.Get(name)
	if !ok {
		return nil, false
	}
	return m.queueView(rec), true
}

// Queues lists all queues by name.
func (m *Machine) Queues() []*logv1.Queue {
	out := make([]*logv1.Queue, 0, m.queues.Len())
	m.queues.Scan(func(_ string, rec *logv1.QueueRecord) bool {
		out = append(out, m.queueView(rec))
		return true
	})
	return out
}

// Settings of the cluster; every field is set but max_output_bytes, which is unset as long as it is 1 MiB. The message must not be changed.
func (m *Machine) Settings() *logv1.Settings { return m.settings }

// LaneView is a lane and what is in use of it.
type LaneView struct {
	Lane         *logv1.Lane
	Running      uint32
	UsedMemory   uint64
	MemoryBudget uint64
}

// WorkerView is a live worker.
type WorkerView struct {
	Session  SessionID
	Name     string
	User     string
	Draining bool
	Lanes    []LaneView
	Running  int
	HeardMs  int64 // lease clock of its last sign of life
	Fences   []uint64
}

// Workers lists live workers with session numbers above after.
func (m *Machine) Workers(after SessionID, limit int) []WorkerView {
	var out []WorkerView
	m.sessions.Ascend(uint64(after)+1, func(id uint64, s *session) bool {
		if len(out) >= limit {
			return false
		}
		if !s.worker {
			return true
		}
		live := m.live[id]
		p, _ := m.pulses.Get(id)
		v := WorkerView{Session: SessionID(id), Name: s.name, User: s.user, Draining: s.draining, Running: len(live.fences), HeardMs: p.heard,
			Fences: slices.Clone(live.fences)}
		for i, l := range s.lanes {
			v.Lanes = append(v.Lanes, LaneView{Lane: l, Running: live.lanes[i].slots, UsedMemory: live.lanes[i].memory, MemoryBudget: l.GetMemoryBytes()})
		}
		out = append(out, v)
		return true
	})
	return out
}

// Rules is the highest of all batches so far.
func (m *Machine) Rules() uint32 { return m.rules }

// Totals counts what the state holds.
type Totals struct {
	Jobs, Final, Claims, Sessions, Queues, Users, Keys int
	Bytes                                              int64
	Workers                                            int
	// Enqueued jobs (those run again by hand included), Claimed and Finished claims: since the cluster began, Claimed since the last restore or
	// recovery. Finished counts the finishes that were accepted.
	Enqueued, Claimed, Finished uint64
}

// Totals counts what the state holds.
func (m *Machine) Totals() Totals {
	return Totals{Jobs: m.jobs.Len(), Final: m.final.Len(), Claims: m.claims.Len(), Sessions: m.sessions.Len(), Queues: m.queues.Len(),
		Users: m.users.Len(), Keys: m.keys.Len(), Bytes: m.bytes,
		Workers: len(m.byName), Enqueued: m.lastJob, Claimed: m.lastClaim, Finished: m.finished}
}

// Nodes lists the recorded nodes by id.
func (m *Machine) Nodes() []*logv1.SetNode { return m.nodes.Values() }

// HasSessions: a session lives, so the lease clock must go on.
func (m *Machine) HasSessions() bool { return m.sessions.Len() > 0 }
