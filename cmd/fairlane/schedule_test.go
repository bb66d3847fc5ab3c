package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func nightly() *fairlanev1.ScheduleStatus {
	return &fairlanev1.ScheduleStatus{
		Schedule: &fairlanev1.Schedule{Name: "nightly", Spec: "0 2 * * *", Zone: "Europe/Berlin", MisfireGraceMs: proto.Int64(1_200_000), CatchUp: fairlanev1.CatchUp_CATCH_UP_ALL,
			MaxInstances: 2, MinIntervalMs: 3_600_000, EndMs: 1_800_000_000_000, Group: "reports", Description: "each night",
			Job: &fairlanev1.NewJob{Kind: "report", Queue: "bulk", User: "ana", Coordinator: "db", Payload: &fairlanev1.NewJob_Json{Json: `{"n":1}`}}},
		Revision: 4, NextMs: 1_790_000_000_000, Next: "2026-09-21T16:13:20+02:00", OffsetMs: 90_000, ChangedMs: 1_780_000_000_000, Instances: 1, Waiting: 3,
		Totals:      &fairlanev1.ScheduleTotals{Fired: 20, Missed: 1, Skipped: 2, Coalesced: 3, Triggered: 4, Backfilled: 5, LastLateMs: 12, MostLateMs: 61_000, MeanLateMs: 20},
		LastStartMs: 1_789_000_000_000, LastEndMs: 1_789_000_060_000, LastJob: 12, LastState: fairlanev1.JobState_JOB_STATE_TIMED_OUT,
	}
}

func TestScheduleTables(t *testing.T) {
	f := &fakeNode{leader: "n-1"}
	f.kept = map[string]*fairlanev1.ScheduleStatus{
		"nightly": nightly(),
		"once":    {Schedule: &fairlanev1.Schedule{Name: "once", Spec: "@at 2026-01-01T00:00:00Z", Job: &fairlanev1.NewJob{Kind: "k"}}},
		"paused":  {Schedule: &fairlanev1.Schedule{Name: "paused", Spec: "@every 90s", MisfireGraceMs: proto.Int64(-1)}, Paused: true, NextMs: 5, Next: "soon"},
	}
	f.history = &fairlanev1.ListTicksResponse{
		Waiting: []*fairlanev1.WaitingTick{{FireMs: 1_790_000_000_000, Cause: "catch_up", DeadlineMs: 1_790_000_060_000}, {FireMs: 1_790_000_000_000, Cause: "backfill"}},
		Ticks: []*fairlanev1.Tick{
			{Number: 9, Result: "fired", Reason: "on_time", FirstFireMs: 1_790_000_000_000, LastFireMs: 1_790_000_000_000, Count: 1, AtMs: 1_790_000_000_012, LateMs: 12, Job: 7, Text: "fired on time"},
			{Number: 8, Result: "missed", Reason: "grace", FirstFireMs: 1_780_000_000_000, LastFireMs: 1_789_000_000_000, Count: 3, More: true, AtMs: 1_790_000_000_000, Text: "late by an hour"},
		}, NextBeforeNumber: 8,
	}
	endpoint := f.start(t)
	for args, want := range map[string]string{
		"schedule list": `SCHEDULE  SPEC                      ZONE           STATE   NEXT                       RUNNING  WAITING  LAST_START                LAST_END                  LAST_STATE
nightly   0 2 * * *                 Europe/Berlin  on      2026-09-21T16:13:20+02:00  1        3        2026-09-10T00:26:40.000Z  2026-09-10T00:27:40.000Z  timed_out
once      @at 2026-01-01T00:00:00Z  UTC            over    -                          0        0        -                         -                         -
paused    @every 90s                UTC            paused  soon                       0        0        -                         -                         -
`,
		"schedule list --limit 1 --prefix n --group reports": `SCHEDULE  SPEC       ZONE           STATE  NEXT                       RUNNING  WAITING  LAST_START                LAST_END                  LAST_STATE
nightly   0 2 * * *  Europe/Berlin  on     2026-09-21T16:13:20+02:00  1        3        2026-09-10T00:26:40.000Z  2026-09-10T00:27:40.000Z  timed_out
`,
		"schedule get nightly": `schedule       nightly
description    each night
group          reports
state          on
spec           0 2 * * *
zone           Europe/Berlin
end            2027-01-15T08:00:00.000Z
next           2026-09-21T16:13:20+02:00
offset         1m30s later
misfire grace  20m
catch up       all
instances      1 of 2
overlap        skip
waiting        3
min interval   1h
kind           report
queue          bulk
user           ana
priority       0
coordinator    db
payload        {"n":1}
last start     2026-09-10T00:26:40.000Z, job 12
last end       2026-09-10T00:27:40.000Z, timed_out
fire times     20 fired, 1 missed, 2 skipped, 3 coalesced
beside them    4 triggered, 5 backfilled
lateness       last 12ms, mean 20ms, most 1m1s
changed        2026-05-28T20:26:40.000Z, revision 4
`,
		"schedule history nightly": `WAITING  FIRE_TIME                 CAUSE     MISSED_AFTER
1        2026-09-21T14:13:20.000Z  catch_up  2026-09-21T14:14:20.000Z
2        2026-09-21T14:13:20.000Z  backfill  -

NUMBER  AT                        RESULT  REASON   FIRE_TIMES                                                            LATE  JOB  TEXT
9       2026-09-21T14:13:20.012Z  fired   on_time  2026-09-21T14:13:20.000Z                                              12ms  7    fired on time
8       2026-09-21T14:13:20.000Z  missed  grace    at least 3 from 2026-05-28T20:26:40.000Z to 2026-09-10T00:26:40.000Z  -     -    late by an hour
more: --before 8
`,
		"schedule next nightly": `2027-03-27T02:30:00+01:00
2027-03-28T03:30:00+02:00  the clock is set forward from 02:00 to 03:00
`,
		"schedule next nightly --explain": `at 02:30 every day
2027-03-27T02:30:00+01:00
2027-03-28T03:30:00+02:00  the clock is set forward from 02:00 to 03:00
`,
		"coordinator list": `COORDINATOR  RUNNING  NEXT  WAITING  SCHEDULES
db           7        9     3        2
files        -        -     0        0
`,
		"coordinator get free": `coordinator  free
running      none
waiting      0
schedules    0
`,
		"coordinator get db": `coordinator  db
running      job 7 sweep of schedule sweep on w1 since 2026-09-21T14:13:20.000Z
waiting      3
schedules    2

NEXT  JOB  KIND     QUEUE    USER  SCHEDULE  FIRE_TIME
1     9    report   bulk     ana   nightly   2026-09-21T14:13:20.000Z
2     4    migrate  default  -     -         -
and 1 more

SCHEDULE  SPEC        ZONE           STATE   NEXT                       RUNNING  WAITING  LAST_START                LAST_END                  LAST_STATE
nightly   0 2 * * *   Europe/Berlin  on      2026-09-22T02:00:00+02:00  1        0        2026-09-21T14:13:20.000Z  2026-09-21T14:13:21.000Z  failed
sweep     @every 90s  UTC            paused  -                          0        0        -                         -                         -
`,
	} {
		code, out, errs := cli{}.run(t, append(strings.Fields(args), "-e", endpoint)...)
		if code != exitOK || out != want {
			t.Errorf("%s: exit code %d %q\n%s\nwant\n%s", args, code, errs, out, want)
		}
		code, out, errs = cli{}.run(t, append(strings.Fields(args), "-e", endpoint, "-o", "json")...)
		if code != exitOK || !json.Valid([]byte(out)) {
			t.Errorf("%s as JSON: exit code %d %q\n%s", args, code, errs, out)
		}
	}
	if _, out, _ := (cli{}).run(t, "schedule", "list", "--limit", "1", "-e", endpoint); !strings.HasSuffix(out, "\nmore: --after nightly\n") {
		t.Errorf("one of three:\n%s", out)
	}
	if _, out, _ := (cli{}).run(t, "schedule", "get", "paused", "-e", endpoint); !strings.Contains(out, "misfire grace  unlimited\n") {
		t.Errorf("got\n%s", out)
	}
	if code, _, errs := (cli{}).run(t, "schedule", "get", "nobody", "-e", endpoint); code != exitFailed || errs != "fairlane: there is no schedule nobody (UNKNOWN_SCHEDULE FL1311)\n" { // nothing is near
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestScheduleChanges(t *testing.T) {
	f := &fakeNode{state: fairlanev1.JobState_JOB_STATE_FAILED}
	f.ticks = 7
	endpoint := f.start(t)
	f.keep(&fairlanev1.Schedule{Name: "n"}, &fairlanev1.Schedule{Name: "m"})
	for _, c := range []struct {
		args      string
		cli       cli
		code      int
		out, errs string
	}{
		{"pause n", cli{}, 0, "paused n\n", ""},
		{"resume n", cli{}, 0, "resumed n: next 2026-09-21T14:13:20.000Z\n", ""},
		{"trigger n", cli{}, 0, "7\n", ""},
		{"trigger n --wait", cli{}, 4, "job ", ""},
		{"trigger full", cli{}, 1, "", "(MAX_INSTANCES FL1313)"},
		{"backfill n --from 2026-11-01T00:00:00Z --to 2026-11-07T00:00:00Z", cli{}, 0, "7 fire times of n will run, one after another\n", ""},
		{"backfill n --from 48h --to 24h --dry-run", cli{}, 0, "7 fire times of n would run, from 2027-03-27T02:30:00+01:00 to ", ""},
		{"delete n", cli{in: "n\n", terminal: true}, 1, "", "delete schedule n with its history? [y/N] fairlane: nothing was deleted\n"},
		{"delete n", cli{in: "yes\n", terminal: true}, 0, "deleted n\n", ""},
		{"delete m --yes", cli{}, 0, "deleted m\n", ""},
		{"delete m --yes", cli{}, 1, "", "there is no schedule m (UNKNOWN_SCHEDULE FL1311)"},
	} {
		code, out, errs := c.cli.run(t, append(strings.Fields("schedule "+c.args), "-e", endpoint)...)
		if code != c.code || !strings.HasPrefix(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: exit code %d, %q %q", c.args, code, out, errs)
		}
		code, out, _ = c.cli.run(t, append(strings.Fields("schedule "+c.args), "-e", endpoint, "-o", "json")...)
		if code == 0 && !json.Valid([]byte(out)) {
			t.Errorf("%s as JSON: %s", c.args, out)
		}
	}
	fills := requestsOf[*fairlanev1.BackfillScheduleRequest](&f.fakeSchedules)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if r := fills[1]; r.GetFromMs() != at.UnixMilli() || r.GetToMs() != at.AddDate(0, 0, 6).UnixMilli() || r.GetDryRun() || r.GetRepeat().GetNumber() == 0 {
		t.Errorf("asked %v", r)
	}
	if r := fills[4]; !r.GetDryRun() || r.GetToMs()-r.GetFromMs() != 24*3_600_000 {
		t.Errorf("asked %v", r)
	}
}

// TestNextOfASpec: the definition is asked about, and the end is told.
func TestNextOfASpec(t *testing.T) {
	f := &fakeNode{}
	f.over = true
	code, out, errs := cli{}.run(t, "schedule", "next", "--spec", "30 2 * * *", "--zone", "Europe/Berlin", "--start", "2027-03-27T00:00:00+01:00", "--end", "2027-03-28T12:00:00+02:00",
		"--from", "2027-03-27T00:00:00Z", "-n", "7", "-e", f.start(t))
	want := &fairlanev1.PreviewScheduleRequest{FromMs: 1_806_105_600_000, Limit: 7, Schedule: &fairlanev1.Schedule{
		Spec: "30 2 * * *", Zone: "Europe/Berlin", StartMs: 1_806_102_000_000, EndMs: 1_806_228_000_000}}
	if got := requestsOf[*fairlanev1.PreviewScheduleRequest](&f.fakeSchedules); len(got) != 1 || !proto.Equal(got[0], want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	if code != exitOK || !strings.HasSuffix(out, "\nIt is over then: no further time comes.\n") {
		t.Errorf("exit code %d %q\n%s", code, errs, out)
	}
}

// TestCoordinatorsOfJobs: enqueue names one, job get shows it with the fire.
func TestCoordinatorsOfJobs(t *testing.T) {
	f := &fakeNode{}
	if code, _, errs := (cli{}).run(t, "enqueue", "k", "--coordinator", "db", "-e", f.start(t)); code != exitOK {
		t.Fatal(errs)
	}
	if req, ok := f.asked[0].(*fairlanev1.EnqueueRequest); !ok || req.GetJob().GetCoordinator() != "db" {
		t.Errorf("asked %v", f.asked)
	}
	var out strings.Builder
	jobDetails(&out, &fairlanev1.Job{Coordinator: "db", Schedule: "nightly", FireMs: 1_790_000_000_000, FireCause: "catch_up"})
	if want := "\ncoordinator\tdb\nschedule\tnightly\nfire time\t2026-09-21T14:13:20.000Z (catch_up)\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
	out.Reset()
	if jobDetails(&out, &fairlanev1.Job{}); strings.Contains(out.String(), "schedule\t") || strings.Contains(out.String(), "coordinator\t") {
		t.Errorf("an ordinary job shows\n%s", out.String())
	}
}

// TestEventsOfASchedule: the filter is asked for, and ticks are told.
func TestEventsOfASchedule(t *testing.T) {
	f := &fakeNode{}
	f.events.parts = [][]*fairlanev1.WatchEventsResponse{{{Events: []*fairlanev1.Event{
		{Id: "1.5.0", AtMs: 1_790_000_000_000, Kind: "schedule_missed", Schedule: "n", FirstFireMs: 1_789_000_000_000, LastFireMs: 1_790_000_000_000, Ticks: 3, TickReason: "grace"},
		{Id: "1.6.0", AtMs: 1_790_000_000_000, Kind: "schedule_fired", Schedule: "n", FirstFireMs: 1_790_000_000_000, LastFireMs: 1_790_000_000_000, Ticks: 1, TickReason: "on_time", Job: 7},
	}}}}
	f.events.err = remoteError(5, "BAD", "FL0", "enough")
	_, out, _ := cli{}.run(t, "events", "--schedule", "n", "-e", f.start(t))
	want := `1.5.0           2026-09-21T14:13:20.000Z  schedule_missed   schedule n  3 from 2026-09-10T00:26:40.000Z to 2026-09-21T14:13:20.000Z: grace
1.6.0           2026-09-21T14:13:20.000Z  schedule_fired    job 7  schedule n  2026-09-21T14:13:20.000Z: on_time
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if r := f.events.asked[0].(*fairlanev1.WatchEventsRequest); r.GetSchedule() != "n" {
		t.Errorf("asked %v", r)
	}
}

func TestDurationText(t *testing.T) {
	for ms, want := range map[int64]string{0: "0s", 12: "12ms", 1500: "1.5s", 60_000: "1m", 90_000: "1m30s", 3_600_000: "1h", 5_400_000: "1h30m", 36_000_000: "10h", 600_000: "10m", 3_601_000: "1h0m1s"} {
		if got := durationText(ms); got != want {
			t.Errorf("%d is %s, want %s", ms, got, want)
		}
	}
}
