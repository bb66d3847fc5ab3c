package fsm_test

import (
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// offset draws where output goes on: most often at its end, else before it (a repeat) or beyond (a gap).
func (h *history) offset(fence uint64) uint64 {
	end := h.ends[fence]
	switch h.below(10) {
	case 0:
		return uint64(h.below(int(end) + 1))
	case 1:
		return end + uint64(h.below(3))
	}
	return end
}

// data draws a piece of output: most often a few bytes, seldom enough for chunks.
func (h *history) data() []byte {
	n := h.below(30)
	switch h.below(20) {
	case 0:
		n = h.below(10_000)
	case 1:
		n = 60_000 + h.below(90_000)
	}
	out := make([]byte, n)
	for i := range out {
		out[i] = byte('a' + h.below(26))
	}
	return out
}

func (h *history) output() *logv1.Command {
	s := h.session()
	if s == nil {
		return nil
	}
	o := &logv1.Output{Session: s.id}
	for range 1 + h.below(3) {
		p := &logv1.OutputPart{Fence: h.fence(s)}
		p.Offset = h.offset(p.Fence)
		if !h.one(5) {
			p.Data = h.data()
		}
		if h.one(3) {
			p.Progress = &logv1.Progress{Ppm: uint32(h.below(1_000_010)), Message: pick(&h.dice, "", "half", "done")}
		}
		o.Parts = append(o.Parts, p)
	}
	return &logv1.Command{Op: &logv1.Command_Output{Output: o}}
}

func (h *history) many() (jobs []uint64) {
	for range h.below(6) {
		jobs = append(jobs, h.job())
	}
	return jobs
}

func (h *history) cancelMany() *logv1.Command {
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_CancelMany{CancelMany: &logv1.CancelMany{Jobs: h.many()}}})
}

func (h *history) retryMany() *logv1.Command {
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_RetryMany{RetryMany: &logv1.RetryMany{Jobs: h.many()}}})
}

func (h *history) outputSettings() *logv1.Command {
	return settingsCommand(&logv1.Settings{MaxOutputBytes: proto.Int64(pick[int64](&h.dice, 0, 10, 1_000, 5_000, 40_000, 200_000, 1<<20))})
}
