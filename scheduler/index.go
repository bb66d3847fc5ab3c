package scheduler

// index finds waiting jobs by id. Ids are drawn in order, so neighbours lie on one page: a map of the ids themselves would cost a step into cold
// memory for each job.
//
// Reads may run at the same time as each other.
type index struct {
	pages map[JobID]*page // by id / pageJobs; none is empty
	jobs  int
}

// pageJobs is small, so that a page costs no more than its jobs do, even if only one is left on it.
const pageJobs = 32

type page struct {
	jobs [pageJobs]*entry
	used int
}

func newIndex() index { return index{pages: make(map[JobID]*page)} }

// get returns the entry of a job, or nil.
func (x *index) get(id JobID) *entry {
	if p := x.pages[id/pageJobs]; p != nil {
		return p.jobs[id%pageJobs]
	}
	return nil
}

// add stores an entry, unless there is one of its id: then it returns false.
func (x *index) add(e *entry) bool {
	p := x.pages[e.id/pageJobs]
	if p == nil {
		p = &page{}
		x.pages[e.id/pageJobs] = p
	}
	at := &p.jobs[e.id%pageJobs]
	if *at != nil {
		return false
	}
	*at = e
	p.used++
	x.jobs++
	return true
}

// take removes and returns the entry of a job, or nil.
func (x *index) take(id JobID) *entry {
	p := x.pages[id/pageJobs]
	if p == nil || p.jobs[id%pageJobs] == nil {
		return nil
	}
	e := p.jobs[id%pageJobs]
	p.jobs[id%pageJobs] = nil
	x.jobs--
	if p.used--; p.used == 0 {
		delete(x.pages, id/pageJobs)
	}
	return e
}
