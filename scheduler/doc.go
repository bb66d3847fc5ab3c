// Package scheduler knows order: which of the waiting jobs a lane gets next.
//
// # Purpose
//
// Board holds all waiting jobs and answers Next; Waiters holds parked claims and
// answers which of them a job that became ready should wake. Offer.Takes is the
// one rule of what may go to whom. ParseLanes reads what a worker offers.
//
// The package is pure: no clock, no randomness, no goroutine, no lock, no I/O.
// Facts (who was served when, limits, pauses, claims that live) belong to the
// caller, who tells Board by Served, Close* and Open*. Board is never stored: a restored node adds
// every waiting job again, in any order, and gets the same picks.
//
// # Concepts
//
//	Board
//	 ├─ queue "manual" ── part (no memory) ┬─ own:  users as the queue's line serves them
//	 │                 └─ part (1 GiB)     ├─ star: users as the line "*" serves them
//	 ├─ queue "bulk"   ── part (no memory) ├─ away: users that are closed
//	 │                                     └─ user A: jobs by (priority, place, id)
//	 ├─ star[size]: the open queues' parts by their first user
//	 └─ coordinator "db" ── its jobs by (due, id); the first stands in a part
//
// A part is the jobs of one queue that need the same memory, so an offer fits all
// of a part or none. A line's next user is the best of the first users of the
// parts that fit; its job is then the best of that user over those parts.
//
// Users are compared by (turn, place of their best job in the part, id) in round
// robin, and by (priority, place, id) of that job in fifo. All are total orders.
//
// Of the waiting jobs of a coordinator only the head, the first by (due, id), stands
// in the lines, and that only while the coordinator is open: no claim of it lives.
// The others are held back: they wait (Waiting, Oldest, Has) and no offer sees them,
// so an offer that cannot take the head gets none behind it. A head that goes lets
// the next one stand, and a job that was due before the head takes its place.
//
// # Cost
//
// Add, Remove and Served are heap moves: log of the user's jobs, of the users of the part, of
// the queues. Next looks at heap tops: queues in the chain x sizes in use; the
// line "*" then looks at each queue in which the chosen user waits, as do
// CloseUser and Served of "*". Excluded jobs are searched around, at most two
// steps each, without changing a heap, so that Next may run beside other reads.
// A waiting job takes about 80 bytes, and about 45 more on the roll. A job of a
// coordinator takes about 200 more, and its Add and Remove, and Close and Open of
// its coordinator, cost log of all jobs of coordinators besides; the others pay a look
// into an empty map, or one that finds nothing.
//
// # Questions about others than the next job
//
// Beside the heaps the board keeps a Roll of all waiting jobs that copies in O(1). A Tally
// sums a copy up for one job, and says how many claims of an offer come before it; it knows
// what stands in the lines now, not what coordinators will let in. Preview takes the next
// jobs of an offer from the board itself and puts them back; there a coordinator's next
// job follows.
//
// # Invariants
//
// A job that is not held back stands in exactly one heap of its user. The head of an
// open coordinator stands, and no other job of a coordinator. A user of a part stands in own
// and star, or in away. A part stands in star[size] exactly if its queue is open
// and it has an open user. A user without jobs in a part has no record there.
//
// The roll holds the jobs, turns and what is closed exactly as the heaps and coordinators do.
//
// See docs/design.md §7 for the order and §8 for the lane grammar, and
// docs/decisions/0002-ties-by-part.md for ties between users never served.
package scheduler
