package scheduler

// Offer is what a lane can take now.
type Offer struct {
	Chain     []string // queue names by preference; Any only last
	Limited   bool     // the lane has a memory budget
	FreeBytes uint64   // what is left of it; read only if Limited
	User      string   // read only if OnlyUser
	OnlyUser  bool     // the worker serves this user alone
	Excluded  []JobID  // jobs that this worker must not get now; at most 100
}

// Takes reports whether a job of this queue, user and size may go to the offer.
// It is the one rule for Board and Waiters. Exclusions are by job and are
// looked at by Board alone: a claim woken for an excluded job keeps its place.
func (o Offer) Takes(queue, user string, size Size) bool {
	return o.fits(size) && o.serves(user) && o.names(queue)
}

func (o Offer) fits(size Size) bool {
	return !o.Limited || size.Bytes() <= o.FreeBytes
}

func (o Offer) serves(user string) bool {
	return !o.OnlyUser || o.User == user
}

func (o Offer) names(queue string) bool {
	for _, name := range o.Chain {
		if name == queue || name == Any {
			return true
		}
	}
	return false
}
