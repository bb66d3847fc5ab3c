package calendar_test

import (
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// calls need a leader; without one they wait.
var calls = []string{"put", "delete", "pause", "resume", "trigger", "backfill", "enqueue", "cancel", "retry", "settings", "queue", "repeat", "early"}

// happen lets one happening come about.
func (w *world) happen(h happening) {
	if w.backMs > 0 && slices.Contains(calls, h.verb) {
		w.waiting = append(w.waiting, h)
		return
	}
	w.tl.day = time.UnixMilli(w.realMs).In(w.tl.zone) // of times in its settings
	switch h.verb {
	case "end":
		if w.backMs > 0 {
			w.t.Fatalf("line %d: the end without a leader", h.line)
		}
	case "leaderless":
		w.backMs = w.realMs + w.mustLength(h)
	case "failover":
		w.leadership++
	case "restore":
		w.m = w.restored()
	case "keep":
		w.lastFire = w.due(w.now() + w.mustLength(h))
	case "clock": // what the leader's clock shows jumps
		w.skewMs += w.mustLength(h)
	case "leader_clock": // another node leads, whose clock is off by so much
		w.leadership++
		w.skewMs = w.mustLength(h)
	case "stop_work":
		w.working = false
	case "start_work":
		w.working = true
	default:
		w.call(h)
	}
}

func (w *world) mustLength(h happening) int64 {
	ms, err := length(h.rest)
	if err != nil {
		w.t.Fatalf("line %d: %v", h.line, err)
	}
	return ms
}

func (w *world) call(h happening) {
	said, name := "", w.nameOf(h)
	switch h.verb {
	case "put":
		_, settings, _ := strings.Cut(h.rest, ":")
		d, err := w.known(name).changed(w.tl, settings)
		if err != nil {
			w.t.Fatalf("line %d: %v", h.line, err)
		}
		said = w.put(d)
	case "delete":
		w.closeWindow(name, false)
		said = refused(w.apply(&logv1.Command{Op: &logv1.Command_DeleteSchedule{DeleteSchedule: &logv1.DeleteSchedule{Name: name}}})[0])
		w.forget(name)
	case "pause":
		said = refused(w.apply(&logv1.Command{Op: &logv1.Command_PauseSchedule{PauseSchedule: &logv1.PauseSchedule{Name: name}}})[0])
		w.windows[name].pausedMs = w.wall()
	case "resume":
		said = w.resume(name)
	case "trigger":
		said = refused(w.apply(&logv1.Command{Op: &logv1.Command_TriggerSchedule{TriggerSchedule: &logv1.TriggerSchedule{Name: name}}})[0])
	case "backfill":
		said = w.backfill(h, name)
	case "enqueue":
		said = w.enqueue(h)
	case "retry": // the newest job that is over, by hand
		w.retry(name)
	case "repeat", "early":
		said, name = w.fireAgain(h), ""
	default:
		w.other(h)
	}
	if said != "" {
		w.answer(h.verb, name, said)
	}
}

// other calls, which have no answer to show.
func (w *world) other(h happening) {
	words := strings.Fields(h.rest)
	c := &logv1.Command{}
	switch h.verb {
	case "cancel": // the newest job of a schedule that is not over
		c.Op = &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: w.newestJob(w.nameOf(h), false)}}
	case "settings": // create_queues on|off
		on := len(words) == 2 && words[1] == "on"
		c.Op = &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: &logv1.Settings{CreateQueues: &on}}}
	case "queue": // NAME made|paused|resumed
		set := &logv1.SetQueue{Name: words[0]}
		if words[1] != "made" {
			set.Paused = proto.Bool(words[1] == "paused")
		}
		c.Op = &logv1.Command_SetQueue{SetQueue: set}
	default:
		w.t.Fatalf("line %d: unknown happening %q", h.line, h.verb)
	}
	if r := w.apply(c)[0].GetRefusal(); r != nil {
		w.t.Fatalf("line %d: refused: %v", h.line, r)
	}
}

// nameOf the schedule that a call is about: the first word, or the only schedule of the file.
func (w *world) nameOf(h happening) string {
	name, _, _ := strings.Cut(strings.TrimSpace(h.rest), " ")
	if name = strings.TrimSuffix(name, ":"); w.known(name) != nil {
		return name
	}
	return w.tl.schedules[0].schedule.GetName()
}

// known is a schedule as it was put last, or as the file declares it.
func (w *world) known(name string) *declared {
	if d := w.declared[name]; d != nil {
		return d
	}
	for _, d := range w.tl.schedules {
		if d.schedule.GetName() == name {
			return d
		}
	}
	return nil
}

// put a schedule as the leader does.
func (w *world) put(d *declared) string {
	s, now := d.schedule, w.now()
	old, _ := w.m.Schedule(s.GetName())
	p, _, err := calendar.Put(s, old.Record, now, func(n int64) int64 {
		if n != d.boundMs {
			w.t.Fatalf("%s: a number below %d is drawn, the bound is %d", s.GetName(), n, d.boundMs)
		}
		return d.drawMs
	})
	if never := (*calendar.NeverFiresError)(nil); errors.As(err, &never) {
		return "refused never_fires"
	} else if wrong := (*calendar.FieldError)(nil); errors.As(err, &wrong) {
		return "refused " + wrong.Field
	}
	w.checkPut(p, old.Record, now)
	res := w.apply(&logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: p}})[0]
	if said := refused(res); said != "" {
		return said
	}
	w.declared[s.GetName()] = d
	if !leavesTimes(old.Record, s) {
		w.closeWindow(s.GetName(), false)
		w.openWindow(s.GetName(), calendar.DefinitionOf(s, p.AnchorMs), p.NextMs)
	}
	change := res.GetSchedule().GetChange()
	if said := word(change.String(), "SCHEDULE_CHANGE_"); change != logv1.ScheduleChange_SCHEDULE_CHANGE_UPDATED {
		return said
	}
	return "updated next " + w.next(res.GetSchedule().GetNextMs())
}

// resume as the leader does.
func (w *world) resume(name string) string {
	old, ok := w.m.Schedule(name)
	if !ok {
		w.t.Fatalf("resume %s: no such schedule", name)
	}
	r, err := calendar.Resume(old.Record, w.now())
	if err != nil {
		w.t.Fatalf("resume %s: %v", name, err)
	}
	res := w.apply(&logv1.Command{Op: &logv1.Command_ResumeSchedule{ResumeSchedule: r}})[0]
	w.windows[name].pausedMs = 0
	if said := refused(res); said != "" {
		return said
	}
	return "next " + w.next(res.GetSchedule().GetNextMs())
}

// backfill [NAME] FROM .. TO
func (w *world) backfill(h happening, name string) string {
	from, to, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(h.rest, name)), "..")
	fromMs, err1 := w.tl.bound(strings.TrimSpace(from))
	toMs, err2 := w.tl.bound(strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil {
		w.t.Fatalf("line %d: FROM .. TO is wanted", h.line)
	}
	old, _ := w.m.Schedule(name)
	times, more := w.grid(old.Record).Times(fromMs, toMs, 1000)
	if more || len(times) == 0 {
		w.t.Fatalf("line %d: %d times to backfill", h.line, len(times))
	}
	return refused(w.apply(&logv1.Command{Op: &logv1.Command_BackfillSchedule{BackfillSchedule: &logv1.BackfillSchedule{Name: name,
		ComputedFrom: old.Record.GetRevision(), TimesMs: times}}})[0])
}

// enqueue [coordinator NAME;] [run LENGTH;] [fail all]: a job that no schedule made.
func (w *world) enqueue(h happening) string {
	d, err := newDeclared("", "").changed(w.tl, h.rest)
	if err != nil {
		w.t.Fatalf("line %d: %v", h.line, err)
	}
	res := w.apply(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{d.schedule.Template}}}})[0]
	id := res.GetEnqueue().GetOutcomes()[0].GetJob()
	w.job(id).declared = d
	w.story.enqueued(w.wall(), id)
	return ""
}

// fireAgain applies the last fire once more (repeat), or says now what will be due after a while (early).
func (w *world) fireAgain(h happening) string {
	fires := w.lastFire
	if h.verb == "early" {
		fires = w.due(w.now() + w.mustLength(h))
	}
	var said []string
	for _, f := range fires {
		for _, s := range w.apply(&logv1.Command{Op: &logv1.Command_Fire{Fire: f}})[0].GetFire().GetStatuses() {
			said = append(said, word(s.String(), "FIRE_STATUS_"))
		}
	}
	return strings.Join(said, " ")
}

func (w *world) retry(name string) {
	old := w.newestJob(name, true)
	res := w.apply(&logv1.Command{Op: &logv1.Command_Retry{Retry: &logv1.Retry{Job: old}}})[0]
	if said := refused(res); said != "" {
		w.t.Fatalf("retry of job %d: %s", old, said)
	}
	id := res.GetRetry().GetJob()
	w.job(id).declared = w.job(old).declared
	w.story.entries = append(w.story.entries, &entry{atMs: w.wall(), said: "retried", job: id})
}

// newestJob of a schedule that is over, or that is not.
func (w *world) newestJob(name string, over bool) uint64 {
	newest := uint64(0)
	for id, s := range w.jobs {
		if s.schedule == name && s.over == over {
			newest = max(newest, id)
		}
	}
	return newest
}

// refused is the reason for which a command was refused; empty: it was not.
func refused(res *logv1.Result) string {
	if r := res.GetRefusal(); r != nil {
		return "refused " + word(r.GetReason().String(), "REASON_")
	}
	return ""
}

func word(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
