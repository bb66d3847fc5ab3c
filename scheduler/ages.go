package scheduler

import "slices"

// ages finds the waiting job of a queue with the lowest place. Most jobs come with a place above all others, so they stand in a line; those
// that come with an old one (they were released) stand in a heap. A job that no longer waits is dropped when it would be first, or when
// there are more such jobs than waiting ones: the cost of a job is constant for the line, and log of the late ones for the heap.
//
// Invariants: line[head:] is by age; neither the first of it nor the top of late is gone;
// len(line) - head + len(late) <= 2 x waiting jobs + spareAges, and line is at most twice as long as what is left of it, or short.
type ages struct {
	line []*entry
	head int
	late []*entry // a binary heap by age
}

// spareAges are kept without cleaning up.
const spareAges = 64

// gone is the position of an entry that is in no heap any more.
const gone = -1

func (e *entry) gone() bool { return e.at == gone }

// add notes a job that waits from now on.
func (a *ages) add(e *entry) {
	if n := len(a.line); n > a.head && e.older(a.line[n-1]) {
		a.pushLate(e)
		return
	}
	a.line = append(a.line, e)
}

// settle restores the invariants after a job has gone.
func (a *ages) settle(waiting int) {
	for a.head < len(a.line) && a.line[a.head].gone() {
		a.line[a.head] = nil
		a.head++
	}
	for len(a.late) > 0 && a.late[0].gone() {
		a.popLate()
	}
	if a.head > spareAges && a.head > len(a.line)/2 || len(a.line)-a.head+len(a.late) > 2*waiting+spareAges {
		a.clean()
	}
}

// clean keeps what waits, in fresh memory.
func (a *ages) clean() {
	a.line = slices.DeleteFunc(slices.Clone(a.line[a.head:]), (*entry).gone)
	a.line, a.head = slices.Clip(a.line), 0
	if late := slices.DeleteFunc(a.late, (*entry).gone); len(late) < len(a.late) {
		slices.SortFunc(late, func(x, y *entry) int {
			if x.older(y) {
				return -1
			}
			return 1
		})
		a.late = slices.Clone(late)
	}
}

// oldest of the jobs that wait; there must be one.
func (a *ages) oldest() *entry {
	if a.head == len(a.line) || len(a.late) > 0 && a.late[0].older(a.line[a.head]) {
		return a.late[0]
	}
	return a.line[a.head]
}

func (a *ages) pushLate(e *entry) {
	a.late = append(a.late, e)
	for at := len(a.late) - 1; at > 0; {
		parent := (at - 1) / 2
		if !a.late[at].older(a.late[parent]) {
			return
		}
		a.late[at], a.late[parent] = a.late[parent], a.late[at]
		at = parent
	}
}

func (a *ages) popLate() {
	last := len(a.late) - 1
	a.late[0], a.late[last] = a.late[last], nil
	a.late = a.late[:last]
	for at := 0; ; {
		child := 2*at + 1
		if child >= last {
			return
		}
		if child+1 < last && a.late[child+1].older(a.late[child]) {
			child++
		}
		if !a.late[child].older(a.late[at]) {
			return
		}
		a.late[at], a.late[child] = a.late[child], a.late[at]
		at = child
	}
}
