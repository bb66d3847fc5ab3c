// Package fsm is Fairlane's deterministic machine: facts, and what a batch of the log does to them.
//
// # Overview
//
// Machine.Apply takes one batch, the content of one log entry, and returns an Outcome: the answers by position, the events, what became
// ready for parked claims. The machine reads no clock, no disk and no randomness, starts no goroutine and takes no lock; two machines that
// are fed the same batches hold byte-equal snapshots, also when one of them was restored half-way.
//
// # Facts and what follows from them
//
// Facts are what a snapshot holds: queues, users, jobs, sessions, claims, stored answers, idempotency keys, turns, decisions, output, settings,
// clocks and counters. They lie in B-trees that copy in O(1), under keys whose order is the order of the snapshot; a stored record is replaced, never
// edited. Final jobs have a tree of their own, so that history does not slow claims.
//
// Everything else is derived and rebuilt on restore: the board with the order of waiting jobs (package scheduler), timers, counts, gates,
// indexes. CheckInvariants counts it all anew.
//
// # The life of a job
//
//	            enqueue                       claim
//	(none) ──┬──────────▶ pending ───────────────────────▶ running ──▶ succeeded, failed, timed_out
//	         │ delay        ▲  ▲ └──────────┐                │ │ │
//	         └─▶ scheduled ─┘  └── release ─│────────────────┘ │ └─▶ scheduled (back-off, snooze)
//	                 └──────── cancel ──────┴──▶ cancelled ◀───┘
//
// The table of legal moves is in state.go; put checks it for every job. A job is claimed by a lane; the claim's number is the fence. Lanes,
// memory and limits count live claims, not states: a cancelled job whose worker has not let go holds its slot.
//
// # A batch
//
// First the clocks, then heartbeats, output, finishes and releases, then due timers, then the other commands in order. So a finish that arrives in
// the batch in which its lease ends still counts, and a slot that it frees is free for every claim of the batch.
//
// # Rules
//
// A batch says under which rules it is meant. The machine applies all that it knows, and changes nothing of what a former number means: see
// Rules, docs/decisions/0009-rules-2.md.
//
// # Failure
//
// A refused command is an answer and leaves the state as it was. A command that this version does not know, or a broken invariant, is a
// panic: the node must end, because an error value would let it drift away from the others in silence.
package fsm
