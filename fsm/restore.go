package fsm

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Restore reads a snapshot. Nothing is returned before all of it is verified: *DamagedError says where it is not what was written; an
// error of the reader is passed on.
func Restore(r io.Reader) (*Machine, error) {
	d, err := newDecoder(r)
	if err != nil {
		return nil, err
	}
	m := &Machine{facts: emptyFacts(0)}
	for last := kind(0); ; {
		k, body, err := d.next()
		if err != nil {
			return nil, err
		}
		if k == kindEnd {
			break
		}
		if k < last || (k == kindHeader) != (d.frames == 1) {
			return nil, d.damaged("a record stands in the wrong place")
		}
		last = k
		if err := m.load(k, body); err != nil {
			return nil, d.damaged(err.Error())
		}
		if m.rules > Rules || versionOf(m.rules) != d.version || k.version() > d.version {
			return nil, d.damaged("its rules, its version and its records do not fit together")
		}
	}
	if m.settings == nil {
		return nil, d.damaged("it has no header")
	}
	if err := m.rebuild(true); err != nil {
		return nil, d.damaged(err.Error())
	}
	if err := m.CheckInvariants(); err != nil {
		return nil, d.damaged(err.Error())
	}
	return m, nil
}

func decode[T proto.Message](body []byte, msg T) (T, error) {
	return msg, proto.UnmarshalOptions{DiscardUnknown: false}.Unmarshal(body, msg)
}

// load stores one record.
func (m *Machine) load(k kind, body []byte) error {
	switch k {
	case kindHeader:
		h, err := decode(body, &logv1.HeaderRecord{})
		m.epoch, m.index, m.wall, m.lease = h.GetEpoch(), h.GetIndex(), h.GetWallMs(), h.GetLeaseMs()
		m.leadership, m.monotonic, m.started = h.GetLeadership(), h.GetMonotonicMs(), h.GetStarted()
		m.lastJob, m.lastPlace, m.lastClaim = h.GetLastJob(), h.GetLastPlace(), h.GetLastClaim()
		m.lastSession, m.lastExcluded, m.settings = h.GetLastSession(), h.GetLastExclusion(), h.GetSettings()
		m.finished, m.rules = h.GetFinished(), max(h.GetRules(), 1)
		m.lastSchedule, m.lastTick, m.deletedRev = h.GetLastSchedule(), h.GetLastTick(), h.GetDeletedRevision()
		m.clusterID, m.clusterName, m.removed = h.GetClusterId(), h.GetClusterName(), h.GetRemovedNodes()
		if h.GetRules() == 1 {
			return fmt.Errorf("rules 1 are written in the header")
		}
		return err
	case kindQueue:
		q, err := decode(body, &logv1.QueueRecord{})
		if q.Settings == nil {
			q.Settings = &logv1.QueueSettings{}
		}
		m.queues.Load(q.GetName(), q)
		return err
	case kindUser:
		u, err := decode(body, &logv1.UserRecord{})
		m.users.Load(u.GetName(), u.GetIdleSinceMs())
		return err
	case kindJob, kindFinal:
		r, err := decode(body, &logv1.JobRecord{})
		if r.GetJob() == nil {
			return fmt.Errorf("a job's record is empty")
		}
		tree := m.jobs
		if k == kindFinal {
			tree = m.final
		}
		tree.Load(r.GetJob().GetId(), &jobRec{job: r.GetJob(), exclusions: r.GetExclusions(), finish: r.GetFinish(), steps: r.GetSteps()})
		return err
	case kindSession, kindEnded:
		r, err := decode(body, &logv1.SessionRecord{})
		s := &session{id: r.GetId(), name: r.GetName(), nonce: r.GetNonce(), worker: r.GetWorker(), user: r.GetUser(), lanes: r.GetLanes(),
			draining: r.GetDraining(), ended: r.GetEnded(), replaced: r.GetReplaced()}
		if k == kindEnded {
			m.ended.Load(s.id, s)
			return err
		}
		m.sessions.Load(s.id, s)
		m.pulses.Load(s.id, pulse{heard: r.GetHeardMs(), lowest: r.GetLowest()})
		return err
	}
	return m.loadMore(k, body)
}

func (m *Machine) loadMore(k kind, body []byte) error {
	switch k {
	case kindClaim:
		c, err := decode(body, &logv1.ClaimRecord{})
		m.claims.Load(c.GetFence(), claim{job: c.GetJob(), session: c.GetSession(), lane: c.GetLane(), lease: c.GetLeaseMs(), ends: c.GetEndsMs(),
			runEnds: c.GetRunEndsMs()})
		return err
	case kindAnswer:
		a, err := decode(body, &logv1.AnswerRecord{})
		if err != nil || len(a.GetHash()) != len(digest{}) || a.GetResult() == nil {
			return fmt.Errorf("a stored answer cannot be read")
		}
		m.answers.Load(answer{a.GetSession(), a.GetNumber(), &reply{result: a.GetResult(), hash: digest(a.GetHash()), bytes: answerBytes(a.GetResult())}})
		return nil
	case kindKey:
		r, err := decode(body, &logv1.KeyRecord{})
		m.keys.Load(r.GetUser()+"\x00"+r.GetKey(), r)
		return err
	case kindTurn:
		t, err := decode(body, &logv1.TurnRecord{})
		m.turns.Load(turn{user: t.GetUser(), line: t.GetLine(), fence: t.GetFence()})
		return err
	case kindNode:
		n, err := decode(body, &logv1.SetNode{})
		m.nodes.Load(n.GetId(), n)
		return err
	case kindDecision:
		d, err := decode(body, &logv1.DecisionRecord{})
		m.decisions.Load(d.GetFence(), d)
		return err
	case kindChunk, kindStream:
		r, err := decode(body, &logv1.ChunkRecord{})
		tree := m.chunks
		if k == kindStream {
			tree = m.streams
		}
		tree.Load(piece{job: r.GetJob(), attempt: r.GetAttempt(), offset: r.GetOffset(), data: r.GetData()})
		return err
	}
	return m.loadSchedules(k, body)
}

// rebuild makes everything derived from the facts: queues, sessions, jobs, then claims, so that gates close as they did.
// own: no other machine and no snapshot has the records of the facts.
func (m *Machine) rebuild(own bool) error {
	m.derived = m.emptyDerived()
	m.queues.Scan(func(_ string, q *logv1.QueueRecord) bool { m.enlistQueue(q); return true })
	m.users.Scan(func(name string, since int64) bool {
		if since != 0 {
			m.idleEnds.Set(nameStamp{later(since, idleLife), name})
		}
		return true
	})
	m.sessions.Scan(func(_ uint64, s *session) bool { m.enlist(s); return true })
	m.ended.Scan(func(_ uint64, s *session) bool { m.noteEnded(s); return true })
	if err := m.rebuildSchedules(); err != nil {
		return err
	}
	if err := m.rebuildJobs(own); err != nil {
		return err
	}
	for name, q := range m.queueLive { // each alone, so the order does not show
		m.indexRetention(name, q)
	}
	if err := m.rebuildClaims(); err != nil {
		return err
	}
	m.answers.Scan(func(a answer) bool { m.bytes += a.bytes; return true })
	m.keys.Scan(func(id string, k *logv1.KeyRecord) bool {
		m.keyEnds.Set(nameStamp{later(k.GetMadeMs(), keyLife), id})
		m.bytes += keyBytes(id)
		return true
	})
	m.rebuildOutput()
	m.rebuildStalled()
	m.batch = current{}
	return nil
}

// mostKinds is how many kinds of jobs are told apart by restoring.
const mostKinds = 1024

// restoring finds what many jobs have in common with one look for each job, and lets them share one string where each came with its own.
type restoring struct {
	m       *Machine
	own     bool                     // the records may be changed
	users   map[string]*restoredUser // that are busy
	kinds   map[string]string
	claimed map[uint64]bool // jobs whose claim lives
	queue   string          // of the last job
	live    *queueLive      // of that queue
}

type restoredUser struct {
	name string
	live *userLive // nil until it has a job
}

// rebuildJobs makes what is derived of the jobs. Queues, users and schedules are there.
func (m *Machine) rebuildJobs(own bool) (err error) {
	r := restoring{m: m, own: own, users: make(map[string]*restoredUser, m.users.Len()-m.idleEnds.Len()), kinds: map[string]string{}, claimed: map[uint64]bool{}}
	m.users.Scan(func(name string, since int64) bool {
		if since == 0 {
			r.users[name] = &restoredUser{name: name}
		}
		return true
	})
	m.claims.Scan(func(_ uint64, c claim) bool { r.claimed[c.job] = true; return true })
	m.board.Reserve(len(r.users))
	m.userLive = make(map[string]*userLive, len(r.users))
	for _, tree := range []interface {
		Scan(func(uint64, *jobRec) bool)
	}{m.jobs, m.final} {
		tree.Scan(func(_ uint64, rec *jobRec) bool { err = r.enlist(rec); return err == nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// share finds the queue of the job, and sets what it has in common with others.
func (r *restoring) share(j *logv1.Job) {
	if r.live == nil || j.Queue != r.queue {
		r.queue, r.live = j.Queue, r.m.queueLive[j.Queue]
	}
	if !r.own {
		return
	}
	j.Queue = r.queue
	if kind, known := r.kinds[j.Kind]; known {
		j.Kind = kind
	} else if len(r.kinds) < mostKinds {
		r.kinds[j.Kind] = j.Kind
	}
}

// enlist makes what is derived of one job.
func (r *restoring) enlist(rec *jobRec) error {
	m, j := r.m, rec.job
	r.share(j)
	q := r.live
	if q == nil || j.State <= none || j.State > cancelled {
		return fmt.Errorf("job %d has no queue or an unknown state", j.Id)
	}
	q.counts[j.State]++
	m.bytes += rec.size()
	if rec.finish != nil {
		m.finishes.set(rec.finish.GetFence(), j.Id)
	}
	for _, x := range rec.exclusions {
		m.excluded.Set(lapse{x.GetWorker(), x.GetAge(), j.Id})
	}
	if isFinal(j.State) && !r.claimed[j.Id] {
		m.history.Set(stamp{j.FinishedMs, j.Id})
		q.history.Set(stamp{j.FinishedMs, j.Id})
		return nil
	}
	u := r.users[j.User]
	if u == nil {
		return fmt.Errorf("the user of job %d is not busy", j.Id)
	}
	if r.own {
		j.User = u.name
	}
	if u.live == nil {
		u.live = &userLive{}
		m.userLive[u.name] = u.live
	}
	u.live.busy++
	if j.ScheduleId != 0 {
		m.instanceBegins(j)
	}
	m.countCoordinated(j, 1)
	m.enterState(rec)
	return nil
}

func (m *Machine) rebuildClaims() (err error) {
	m.claims.Scan(func(fence uint64, c claim) bool {
		rec, ok := m.find(c.job)
		if !ok || rec.job.Fence != fence || rec.job.State != running && rec.job.State != cancelled {
			err = fmt.Errorf("claim %d has no job that runs", fence)
			return false
		}
		if s, live := m.sessions.Get(c.session); live && int64(c.lane) >= int64(len(s.lanes)) {
			err = fmt.Errorf("claim %d is of a lane that its session does not have", fence)
			return false
		}
		m.enlistClaim(fence, c, rec.job)
		return true
	})
	m.sessions.Scan(func(id uint64, _ *session) bool { m.indexSession(id); return true })
	return err
}
