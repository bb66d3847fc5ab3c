package fsm

import (
	"bytes"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// The output of one attempt of a job is its stream: whole pieces (chunks), and a last one that grows by being replaced until it is whole.
// A stream ends where its last piece ends, which is kept also when it is empty: so the end is known when nothing else is left. Of all
// streams of a job together the newest max_output_bytes are kept, or a little less, but never less than seven eighths of that.

// Bounds of streams. They belong to Rules.
const (
	leastChunk     = 4 << 10 // a last piece is shorter; also what an append may copy at most
	mostChunk      = 64 << 10
	mostStreams    = 64 // of one job: those of its last attempts with output
	streamOverhead = 128
	chunkOverhead  = 96
)

// DefaultOutputBytes of one job are kept unless max_output_bytes says otherwise; that is MostOutputBytes at most. They belong to Rules.
const (
	DefaultOutputBytes = 1 << 20
	MostOutputBytes    = 64 << 20
)

// piece of a stream. Neither it nor its data is ever changed.
type piece struct {
	job     uint64
	attempt int32
	offset  uint64
	data    []byte
}

func streamLess(a, b piece) bool { return a.job < b.job || a.job == b.job && a.attempt < b.attempt }

func chunkLess(a, b piece) bool {
	return streamLess(a, b) || a.job == b.job && a.attempt == b.attempt && a.offset < b.offset
}

func (p piece) end() uint64 { return p.offset + uint64(len(p.data)) }

func (p piece) record() *logv1.ChunkRecord {
	return &logv1.ChunkRecord{Job: p.job, Attempt: p.attempt, Offset: p.offset, Data: p.data}
}

// endOf a stream; 0: there is none yet.
func (f *facts) endOf(job uint64, attempt int32) uint64 {
	last, _ := f.streams.Get(piece{job: job, attempt: attempt})
	return last.end()
}

// maxOutput bytes of one job are kept.
func (m *Machine) maxOutput() int64 {
	if m.settings.MaxOutputBytes == nil {
		return DefaultOutputBytes
	}
	return max(0, min(m.settings.GetMaxOutputBytes(), MostOutputBytes))
}

// appendOutput puts data at the end of a stream. The data is copied: it belongs to the command.
func (m *Machine) appendOutput(job uint64, attempt int32, data []byte) {
	last, known := m.streams.Get(piece{job: job, attempt: attempt})
	if !known {
		last = piece{job: job, attempt: attempt}
		m.makeStream(last)
	}
	most := m.maxOutput()
	whole := int(max(leastChunk, min(mostChunk, most/8))) // so at least seven eighths of what may be kept are
	if over := int64(len(data)) - most; over > 0 {        // what was before goes in any case
		last.offset, last.data = last.end()+uint64(over), nil
		m.setLast(last)
		for m.dropOldest(job, m.kept[job]) {
		}
		data = data[over:]
	}
	for len(last.data)+len(data) >= leastChunk {
		n := min(len(last.data)+len(data), whole)
		chunk := last
		chunk.data = joined(last.data, data[:n-len(last.data)])
		data = data[n-len(last.data):]
		last.offset, last.data = chunk.end(), nil
		m.setLast(last)
		m.chunks.Set(chunk)
		m.count(job, len(chunk.data), chunkOverhead)
	}
	if len(data) > 0 {
		last.data = joined(last.data, data)
		m.setLast(last)
	}
	for m.kept[job] > most && m.dropOldest(job, m.kept[job]-most) {
	}
}

// joined makes a new slice: a shared one must not be appended to.
func joined(a, b []byte) []byte {
	return append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
}

// count pieces that came (or went, below 0) in what is kept of the job and in the state.
func (m *Machine) count(job uint64, bytes, overhead int) {
	m.kept[job] += int64(bytes)
	m.bytes += int64(bytes + overhead)
}

func (m *Machine) setLast(last piece) {
	old, _ := m.streams.Set(last)
	m.count(last.job, len(last.data)-len(old.data), 0)
}

// makeStream makes room for one more stream of the job, and the stream.
func (m *Machine) makeStream(last piece) {
	var all []piece
	m.streams.Ascend(piece{job: last.job}, func(p piece) bool {
		if p.job == last.job {
			all = append(all, p)
		}
		return p.job == last.job
	})
	if len(all) >= mostStreams {
		m.dropStream(all[0])
	}
	m.streams.Set(last)
	m.count(last.job, 0, streamOverhead)
}

// dropOldest makes the oldest output of a job go: a whole chunk if it is a small part of what may be kept, else as much of the oldest piece
// as is over. False: nothing is left.
func (m *Machine) dropOldest(job uint64, over int64) bool {
	var last piece // the first that is not empty
	m.streams.Ascend(piece{job: job}, func(p piece) bool {
		if p.job == job && len(p.data) > 0 {
			last = p
		}
		return p.job == job && len(p.data) == 0
	})
	var chunk piece
	m.chunks.Ascend(piece{job: job}, func(p piece) bool { chunk = p; return false })
	switch {
	case chunk.job == job && len(chunk.data) > 0 && (len(last.data) == 0 || chunk.attempt <= last.attempt):
		m.dropChunk(chunk)
		if size := int64(len(chunk.data)); size > over && size > m.maxOutput()/8 {
			rest := chunk
			rest.offset, rest.data = chunk.offset+uint64(over), bytes.Clone(chunk.data[over:])
			m.chunks.Set(rest)
			m.count(job, len(rest.data), chunkOverhead)
		}
	case len(last.data) > 0:
		n := min(over, int64(len(last.data)))
		last.offset, last.data = last.offset+uint64(n), bytes.Clone(last.data[n:])
		m.setLast(last)
	default:
		return false
	}
	return true
}

func (m *Machine) dropChunk(p piece) {
	m.chunks.Delete(p)
	m.count(p.job, -len(p.data), -chunkOverhead)
}

// dropStream forgets a stream and says how many pieces it had.
func (m *Machine) dropStream(last piece) int {
	var gone []piece
	m.chunks.Ascend(piece{job: last.job, attempt: last.attempt}, func(p piece) bool {
		mine := p.job == last.job && p.attempt == last.attempt
		if mine {
			gone = append(gone, p)
		}
		return mine
	})
	for _, p := range gone {
		m.dropChunk(p)
	}
	m.streams.Delete(last)
	m.count(last.job, -len(last.data), -streamOverhead)
	return 1 + len(gone)
}

// deleteOutput forgets all output of a job and says how many pieces that were.
func (m *Machine) deleteOutput(job uint64) (pieces int) {
	if _, any := m.kept[job]; !any {
		return 0
	}
	var all []piece
	m.streams.Ascend(piece{job: job}, func(p piece) bool {
		if p.job == job {
			all = append(all, p)
		}
		return p.job == job
	})
	for _, last := range all {
		pieces += m.dropStream(last)
	}
	delete(m.kept, job)
	return pieces
}

// rebuildOutput counts what a snapshot brought.
func (m *Machine) rebuildOutput() {
	m.chunks.Scan(func(p piece) bool { m.count(p.job, len(p.data), chunkOverhead); return true })
	m.streams.Scan(func(p piece) bool { m.count(p.job, len(p.data), streamOverhead); return true })
}
