package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// heapFloor is the size, in bytes, that the heap of a server reaches before it is collected, however little of it is live. A node with few
	// jobs keeps about 10 MiB, and would collect them dozens of times a second under load.
	heapFloor = 64 << 20
	// usualPercent is Go's own: a large heap is collected as ever, so that the floor costs a full node no memory.
	usualPercent = 100
	liveHeap     = "/gc/heap/live:bytes"
)

// keepHeapFloor makes the collector wait until the heap has heapFloor bytes, for the life of the process. After each collection the growth that is
// allowed is worked out anew from what is live. GOGC in the environment wins: then nothing is changed. Call it once.
func keepHeapFloor() {
	if os.Getenv("GOGC") != "" {
		return
	}
	setPercent(heapPercent(liveBytes()), usualPercent)
}

// setPercent of growth, and look again after the next collection: an object that nobody holds is the sign of it.
func setPercent(percent, former int) {
	if percent != former {
		debug.SetGCPercent(percent)
	}
	sign := new([4]uint64) // large enough not to share its place with objects that live
	runtime.AddCleanup(sign, func(former int) { setPercent(heapPercent(liveBytes()), former) }, percent)
}

// heapPercent is the growth, in percent of what is live, after which the heap has heapFloor bytes; never less than usualPercent. It moves in
// steps, since each change stops the process for a moment.
func heapPercent(live uint64) int {
	const step, most = 50, 1600
	if live == 0 {
		return most
	}
	percent := (heapFloor*100/live - min(100, heapFloor*100/live)) / step * step
	return int(min(most, max(usualPercent, percent)))
}

func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: liveHeap}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return heapFloor // unknown to this version of Go: as ever
	}
	return sample[0].Value.Uint64()
}
