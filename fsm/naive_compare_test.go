package fsm_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// sameSchedules compares all that a machine says of schedules and coordinators, after a batch, and checks the invariants of the naive one.
func sameSchedules(m *fsm.Machine, n *naive, out fsm.Outcome) error {
	if err := n.invariants(); err != nil {
		return err
	}
	if err := sameLists("events", scheduleEvents(out), n.events); err != nil {
		return err
	}
	if err := eventsNameSchedules(m, n, out); err != nil {
		return err
	}
	for _, id := range sortedKeys(n.jobs) {
		want := n.jobs[id]
		j, _ := m.Job(fsm.JobID(id))
		got := fmt.Sprintf("coordinator=%s schedule=%s %d fire=%d %v", j.GetCoordinator(), j.GetSchedule(), j.GetScheduleId(), j.GetFireMs(), j.GetFireCause())
		text := fmt.Sprintf("coordinator=%s schedule=%s %d fire=%d %v", want.coordinator, want.schedule, want.scheduleID, want.fire, want.cause)
		if got != text || want.coordinator != "" && j.GetFirstDueMs() != want.firstDue {
			return fmt.Errorf("job %d: %s first due %d, should be %s, %d", id, got, j.GetFirstDueMs(), text, want.firstDue)
		}
	}
	list, next := m.Schedules("", "", "", 1000)
	var names, want []string
	for _, v := range list {
		names = append(names, viewText(v))
		if one, ok := m.Schedule(v.Record.GetSchedule().GetName()); !ok || viewText(one) != viewText(v) {
			return fmt.Errorf("schedule by its name: %s, in the list %s", viewText(one), viewText(v))
		}
	}
	for _, s := range n.byName() {
		want = append(want, viewText(n.view(s)))
	}
	if err := sameLists("schedules", names, want); err != nil || next != "" {
		return fmt.Errorf("next %q: %w", next, err)
	}
	for _, s := range n.byName() {
		if err := sameTicks(m, s); err != nil {
			return fmt.Errorf("schedule %s: %w", s.def.GetName(), err)
		}
	}
	if err := samePages(m, n, out.Index); err != nil {
		return err
	}
	if err := sameDues(m, n); err != nil {
		return err
	}
	return sameCoordinators(m, n)
}

func sameLists(what string, got, want []string) error {
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s:\nmachine %s\nnaive   %s", what, strings.Join(got, "\n        "), strings.Join(want, "\n        "))
	}
	return nil
}

// byName are the schedules in the order of their names.
func (n *naive) byName() (list []*naiveSchedule) {
	for _, s := range n.schedules {
		list = append(list, s)
	}
	sort.Slice(list, func(i, k int) bool { return list[i].def.GetName() < list[k].def.GetName() })
	return list
}

func (n *naive) view(s *naiveSchedule) fsm.ScheduleView {
	return fsm.ScheduleView{Instances: n.instances(s), Waiting: len(s.queue) + len(s.backlog), Record: &logv1.ScheduleRecord{Id: s.id, Schedule: s.def,
		Revision: s.revision, Paused: s.paused, OffsetMs: s.offset, AnchorMs: s.anchor, NextMs: s.next, TakenMs: s.taken,
		CreatedMs: s.created, ChangedMs: s.changed,
		Totals: s.totals, LastStartMs: s.lastStart, LastEndMs: s.lastEnd, LastJob: s.lastJob, LastState: s.lastState}}
}

func viewText(v fsm.ScheduleView) string {
	r := v.Record
	t := r.GetTotals()
	return fmt.Sprintf("%x id=%d revision=%d paused=%v offset=%d anchor=%d next=%d taken=%d created=%d changed=%d fired=%d missed=%d skipped=%d "+
		"coalesced=%d triggered=%d backfilled=%d late=%d/%d/%d start=%d end=%d job=%d state=%v instances=%d waiting=%d", wire(r.GetSchedule()), r.GetId(), r.GetRevision(),
		r.GetPaused(), r.GetOffsetMs(), r.GetAnchorMs(), r.GetNextMs(), r.GetTakenMs(), r.GetCreatedMs(), r.GetChangedMs(), t.GetFired(),
		t.GetMissed(), t.GetSkipped(),
		t.GetCoalesced(), t.GetTriggered(), t.GetBackfilled(), t.GetLastLateMs(), t.GetSumLateMs(), t.GetMostLateMs(), r.GetLastStartMs(), r.GetLastEndMs(),
		r.GetLastJob(), r.GetLastState(), v.Instances, v.Waiting)
}

// sameTicks compares the newest 64 records, newest first, and the waiting ticks in their order.
func sameTicks(m *fsm.Machine, s *naiveSchedule) error {
	list, next, known := m.Ticks(s.def.GetName(), 0, 1000)
	if !known || next != 0 {
		return fmt.Errorf("ticks are known: %v, next %d", known, next)
	}
	var got, want []string
	for _, r := range list {
		got = append(got, recordText(r))
	}
	for i := len(s.records) - 1; i >= max(0, len(s.records)-64); i-- {
		want = append(want, recordText(s.records[i]))
	}
	if err := sameLists("records", got, want); err != nil {
		return err
	}
	waiting := slices.Concat(s.queue, s.backlog)
	sort.Slice(waiting, func(i, k int) bool { return waiting[i].number < waiting[k].number })
	records := m.WaitingTicks(s.def.GetName(), 1<<20)
	for i := range max(len(records), len(waiting)) {
		if i >= len(records) || i >= len(waiting) {
			return fmt.Errorf("%d ticks wait, should be %d", len(records), len(waiting))
		}
		r, t := records[i], waiting[i]
		if r.GetSchedule() != s.id || r.GetNumber() != t.number || r.GetFireMs() != t.fire || r.GetCause() != t.cause || r.GetDeadlineMs() != t.deadline {
			return fmt.Errorf("waiting tick %d is %v, should be %+v", i, r, *t)
		}
	}
	return nil
}

// samePages reads in small pages: schedules of a prefix or a group, ticks, coordinators.
func samePages(m *fsm.Machine, n *naive, index uint64) error {
	limit := 1 + int(index%3)
	prefix, group := []string{"", "e/", "a"}[index%3], []string{"", "", "g", "h"}[index%4]
	var got, want []string
	for after, more := "", true; more; more = after != "" {
		var list []fsm.ScheduleView
		list, after = m.Schedules(prefix, group, after, limit)
		if len(list) > limit {
			return fmt.Errorf("a page of %d schedules has %d", limit, len(list))
		}
		for _, v := range list {
			got = append(got, v.Record.GetSchedule().GetName())
		}
	}
	for _, s := range n.byName() {
		if name := s.def.GetName(); strings.HasPrefix(name, prefix) && (group == "" || group == s.def.GetGroup()) {
			want = append(want, name)
		}
	}
	if err := sameLists("pages of schedules", got, want); err != nil {
		return err
	}
	got = nil
	for after, more := "", true; more; more = after != "" {
		var list []fsm.CoordinatorView
		list, after = m.Coordinators(after, limit)
		for _, v := range list {
			got = append(got, v.Name)
		}
	}
	if err := sameLists("pages of coordinators", got, n.coordinators()); err != nil {
		return err
	}
	for _, s := range n.schedules {
		at := len(s.records)
		for before, more := uint64(0), true; more; more = before != 0 {
			var list []*logv1.TickRecord
			list, before, _ = m.Ticks(s.def.GetName(), before, 5*limit)
			for _, r := range list {
				if at--; at < 0 || r.GetNumber() != s.records[at].GetNumber() {
					return fmt.Errorf("schedule %s: in pages of %d ticks, %d comes too early or too late", s.def.GetName(), 5*limit, r.GetNumber())
				}
			}
		}
		if at != max(0, len(s.records)-64) {
			return fmt.Errorf("schedule %s: pages leave out the ticks below %d of %d", s.def.GetName(), at, len(s.records))
		}
	}
	return nil
}

// sameDues compares the index of fires, now and at some later times, and the sums.
func sameDues(m *fsm.Machine, n *naive) error {
	sums, paused := &logv1.ScheduleTotals{}, 0
	var open []*naiveSchedule
	for _, s := range n.byName() {
		t := s.totals
		sums.Fired += t.Fired
		sums.Missed += t.Missed
		sums.Skipped += t.Skipped
		sums.Coalesced += t.Coalesced
		sums.Triggered += t.Triggered
		sums.Backfilled += t.Backfilled
		sums.SumLateMs += t.SumLateMs
		paused += int(count(s.paused))
		if !s.paused && s.next != 0 {
			open = append(open, s)
		}
	}
	sort.SliceStable(open, func(i, k int) bool { return open[i].next+open[i].offset < open[k].next+open[k].offset })
	if count, countPaused := m.ScheduleCount(); count != len(n.schedules) || countPaused != paused {
		return fmt.Errorf("%d schedules and %d paused are counted, there are %d and %d", count, countPaused, len(n.schedules), paused)
	}
	gotSums, gotCount, gotPaused := m.ScheduleSums()
	gotSums = proto.Clone(gotSums).(*logv1.ScheduleTotals)
	gotSums.LastLateMs, gotSums.MostLateMs = 0, 0
	if !proto.Equal(gotSums, sums) || gotCount != len(n.schedules) || gotPaused != paused {
		return fmt.Errorf("sums %v of %d, %d paused; should be %v of %d, %d", gotSums, gotCount, gotPaused, sums, len(n.schedules), paused)
	}
	first, any := m.NextFire()
	if any != (len(open) > 0) || any && first != open[0].next+open[0].offset {
		return fmt.Errorf("next fire at %d, %v, of %d", first, any, len(open))
	}
	for _, ahead := range []int64{0, 500, 1 << 50} {
		var got, want []string
		for _, v := range m.DueSchedules(n.wall+ahead, 4) {
			got = append(got, v.Record.GetSchedule().GetName())
		}
		for _, s := range open {
			if s.next+s.offset <= n.wall+ahead && len(want) < 4 {
				want = append(want, s.def.GetName())
			}
		}
		if err := sameLists("due schedules", got, want); err != nil {
			return err
		}
	}
	return nil
}

func sameCoordinators(m *fsm.Machine, n *naive) error {
	list, next := m.Coordinators("", 1000)
	var got, want []string
	for _, v := range list {
		one, line, members, ok := m.Coordinator(v.Name, 1000)
		got = append(got, fmt.Sprintf("%+v %+v %v %v %v", v, one, line, members, ok))
	}
	for _, name := range n.coordinators() {
		v := fsm.CoordinatorView{Name: name, Members: len(n.membersOf(name))}
		var line []fsm.JobID
		for _, j := range n.lineUnder(name) {
			line = append(line, fsm.JobID(j.id))
		}
		if busy := n.busyUnder(name); busy != nil {
			v.Busy = fsm.JobID(busy.id)
		}
		if v.Waiting = len(line); v.Waiting > 0 {
			v.Head = line[0]
		}
		want = append(want, fmt.Sprintf("%+v %+v %v %v %v", v, v, line, n.membersOf(name), true))
	}
	if next != "" {
		return fmt.Errorf("next coordinator %q", next)
	}
	if _, _, _, ok := m.Coordinator("nobody", 10); ok {
		return fmt.Errorf("a coordinator that is not there is known")
	}
	return sameLists("coordinators", got, want)
}

// scheduleEvents prints the events about schedules and their ticks.
func scheduleEvents(out fsm.Outcome) (list []string) {
	for _, e := range out.Events {
		switch {
		case e.Kind == fsm.ScheduleChanged:
			list = append(list, fmt.Sprintf("%v %s", e.Kind, e.Schedule))
		case e.Kind > fsm.ScheduleChanged:
			list = append(list, fmt.Sprintf("%v %s job=%d queue=%s user=%s %s", e.Kind, e.Schedule, e.Job, e.Queue, e.User, recordText(e.Tick)))
		}
	}
	return list
}

// eventsNameSchedules: every event of a job names the job's schedule, and a fire comes right before its job is enqueued.
func eventsNameSchedules(m *fsm.Machine, n *naive, out fsm.Outcome) error {
	for i, e := range out.Events {
		if e.Kind == fsm.ScheduleFired && (i+1 == len(out.Events) || out.Events[i+1].Kind != fsm.JobEnqueued || out.Events[i+1].Job != e.Job) {
			return fmt.Errorf("event %d, %+v, is not followed by the event of its job", i, e)
		}
		if e.Kind >= fsm.ScheduleChanged || e.Job == 0 {
			continue
		}
		if j := n.jobs[uint64(e.Job)]; j != nil && j.schedule != e.Schedule {
			return fmt.Errorf("event %+v of a job of schedule %q", e, j.schedule)
		}
	}
	return nil
}

// invariants of the naive machine itself: I9, I10, max_instances, and that no tick is lost.
func (n *naive) invariants() error {
	if n.broken != "" {
		return fmt.Errorf("%s", n.broken)
	}
	for _, name := range n.coordinators() {
		n.busyUnder(name)
	}
	for _, s := range n.schedules {
		t := s.totals
		waiting := len(s.queue)
		for _, w := range s.backlog {
			waiting += int(count(w.cause == byCatchUp))
		}
		if told := int64(t.Fired+t.Missed+t.Skipped+t.Coalesced) + int64(waiting); told != s.over {
			return fmt.Errorf("schedule %s: %d grid times are over, %d are accounted for: %v and %d wait", s.def.GetName(), s.over, told, t, waiting)
		}
		if s.next != 0 && s.next <= s.taken {
			return fmt.Errorf("schedule %s: next at %d, %d is over", s.def.GetName(), s.next, s.taken)
		}
		if len(s.run) > 0 {
			return fmt.Errorf("schedule %s: outcomes are not told: %v", s.def.GetName(), s.run)
		}
		room := n.instances(s) < int(s.def.GetMaxInstances())
		if room && (len(s.queue) > 0 || len(s.backlog) > 0 && !n.backlogIsActive(s)) {
			return fmt.Errorf("schedule %s: %d and %d ticks wait, but there is room", s.def.GetName(), len(s.queue), len(s.backlog))
		}
		if len(s.queue) > 100 || len(s.backlog) > 1000 {
			return fmt.Errorf("schedule %s: %d and %d ticks wait", s.def.GetName(), len(s.queue), len(s.backlog))
		}
	}
	return nil
}
