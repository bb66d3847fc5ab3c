package fsm

import (
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// readyJob became pending, or stands as the head of its coordinator. rec is a record that it has or had since then; nil: look it up.
type readyJob struct {
	id  uint64
	rec *jobRec
}

func (m *Machine) noteReady(id uint64, rec *jobRec) {
	m.batch.ready = append(m.batch.ready, readyJob{id, rec})
}

// gatherReady turns the jobs that became pending and still may be claimed into counts, in the order in which each kind first appeared.
func (m *Machine) gatherReady() {
	if len(m.batch.ready) == 0 && len(m.batch.room) == 0 {
		return
	}
	var kinds kindFinder
	var seen idFilter
	for i, r := range m.batch.ready {
		if !m.board.Stands(JobID(r.id)) || seen.again(m.batch.ready, i) { // what stands is pending
			continue
		}
		if r.rec == nil {
			r.rec, _ = m.jobs.Get(r.id)
		}
		j := r.rec.job
		k := readyKind{j.Queue, j.User, scheduler.SizeOf(j.MemoryBytes)}
		at, known := kinds.find(m.batch.out.Ready, k)
		if !known {
			if m.gated(j.Queue, j.User) {
				continue
			}
			kinds.add(k, len(m.batch.out.Ready))
			m.batch.out.Ready = append(m.batch.out.Ready, Ready{Queue: k.queue, User: k.user, Size: k.size})
		}
		m.batch.out.Ready[at].Count++
	}
	m.gatherRoom()
}

// readyKind is what the jobs that one entry of Ready counts have in common.
type readyKind struct {
	queue, user string
	size        scheduler.Size
}

// fewKinds are searched one by one: for them a map costs more.
const fewKinds = 16

// kindFinder finds the entry of a kind: most jobs are of the kind of the one before them.
type kindFinder struct {
	last int
	more map[readyKind]int // those beyond fewKinds
}

// find returns where the entry of a kind stands, or will stand.
func (f *kindFinder) find(list []Ready, k readyKind) (at int, known bool) {
	is := func(i int) bool { return list[i].Size == k.size && list[i].User == k.user && list[i].Queue == k.queue }
	if f.last < len(list) && is(f.last) {
		return f.last, true
	}
	for at = range min(len(list), fewKinds) {
		if is(at) {
			f.last = at
			return at, true
		}
	}
	if at, known = f.more[k]; known {
		f.last = at
		return at, true
	}
	return len(list), false
}

func (f *kindFinder) add(k readyKind, at int) {
	if f.last = at; at < fewKinds {
		return
	}
	if f.more == nil {
		f.more = map[readyKind]int{}
	}
	f.more[k] = at
}

// idFilter tells jobs that come again. Most lists rise, and then it remembers nothing but the last.
type idFilter struct {
	highest uint64
	seen    map[uint64]bool // nil as long as they rise
}

// again reports whether the job at a position of the list stands before it too. It is asked in order, perhaps not for all.
func (f *idFilter) again(list []readyJob, at int) bool {
	id := list[at].id
	if f.seen == nil {
		if id > f.highest {
			f.highest = id
			return false
		}
		f.seen = make(map[uint64]bool, len(list))
		for _, r := range list[:at] {
			f.seen[r.id] = true
		}
	}
	if f.seen[id] {
		return true
	}
	f.seen[id] = true
	return false
}

// gatherRoom adds, for each queue with a limit, how many claims of it ended, if jobs wait there and it is open.
func (m *Machine) gatherRoom() {
	at := map[string]int{}
	for _, queue := range m.batch.room {
		if q := m.queueLive[queue]; q == nil || q.closed || m.board.WaitingIn(queue) == 0 {
			continue
		}
		i, known := at[queue]
		if !known {
			i = len(m.batch.out.Ready)
			at[queue] = i
			m.batch.out.Ready = append(m.batch.out.Ready, Ready{Queue: queue, Any: true})
		}
		m.batch.out.Ready[i].Count++
	}
}

// Stands tells whether a job stands where a claim would find it, unless its worker is excluded from it: one of a user and size in a queue, or
// any of the queue, as Ready describes them.
func (m *Machine) Stands(queue, user string, size scheduler.Size, any bool) bool {
	if any {
		return m.board.StandsIn(queue)
	}
	return m.board.StandsFor(queue, user, size)
}
