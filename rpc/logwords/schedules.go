package logwords

import (
	"fmt"
	"strconv"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scheduleWords are those of commands about schedules.
func scheduleWords(c *logv1.Command) (string, bool) {
	switch op := c.GetOp().(type) {
	case *logv1.Command_PutSchedule:
		return putSchedule(op.PutSchedule), true
	case *logv1.Command_DeleteSchedule:
		return "delete schedule " + name(op.DeleteSchedule.GetName()), true
	case *logv1.Command_PauseSchedule:
		return "pause schedule " + name(op.PauseSchedule.GetName()), true
	case *logv1.Command_ResumeSchedule:
		return "resume schedule " + name(op.ResumeSchedule.GetName()) + next(op.ResumeSchedule.GetNextMs()), true
	case *logv1.Command_TriggerSchedule:
		return "run schedule " + name(op.TriggerSchedule.GetName()) + " now", true
	case *logv1.Command_BackfillSchedule:
		b := op.BackfillSchedule
		return fmt.Sprintf("run %d times of schedule %s between %s and %s", len(b.GetTimesMs()), name(b.GetName()), instant(b.GetFromMs()),
			instant(b.GetToMs())), true
	case *logv1.Command_Fire:
		return fire(op.Fire), true
	}
	return "", false
}

func putSchedule(p *logv1.PutSchedule) string {
	s := p.GetSchedule()
	line := fmt.Sprintf("put schedule %s, %s", name(s.GetName()), strconv.Quote(cut(s.GetSpec(), mostName)))
	line += about(" in ", s.GetZone())
	return line + next(p.GetNextMs()) + ": " + newJob(s.GetTemplate())
}

func next(ms int64) string {
	if ms == 0 {
		return ", no next time"
	}
	return ", next at " + instant(ms)
}

func fire(f *logv1.Fire) string {
	dues := make([]string, len(f.GetDues()))
	for i, d := range f.GetDues() {
		if i == mostListed {
			break
		}
		dues[i] = fmt.Sprintf("number %d for %s", d.GetSchedule(), instant(d.GetLastMs()))
		if d.GetCount() > 1 {
			dues[i] = fmt.Sprintf("number %d for %d times up to %s", d.GetSchedule(), d.GetCount(), instant(d.GetLastMs()))
		}
	}
	return "schedules are due: " + list(dues)
}
