package demo

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// What a worker reports about a job.
const (
	Began    = "began"    // its handler began
	Ended    = "ended"    // its handler ended
	Finished = "finished" // the cluster accepted its outcome
)

// Report is one line that a worker process prints. Such lines are the only thing on its standard output.
type Report struct {
	What  string `json:"what"`
	Job   uint64 `json:"job"`
	Fence uint64 `json:"fence"`
	User  string `json:"user,omitempty"`
	Queue string `json:"queue,omitempty"`
	Lane  int    `json:"lane"`
	// Running handlers in this lane of this worker when one began, this one included.
	Running int `json:"running,omitempty"`
	// AtMicros is the wall clock of the machine in Unix microseconds. All processes of the demonstration share it.
	AtMicros int64 `json:"at_us"`

	// Worker that reported; filled in by the reader.
	Worker string `json:"-"`
}

// Reporter counts and reports the running handlers of a worker. Its methods may be called at the same time.
type Reporter struct {
	mu      sync.Mutex
	out     *json.Encoder
	running map[int]int
}

// NewReporter writes one line at a time to out.
func NewReporter(out io.Writer) *Reporter {
	return &Reporter{out: json.NewEncoder(out), running: map[int]int{}}
}

// Began reports that a handler begins. The function given back reports its end and must be called once.
func (r *Reporter) Began(line Report) (ended func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[line.Lane]++
	line.What, line.Running = Began, r.running[line.Lane]
	r.write(line)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running[line.Lane]--
		line.What, line.Running = Ended, 0
		r.write(line)
	}
}

// Finished reports that the cluster accepted an outcome.
func (r *Reporter) Finished(line Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line.What = Finished
	r.write(line)
}

func (r *Reporter) write(line Report) {
	line.AtMicros = time.Now().UnixMicro()
	// A reader that is gone is the driver that is gone, which ends this process anyway.
	_ = r.out.Encode(line)
}
