// Package scheduler knows order: which of the waiting jobs a lane gets next.
//
// It is pure: no clock, no randomness, no goroutine, no I/O. Board holds all
// waiting jobs and answers Next; Waiters holds claims that found nothing and
// answers which of them a new job should wake. Both ask the same rule,
// Offer.Takes. Facts (who was served when, limits, pauses) belong to the caller.
//
// See docs/design.md §7 for the order and §8 for the lane grammar.
package scheduler
