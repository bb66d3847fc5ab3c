// Package simulate asks what a recorded stretch of a cluster's life would have been like under other settings or with other workers.
//
// # Overview
//
// It reads a trace twice. First it replays the trace exactly and observes it: who waited how long, which runs there were, how they
// ended (observer.go), and draws from it what is needed to live it again (history.go): which jobs came when, what operators did, when workers
// came and went, and how long each run of each job took. Then it lives through the same time again (engine.go) on a machine that begins
// with the same state, with the changes made: the jobs come at their recorded instants, virtual workers claim and finish. Every decision
// is made by fsm.Machine; there is no second scheduler here. The same observer watches both.
//
// # The clock
//
// Virtual: it jumps from one instant at which something happens to the next. While a claim lives it goes by one second at most, because
// the machine's lease clock moves no further in one batch.
//
// # Determinism
//
// The output is a function of the file and the changes: no clock, no randomness, no order of a map.
package simulate
