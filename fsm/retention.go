package fsm

import "math"

// runRetention deletes history: by age and number of each queue, then by the bytes and the number of all jobs. Bounded for each batch.
func (m *Machine) runRetention() {
	left := mostTimers
	for left > 0 {
		first, ok := m.retainEnds.Min()
		if !ok || first.at > m.wall {
			break
		}
		oldest, _ := m.queueLive[first.name].history.Min()
		left -= m.deleteJob(oldest.id)
	}
	for left > 0 && m.crowded() {
		oldest, ok := m.history.Min()
		if !ok {
			break
		}
		left -= m.deleteJob(oldest.id)
	}
	if first, ok := m.retainEnds.Min(); left <= 0 && (ok && first.at <= m.wall || m.crowded() && m.history.Len() > 0) {
		m.batch.out.More = true
	}
}

// crowded: less than an eighth of the room for state is left, so history gives way before enqueues must be refused.
func (m *Machine) crowded() bool {
	jobs := m.settings.GetMaxJobs()
	return m.shortOfBytes() || int64(m.jobs.Len()+m.final.Len()) > jobs-jobs/8
}

func (m *Machine) shortOfBytes() bool {
	most := m.settings.GetMaxStateBytes()
	return m.bytes > most-most/8
}

// indexRetention sets when the oldest job of a queue's history goes: at once if there are too many.
func (m *Machine) indexRetention(name string, q *queueLive) {
	oldest, any := q.history.Min()
	at := later(oldest.at, m.retentionMs(name))
	if int64(q.history.Len()) > m.retentionJobs(name) {
		at = math.MinInt64
	}
	if any == q.retained && at == q.retain {
		return
	}
	if any { // the new one first: a tree that was empty in between would be built anew
		m.retainEnds.Set(nameStamp{at, name})
	}
	if q.retained {
		m.retainEnds.Delete(nameStamp{q.retain, name})
	}
	q.retain, q.retained = at, any
}

// deleteJob forgets a job of the history and its output, and says how much work that was, of the bound of a batch.
func (m *Machine) deleteJob(id uint64) (work int) {
	rec, ok := m.final.Delete(id)
	if !ok {
		panic("broken invariant: the history names a job that is not final")
	}
	j := rec.job
	if rec.finish != nil {
		m.finishes.drop(rec.finish.GetFence())
	}
	q := m.queueLive[j.Queue]
	q.counts[j.State]--
	m.bytes -= rec.size()
	m.history.Delete(stamp{j.FinishedMs, id})
	q.history.Delete(stamp{j.FinishedMs, id})
	m.indexRetention(j.Queue, q)
	return 1 + m.deleteOutput(id)
}

func (m *Machine) retentionMs(queue string) int64 {
	if q, _ := m.queues.Get(queue); q.GetSettings() != nil && q.GetSettings().RetentionMs != nil {
		return q.GetSettings().GetRetentionMs()
	}
	return m.settings.GetRetentionMs()
}

func (m *Machine) retentionJobs(queue string) int64 {
	if q, _ := m.queues.Get(queue); q.GetSettings() != nil && q.GetSettings().RetentionJobs != nil {
		return q.GetSettings().GetRetentionJobs()
	}
	return m.settings.GetRetentionJobs()
}
