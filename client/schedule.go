package fairlane

import (
	"fmt"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Schedule is a rule that enqueues a job over time. The zero value of each field but Name and Spec is usable.
type Schedule struct {
	// Name: letters, digits, _, -, . and /, at most 128.
	Name string
	// Spec: five fields of cron ("0 2 * * mon-fri"), a macro ("@daily"), "@every 90s", or "@at 2027-01-31T09:00:00+01:00".
	Spec string
	// Zone, an IANA name such as Europe/Berlin. Empty: UTC.
	Zone string
	// Start and End, inclusive, between which it fires. Zero: no bound. An interval counts from Start, else from its creation.
	Start, End time.Time
	// Jitter bounds a constant offset by which every fire is late; it is drawn when the schedule is made.
	Jitter time.Duration
	// Spread makes the offset follow from the name, so that many schedules of one spec do not fire together.
	Spread bool
	// MisfireGrace: a run that would start later than this after its time is missed. 0: the larger of a minute and one period. Unlimited: never.
	MisfireGrace time.Duration
	// CatchUp says what becomes of several fire times that are due at once, after a time without a leader. Empty: CatchUpLatest.
	CatchUp CatchUp
	// MaxInstances that are not over at a time, at most 1,000; 0: one.
	MaxInstances int
	// Overlap says what becomes of a fire time that comes while MaxInstances run. Empty: OverlapSkip.
	Overlap Overlap
	// MinInterval: a fire time that comes less than this after the last start is skipped. 0: none is.
	MinInterval time.Duration
	// Coordinator: schedules and jobs of one name run strictly one after the other, over all queues.
	Coordinator string
	// Group of the schedules that one file or program owns.
	Group string
	// Description for people, at most 1 KiB.
	Description string
}

// Unlimited is the MisfireGrace of a schedule whose runs are never too late.
const Unlimited time.Duration = -1

// CatchUp is what becomes of fire times when several are due at once.
type CatchUp string

// What becomes of them: the newest runs and the others are coalesced into it; each inside the grace runs, one after another; none runs.
const (
	CatchUpLatest CatchUp = "latest"
	CatchUpAll    CatchUp = "all"
	CatchUpSkip   CatchUp = "skip"
)

// Overlap is what becomes of a fire time while MaxInstances run.
type Overlap string

// What becomes of it: it is skipped; it waits, up to 100 of them.
const (
	OverlapSkip  Overlap = "skip"
	OverlapQueue Overlap = "queue"
)

// FireCause is why a schedule made a job.
type FireCause string

// The causes: its time came; it was made up for; BackfillSchedule; TriggerSchedule.
const (
	CauseTick     FireCause = "tick"
	CauseCatchUp  FireCause = "catch_up"
	CauseBackfill FireCause = "backfill"
	CauseTrigger  FireCause = "trigger"
)

// message is the schedule as the cluster takes it. It refuses what would lose its meaning on the way; the rest is checked there.
func (s Schedule) message(job NewJob) (*fairlanev1.Schedule, error) {
	template, err := job.message()
	if err != nil {
		return nil, err
	}
	switch {
	case s.Coordinator == "":
	case template.Coordinator == "":
		template.Coordinator = s.Coordinator
	case template.Coordinator != s.Coordinator:
		return nil, s.wrong("Coordinator", s.Coordinator, fmt.Sprintf("one name; the option Coordinator says %q", template.Coordinator))
	}
	m := &fairlanev1.Schedule{Name: s.Name, Spec: s.Spec, Zone: s.Zone, Spread: s.Spread, MaxInstances: int32(s.MaxInstances), Job: template,
		Group: s.Group, Description: s.Description}
	if int(m.MaxInstances) != s.MaxInstances {
		return nil, s.wrong("MaxInstances", s.MaxInstances, "1 to 1000")
	}
	if m.CatchUp, err = s.catchUp(); err != nil {
		return nil, err
	}
	if m.Overlap, err = s.overlap(); err != nil {
		return nil, err
	}
	if err := s.times(m); err != nil {
		return nil, err
	}
	return m, nil
}

// times fills in what is measured in milliseconds.
func (s Schedule) times(m *fairlanev1.Schedule) (err error) {
	if m.StartMs, err = s.instant("Start", s.Start); err != nil {
		return err
	}
	if m.EndMs, err = s.instant("End", s.End); err != nil {
		return err
	}
	if m.JitterMs, err = s.duration("Jitter", s.Jitter); err != nil {
		return err
	}
	if m.MinIntervalMs, err = s.duration("MinInterval", s.MinInterval); err != nil {
		return err
	}
	switch s.MisfireGrace {
	case 0:
	case Unlimited:
		never := int64(-1)
		m.MisfireGraceMs = &never
	default:
		grace, err := s.duration("MisfireGrace", s.MisfireGrace)
		if err != nil {
			return err
		}
		m.MisfireGraceMs = &grace
	}
	return nil
}

// duration in milliseconds. A part of one would be lost: half a millisecond of grace is not none.
func (s Schedule) duration(field string, d time.Duration) (int64, error) {
	if d < 0 || d%time.Millisecond != 0 {
		return 0, s.wrong(field, d, "whole milliseconds, 0 or more")
	}
	return d.Milliseconds(), nil
}

// instant in Unix milliseconds; 0 for the zero time.
func (s Schedule) instant(field string, t time.Time) (int64, error) {
	if t.IsZero() {
		return 0, nil
	}
	if t.UnixMilli() <= 0 {
		return 0, s.wrong(field, t.Format(time.RFC3339), "a time after 1970, or the zero time for no bound")
	}
	return t.UnixMilli(), nil
}

func (s Schedule) catchUp() (fairlanev1.CatchUp, error) {
	switch s.CatchUp {
	case "":
		return fairlanev1.CatchUp_CATCH_UP_UNSPECIFIED, nil
	case CatchUpLatest:
		return fairlanev1.CatchUp_CATCH_UP_LATEST, nil
	case CatchUpAll:
		return fairlanev1.CatchUp_CATCH_UP_ALL, nil
	case CatchUpSkip:
		return fairlanev1.CatchUp_CATCH_UP_SKIP, nil
	}
	return 0, s.wrong("CatchUp", s.CatchUp, "latest, all or skip")
}

func (s Schedule) overlap() (fairlanev1.Overlap, error) {
	switch s.Overlap {
	case "":
		return fairlanev1.Overlap_OVERLAP_UNSPECIFIED, nil
	case OverlapSkip:
		return fairlanev1.Overlap_OVERLAP_SKIP, nil
	case OverlapQueue:
		return fairlanev1.Overlap_OVERLAP_QUEUE, nil
	}
	return 0, s.wrong("Overlap", s.Overlap, "skip or queue")
}

// wrong is a field with a value that no cluster can be asked for.
func (s Schedule) wrong(field string, value any, want string) error {
	return &Error{Reason: ErrInvalidArgument, Message: fmt.Sprintf("schedule %q: %s %v: want %s", s.Name, field, value, want)}
}
