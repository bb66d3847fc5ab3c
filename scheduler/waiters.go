package scheduler

import (
	"fmt"
	"math/bits"
	"slices"
)

// Waiters is the index of parked claims, each under an age of its own: a lower
// age is older. Its answers are those of Offer.Takes asked of every parked claim;
// exclusions are not looked at, since it does not know which job wakes.
//
// Parked claims lie on shelves, one per name in a chain and user served; on a
// shelf in one heap by age per largest size that the claim can take. So a Wake
// looks at the tops of a few heaps, however many claims are parked.
//
// One caller at a time.
type Waiters struct {
	parked  map[uint64][]*slip
	shelves map[shelfKey]*shelf
}

type shelfKey struct {
	name     string // queue or Any
	user     string // "" unless onlyUser
	onlyUser bool
}

type shelf struct {
	key    shelfKey
	bySize []*sizeShelf // rising largest; none empty
}

// sizeShelf holds the claims of a shelf that can take jobs up to one size.
type sizeShelf struct {
	shelf   *shelf
	largest Size
	slips   heap[*slip, byAge]
}

// slip is one parked claim under one name of its chain.
type slip struct {
	age uint64
	on  *sizeShelf
	at  int32
}

type byAge struct{}

func (byAge) before(a, b *slip) bool      { return a.age < b.age }
func (byAge) placed(item *slip, at int32) { item.at = at }

// NewWaiters returns an empty index.
func NewWaiters() *Waiters {
	return &Waiters{parked: make(map[uint64][]*slip), shelves: make(map[shelfKey]*shelf)}
}

// Park adds a claim. An age that is already there is a broken invariant: it panics.
func (w *Waiters) Park(age uint64, o Offer) {
	if _, there := w.parked[age]; there {
		panic(fmt.Sprintf("scheduler: two claims are parked under the age %d", age))
	}
	slips := make([]*slip, 0, len(o.Chain))
	for i, name := range o.Chain {
		if slices.Contains(o.Chain[:i], name) {
			continue
		}
		key := shelfKey{name: name}
		if o.OnlyUser {
			key.onlyUser, key.user = true, o.User
		}
		s := &slip{age: age, on: w.sizeShelf(key, largestSize(o))}
		s.on.slips.push(s)
		slips = append(slips, s)
	}
	w.parked[age] = slips
}

// Unpark removes a claim and reports whether it was there.
func (w *Waiters) Unpark(age uint64) bool {
	slips, there := w.parked[age]
	if !there {
		return false
	}
	delete(w.parked, age)
	for _, s := range slips {
		s.on.slips.remove(s.at)
		if len(s.on.slips.items) == 0 {
			w.drop(s.on)
		}
	}
	return true
}

// Wake returns the oldest parked claim that can take a job of this queue, user
// and size. It stays parked: the caller unparks it, before it asks for the next.
func (w *Waiters) Wake(queue, user string, size Size) (age uint64, ok bool) {
	for _, key := range [...]shelfKey{
		{name: queue},
		{name: Any},
		{name: queue, onlyUser: true, user: user},
		{name: Any, onlyUser: true, user: user},
	} {
		s := w.shelves[key]
		if s == nil {
			continue
		}
		for _, by := range s.bySize {
			if by.largest < size {
				continue
			}
			if oldest := by.slips.top().age; !ok || oldest < age {
				age, ok = oldest, true
			}
		}
	}
	return age, ok
}

// Len returns the number of parked claims.
func (w *Waiters) Len() int { return len(w.parked) }

// largestSize returns the largest size that fits the offer.
func largestSize(o Offer) Size {
	if !o.Limited {
		return MaxSize
	}
	return Size(bits.Len64(o.FreeBytes))
}

func (w *Waiters) sizeShelf(key shelfKey, largest Size) *sizeShelf {
	s := w.shelves[key]
	if s == nil {
		s = &shelf{key: key}
		w.shelves[key] = s
	}
	at, there := slices.BinarySearchFunc(s.bySize, largest, func(by *sizeShelf, size Size) int { return int(by.largest) - int(size) })
	if !there {
		s.bySize = slices.Insert(s.bySize, at, &sizeShelf{shelf: s, largest: largest})
	}
	return s.bySize[at]
}

// drop takes an empty heap off its shelf, and an empty shelf out of the index.
func (w *Waiters) drop(by *sizeShelf) {
	s := by.shelf
	s.bySize = slices.DeleteFunc(s.bySize, func(other *sizeShelf) bool { return other == by })
	if len(s.bySize) == 0 {
		delete(w.shelves, s.key)
	}
}
