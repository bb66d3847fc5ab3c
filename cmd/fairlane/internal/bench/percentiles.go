package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Percentiles in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// longest latency that a histogram tells from longer ones.
const longest = time.Hour

// histogram of latencies, in microseconds, exact to three digits. Not safe for many goroutines.
type histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, longest.Microseconds(), 3)}
}

func (h histogram) add(nanos int64) {
	micros := min(max(1, (nanos+500)/1000), longest.Microseconds())
	_ = h.h.RecordValue(micros) // within the bounds, which is all that it could refuse
}

// percentiles; nil: there were no samples.
func (h histogram) percentiles() *Percentiles {
	if h.h.TotalCount() == 0 {
		return nil
	}
	at := func(q float64) float64 { return float64(h.h.ValueAtQuantile(q)) / 1000 }
	return &Percentiles{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.h.Max()) / 1000}
}
