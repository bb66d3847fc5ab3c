package cluster

import "time"

// ClockSource gives the two times that a batch is stamped with. Safe for use by several goroutines.
type ClockSource interface {
	// WallMillis since 1970.
	WallMillis() int64
	// MonotonicMillis since some moment of this process; never goes back.
	MonotonicMillis() int64
}

type systemClock struct{ start time.Time }

func (c systemClock) WallMillis() int64      { return time.Now().UnixMilli() }
func (c systemClock) MonotonicMillis() int64 { return time.Since(c.start).Milliseconds() }
