package fsm

import (
	"fmt"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// farOffset is beyond every offset that output reaches.
const farOffset = uint64(1) << 62

// checkOutput: every stream belongs to a job and an attempt that was, its chunks follow each other up to its last piece, and what is kept
// is counted.
func (c *check) checkOutput() (err error) {
	m := c.m
	kept, streams := map[uint64]int64{}, map[uint64]int{}
	var chunks []piece
	m.chunks.Scan(func(p piece) bool { chunks = append(chunks, p); return true })
	m.streams.Scan(func(last piece) bool {
		rec, ok := m.find(last.job)
		if !ok || last.attempt < 1 || last.attempt > rec.job.Attempt || len(last.data) >= leastChunk || last.offset >= farOffset {
			err = fmt.Errorf("a stream of attempt %d of job %d, with a last piece of %d bytes at %d", last.attempt, last.job, len(last.data), last.offset)
			return false
		}
		for i := 0; len(chunks) > 0 && !streamLess(last, chunks[0]); i++ {
			p, next := chunks[0], last
			if chunks = chunks[1:]; len(chunks) > 0 && !streamLess(last, chunks[0]) {
				next = chunks[0]
			}
			if streamLess(p, last) || len(p.data) == 0 || len(p.data) > mostChunk || p.offset >= farOffset || p.end() != next.offset {
				err = fmt.Errorf("chunk %d of attempt %d of job %d holds %d bytes at %d", i, p.attempt, p.job, len(p.data), p.offset)
				return false
			}
			kept[p.job] += int64(len(p.data))
			c.bytes += int64(len(p.data) + chunkOverhead)
		}
		kept[last.job] += int64(len(last.data))
		c.bytes += int64(len(last.data) + streamOverhead)
		if streams[last.job]++; streams[last.job] > mostStreams {
			err = fmt.Errorf("job %d has %d streams", last.job, streams[last.job])
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	for job, n := range kept {
		if have, ok := m.kept[job]; !ok || have != n {
			return fmt.Errorf("job %d keeps %d bytes of output, %d are counted", job, n, have)
		}
	}
	if len(chunks) > 0 || len(kept) != len(m.kept) {
		return fmt.Errorf("%d chunks without a stream; %d jobs have output, %d are counted", len(chunks), len(kept), len(m.kept))
	}
	return nil
}

// checkDecisions: fences rise with epoch and index, which Decisions rests on.
func (c *check) checkDecisions() (err error) {
	m := c.m
	var epoch uint32
	var index uint64
	m.decisions.Scan(func(fence uint64, d *logv1.DecisionRecord) bool {
		if d.GetEpoch() != epoch {
			index = 0
		}
		mine := d.GetEpoch() == m.epoch
		if uint64(d.GetEpoch()) != fence>>fenceBits || d.GetEpoch() > m.epoch || d.GetIndex() < index ||
			mine && (d.GetIndex() > m.index || fence&(1<<fenceBits-1) > m.lastClaim) {
			err = fmt.Errorf("a decision about claim %d in epoch %d at %d", fence, d.GetEpoch(), d.GetIndex())
		}
		epoch, index = d.GetEpoch(), d.GetIndex()
		return err == nil
	})
	if err == nil && m.decisions.Len() > mostDecisions {
		err = fmt.Errorf("%d decisions", m.decisions.Len())
	}
	return err
}

// checkSteps of one job.
func checkSteps(r *jobRec) error {
	if len(r.steps) == 0 {
		return nil
	}
	if p, err := readSteps(r.steps); err != nil || len(p.steps) > mostSteps || len(p.steps) == 0 {
		return fmt.Errorf("job %d has %d steps: %v", r.job.Id, len(p.steps), err)
	} else if !p.readable() {
		return fmt.Errorf("a step of job %d cannot be read", r.job.Id)
	}
	return nil
}
