package scheduler

// Waiters is the index of parked claims, each under an age of its own: a lower
// age is older. One caller at a time.
type Waiters struct{}

// NewWaiters returns an empty index.
func NewWaiters() *Waiters { return &Waiters{} }

// Park adds a claim. An age that is already there is a broken invariant: it panics.
func (w *Waiters) Park(age uint64, o Offer) {}

// Unpark removes a claim and reports whether it was there.
func (w *Waiters) Unpark(age uint64) bool { return false }

// Wake returns the oldest parked claim that can take a job of this queue, user
// and size. It stays parked: the caller unparks it.
func (w *Waiters) Wake(queue, user string, size Size) (age uint64, ok bool) { return 0, false }

// Len returns the number of parked claims.
func (w *Waiters) Len() int { return 0 }
