package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// shop is the program in examples/coordinators.
type shop struct {
	binary, db, log string
	pace            float64 // factor of all its times
	cluster         *harness.Cluster
}

// shopFound is what its members wrote down.
type shopFound struct {
	Overlaps, Ordered, Open, Archived, Reported int

	Members map[string]struct {
		Runs, Failed, Broken int
		Last                 int64
	}
}

// TestCoordinators: two coordinators with two and four members work on one SQLite file, in a program that is restarted 20 times, every other time
// by SIGKILL, while leaders are killed too. No two members of one coordinator ever meet, a member that always fails leaves the rest alone,
// every stop ends in time, and all members run again after the last start (E4).
func TestCoordinators(t *testing.T) {
	t.Parallel()
	if !*full {
		runShop(t, 0.1, 8)
		return
	}
	for _, pace := range []float64{0.1, 1} {
		t.Run(fmt.Sprintf("pace %v", pace), func(t *testing.T) { runShop(t, pace, 20) })
	}
}

func runShop(t *testing.T, pace float64, restarts int) {
	run := &shop{db: filepath.Join(t.TempDir(), "shop.db"), log: filepath.Join(t.TempDir(), "shop.log"), pace: pace}
	run.binary = buildExample(t, "coordinators")
	run.cluster = harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute+run.paced(10*time.Minute))
	t.Cleanup(cancel)
	for i := range restarts {
		began := time.Now()
		program := run.start(t)
		_ = sleep(ctx, run.paced(time.Duration(12+i%3*7)*time.Second))
		if i%5 == 4 {
			killOnce(ctx, t, run.cluster)
		}
		how := syscall.SIGTERM
		if i%2 == 1 {
			how = syscall.SIGKILL
			run.waitForRun(ctx, t)
		}
		run.stop(t, program, how, fmt.Sprintf("restart %d, %v after its start", i, time.Since(began).Round(time.Millisecond)))
	}
	last := time.Now()
	program := run.start(t)
	found := run.waitForAll(ctx, t, last)
	run.checkVisible(ctx, t)
	run.stop(t, program, syscall.SIGTERM, "the end")
	found = run.look(t)
	broken := 0
	for _, m := range found.Members {
		broken += m.Broken
	}
	t.Logf("%d restarts: %d overlaps; runs that ended, that failed, whose process died: %v; of %d orders %d archived, %d reported", restarts, found.Overlaps,
		found.Members, found.Ordered, found.Archived, found.Reported)
	if found.Overlaps > 0 {
		t.Errorf("%d times two members of one coordinator ran at a time", found.Overlaps)
	}
	if push := found.Members["upkeep/push-to-partner"]; push.Failed == 0 || push.Failed != push.Runs {
		t.Errorf("the member that always fails: %+v", push)
	}
	for name, m := range found.Members {
		if name != "upkeep/push-to-partner" && m.Failed > 0 {
			t.Errorf("%s failed: %+v", name, m)
		}
	}
	if broken == 0 {
		t.Error("the run is invalid: no SIGKILL met a member that ran")
	}
	if found.Archived == 0 || found.Reported == 0 || found.Ordered != found.Open+found.Archived {
		t.Errorf("of %d orders %d are open and %d archived", found.Ordered, found.Open, found.Archived)
	}
	run.cluster.CheckDigests(t)
}

func (s *shop) paced(d time.Duration) time.Duration { return time.Duration(s.pace * float64(d)) }

// buildExample builds a program of examples/, which is a module of its own.
func buildExample(t *testing.T, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join("..", "examples", name)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	return binary
}

func (s *shop) start(t *testing.T) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	program := exec.Command(s.binary, "-servers", strings.Join(s.cluster.Addresses(), ","), "-db", s.db, "-pace", fmt.Sprint(s.pace), "-busy", s.paced(4*time.Second).String())
	program.Stdout, program.Stderr = log, log
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	return program
}

// stop ends the program and waits for it. SIGTERM must lead to a clean end in time.
func (s *shop) stop(t *testing.T, program *exec.Cmd, how syscall.Signal, when string) {
	t.Helper()
	_ = program.Process.Signal(how)
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	select {
	case err := <-ended:
		if how == syscall.SIGTERM && err != nil {
			text, _ := os.ReadFile(s.log)
			t.Errorf("%s: %v\n%s", when, err, text)
		}
	case <-time.After(20 * time.Second):
		_ = program.Process.Kill()
		<-ended
		t.Fatalf("%s: it hangs", when)
	}
}

func (s *shop) look(t *testing.T) (found shopFound) {
	t.Helper()
	out, err := exec.Command(s.binary, "-db", s.db, "-check").Output()
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return found
}

// waitForRun until a member is at work that was not when the wait began.
func (s *shop) waitForRun(ctx context.Context, t *testing.T) {
	t.Helper()
	open := func() (n int) {
		for _, m := range s.look(t).Members {
			n += m.Broken + m.Runs
		}
		return n
	}
	for before := open(); open() == before; {
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("no member runs: %v", err)
		}
	}
}

// waitForAll members to have run since an instant, the one with an interval of its own ever; or for two that met.
func (s *shop) waitForAll(ctx context.Context, t *testing.T, since time.Time) shopFound {
	t.Helper()
	for {
		found := s.look(t)
		missing := ""
		for _, name := range []string{"pulse/expire-carts", "pulse/count-stock", "upkeep/archive-orders", "upkeep/report", "upkeep/push-to-partner"} {
			if found.Members[name].Last < since.UnixMilli() {
				missing = name
			}
		}
		if found.Members["upkeep/vacuum"].Runs == 0 {
			missing = "upkeep/vacuum"
		}
		if missing == "" || found.Overlaps > 0 { // those that meet another fail, and some never get through
			return found
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			t.Fatalf("%s has not run since the last start: %+v", missing, found)
		}
	}
}

// checkVisible: the state of each member is there to be seen.
func (s *shop) checkVisible(ctx context.Context, t *testing.T) {
	t.Helper()
	for name, members := range map[string]int{"pulse": 2, "upkeep": 4} {
		var answer *fairlanev1.GetCoordinatorResponse
		err := s.cluster.Any(ctx, func(ctx context.Context, api harness.API) (err error) {
			answer, err = api.Schedules.GetCoordinator(ctx, &fairlanev1.GetCoordinatorRequest{Name: name})
			return err
		})
		if err != nil || len(answer.GetCoordinator().GetMembers()) != members {
			t.Errorf("coordinator %s has %d members, want %d (%v)", name, len(answer.GetCoordinator().GetMembers()), members, err)
			continue
		}
		for _, m := range answer.GetCoordinator().GetMembers() {
			if m.GetLastStartMs() == 0 || m.GetNextMs() == 0 {
				t.Errorf("member %s: last start %d, next %d", m.GetSchedule().GetName(), m.GetLastStartMs(), m.GetNextMs())
			}
		}
	}
}
