package main

import (
	"math"
	"slices"
	"time"
)

// summary is what the rounds of one figure gave.
type summary struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Rounds []float64 `json:"rounds"` // in the order in which they were measured
}

// summarize the rounds of one figure; there is at least one.
func summarize(rounds []float64) summary {
	sorted := slices.Clone(rounds)
	slices.Sort(sorted)
	return summary{Median: middle(sorted), Min: sorted[0], Max: sorted[len(sorted)-1], Rounds: rounds}
}

// middle of sorted values: of an even number the mean of the two in the middle.
func middle(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// percentileMS is the smallest of the times that at least the part p of all of them (0 < p <= 1) do not exceed, in milliseconds.
// NaN without any. It sorts times.
func percentileMS(times []time.Duration, p float64) float64 {
	if len(times) == 0 {
		return math.NaN()
	}
	slices.Sort(times)
	index := int(math.Ceil(p*float64(len(times)))) - 1
	return float64(times[max(0, index)]) / float64(time.Millisecond)
}
