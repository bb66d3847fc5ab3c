package scheduler

// JobID is a job's number, drawn from the machine's own counter; never reused.
type JobID uint64

// Fence is the number of a claim. As a turn it says when a user was last
// served in a line: a higher one is later, 0 is never.
type Fence uint64

// Place is a job's age in the lines: a lower place is older.
type Place uint64

// Any is the name of the line over all queues. It stands last in a chain.
const Any = "*"

// Mode is the order in which a line is served.
type Mode uint8

const (
	// RoundRobin serves the user whose last claim in the line is longest ago.
	RoundRobin Mode = iota
	// FIFO serves by priority, then by place, whoever the user is.
	FIFO
)

// String returns the name that the API uses.
func (m Mode) String() string {
	if m == FIFO {
		return "fifo"
	}
	return "round_robin"
}

// Job is what order needs to know about a waiting job.
type Job struct {
	ID       JobID
	Queue    string
	User     string
	Priority int32 // a larger number goes first
	Place    Place
	Size     Size // rounded memory need
	// Coordinator under which it runs, one job at a time; empty: none. Due is its first due time: the least of the coordinator goes first.
	Coordinator string
	Due         int64
}
