package main

import "testing"

// The heap grows to the floor while little is live, and to twice of what is live as soon as that is more.
func TestHeapPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 1600}, {1 << 20, 1600}, {8 << 20, 700}, {10 << 20, 500}, {16 << 20, 300}, {30 << 20, 100}, {32 << 20, 100}, {64 << 20, 100}, {1 << 30, 100},
	} {
		got := heapPercent(c.live)
		if got != c.want {
			t.Errorf("%d bytes live: %d percent, want %d", c.live, got, c.want)
		}
		if peak := c.live + c.live*uint64(got)/100; peak > heapFloor && got > usualPercent {
			t.Errorf("%d bytes live: the heap grows to %d, above the floor", c.live, peak)
		}
	}
}
