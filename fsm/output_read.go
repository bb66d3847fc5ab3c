package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// OutputPiece is a part of the output of one attempt of a job, and how far the job is.
type OutputPiece struct {
	Attempt  int32    // whose output this is
	Offset   uint64   // of Data
	Data     [][]byte // must not be changed; at most as many bytes as were asked for
	Skipped  uint64   // bytes between the asked offset and Offset that are no longer kept
	End      uint64   // end of this attempt's output so far
	Newest   int32    // Job.Attempt now; 0: it was never claimed
	State    logv1.State
	Progress *logv1.Progress // nil: none
}

// Output reads from an offset of the output of an attempt (0: the newest one), at most so many bytes. An offset beyond the end reads at the
// end. Its cost is that of the pieces that it returns. False: there is no such job.
func (m *Machine) Output(id JobID, attempt int32, offset uint64, most int) (OutputPiece, bool) {
	rec, ok := m.find(uint64(id))
	if !ok {
		return OutputPiece{}, false
	}
	j := rec.job
	if attempt == 0 {
		attempt = j.Attempt
	}
	last, _ := m.streams.Get(piece{job: j.Id, attempt: attempt})
	out := OutputPiece{Attempt: attempt, End: last.end(), Newest: j.Attempt, State: j.State, Progress: j.Progress}
	offset = min(offset, out.End)
	out.Offset = m.firstKept(j.Id, attempt, last, offset)
	out.Skipped = out.Offset - offset
	m.readPieces(&out, j.Id, last, most)
	return out, true
}

// firstKept is the first byte at or after an offset that is kept, or the end.
func (m *Machine) firstKept(job uint64, attempt int32, last piece, offset uint64) uint64 {
	first := last.offset
	m.chunks.Ascend(piece{job: job, attempt: attempt}, func(p piece) bool { // the oldest chunk: what is kept has no holes
		if p.job == job && p.attempt == attempt {
			first = p.offset
		}
		return false
	})
	return max(offset, first)
}

func (m *Machine) readPieces(out *OutputPiece, job uint64, last piece, most int) {
	at := out.Offset
	take := func(p piece) bool {
		data := p.data[at-p.offset:]
		data = data[:min(len(data), most)]
		if len(data) > 0 {
			out.Data = append(out.Data, data[:len(data):len(data)])
		}
		at, most = at+uint64(len(data)), most-len(data)
		return most > 0
	}
	from := piece{job: job, attempt: out.Attempt, offset: at}
	m.chunks.Descend(from, func(p piece) bool { // the chunk that holds the offset may begin before it
		if p.job == job && p.attempt == out.Attempt && at < p.end() {
			from.offset = p.offset
		}
		return false
	})
	more := true
	m.chunks.Ascend(from, func(p piece) bool {
		mine := p.job == job && p.attempt == out.Attempt
		more = !mine || take(p)
		return mine && more
	})
	if more && at >= last.offset && at < last.end() {
		take(last)
	}
}
