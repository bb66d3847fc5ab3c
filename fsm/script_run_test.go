package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scriptRun is the machine of one script with its clocks. Lines:
//
//	commands         register NAME lanes="a:1" nonce=1 [gone] [user=U] | open NAME nonce=1 | drain NAME [undo] [byname] |
//	                 deregister NAME | enqueue [jobs=A1,B1] [queue= user= prio= delay= key= coordinator= ...] [all] | claim NAME LANE |
//	                 beat NAME FENCE... | finish NAME FENCE ok|ok=RESULT|fail=ERROR [discard] [after=]|snooze= [next=LANE] |
//	                 release NAME FENCE... | cancel JOB | retry JOB | set QUEUE ... | pause QUEUE | resume QUEUE |
//	                 delete QUEUE | settings ... | node ID RAFT API | forget ID | name id= name= | set_clock T | checkpoint | unknown |
//	                 output NAME FENCE OFFSET [DATA] [bytes=N] [ppm=N] [message=M] [+ FENCE OFFSET [DATA]]... |
//	                 cancel_many JOB... [n=N] | retry_many JOB... [n=N]; finish takes rest=OFFSET:DATA and rest_bytes=N, too |
//	                 put NAME next=T [spec= max= catch_up= overlap= grace= min_interval= jitter= offset= ...] [passed=N:FIRST:LAST] |
//	                 unput NAME [expect=N] | pause schedule NAME | resume schedule NAME next=T [passed=] | trigger NAME |
//	                 backfill NAME T... [n=N first=T] | fire NAME DUE [NAME DUE]... (see dues and computed)
//	                 each takes rep=NAME/number/lowest, and xN as its last word repeats it; they gather into one batch
//	apply            ends a batch; the end of a block and every line below do so too
//	tick             an empty batch
//	+DURATION        moves both of the leader's clocks before the next batch
//	wall V, mono V   set one of them (V may be +DURATION or -DURATION); lead N: the leadership
//	wait DURATION    empty batches, one a second
//	reboot           the machine is replaced by one restored from its snapshot
//	reopen EPOCH NODE... [id= name= removed=A,B]  it is replaced by one that goes on in another epoch
//	events on|off    prints the events of every batch; wakes on|off: what became ready, freed lanes, rescans
//	outputs on|off   prints the jobs whose output or progress grew
//	rules N          the rules of the batches from here on; without this line the script runs once under each rules
//	job N..., clocks, timers, queue Q, peek NAME LANE, totals, steps JOB..., placed JOB..., decisions INDEX,
//	schedule NAME..., schedules [prefix= group= after= limit=], ticks NAME [before= limit=] [count], waiting NAME, due NOW, sums, made JOB...,
//	read JOB [ATTEMPT [OFFSET [MOST]]], coordinator NAME..., coordinators (all), order NAME LANE, identity
type scriptRun struct {
	t     *testing.T
	m     *fsm.Machine
	twin  *fsm.Machine
	names map[string]uint64

	index              uint64
	wall, mono         int64
	lead               uint64
	rules              uint32
	batch              []*logv1.Command
	bind               []binding
	out                strings.Builder
	showEvents, showWk bool
	showOut            bool
}

// binding gives a name to the session in the answer at a position of the batch.
type binding struct {
	name string
	at   int
}

func newScriptRun(t *testing.T, rules uint32) *scriptRun {
	return &scriptRun{t: t, rules: rules, m: fsm.New(), twin: fsm.New(), names: map[string]uint64{}, wall: 1_000_000, mono: 5_000, lead: 1}
}

func (r *scriptRun) printf(format string, args ...any) { fmt.Fprintf(&r.out, format+"\n", args...) }

// block runs one block and returns what it printed.
func (r *scriptRun) block(b block) string {
	r.out.Reset()
	for i, line := range b.input {
		if strings.HasPrefix(line, "#") {
			continue
		}
		func() {
			defer func() {
				if e, ok := recover().(any); ok && e != nil {
					mistake, isMistake := e.(scriptErr)
					if !isMistake {
						panic(e)
					}
					r.t.Fatalf("line %d: %s: %s", b.line+i, line, mistake.text)
				}
			}()
			r.line(line)
		}()
	}
	r.flush()
	if r.out.Len() == 0 {
		r.printf("ok")
	}
	return r.out.String()
}

func (r *scriptRun) line(line string) {
	w, err := splitWords(line)
	if err != nil || len(w.bare) == 0 {
		bad("%v", err)
	}
	verb := w.bare[0]
	w.bare = w.bare[1:]
	times := 1
	if n := len(w.bare); n > 0 && len(w.bare[n-1]) > 1 && w.bare[n-1][0] == 'x' && strings.Trim(w.bare[n-1][1:], "0123456789") == "" {
		times = int(mustUint(w.bare[n-1][1:]))
		w.bare = w.bare[:n-1]
	}
	for range times {
		c, ok := r.command(verb, w)
		if !ok {
			r.flush()
			r.other(verb, w)
			continue
		}
		r.batch = append(r.batch, c)
	}
}

func (r *scriptRun) other(verb string, w words) {
	if d, ok := strings.CutPrefix(verb, "+"); ok {
		r.wall += mustMillis(d)
		r.mono += mustMillis(d)
		return
	}
	switch verb {
	case "apply":
	case "tick":
		r.apply(nil, "")
	case "wall":
		r.wall = moved(r.wall, w.bare[0])
	case "mono":
		r.mono = moved(r.mono, w.bare[0])
	case "lead":
		r.lead = mustUint(w.bare[0])
	case "wait":
		r.wait(mustMillis(w.bare[0]))
	case "reboot":
		m, err := restored(r.m)
		if err != nil {
			r.t.Fatal(err)
		}
		r.m = m
	case "reopen":
		r.reopen(w)
	case "rules":
		r.rules = uint32(mustUint(w.bare[0]))
	case "outputs":
		r.showOut = w.has("on")
	case "events":
		r.showEvents = w.has("on")
	case "wakes":
		r.showWk = w.has("on")
	default:
		r.query(verb, w)
	}
}

func moved(now int64, s string) int64 {
	switch s[0] {
	case '+':
		return now + mustMillis(s[1:])
	case '-':
		return now - mustMillis(s[1:])
	default:
		return mustMillis(s)
	}
}

// wait lets time pass as a leader does: a batch at least once a second.
func (r *scriptRun) wait(d int64) {
	for left := d; left > 0; {
		step := min(left, 1000)
		left -= step
		r.wall += step
		r.mono += step
		r.apply(nil, fmt.Sprintf("+%d ", d-left))
	}
}

func (r *scriptRun) flush() {
	if len(r.batch) == 0 {
		return
	}
	commands := r.batch
	r.batch = nil
	r.apply(commands, "")
}

// apply applies one batch to the machine, to its twin and to a machine restored from the snapshot before it.
// timed, when set, is the prefix of its events, which are then always printed.
func (r *scriptRun) apply(commands []*logv1.Command, timed string) {
	half, err := restored(r.m)
	if err != nil {
		r.t.Fatalf("restore: %v", err)
	}
	r.index += 3 // the log has holes
	b := &logv1.Batch{Rules: r.rules, NowMs: r.wall, MonotonicMs: r.mono, Leadership: r.lead, Commands: commands}
	out, fault := tryApply(r.m, r.index, b)
	if fault != nil {
		r.printf("panic: %v", fault)
		r.m, r.bind = half, nil
		return
	}
	if err := r.m.CheckInvariants(); err != nil {
		r.t.Fatalf("index %d: %v", r.index, err)
	}
	r.twin.Apply(r.index, b)
	half.Apply(r.index, b)
	if d := digest(r.t, r.m); d != digest(r.t, r.twin) || d != digest(r.t, half) {
		r.t.Fatalf("index %d: the machine, its twin and the restored one differ", r.index)
	}
	for i, res := range out.Results {
		if res.GetIndex() == 0 {
			r.t.Fatalf("index %d: the answer at %d has no index", r.index, i)
		}
		r.printf("%s", describe(res, r.index))
	}
	for _, n := range r.bind {
		if s := out.Results[n.at].GetSession(); s != nil {
			r.names[n.name] = s.GetSession()
		}
	}
	r.bind = nil
	if r.showEvents || timed != "" {
		for _, e := range out.Events {
			r.printf("%s! %s", timed, describeEvent(e))
		}
	}
	if r.showWk {
		r.printWakes(out)
	}
	if r.showOut {
		r.printf("grown %v", out.Outputs)
	}
	if out.More {
		r.printf("more timers are due")
	}
}

// tryApply turns a panic of Apply into a value.
func tryApply(m *fsm.Machine, index uint64, b *logv1.Batch) (out fsm.Outcome, fault any) {
	defer func() { fault = recover() }()
	return m.Apply(index, b), nil
}
