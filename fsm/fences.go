package fsm

// fences finds a job by a fence. Fences are drawn in order, so neighbours lie on one page: a map of the fences themselves would cost a step into cold
// memory for each. Job 0 is none.
type fences struct {
	pages map[uint64]*fencePage // by fence / pageFences; none is empty
	n     int
}

// pageFences is small, so that a page costs little even if only one is left on it.
const pageFences = 32

type fencePage struct {
	jobs [pageFences]uint64
	used int
}

func newFences() fences { return fences{pages: map[uint64]*fencePage{}} }

func (f *fences) get(fence uint64) (job uint64, ok bool) {
	if p := f.pages[fence/pageFences]; p != nil {
		job = p.jobs[fence%pageFences]
	}
	return job, job != 0
}

func (f *fences) set(fence, job uint64) {
	p := f.pages[fence/pageFences]
	if p == nil {
		p = &fencePage{}
		f.pages[fence/pageFences] = p
	}
	if p.jobs[fence%pageFences] == 0 {
		p.used++
		f.n++
	}
	p.jobs[fence%pageFences] = job
}

func (f *fences) drop(fence uint64) {
	p := f.pages[fence/pageFences]
	if p == nil || p.jobs[fence%pageFences] == 0 {
		return
	}
	p.jobs[fence%pageFences] = 0
	f.n--
	if p.used--; p.used == 0 {
		delete(f.pages, fence/pageFences)
	}
}
