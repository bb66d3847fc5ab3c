//go:build unix

// Package bench measures a cluster from outside, as its users see it.
//
// A run has load generators (producers that enqueue, workers that claim and finish), one ledger, and a window. The ledger holds
// for every job when it was due, enqueued, started and finished; the figures are made from it after the run, so that nothing but
// the load runs beside the cluster. The same ledger is the check: each acknowledged enqueue must have been started once and
// finished once, under the id that was acknowledged. A run that finds otherwise fails.
//
// Closed loop: each producer enqueues again when the former call is answered; what is measured is how much the cluster carries.
// A sample belongs to the window in which it ended. Open loop: jobs are due at times that the rate alone decides; all latencies
// count from there, also when no caller was free to send in time, so that a stall shows as all the late jobs that it made and
// not as one. A sample belongs to the window in which it was due, and the run goes on until all of the window's jobs are done.
package bench
