package schedulefile

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Definition is one schedule and the job that it enqueues.
type Definition struct {
	Schedule fairlane.Schedule

	kind    string
	payload any
	job     *fairlanev1.NewJob // the rest of the job

	file  *File // nil: it comes from flags
	index int
}

// Job that each fire enqueues.
func (d *Definition) Job() fairlane.NewJob {
	args := d.payload
	exact, isExact := args.(exactJSON)
	if isExact {
		args = nil
	}
	return fairlane.NewJob{Kind: d.kind, Args: args, Options: []fairlane.EnqueueOption{func(j *fairlanev1.NewJob) {
		if isExact {
			j.Payload = &fairlanev1.NewJob_Json{Json: string(exact)}
		}
		j.Queue, j.User, j.Priority, j.MemoryBytes = d.job.Queue, d.job.User, d.job.Priority, d.job.MemoryBytes
		j.Labels, j.Limits = d.job.Labels, d.job.Limits
	}}}
}

// Kind of value of a field.
type Kind uint8

// The kinds of values; a flag gives the last ones as text.
const (
	Text Kind = iota
	Number
	Truth
	Labels
	Duration
	Instant
	Memory
	Payload
	Exact // in a file only
)

// Field is one thing that can be said of a schedule, under its name in a file. Usage is for flags.
type Field struct {
	Key   string
	Kind  Kind
	Usage string
	set   func(*Definition, any) error
}

// Fields in the order in which they are documented. The name is not among them: flags have it as an argument.
var Fields = []Field{
	text("spec", "when it fires: five fields of cron, @daily and its like, \"@every 90s\", or \"@at 2027-01-31T09:00:00+01:00\"",
		func(d *Definition) *string { return &d.Schedule.Spec }),
	text("zone", "time `zone`, for example Europe/Berlin; default UTC", func(d *Definition) *string { return &d.Schedule.Zone }),
	{"start", Instant, "first `time`, for example 2027-01-31T09:00:00+01:00; an interval counts from it", func(d *Definition, v any) (err error) {
		d.Schedule.Start, err = readInstant(v)
		return err
	}},
	{"end", Instant, "last `time`", func(d *Definition, v any) (err error) {
		d.Schedule.End, err = readInstant(v)
		return err
	}},
	duration("jitter", "bound of the constant offset by which its fires are late", func(d *Definition) *time.Duration { return &d.Schedule.Jitter }),
	{"spread", Truth, "take the offset from the name, so that schedules of one spec do not fire together", func(d *Definition, v any) (err error) {
		d.Schedule.Spread, err = readTruth(v)
		return err
	}},
	{"misfire_grace", Duration, "how late a run may start, else it is missed, or unlimited; default: the larger of a minute and one period",
		func(d *Definition, v any) (err error) {
			d.Schedule.MisfireGrace, err = readGrace(v)
			return err
		}},
	{"catch_up", Text, "of several times that are due at once: latest, all or skip; default latest", func(d *Definition, v any) error {
		word, err := readOneOf(v, "latest", "all", "skip")
		d.Schedule.CatchUp = fairlane.CatchUp(word)
		return err
	}},
	{"max_instances", Number, "runs at a time; default 1", func(d *Definition, v any) error {
		n, err := readNumber(v)
		if err == nil && (n < 1 || n > 1000) {
			err = fmt.Errorf("want 1 to 1000")
		}
		d.Schedule.MaxInstances = int(n)
		return err
	}},
	{"overlap", Text, "a time that comes while max_instances run: skip it or queue it; default skip", func(d *Definition, v any) error {
		word, err := readOneOf(v, "skip", "queue")
		d.Schedule.Overlap = fairlane.Overlap(word)
		return err
	}},
	duration("min_interval", "skip a time that comes less than this after the last start", func(d *Definition) *time.Duration { return &d.Schedule.MinInterval }),
	text("coordinator", "`name` under which its jobs and others run strictly one after the other", func(d *Definition) *string { return &d.Schedule.Coordinator }),
	text("description", "`text` for people", func(d *Definition) *string { return &d.Schedule.Description }),
	text("kind", "`kind` of the job that each fire enqueues", func(d *Definition) *string { return &d.kind }),
	text("queue", "queue of the job; default: default", func(d *Definition) *string { return &d.job.Queue }),
	text("user", "user whose turn it takes", func(d *Definition) *string { return &d.job.User }),
	{"priority", Number, "larger goes first", func(d *Definition, v any) error {
		n, err := readNumber(v)
		d.job.Priority = int32(n)
		return err
	}},
	{"payload", Payload, "", func(d *Definition, v any) (err error) {
		d.payload, err = readPayload(v)
		return err
	}},
	{"payload_json", Exact, "", func(d *Definition, v any) (err error) {
		d.payload, err = readExactJSON(v)
		return err
	}},
	{"payload_base64", Exact, "", func(d *Definition, v any) (err error) {
		d.payload, err = readBase64(v)
		return err
	}},
	{"memory", Memory, "memory the job needs, for example 512MiB", func(d *Definition, v any) (err error) {
		d.job.MemoryBytes, err = readMemory(v)
		return err
	}},
	{"labels", Labels, "`name=value` of the job, any number of them", func(d *Definition, v any) (err error) {
		d.job.Labels, err = readLabels(v)
		return err
	}},
	count("max_attempts", "attempts in all, the first included", func(l *fairlanev1.JobLimits) **int32 { return &l.MaxAttempts }),
	span("lease", "how long a claim lives without a heartbeat; at least 3s", func(l *fairlanev1.JobLimits) **int64 { return &l.LeaseMs }),
	span("heartbeat", "time between heartbeats; at least 1s and at most a third of the lease", func(l *fairlanev1.JobLimits) **int64 { return &l.HeartbeatMs }),
	span("max_run", "longest run of one attempt; 0: no limit", func(l *fairlanev1.JobLimits) **int64 { return &l.MaxRunMs }),
	span("backoff", "wait before the second attempt", func(l *fairlanev1.JobLimits) **int64 { return &l.BackoffFirstMs }),
	count("backoff_factor_percent", "by which each further wait is longer; 200 is twice", func(l *fairlanev1.JobLimits) **int32 { return &l.BackoffFactorPercent }),
	span("backoff_most", "longest wait between attempts", func(l *fairlanev1.JobLimits) **int64 { return &l.BackoffMostMs }),
	{"on_timeout", Text, "when a lease or max_run ends: retry or fail", func(d *Definition, v any) error {
		word, err := readOneOf(v, "retry", "fail")
		on := fairlanev1.OnTimeout_ON_TIMEOUT_RETRY
		if word == "fail" {
			on = fairlanev1.OnTimeout_ON_TIMEOUT_FAIL
		}
		d.limits().OnTimeout = &on
		return err
	}},
	span("exclusion_window", "how long a worker that failed a job is passed over for it; 0: never", func(l *fairlanev1.JobLimits) **int64 { return &l.ExclusionWindowMs }),
}

// New is a definition of a name of which nothing is said yet.
func New(name string) *Definition {
	return &Definition{Schedule: fairlane.Schedule{Name: name}, job: &fairlanev1.NewJob{}}
}

// Set says one thing. The error says what would be right.
func (d *Definition) Set(key string, value any) error {
	for _, f := range Fields {
		if f.Key == key {
			return f.set(d, value)
		}
	}
	return fmt.Errorf("unknown key %q%s", key, suggestion(key))
}

// Missing fields, without which nothing can be put, each with what to say.
func (d *Definition) Missing() (out []string) {
	if d.Schedule.Name == "" {
		out = append(out, `name is missing`)
	}
	if d.Schedule.Spec == "" {
		out = append(out, `spec is missing: say when it fires, for example "0 2 * * mon-fri", "@daily" or "@every 90s"`)
	}
	if d.kind == "" {
		out = append(out, `kind is missing: it names the handler of the jobs`)
	}
	return out
}

// FieldKey is the key in a file of a field of the API, for example jitter for schedule.jitter_ms.
func FieldKey(field string) string {
	field = strings.TrimPrefix(field, "schedule.")
	for _, prefix := range []string{"job.", "limits."} {
		field = strings.TrimPrefix(field, prefix)
	}
	field, _, _ = strings.Cut(field, ".")
	for _, suffix := range []string{"_ms", "_bytes"} {
		field = strings.TrimSuffix(field, suffix)
	}
	switch field {
	case "json", "data":
		return "payload"
	case "backoff_first":
		return "backoff"
	}
	return field
}

func suggestion(key string) string {
	known := []string{"name"}
	for _, f := range Fields {
		known = append(known, f.Key)
	}
	if near, ok := config.Nearest(key, known); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; known are " + strings.Join(known, ", ")
}

func (d *Definition) limits() *fairlanev1.JobLimits {
	if d.job.Limits == nil {
		d.job.Limits = &fairlanev1.JobLimits{}
	}
	return d.job.Limits
}

func text(key, usage string, at func(*Definition) *string) Field {
	return Field{key, Text, usage, func(d *Definition, v any) error {
		s, err := readText(v)
		*at(d) = s
		return err
	}}
}

func duration(key, usage string, at func(*Definition) *time.Duration) Field {
	return Field{key, Duration, usage, func(d *Definition, v any) error {
		long, err := readDuration(v)
		*at(d) = long
		return err
	}}
}

// span is a duration among the limits of the job.
func span(key, usage string, at func(*fairlanev1.JobLimits) **int64) Field {
	return Field{key, Duration, usage, func(d *Definition, v any) error {
		long, err := readDuration(v)
		*at(d.limits()) = proto.Int64(long.Milliseconds())
		return err
	}}
}

// count is a number among the limits of the job.
func count(key, usage string, at func(*fairlanev1.JobLimits) **int32) Field {
	return Field{key, Number, usage, func(d *Definition, v any) error {
		n, err := readNumber(v)
		*at(d.limits()) = proto.Int32(int32(n))
		return err
	}}
}
