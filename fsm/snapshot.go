package fsm

import (
	"crypto/sha256"
	"io"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Snapshot is the state of one index. It may be used on another goroutine while the machine goes on, and more than once.
type Snapshot struct {
	facts
}

// Snapshot copies every tree in O(1). It must not run at the same time as Apply or as another Snapshot.
func (m *Machine) Snapshot() *Snapshot {
	f := m.facts
	f.queues, f.jobs, f.final, f.claims = m.queues.Copy(), m.jobs.Copy(), m.final.Copy(), m.claims.Copy()
	f.sessions, f.pulses, f.ended = m.sessions.Copy(), m.pulses.Copy(), m.ended.Copy()
	f.answers, f.keys, f.turns, f.users, f.nodes = m.answers.Copy(), m.keys.Copy(), m.turns.Copy(), m.users.Copy(), m.nodes.Copy()
	f.decisions, f.chunks, f.streams = m.decisions.Copy(), m.chunks.Copy(), m.streams.Copy()
	f.schedules, f.waiting, f.ticks = m.schedules.Copy(), m.waiting.Copy(), m.ticks.Copy()
	return &Snapshot{f}
}

// Index is the log index of the snapshot.
func (s *Snapshot) Index() uint64 { return s.index }

// WriteTo writes the snapshot; the bytes are a function of the state alone.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	e := newEncoder(w, versionOf(s.rules))
	s.write(e)
	return e.finish()
}

// Digest is the SHA-256 of the bytes that WriteTo writes.
func (s *Snapshot) Digest() ([32]byte, error) {
	h := sha256.New()
	if _, err := s.WriteTo(h); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// write puts every record into its frame, kind after kind, in key order.
func (s *Snapshot) write(e *encoder) {
	e.frame(kindHeader, &logv1.HeaderRecord{Epoch: s.epoch, Index: s.index, WallMs: s.wall, LeaseMs: s.lease, Leadership: s.leadership,
		MonotonicMs: s.monotonic, Started: s.started, LastJob: s.lastJob, LastPlace: s.lastPlace, LastClaim: s.lastClaim,
		LastSession: s.lastSession, LastExclusion: s.lastExcluded, Finished: s.finished, Rules: headerRules(s.rules), Settings: s.settings,
		LastSchedule: s.lastSchedule, LastTick: s.lastTick,
		ClusterId: s.clusterID, ClusterName: s.clusterName, RemovedNodes: s.removed, DeletedRevision: s.deletedRev})
	s.queues.Scan(func(_ string, q *logv1.QueueRecord) bool { return e.frame(kindQueue, q) })
	user, job := &logv1.UserRecord{}, &logv1.JobRecord{} // used again: there may be a million of each
	s.users.Scan(func(name string, since int64) bool {
		user.Name, user.IdleSinceMs = name, since
		return e.frame(kindUser, user)
	})
	s.jobs.Scan(func(_ uint64, r *jobRec) bool { return e.frame(kindJob, r.record(job)) })
	s.final.Scan(func(_ uint64, r *jobRec) bool { return e.frame(kindFinal, r.record(job)) })
	s.sessions.Scan(func(id uint64, one *session) bool {
		p, _ := s.pulses.Get(id)
		return e.frame(kindSession, one.record(p))
	})
	s.ended.Scan(func(_ uint64, one *session) bool { return e.frame(kindEnded, one.record(pulse{})) })
	s.claims.Scan(func(fence uint64, c claim) bool {
		return e.frame(kindClaim, &logv1.ClaimRecord{Fence: fence, Job: c.job, Session: c.session, Lane: c.lane, LeaseMs: c.lease, EndsMs: c.ends,
			RunEndsMs: c.runEnds})
	})
	s.answers.Scan(func(a answer) bool {
		return e.frame(kindAnswer, &logv1.AnswerRecord{Session: a.session, Number: a.number, Hash: a.hash[:], Result: a.result})
	})
	s.keys.Scan(func(_ string, k *logv1.KeyRecord) bool { return e.frame(kindKey, k) })
	s.turns.Scan(func(t turn) bool {
		return e.frame(kindTurn, &logv1.TurnRecord{User: t.user, Line: t.line, Fence: t.fence})
	})
	s.nodes.Scan(func(_ string, n *logv1.SetNode) bool { return e.frame(kindNode, n) })
	s.decisions.Scan(func(_ uint64, d *logv1.DecisionRecord) bool { return e.frame(kindDecision, d) })
	s.chunks.Scan(func(p piece) bool { return e.frame(kindChunk, p.record()) })
	s.streams.Scan(func(p piece) bool { return e.frame(kindStream, p.record()) })
	s.schedules.Scan(func(_ string, r *scheduleRec) bool { return e.frame(kindSchedule, r.record()) })
	s.waiting.Scan(func(t waitingTick) bool { return e.frame(kindWaiting, t.record()) })
	s.ticks.Scan(func(t *logv1.TickRecord) bool { return e.frame(kindTick, t) })
}

// versionOf a snapshot is that of the highest rules: a state of former rules alone is written as it was before there were others, byte for
// byte, and a binary that does not know the rules refuses it by its version.
func versionOf(rules uint32) uint32 { return max(rules, 1) }

// headerRules: 1 is not written.
func headerRules(rules uint32) uint32 {
	if rules < 2 {
		return 0
	}
	return rules
}

// record fills the message, all of it.
func (r *jobRec) record(into *logv1.JobRecord) proto.Message {
	into.Job, into.Exclusions, into.Finish, into.Steps = r.job, r.exclusions, r.finish, r.steps
	return into
}

func (s *session) record(p pulse) proto.Message {
	return &logv1.SessionRecord{Id: s.id, Name: s.name, Nonce: s.nonce, Worker: s.worker, User: s.user, Lanes: s.lanes, Draining: s.draining,
		Ended: s.ended, Replaced: s.replaced, HeardMs: p.heard, Lowest: p.lowest}
}
