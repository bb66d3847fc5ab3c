package calendar_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// timeline is one file of testdata/timelines; README.md there explains the format.
type timeline struct {
	lead       []string // the comment that begins the file
	subjects   []string
	zone       *time.Location
	lanes      uint32
	beginMs    int64
	schedules  []*declared
	happenings []happening
	expect     []string // without indentation
	checks     []string
	day        time.Time // of the last date that was read, for times without one
}

// declared is a schedule as a file declares it, and how the runs of its jobs go.
type declared struct {
	schedule *logv1.Schedule
	drawMs   int64   // what the draw of the offset gives
	boundMs  int64   // below which it must be asked for
	runMs    []int64 // length of its first, second ... run; the last stands for those after it
	fails    map[int]bool
	failsAll bool
}

// happening is something that the world does at an instant of real time.
type happening struct {
	atMs int64
	verb string
	rest string // what follows the verb
	line int
}

// parseTimeline reads a file. Errors name the line.
func parseTimeline(text string) (tl *timeline, err error) {
	tl = &timeline{lanes: 100}
	section := "head"
	for i, line := range strings.Split(text, "\n") {
		if err := tl.line(&section, line, i+1); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", i+1, strings.TrimSpace(line), err)
		}
	}
	switch {
	case len(tl.lead) == 0 || !strings.Contains(strings.Join(tl.lead, " "), "§"):
		return nil, fmt.Errorf("the file must begin with a comment that names the section of the design")
	case len(tl.subjects) == 0 || tl.zone == nil || tl.beginMs == 0 || len(tl.schedules) == 0:
		return nil, fmt.Errorf("subjects, zone, begin and a schedule are required")
	case len(tl.happenings) == 0 || tl.happenings[len(tl.happenings)-1].verb != "end":
		return nil, fmt.Errorf("the last happening must be: end")
	}
	return tl, nil
}

func (tl *timeline) line(section *string, line string, at int) error {
	body := strings.TrimSpace(line)
	indented := line != "" && line[0] == ' '
	if comment, ok := strings.CutPrefix(body, "#"); ok || body == "" {
		if ok && *section == "head" && !indented && len(tl.subjects) == 0 {
			tl.lead = append(tl.lead, strings.TrimSpace(comment))
		}
		return nil
	}
	if indented {
		return tl.inside(*section, body, at)
	}
	word, rest, _ := strings.Cut(body, " ")
	switch word {
	case "schedule":
		*section = "schedule"
		if tl.zone == nil {
			return fmt.Errorf("zone must stand before schedules")
		}
		tl.schedules = append(tl.schedules, newDeclared(strings.TrimSpace(rest), tl.zone.String()))
		return nil
	case "happenings", "expect", "check":
		*section = word
		return nil
	}
	*section = "head"
	return tl.head(word, strings.TrimSpace(rest))
}

func (tl *timeline) head(word, rest string) (err error) {
	switch word {
	case "subjects":
		for _, s := range strings.Split(rest, ",") {
			tl.subjects = append(tl.subjects, strings.TrimSpace(s))
		}
	case "zone":
		tl.zone, err = time.LoadLocation(rest)
	case "lanes":
		n, bad := strconv.ParseUint(rest, 10, 32)
		tl.lanes, err = uint32(n), bad
	case "begin":
		tl.beginMs, err = tl.instant(rest)
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return err
}

func (tl *timeline) inside(section, body string, at int) error {
	switch section {
	case "schedule":
		return tl.schedules[len(tl.schedules)-1].set(tl, body)
	case "happenings":
		return tl.happening(body, at)
	case "expect":
		tl.expect = append(tl.expect, body)
	case "check":
		tl.checks = append(tl.checks, body)
	default:
		return fmt.Errorf("an indented line outside of a block")
	}
	return nil
}

// happening reads "[DATE] TIME VERB ...".
func (tl *timeline) happening(body string, at int) error {
	words := strings.Fields(body)
	n := 1
	if strings.Count(words[0], "-") == 2 && len(words) > 1 {
		n = 2
	}
	if len(words) <= n {
		return fmt.Errorf("nothing happens")
	}
	ms, err := tl.instant(strings.Join(words[:n], " "))
	if err != nil {
		return err
	}
	if k := len(tl.happenings); ms < tl.beginMs || k > 0 && ms < tl.happenings[k-1].atMs {
		return fmt.Errorf("happenings must stand in the order of time")
	}
	_, rest, _ := strings.Cut(body, words[n-1])
	_, rest, _ = strings.Cut(rest, words[n])
	tl.happenings = append(tl.happenings, happening{atMs: ms, verb: words[n], rest: strings.TrimSpace(rest), line: at})
	return nil
}

// instant reads "[2026-03-29] 02:30[:15[.500]][+01:00]" in the zone of the file; without a date it is on the day that was read last.
func (tl *timeline) instant(s string) (int64, error) {
	date, clock, dated := strings.Cut(s, " ")
	if !dated {
		date, clock = tl.day.Format(time.DateOnly), s
	}
	zone := tl.zone
	if zone == nil {
		return 0, fmt.Errorf("zone must stand before times")
	}
	offset := ""
	if i := strings.LastIndexAny(clock, "+-"); i > 0 {
		clock, offset = clock[:i], clock[i:]
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		var t time.Time
		var err error
		if offset == "" {
			t, err = time.ParseInLocation(time.DateOnly+" "+layout, date+" "+clock, zone)
		} else {
			t, err = time.Parse(time.DateOnly+" "+layout+"-07:00", date+" "+clock+offset)
		}
		if err == nil {
			tl.day = t.In(zone)
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("not a time: %q", s)
}

// length reads a duration: Go's, or days, "3d".
func length(s string) (int64, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		return n * 86_400_000, err
	}
	d, err := time.ParseDuration(s)
	return d.Milliseconds(), err
}

// newDeclared is a schedule with the defaults that the API fills in.
func newDeclared(name, zone string) *declared {
	return &declared{runMs: []int64{30_000}, fails: map[int]bool{}, schedule: &logv1.Schedule{Name: name, Zone: zone,
		CatchUp: logv1.CatchUp_CATCH_UP_LATEST, MaxInstances: 1, Overlap: logv1.Overlap_OVERLAP_SKIP,
		Template: &logv1.NewJob{Kind: "work"}}}
}
