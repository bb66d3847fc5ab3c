package bench

import "fmt"

// report makes the figures of a run that has ended. end is when the last worker stopped.
func (r *run) report(sees [2]view, end int64, a Account) *Report {
	o, w := r.o, window{sees[0].at, sees[1].at}
	rep := &Report{
		Mode: o.Mode, Store: sees[1].store, Nodes: sees[1].nodes, Batch: o.Batch, Stream: o.Stream, SDK: o.SDK, PayloadBytes: o.Payload, Users: o.Users,
		Seconds: round(w.seconds()), Errors: r.target.errors.Load(), Account: a,
	}
	if o.Mode != Claim {
		rep.Producers = o.Producers
	}
	if o.Mode != Enqueue {
		rep.Workers = o.Workers
	}
	if o.streaming() {
		rep.Streams, rep.Slots = o.Streams, o.Slots
	}
	var s latencies
	switch o.Mode {
	case Enqueue:
		s = closed(r.ledger, w, func(j *record) int64 { return j.acked.Load() })
		rep.EnqueueMs = s.enqueue.percentiles()
	case Claim:
		s = closed(r.ledger, w, func(j *record) int64 { return j.started.Load() })
		rep.Waiting, rep.ClaimMs = o.Waiting, s.claim.percentiles()
	case Cycle:
		s = closed(r.ledger, w, func(j *record) int64 { return j.finished.Load() })
		rep.EnqueueMs, rep.StartMs, rep.CycleMs = s.enqueue.percentiles(), s.start.percentiles(), s.cycle.percentiles()
	case Latency:
		s = open(r.ledger, w, end)
		rep.Due = s.due
		rep.EnqueueMs, rep.StartMs, rep.CycleMs = s.enqueue.percentiles(), s.start.percentiles(), s.cycle.percentiles()
		rep.Rate, rep.Arrivals, rep.Unsent = o.Rate, o.Arrivals, a.Unacknowledged
		finished := closed(r.ledger, w, func(j *record) int64 { return j.finished.Load() })
		rep.Reached = round(float64(finished.jobs) / w.seconds())
		s.jobs = finished.jobs
	}
	rep.Jobs, rep.JobsPerS = s.jobs, round(float64(s.jobs)/w.seconds())
	if s.jobs > 0 {
		entries := round(float64(sees[1].index-sees[0].index) / float64(s.jobs))
		rep.EntriesPerJob = &entries
		if sees[0].counted && sees[1].counted {
			cpu := round((sees[1].cpu - sees[0].cpu) / float64(s.jobs) * 1000)
			rep.ClusterCPU = &cpu
		}
	}
	rep.RSS = sees[1].rss
	if r.killed != 0 {
		rep.Phases = phases(r.ledger, w, r.killed, end)
	}
	return rep
}

// RateError says that the cluster did not keep up with the rate that was asked for: the latencies are those of a queue that grew.
type RateError struct{ Asked, Reached float64 }

func (e *RateError) Error() string {
	return fmt.Sprintf("%.0f jobs/s were asked for and %.0f reached: the latencies are those of a queue that grew. Choose a --rate below that, or more --producers and --workers",
		e.Asked, e.Reached)
}

// slack is the share of the jobs due in the window that may be finished after it: those of its last moments, or of a leader's death.
const slack = 0.1

func (rep *Report) rateError() error {
	if rep.Mode != Latency || float64(rep.Jobs) >= float64(rep.Due)*(1-slack)-10 {
		return nil
	}
	return &RateError{rep.Rate, rep.Reached}
}
