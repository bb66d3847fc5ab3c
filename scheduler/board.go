package scheduler

// Turns tells when a user was last served in a line ("*" is a line). The facts
// belong to the caller; after a change it calls Board.Served.
type Turns interface {
	// Turn returns the fence of the user's last claim through the line, 0 for never.
	Turn(line, user string) Fence
}

// Pick is the answer of Next.
type Pick struct {
	Job      Job
	Line     string // the line it was found in: a queue's name or Any
	Position int    // of that line in the offer's chain
}

// Board holds all waiting jobs in order. One caller at a time.
type Board struct{}

// NewBoard returns an empty board on which every queue has the default mode.
func NewBoard(turns Turns, defaultMode Mode) *Board { return &Board{} }

// Add puts a job into the lines. A job that is already there is a broken invariant: it panics.
func (b *Board) Add(job Job) {}

// Remove takes a job out of the lines and reports whether it was there.
func (b *Board) Remove(id JobID) bool { return false }

// Has reports whether the job waits.
func (b *Board) Has(id JobID) bool { return false }

// Next returns the job that the offer gets. It takes nothing.
func (b *Board) Next(offer Offer) (Pick, bool) { return Pick{}, false }

// Served says that the user's turn in the line has changed.
func (b *Board) Served(line, user string) {}

// SetMode gives a queue a mode of its own.
func (b *Board) SetMode(queue string, m Mode) {}

// SetDefaultMode sets the mode of the line "*" and of queues without a mode of their own.
func (b *Board) SetDefaultMode(m Mode) {}

// CloseQueue takes a queue out of the lines.
func (b *Board) CloseQueue(queue string) {}

// OpenQueue brings a queue back.
func (b *Board) OpenQueue(queue string) {}

// CloseUser takes a user out of all lines.
func (b *Board) CloseUser(user string) {}

// OpenUser brings a user back.
func (b *Board) OpenUser(user string) {}

// CloseUserIn takes a user out of one queue.
func (b *Board) CloseUserIn(queue, user string) {}

// OpenUserIn brings a user back into one queue.
func (b *Board) OpenUserIn(queue, user string) {}

// FrontPriority returns the highest priority that waits, closed or not: of the
// user in the queue (round robin) or of the queue (fifo); false if none waits.
func (b *Board) FrontPriority(queue, user string) (int32, bool) { return 0, false }

// Waiting returns the number of waiting jobs, closed ones included.
func (b *Board) Waiting() int { return 0 }

// WaitingIn returns the number of waiting jobs of a queue, closed ones included.
func (b *Board) WaitingIn(queue string) int { return 0 }
