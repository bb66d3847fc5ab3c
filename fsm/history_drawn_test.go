package fsm_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestSchedulesDrawn: what random histories are for does happen in them, each reason of a tick, each answer and each refusal often. A
// history that never fills a line proves nothing about full lines.
func TestSchedulesDrawn(t *testing.T) {
	seen := map[string]int{}
	eachSeed(t, func(seed uint64) error {
		h, m := newHistory(seed), fsm.New()
		for range *batches {
			b := h.batch()
			before := map[string]fsm.ScheduleView{}
			list, _ := m.Schedules("", "", "", 100)
			for _, v := range list {
				before[v.Record.GetSchedule().GetName()] = v
			}
			out := m.Apply(h.index, b)
			for i, res := range out.Results {
				countAnswer(seen, b.Commands[i], res, h.index)
				if res.GetRefusal() == nil && res.GetIndex() == h.index {
					countSituation(seen, before, b.Commands[i])
				}
			}
			seen["instances under former rules"] += int(count(b.GetRules() < 3 && len(list) > 0 && list[0].Instances > 0))
			countTicks(seen, out)
			countCoordinators(seen, m)
			h.observe(b, out)
		}
		return nil
	})
	names := []string{}
	for name, count := range seen {
		names = append(names, fmt.Sprintf("%s %d", name, count))
	}
	sort.Strings(names)
	t.Log(strings.Join(names, ", "))
	if *histories < 300 || *batches < 80 {
		return
	}
	for _, name := range wantedOfSchedules() {
		if seen[name] < 10 {
			t.Errorf("%q happened %d times", name, seen[name])
		}
	}
}

func wantedOfSchedules() []string {
	wanted := []string{
		"put created", "put updated", "put unchanged", "put refused invalid", "put refused stale_revision", "put refused unknown_schedule",
		"put refused state_full",
		"delete done", "delete refused unknown_schedule", "delete refused stale_revision",
		"pause done", "pause refused unknown_schedule", "resume done", "resume refused unknown_schedule", "resume refused stale_revision",
		"trigger done", "trigger refused unknown_schedule", "trigger refused max_instances", "trigger refused unknown_queue",
		"backfill done", "backfill refused unknown_schedule", "backfill refused stale_revision", "backfill refused invalid", "backfill refused state_full",
		"fire ok", "fire stale", "fire early", "an answer given again", "delete_queue refused queue_not_empty",
		"a record goes on", "more", "several missed",
		"both lines wait", "trigger of a paused one", "deleted with instances", "deleted with waiting ticks", "edited with waiting ticks",
		"edited with passed times", "offset", "instances under former rules", "busy and others wait", "free and others wait", "members",
	}
	for reason := logv1.TickReason_TICK_REASON_ON_TIME; reason <= logv1.TickReason_TICK_REASON_NEWER; reason++ {
		wanted = append(wanted, "tick "+reason.String())
	}
	return wanted
}

func countAnswer(seen map[string]int, c *logv1.Command, res *logv1.Result, index uint64) {
	verb, done := "", "done"
	switch op := c.GetOp().(type) {
	case *logv1.Command_PutSchedule:
		verb, done = "put", strings.ToLower(strings.TrimPrefix(res.GetSchedule().GetChange().String(), "SCHEDULE_CHANGE_"))
	case *logv1.Command_DeleteSchedule:
		verb = "delete"
	case *logv1.Command_PauseSchedule:
		verb = "pause"
	case *logv1.Command_ResumeSchedule:
		verb = "resume"
	case *logv1.Command_TriggerSchedule:
		verb = "trigger"
	case *logv1.Command_BackfillSchedule:
		verb = "backfill"
	case *logv1.Command_DeleteQueue:
		verb = "delete_queue"
	case *logv1.Command_Fire:
		for i, s := range res.GetFire().GetStatuses() {
			seen["fire "+strings.ToLower(strings.TrimPrefix(s.String(), "FIRE_STATUS_"))]++
			seen["more"] += int(count(op.Fire.GetDues()[i].GetMore() && s == logv1.FireStatus_FIRE_STATUS_OK))
		}
		return
	default:
		return
	}
	if res.GetIndex() != index {
		seen["an answer given again"]++
		return
	}
	if r := res.GetRefusal(); r != nil {
		done = "refused " + strings.ToLower(strings.TrimPrefix(r.GetReason().String(), "REASON_"))
	}
	seen[verb+" "+done]++
}

// countSituation counts commands that were done by what their schedule was like before the batch.
func countSituation(seen map[string]int, before map[string]fsm.ScheduleView, c *logv1.Command) {
	switch op := c.GetOp().(type) {
	case *logv1.Command_TriggerSchedule:
		seen["trigger of a paused one"] += int(count(before[op.TriggerSchedule.GetName()].Record.GetPaused()))
	case *logv1.Command_DeleteSchedule:
		v := before[op.DeleteSchedule.GetName()]
		seen["deleted with instances"] += int(count(v.Instances > 0))
		seen["deleted with waiting ticks"] += int(count(v.Waiting > 0))
	case *logv1.Command_PutSchedule:
		v := before[op.PutSchedule.GetSchedule().GetName()]
		seen["edited with waiting ticks"] += int(count(v.Waiting > 0))
		seen["edited with passed times"] += int(count(op.PutSchedule.GetPassed() != nil))
		seen["offset"] += int(count(op.PutSchedule.GetOffsetMs() != 0))
	}
}

func countTicks(seen map[string]int, out fsm.Outcome) {
	for _, e := range out.Events {
		if e.Tick == nil {
			continue
		}
		seen["tick "+e.Tick.GetReason().String()]++
		seen["several missed"] += int(count(e.Kind == fsm.ScheduleMissed && e.Tick.GetCount() > 1))
	}
}

// countCoordinators looks at the state after a batch.
func countCoordinators(seen map[string]int, m *fsm.Machine) {
	list, _ := m.Coordinators("", 100)
	for _, v := range list {
		seen["busy and others wait"] += int(count(v.Busy != 0 && v.Head != 0))
		seen["free and others wait"] += int(count(v.Busy == 0 && v.Waiting > 1))
		seen["members"] += int(count(v.Members > 0))
	}
	schedules, _ := m.Schedules("", "", "", 100)
	for _, v := range schedules {
		lines := map[bool]bool{}
		for _, w := range m.WaitingTicks(v.Record.GetSchedule().GetName(), 1<<20) {
			lines[w.GetCause() == byTick] = true
		}
		seen["both lines wait"] += int(count(len(lines) == 2))
		ticks, _, _ := m.Ticks(v.Record.GetSchedule().GetName(), 0, 100)
		for _, r := range ticks {
			seen["a record goes on"] += int(count(r.GetReason() == logv1.TickReason_TICK_REASON_MIN_INTERVAL && r.GetCount() > 1))
		}
	}
}
