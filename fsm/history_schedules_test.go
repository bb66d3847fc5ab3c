package fsm_test

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// drawnSchedule is a schedule as the drawing side knows it from the answers.
type drawnSchedule struct {
	id, revision                uint64
	def                         *logv1.Schedule
	anchor, next, taken, offset int64
	paused                      bool
}

var (
	drawnSchedules    = []string{"a", "b", "c", "d", "e/1", "e/2"}
	drawnCoordinators = []string{"k", "l", "m"}
)

// drawsSince3 come after the kinds of commands that were there before.
var drawsSince3 = []func(*history) *logv1.Command{
	(*history).putSchedule, (*history).putSchedule, (*history).fire, (*history).fire, (*history).fire, (*history).fire, (*history).fireAgain,
	(*history).pauseSchedule, (*history).resumeSchedule, (*history).resumeSchedule, (*history).triggerSchedule, (*history).triggerSchedule,
	(*history).backfillSchedule, (*history).deleteSchedule, (*history).scheduleSettings,
}

// after is the first time of a definition's grid after t; 0: none. Spec is "every MILLISECONDS" from the anchor, "list SEED" (irregular, 60
// times after the anchor; a seed that ends in 000 has gaps of minutes) or "once" (the anchor).
func after(def *logv1.Schedule, anchor, t int64) int64 {
	kind, value, _ := strings.Cut(def.GetSpec(), " ")
	var at int64
	switch kind {
	case "every":
		k := int64(mustUint(value))
		if at = anchor; t >= anchor {
			at = anchor + ((t-anchor)/k+1)*k
		}
	case "list":
		seed := dice{mustUint(value)}
		at = anchor
		for i := 0; at <= t; i++ {
			if i == 60 {
				return 0
			}
			gap := 1 + int64(seed.below(1+seed.below(4_000)))
			if i%5 != 0 && strings.HasSuffix(value, "000") {
				gap *= 40
			}
			at += gap
		}
	default:
		if at = anchor; t >= anchor {
			return 0
		}
	}
	if end := def.GetEndMs(); end != 0 && at > end {
		return 0
	}
	return at
}

// dues of a schedule until now, oldest first.
func (d *drawnSchedule) dues(now int64) []int64 { return d.until(now - d.offset) }

// until are its grid times up to an instant, those that are over left out.
func (d *drawnSchedule) until(last int64) (times []int64) {
	for at := d.next; at != 0 && at <= last; at = after(d.def, d.anchor, at) {
		times = append(times, at)
	}
	return times
}

// schedule draws one that is there; nil: none is.
func (h *history) schedule() *drawnSchedule {
	if len(h.schedules) == 0 {
		return nil
	}
	return h.schedules[pick(&h.dice, h.scheduleNames()...)]
}

func (h *history) scheduleNames() (names []string) {
	for name := range h.schedules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// scheduleName is that of a schedule which most often is there.
func (h *history) scheduleName() string {
	if d := h.schedule(); d != nil && !h.one(10) {
		return d.def.GetName()
	}
	return pick(&h.dice, drawnSchedules...)
}

// computedFrom is the revision that the leader knows, seldom another.
func (h *history) computedFrom(name string) uint64 {
	revision := uint64(0)
	if d := h.schedules[name]; d != nil {
		revision = d.revision
	}
	if h.one(25) {
		revision += 1 + h.next()%2
	}
	return revision
}

func (h *history) definition(name string) *logv1.Schedule {
	s := &logv1.Schedule{Name: name, Spec: fmt.Sprintf("every %d", pick(&h.dice, 5, 40, 300, 300, 700, 700, 1500, 1500, 6000)),
		MaxInstances: int32(1 + h.below(4)),
		CatchUp:      pick(&h.dice, logv1.CatchUp_CATCH_UP_LATEST, logv1.CatchUp_CATCH_UP_ALL, logv1.CatchUp_CATCH_UP_SKIP),
		Overlap:      pick(&h.dice, logv1.Overlap_OVERLAP_SKIP, logv1.Overlap_OVERLAP_QUEUE),
		Template:     &logv1.NewJob{Kind: "s", Queue: pick(&h.dice, "", "default", "q", "r", "t"), User: pick(&h.dice, drawnUsers...), Payload: []byte{7}}}
	switch h.below(6) {
	case 0, 1:
		if s.Spec = fmt.Sprintf("list %d", h.below(1000)); h.one(4) {
			s.Spec += "000"
		}
	case 2:
		if h.one(3) {
			s.Spec = "once"
		}
	}
	if h.one(2) {
		s.MisfireGraceMs = proto.Int64(pick[int64](&h.dice, -1, 1, 100, 800, 3_000, 20_000))
	}
	if h.one(3) {
		s.JitterMs = pick[int64](&h.dice, 1, 30, 900)
	}
	s.Spread = h.one(6)
	if h.one(2) {
		s.MinIntervalMs = pick[int64](&h.dice, 1, 300, 500, 1_000, 2_000, 10_000)
	}
	if h.one(3) {
		s.Group = pick(&h.dice, "g", "h")
	}
	if h.one(20) { // the defaults
		s.CatchUp, s.Overlap = 0, 0
	}
	if h.one(6) {
		s.EndMs = h.clock + int64(h.below(30_000))
	}
	if h.one(2) {
		s.Template.Coordinator = pick(&h.dice, drawnCoordinators...)
	}
	if h.one(4) {
		s.Template.Priority = int32(h.below(5)) - 2
	}
	if h.one(3) {
		s.Template.Limits = h.limits()
	}
	if h.one(6) {
		s.Template.MemoryBytes = pick[uint64](&h.dice, 1, 1<<30, 3<<30)
	}
	return s
}

// spoil makes a put that must be refused.
func (h *history) spoil(p *logv1.PutSchedule) {
	s := p.Schedule
	switch h.below(22) {
	case 0:
		s.Name = pick(&h.dice, "", "a b", strings.Repeat("n", 129))
	case 1:
		s.Group = "g!"
	case 2:
		s.Template.Coordinator = pick(&h.dice, "k l", strings.Repeat("n", 129))
	case 3:
		s.JitterMs = pick[int64](&h.dice, -1, 1<<53+1)
	case 4:
		s.MaxInstances = pick[int32](&h.dice, 0, -1, 1001)
	case 5:
		s.MinIntervalMs = -1
	case 6:
		s.MisfireGraceMs = proto.Int64(pick[int64](&h.dice, 0, -2, 1<<53+1))
	case 7:
		s.StartMs = -1
	case 8:
		s.EndMs = -1
	case 9:
		s.StartMs, s.EndMs = 10, 9
	case 10:
		s.Template = nil
	case 11:
		s.Template.Kind = ""
	case 12:
		s.Template.DelayMs = 1
	case 13:
		s.Template.RunAtMs = 1
	case 14:
		s.Template.IdempotencyKey = "x"
	case 15:
		s.Template.InsertFront = true
	case 16:
		s.Spec = pick(&h.dice, "", strings.Repeat("*", 257))
	case 17:
		s.Zone = strings.Repeat("z", 65)
	case 18:
		s.Description = strings.Repeat("d", 1025)
	case 19:
		s.CatchUp = 9
	case 20:
		s.Overlap = 9
	case 21:
		p.OffsetMs = pick(&h.dice, -1, s.JitterMs+1)
		s.Spread = false
	}
}

func (h *history) putSchedule() *logv1.Command {
	name := pick(&h.dice, drawnSchedules...)
	def := h.definition(name)
	known := h.schedules[name]
	if known != nil && !h.one(3) { // mostly a small change, or none
		whole := def
		def = proto.Clone(known.def).(*logv1.Schedule)
		switch h.below(7) {
		case 0:
			def.MaxInstances = int32(1 + h.below(4))
		case 1:
			def.Template = whole.Template
		case 2:
			def.Spec, def.EndMs = whole.Spec, whole.EndMs
		case 3:
			def.CatchUp, def.Overlap = whole.CatchUp, whole.Overlap
		case 4:
			def.MisfireGraceMs, def.MinIntervalMs = whole.MisfireGraceMs, whole.MinIntervalMs
		case 5:
			def.JitterMs, def.Spread = whole.JitterMs, whole.Spread
		}
	}
	now := h.leaderClock()
	p := &logv1.PutSchedule{Schedule: def, ComputedFrom: h.computedFrom(name), AnchorMs: now - int64(h.below(2)*h.below(3_000))}
	if strings.HasPrefix(def.Spec, "once") {
		p.AnchorMs = now + int64(h.below(5_000))
	}
	p.NextMs = after(def, p.AnchorMs, now)
	if def.JitterMs > 0 {
		p.OffsetMs = int64(h.below(int(def.JitterMs) + 1))
	} else if def.Spread {
		p.OffsetMs = int64(h.below(2_000))
	}
	if known != nil {
		if h.one(4) {
			p.ExpectedRevision = known.revision + uint64(h.below(2))
		}
		if p.ComputedNextMs = known.next; h.one(40) {
			p.ComputedNextMs++
		}
		p.Passed = passedOf(known.until(now))
		p.NextMs = after(def, p.AnchorMs, max(now, known.taken, p.Passed.GetLastMs()))
		if known.taken != 0 && h.one(15) { // a time that is over
			p.NextMs = known.taken
		}
		h.spoilPassed(p.Passed)
	} else if h.one(20) {
		p.ExpectedRevision = 1
	}
	if h.one(12) {
		h.spoil(p)
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: p}})
}

func passedOf(times []int64) *logv1.Passed {
	if len(times) == 0 {
		return nil
	}
	return &logv1.Passed{Count: int64(len(times)), FirstMs: times[0], LastMs: times[len(times)-1], More: len(times) > 2_000}
}

// leaderClock is the machine's clock, or a little before it: the leader computed the command some time ago.
func (h *history) leaderClock() int64 {
	if h.one(4) {
		return h.clock - int64(h.below(2_000))
	}
	return h.clock
}

func (h *history) spoilPassed(p *logv1.Passed) {
	if p == nil || !h.one(20) {
		return
	}
	switch h.below(4) {
	case 0:
		p.FirstMs++
	case 1:
		p.LastMs = p.FirstMs - 1
	case 2:
		p.Count = -1
	case 3:
		p.LastMs += 1 << 40
	}
}

func (h *history) deleteSchedule() *logv1.Command {
	if !h.one(3) {
		return nil
	}
	c := &logv1.DeleteSchedule{Name: h.scheduleName()}
	if d := h.schedules[c.Name]; d != nil && h.one(3) {
		c.ExpectedRevision = d.revision + uint64(h.below(2))
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_DeleteSchedule{DeleteSchedule: c}})
}

func (h *history) pauseSchedule() *logv1.Command {
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_PauseSchedule{PauseSchedule: &logv1.PauseSchedule{Name: h.scheduleName()}}})
}

func (h *history) resumeSchedule() *logv1.Command {
	c := &logv1.ResumeSchedule{Name: h.scheduleName()}
	c.ComputedFrom = h.computedFrom(c.Name)
	if d := h.schedules[c.Name]; d != nil {
		if !d.paused && !h.one(4) {
			return nil
		}
		c.ComputedNextMs, c.NextMs = d.next, d.next
		if c.Passed = passedOf(d.dues(h.leaderClock())); c.Passed != nil {
			c.NextMs = after(d.def, d.anchor, c.Passed.LastMs)
		}
		if h.one(40) {
			c.ComputedNextMs++
		}
		h.spoilPassed(c.Passed)
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_ResumeSchedule{ResumeSchedule: c}})
}

func (h *history) triggerSchedule() *logv1.Command {
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_TriggerSchedule{TriggerSchedule: &logv1.TriggerSchedule{Name: h.scheduleName()}}})
}

func (h *history) backfillSchedule() *logv1.Command {
	c := &logv1.BackfillSchedule{Name: h.scheduleName()}
	c.ComputedFrom = h.computedFrom(c.Name)
	count := 1 + h.below(4)
	if h.one(12) {
		count = 500 + h.below(501)
	}
	at := h.clock - int64(h.below(20_000))
	for range count {
		at += 1 + int64(h.below(50))
		c.TimesMs = append(c.TimesMs, at)
	}
	switch h.below(40) {
	case 0:
		c.TimesMs = nil
	case 1:
		c.TimesMs = append(c.TimesMs, at)
	case 2:
		for len(c.TimesMs) < 1001 {
			at++
			c.TimesMs = append(c.TimesMs, at)
		}
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_BackfillSchedule{BackfillSchedule: c}})
}

// scheduleSettings lets templates name queues that may not be made, or not many schedules be.
func (h *history) scheduleSettings() *logv1.Command {
	s := &logv1.Settings{}
	if h.one(3) {
		s.MaxSchedules = proto.Int64(int64(1 + h.below(8)))
	} else {
		s.CreateQueues = proto.Bool(!h.one(3))
	}
	return settingsCommand(s)
}
