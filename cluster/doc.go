// Package cluster runs one node of Fairlane: the raft log and its stores, the proposer that packs commands into batches,
// the duties of a leader, parked claims, and the feed of changes. It knows machines; what a batch means is fsm's.
//
// # From a call to its answer
//
//	Propose ─┐                                                    ┌─ answers by position
//	Claim   ─┼─> queues ─> proposer (one goroutine, on the leader) ┤
//	Read    ─┘     │        pack ─> stamp ─> raft ─> Apply ─> Outcome ─> wake parked claims
//	               └ parked claims: peeked when packing; no log entry while there is nothing for them
//
// At most one batch is in flight. While it is, calls gather, and the next batch carries all of them.
//
// # Leadership
//
// A leadership lasts from raft's word that this node leads to its word that it does not. It starts with a barrier, so
// that the machine holds everything that former leaders committed; then the proposer runs. It ends by one context: what
// waits in a queue is told that nothing was done, what is in flight that its outcome is unknown, and only when its
// goroutines are gone may another leadership of this node begin.
//
// Output is lazy: it waits a moment for others, rides in every batch that goes out anyway, and stands at its front.
//
// # From a batch to its watchers
//
//	Apply ─> ring (the newest events, bounded) ─> one poke ─> dispatcher (one goroutine) ─> one signal per watch ─> it reads by position
//
// A watch is a position and room for one signal. Apply never knows how many there are (docs/decisions/0010-event-ring.md).
//
// # Locks, in order
//
// leadership.mu (queues and parked claims), then machine.mu (the replicated state). Apply takes machine.mu, gives it back, and then takes
// ring.mu and feed.outputs, one after the other. feed.mu (the watches), then ring.mu. topic.viewing, then machine.mu.
package cluster
