package fsm

import (
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// session is what does not change with every call. Immutable once stored.
type session struct {
	id              uint64
	name            string
	nonce           uint64
	worker          bool
	user            string // the worker serves this user alone; "": all
	lanes           []*logv1.Lane
	draining        bool
	ended, replaced bool // replaced => ended
}

// pulse is what changes with nearly every call.
type pulse struct {
	heard  int64  // lease clock of the last sign of life
	lowest uint64 // lowest number still unanswered; it only rises
}

// sessionLive is derived from the claims of a live session.
type sessionLive struct {
	fences []uint64 // rising
	lanes  []laneUse
	leases map[int64]int // how many claims have this lease
	end    int64         // its entry in sessionEnds
}

// laneUse: 0 <= slots <= the lane's slots, memory <= the lane's memory if it has a limit.
type laneUse struct {
	slots  uint32
	memory uint64
}

type clientKey struct {
	name  string
	nonce uint64
}

// touch finds a live session and notes the sign of life, or says why there is none.
func (m *Machine) touch(id uint64) (*session, *logv1.Refusal) {
	s, ok := m.sessions.Get(id)
	if !ok {
		if old, known := m.ended.Get(id); known && old.replaced {
			return nil, refuse(logv1.Reason_REASON_SESSION_REPLACED)
		}
		return nil, refuse(logv1.Reason_REASON_SESSION_ENDED)
	}
	if p, _ := m.pulses.Get(id); p.heard != m.lease {
		p.heard = m.lease
		m.pulses.Set(id, p)
		m.indexSession(id)
	}
	return s, nil
}

// indexSession sets when the session ends: three times the longest lease of the cluster and of its claims after its last sign of life.
func (m *Machine) indexSession(id uint64) {
	live := m.live[id]
	longest := m.settings.GetLimits().GetLeaseMs()
	for lease := range live.leases {
		longest = max(longest, lease)
	}
	p, _ := m.pulses.Get(id)
	end := later(p.heard, 3*longest)
	if end == live.end {
		return
	}
	m.sessionEnds.Set(stamp{end, id})
	m.sessionEnds.Delete(stamp{live.end, id})
	live.end = end
}

func (m *Machine) register(r *logv1.Register, res *logv1.Result) {
	if res.Refusal = checkRegister(r); res.Refusal != nil {
		return
	}
	old, hasOld := m.byName[r.GetName()]
	if hasOld {
		if s, _ := m.sessions.Get(old); s.nonce == r.GetNonce() {
			m.existing(s, res)
			return
		}
	}
	for _, id := range m.endedName[r.GetName()] {
		if s, _ := m.ended.Get(id); s.replaced && s.nonce == r.GetNonce() {
			res.Refusal = refuse(logv1.Reason_REASON_SESSION_REPLACED)
			return
		}
	}
	if !hasOld {
		if res.Refusal = full("max_sessions", int64(m.sessions.Len()), m.settings.GetMaxSessions()); res.Refusal != nil {
			return
		}
	}
	var fences []uint64
	if hasOld {
		fences = slices.Clone(m.live[old].fences)
	}
	m.replaceName(r.GetName(), r.GetNonce())
	if r.GetFormerGone() {
		for _, fence := range fences {
			m.lose(fence, byGone)
		}
	}
	m.open(&session{name: r.GetName(), nonce: r.GetNonce(), worker: true, user: r.GetUser(), lanes: r.GetLanes()}, res)
}

func (m *Machine) openSession(o *logv1.OpenSession, res *logv1.Result) {
	if res.Refusal = checkText("name", o.GetName(), 0, mostName); res.Refusal != nil {
		return
	}
	if id, ok := m.byClient[clientKey{o.GetName(), o.GetNonce()}]; ok {
		s, _ := m.sessions.Get(id)
		m.existing(s, res)
		return
	}
	if res.Refusal = full("max_sessions", int64(m.sessions.Len()), m.settings.GetMaxSessions()); res.Refusal != nil {
		return
	}
	m.open(&session{name: o.GetName(), nonce: o.GetNonce()}, res)
}

func (m *Machine) existing(s *session, res *logv1.Result) {
	if _, refusal := m.touch(s.id); refusal != nil {
		panic("broken invariant: a session in the index by name is not live")
	}
	res.Value = &logv1.Result_Session{Session: &logv1.SessionResult{Session: s.id, Fences: slices.Clone(m.live[s.id].fences), Existing: true,
		Lanes: s.lanes, HeartbeatMs: min(m.settings.GetLimits().GetHeartbeatMs(), m.settings.GetLimits().GetLeaseMs()/heartbeatsInLease)}}
}

func (m *Machine) open(s *session, res *logv1.Result) {
	m.lastSession++
	s.id = m.lastSession
	m.sessions.Set(s.id, s)
	m.pulses.Set(s.id, pulse{heard: m.lease})
	m.enlist(s)
	m.event(Event{Kind: SessionOpened, Session: SessionID(s.id), Worker: s.name, User: s.user})
	res.Value = &logv1.Result_Session{Session: &logv1.SessionResult{Session: s.id, Lanes: s.lanes,
		HeartbeatMs: min(m.settings.GetLimits().GetHeartbeatMs(), m.settings.GetLimits().GetLeaseMs()/heartbeatsInLease)}}
}

// enlist builds the derived parts of a live session.
func (m *Machine) enlist(s *session) {
	m.live[s.id] = &sessionLive{lanes: make([]laneUse, len(s.lanes)), leases: map[int64]int{}, end: -1}
	m.indexSession(s.id)
	if s.worker {
		m.byName[s.name] = s.id
		m.covers(s, 1)
	} else {
		m.byClient[clientKey{s.name, s.nonce}] = s.id
	}
}

// close ends a session; its claims live until their own end. Stored answers go.
func (m *Machine) close(s *session, replaced bool) {
	m.dropAnswers(s.id, ^uint64(0))
	m.sessionEnds.Delete(stamp{m.live[s.id].end, s.id})
	if s.worker {
		m.covers(s, -1)
		delete(m.byName, s.name)
		m.batch.out.Rescan = true
	} else {
		delete(m.byClient, clientKey{s.name, s.nonce})
	}
	delete(m.live, s.id)
	m.sessions.Delete(s.id)
	m.pulses.Delete(s.id)
	stone := *s
	stone.ended, stone.replaced, stone.lanes = true, replaced, nil
	m.bury(&stone)
	kind := SessionEnded
	if replaced {
		kind = SessionReplaced
	}
	m.event(Event{Kind: kind, Session: SessionID(s.id), Worker: s.name, User: s.user})
}

// mostEnded is how many ended sessions are remembered; beyond it the lowest number is forgotten and answers session_ended.
const mostEnded = 10_000

func (m *Machine) bury(s *session) {
	m.ended.Set(s.id, s)
	m.noteEnded(s)
	if m.ended.Len() <= mostEnded {
		return
	}
	_, first, _ := m.ended.PopMin()
	if !first.worker {
		return
	}
	list := m.endedName[first.name]
	if i := slices.Index(list, first.id); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if m.endedName[first.name] = list; len(list) == 0 {
		delete(m.endedName, first.name)
	}
}

func (m *Machine) noteEnded(s *session) {
	if s.worker {
		list := m.endedName[s.name]
		at, _ := slices.BinarySearch(list, s.id)
		m.endedName[s.name] = slices.Insert(list, at, s.id)
	}
}

// replaceName ends the live worker of this name and marks all former ones: their name is taken. Former sessions of the same process
// (nonce) are not: it only came back, and may come back again.
func (m *Machine) replaceName(name string, nonce uint64) {
	for _, id := range m.endedName[name] {
		if s, _ := m.ended.Get(id); !s.replaced && s.nonce != nonce {
			stone := *s
			stone.replaced = true
			m.ended.Set(id, &stone)
		}
	}
	if id, ok := m.byName[name]; ok {
		s, _ := m.sessions.Get(id)
		m.close(s, true)
	}
}

func (m *Machine) drain(d *logv1.Drain, res *logv1.Result) {
	id, byName := d.GetSession(), d.GetSession() == 0
	if byName {
		var ok bool
		if id, ok = m.byName[d.GetName()]; !ok {
			res.Refusal = refuse(logv1.Reason_REASON_UNKNOWN_WORKER, "worker", d.GetName())
			return
		}
	}
	s, _ := m.sessions.Get(id)
	if !byName {
		if s, res.Refusal = m.touch(id); res.Refusal != nil {
			return
		}
	}
	if !s.worker {
		res.Refusal = refuse(logv1.Reason_REASON_NOT_A_WORKER)
		return
	}
	if s.draining == d.GetUndo() {
		m.covers(s, -1)
		changed := *s
		changed.draining = !d.GetUndo()
		m.sessions.Set(id, &changed)
		m.covers(&changed, 1)
		m.batch.out.Rescan = true
		m.event(Event{Kind: WorkerDraining, Session: SessionID(id), Worker: s.name})
	}
	res.Value = &logv1.Result_Drain{Drain: &logv1.DrainResult{Running: uint32(len(m.live[id].fences))}}
}

// deregister releases the claims of the session and ends it.
func (m *Machine) deregister(id uint64, res *logv1.Result) {
	s, refusal := m.touch(id)
	if res.Refusal = refusal; refusal != nil {
		return
	}
	var statuses []logv1.ClaimStatus
	for _, fence := range slices.Clone(m.live[id].fences) {
		statuses = append(statuses, m.giveBack(fence))
	}
	m.close(s, false)
	res.Value = &logv1.Result_Release{Release: &logv1.ReleaseResult{Statuses: statuses}}
}

type coverKey struct{ queue, user string }

// covers counts what a worker serves, each queue once; a draining worker serves nothing.
func (m *Machine) covers(s *session, by int) {
	if s.draining {
		return
	}
	for _, queue := range served(s) {
		key := coverKey{queue, s.user}
		if m.cover[key] += by; m.cover[key] == 0 {
			delete(m.cover, key)
		}
	}
}

// served lists the queues of all lanes once; "*" stands for all.
func served(s *session) []string {
	var out []string
	for _, lane := range s.lanes {
		for _, name := range lane.GetChain() {
			if name == scheduler.Any {
				return []string{scheduler.Any}
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
