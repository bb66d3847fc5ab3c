package scheduler

// backlog is the jobs of one user that stand in one part, best first. Most come in the order in which they go, so they stand in a line; the
// others, and those that may come back (heads of coordinators), stand in a heap. A job that leaves the middle of the line stays there as gone until
// it would be first, or until there are mostGone of them: then the rest of the line goes to the heap, each job at most once. So the cost of a job is
// constant for the line and log of the others, and neither reads what lies behind the first jobs.
//
// Invariants: line[head:] is in the order of ahead; its first is not gone; gone counts those in it that are, and is below mostGone;
// best is the first of line and late, nil if there is none.
type backlog struct {
	line []*entry
	head int
	gone int
	late heap[*entry, byAhead]
	best *entry
}

// mostGone is how many gone jobs a line may hold, less one.
const mostGone = 64

// inLine is the position of an entry that stands in the line of a backlog.
const inLine = -3

func (b *backlog) len() int { return len(b.line) - b.head - b.gone + len(b.late.items) }

// push adds a job; one that may be pushed again after it was removed must not stand in the line, where it would be twice.
func (b *backlog) push(e *entry, comesBack bool) {
	if n := len(b.line); comesBack || n > b.head && e.ahead(b.line[n-1]) {
		b.late.push(e)
	} else {
		b.line = append(b.line, e)
		e.at = inLine
	}
	if b.best == nil || e.ahead(b.best) {
		b.best = e
	}
}

// remove takes out a job that stands here.
func (b *backlog) remove(e *entry) {
	if e.at != inLine {
		b.late.remove(e.at)
	} else {
		e.at = gone
		b.gone++
		b.settle()
	}
	if e == b.best {
		b.best = b.late.top()
		if b.head < len(b.line) && (b.best == nil || b.line[b.head].ahead(b.best)) {
			b.best = b.line[b.head]
		}
	}
}

// settle restores the invariants of the line after a job in it has gone.
func (b *backlog) settle() {
	for b.head < len(b.line) && b.line[b.head].gone() {
		b.line[b.head] = nil
		b.head++
		b.gone--
	}
	if b.gone >= mostGone {
		for _, e := range b.line[b.head:] {
			if !e.gone() {
				b.late.push(e) // cheap while the heap is empty or behind: they come in order
			}
		}
		b.line, b.head, b.gone = nil, 0, 0
	}
	if b.head == len(b.line) {
		b.line, b.head = b.line[:0], 0
		if cap(b.line) > spareAges {
			b.line = nil
		}
	}
	if b.head > spareAges && b.head > len(b.line)/2 {
		b.line = append(make([]*entry, 0, len(b.line)-b.head+spareAges), b.line[b.head:]...)
		b.head = 0
	}
}

// bestExcept returns the first job that is not skipped. It visits at most mostGone items of the line and two of the heap for each skipped one, and
// changes nothing.
func (b *backlog) bestExcept(skip func(*entry) bool) (best *entry, found bool) {
	best, found = b.late.bestExcept(0, skip)
	for _, e := range b.line[b.head:] {
		if !e.gone() && !skip(e) {
			if !found || e.ahead(best) {
				best, found = e, true
			}
			break
		}
	}
	return best, found
}
