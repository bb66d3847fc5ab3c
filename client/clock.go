package fairlane

import "time"

// instant is one moment on both clocks. The monotonic one stands still while some machines sleep, and the wall clock can be
// set; a span of time is therefore the larger of what the two say.
type instant struct {
	mono time.Duration // since the process began
	wall time.Duration // since 1970
}

// since gives how long ago the earlier moment was, by the clock that went further.
func (i instant) since(earlier instant) time.Duration {
	return max(i.mono-earlier.mono, i.wall-earlier.wall)
}

// add moves both clocks by d.
func (i instant) add(d time.Duration) instant { return instant{mono: i.mono + d, wall: i.wall + d} }

// clock tells the moment. Timers are not part of it: tests run them in a bubble of testing/synctest.
type clock interface{ now() instant }

// machineClock is the clock of this machine.
type machineClock struct{ began time.Time }

func newMachineClock() machineClock { return machineClock{began: time.Now()} }

func (c machineClock) now() instant {
	t := time.Now()
	return instant{mono: t.Sub(c.began), wall: time.Duration(t.UnixNano())}
}
