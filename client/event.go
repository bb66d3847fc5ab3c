package fairlane

// EventKind is what happened in a worker.
type EventKind uint8

const (
	// EventStarted: a handler is about to be called.
	EventStarted EventKind = iota + 1
	// EventReturned: the handler returned, with Err. Between the two the lane's slot is taken by code that runs.
	EventReturned
	// EventFinished: the cluster accepted the outcome.
	EventFinished
	// EventRefused: the cluster refused the outcome with Err, because the claim is over or the job was cancelled.
	EventRefused
	// EventReleased: the claim was given back without an outcome.
	EventReleased
	// EventLost: the claim is lost, by the cluster's word or because the local timer ran out; Err says which.
	EventLost
	// EventRegistered: the worker has a new session.
	EventRegistered
	// EventDraining: the worker takes no more jobs.
	EventDraining
)

// Event of a worker. Job, Fence and Lane are set for events of a claim.
type Event struct {
	Kind    EventKind
	Session uint64
	Job     JobID
	Fence   Fence
	Lane    int
	Err     error
}
