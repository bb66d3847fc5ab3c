package scheduler

// order says how a heap sorts its items and where an item keeps its position.
// Types that implement it are empty structs.
type order[T any] interface {
	before(a, b T) bool      // a total order
	placed(item T, at int32) // remembers the position; gone: not in the heap
}

// heap is an intrusive binary heap: an item knows its own position, so that it
// can be removed or moved in O(log n) without a search.
//
// Invariant: for i > 0, items[i] is not before items[(i-1)/2], and the position
// that items[i] keeps is i.
type heap[T any, O order[T]] struct {
	items []T
}

// top returns the first item, or the zero value.
func (h *heap[T, O]) top() (first T) {
	if len(h.items) > 0 {
		first = h.items[0]
	}
	return first
}

func (h *heap[T, O]) push(item T) {
	h.items = append(h.items, item)
	h.up(len(h.items) - 1)
}

// remove takes out the item at a position.
func (h *heap[T, O]) remove(at int32) {
	var o O
	var zero T
	o.placed(h.items[at], gone)
	last := len(h.items) - 1
	moved := h.items[last]
	h.items[last] = zero
	h.items = h.items[:last]
	if int(at) == last {
		h.shrink()
		return
	}
	h.items[at] = moved
	h.fix(at)
	h.shrink()
}

// fix restores the order after the key of the item at a position changed.
func (h *heap[T, O]) fix(at int32) {
	if !h.down(int(at)) {
		h.up(int(at))
	}
}

// rebuild restores the order after the keys of many items changed.
func (h *heap[T, O]) rebuild() {
	var o O
	for i, item := range h.items {
		o.placed(item, int32(i))
	}
	for i := len(h.items)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// bestExcept returns the first item of the subtree at a position that is not
// skipped. It visits at most two items for each skipped one, and changes nothing.
func (h *heap[T, O]) bestExcept(at int, skip func(T) bool) (best T, found bool) {
	if at >= len(h.items) {
		return best, false
	}
	if !skip(h.items[at]) {
		return h.items[at], true
	}
	left, hasLeft := h.bestExcept(2*at+1, skip)
	right, hasRight := h.bestExcept(2*at+2, skip)
	var o O
	if hasLeft && (!hasRight || o.before(left, right)) {
		return left, true
	}
	return right, hasRight
}

func (h *heap[T, O]) up(at int) {
	var o O
	item := h.items[at]
	for at > 0 {
		parent := (at - 1) / 2
		if !o.before(item, h.items[parent]) {
			break
		}
		h.items[at] = h.items[parent]
		o.placed(h.items[at], int32(at))
		at = parent
	}
	h.items[at] = item
	o.placed(item, int32(at))
}

// down reports whether the item moved.
func (h *heap[T, O]) down(at int) bool {
	var o O
	start, item := at, h.items[at]
	for {
		child := 2*at + 1
		if child >= len(h.items) {
			break
		}
		if child+1 < len(h.items) && o.before(h.items[child+1], h.items[child]) {
			child++
		}
		if !o.before(h.items[child], item) {
			break
		}
		h.items[at] = h.items[child]
		o.placed(h.items[at], int32(at))
		at = child
	}
	h.items[at] = item
	o.placed(item, int32(at))
	return at > start
}

// shrink gives memory back after a flood has drained.
func (h *heap[T, O]) shrink() {
	if cap(h.items) > 256 && len(h.items) < cap(h.items)/4 {
		h.items = append(make([]T, 0, cap(h.items)/2), h.items...)
	}
}
