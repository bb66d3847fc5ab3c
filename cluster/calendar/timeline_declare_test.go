package calendar_test

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// changed gives a copy with the settings of "spec */10 * * * *; grace 2m".
func (d *declared) changed(tl *timeline, settings string) (*declared, error) {
	c := *d
	c.schedule = proto.CloneOf(d.schedule)
	for _, one := range strings.Split(settings, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if err := c.set(tl, one); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// set reads one line of a schedule: a word and its value.
func (d *declared) set(tl *timeline, line string) (err error) {
	word, value, _ := strings.Cut(line, " ")
	value = strings.TrimSpace(value)
	s := d.schedule
	switch word {
	case "spec":
		s.Spec = value
	case "zone":
		s.Zone = value
	case "description":
		s.Description = value
	case "start":
		s.StartMs, err = tl.bound(value)
	case "end":
		s.EndMs, err = tl.bound(value)
	case "jitter":
		s.JitterMs, err = length(value)
	case "draw": // DRAWN of BOUND
		drawn, bound, _ := strings.Cut(value, " of ")
		if d.drawMs, err = length(drawn); err == nil {
			d.boundMs, err = length(bound)
		}
	case "spread":
		s.Spread = value != "off"
	case "grace":
		s.MisfireGraceMs, err = graceOf(value)
	case "catch_up":
		s.CatchUp, err = wordOf[logv1.CatchUp](logv1.CatchUp_value, "CATCH_UP_", value)
	case "overlap":
		s.Overlap, err = wordOf[logv1.Overlap](logv1.Overlap_value, "OVERLAP_", value)
	case "max_instances":
		n, bad := strconv.ParseInt(value, 10, 32)
		s.MaxInstances, err = int32(n), bad
	case "min_interval":
		s.MinIntervalMs, err = length(value)
	default:
		return d.setJob(word, value)
	}
	return err
}

// setJob reads what the jobs of a schedule are like, and how their runs go.
func (d *declared) setJob(word, value string) (err error) {
	t := d.schedule.Template
	switch word {
	case "coordinator":
		t.Coordinator = value
	case "queue":
		t.Queue = value
	case "attempts":
		n, bad := strconv.ParseInt(value, 10, 32)
		d.limits().MaxAttempts, err = proto.Int32(int32(n)), bad
	case "backoff":
		ms, bad := length(value)
		d.limits().BackoffFirstMs, err = proto.Int64(ms), bad
	case "run":
		d.runMs = nil
		for _, one := range strings.Split(value, ",") {
			ms, bad := length(strings.TrimSpace(one))
			if bad != nil {
				return bad
			}
			d.runMs = append(d.runMs, ms)
		}
	case "fail":
		d.fails, d.failsAll = map[int]bool{}, value == "all"
		for _, one := range strings.Split(value, ",") {
			n, bad := strconv.Atoi(strings.TrimSpace(one))
			if bad != nil && !d.failsAll {
				return bad
			}
			d.fails[n] = true
		}
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return err
}

func (d *declared) limits() *logv1.Limits {
	if d.schedule.Template.Limits == nil {
		d.schedule.Template.Limits = &logv1.Limits{}
	}
	return d.schedule.Template.Limits
}

// run says how long the n-th run of its jobs takes, from 1, and whether it fails.
func (d *declared) run(n int) (ms int64, fails bool) {
	return d.runMs[min(n, len(d.runMs))-1], d.failsAll || d.fails[n]
}

// bound is an instant, or none; it does not move the day of the times that follow.
func (tl *timeline) bound(value string) (int64, error) {
	if value == "none" {
		return 0, nil
	}
	day := tl.day
	defer func() { tl.day = day }()
	return tl.instant(value)
}

func graceOf(value string) (*int64, error) {
	switch value {
	case "none":
		return proto.Int64(-1), nil
	case "default":
		return nil, nil
	}
	ms, err := length(value)
	return proto.Int64(ms), err
}

func wordOf[E ~int32](values map[string]int32, prefix, word string) (E, error) {
	n, ok := values[prefix+strings.ToUpper(word)]
	if !ok {
		return 0, fmt.Errorf("unknown word %q", word)
	}
	return E(n), nil
}
