// Package fairlane is the Go SDK of Fairlane: it enqueues jobs, waits for their results, and runs them in workers with lanes.
//
// A [Task], made by [Define], ties the name of a kind of job to the types of its arguments and of its result; producer and
// worker share it. A [Client] knows the addresses of the cluster and finds the leader. A [Worker] claims jobs for its lanes,
// keeps their leases alive, and tells a handler through its context when a claim is lost or its job cancelled.
//
// # Calls survive failovers
//
// Every call that changes something is numbered inside a session. The SDK sends it again, with the same number, until an
// answer arrives or the context ends; the cluster gives a number that it has answered the same answer again. A call whose
// context ends while nobody can say whether it took place fails with [ErrUnknownOutcome].
//
// Streams ([Client.Stream], [Client.Events], [Client.WatchQueue], and [Client.Wait]) open another connection, at another node if need be, and
// go on from where they were.
//
// # Schedules
//
// [Task.Declare] declares a [Schedule] next to the handler of its jobs: [Worker.Run] puts it before it takes a job, and a definition that is there
// already changes nothing, so that every replica of a program declares the same. The cluster makes the jobs: each fire time at most one, over
// any number of failovers, and each that makes none is recorded with the reason ([Client.Ticks]). Jobs and schedules of one [Coordinator] run
// strictly one after the other.
//
// # What a handler must know
//
// A worker that cannot reach the cluster cannot know that it still holds a claim. After three quarters of a lease without a
// sign from the cluster it cancels the handler's context with the cause [ErrClaimLost]. A handler that ignores its context may
// then run beside another run of the same job; systems outside can tell the two apart by [JobMeta.Fence], which only rises.
package fairlane
