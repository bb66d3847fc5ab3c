package calendar

import (
	"crypto/sha256"
	"encoding/binary"
)

// spreadMs is the most over which schedules are spread that give no jitter: an offset of days for a schedule of each month would surprise.
const spreadMs = 3_600_000

// Offset from the grid: 0 <= offset < min(jitter, period); 0 if that is nothing. spread: from the name, the same on every machine and for ever; if
// there is no jitter, over the period, at most an hour. Else drawn(n), a number in [0, n). periodMs 0: it fires once, so the jitter alone counts.
func Offset(name string, jitterMs, periodMs int64, spread bool, drawn func(n int64) int64) int64 {
	n := jitterMs
	if n == 0 && spread {
		n = min(spreadMs, periodMs)
	}
	if periodMs > 0 {
		n = min(n, periodMs)
	}
	if n <= 0 {
		return 0
	}
	if !spread {
		return drawn(n)
	}
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:8]) % uint64(n))
}
