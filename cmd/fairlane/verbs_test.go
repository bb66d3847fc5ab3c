package main

import (
	"encoding/json"
	"strings"
	"testing"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func TestJobWaitExitCodes(t *testing.T) {
	for state, want := range map[fairlanev1.JobState]int{
		fairlanev1.JobState_JOB_STATE_SUCCEEDED: 0,
		fairlanev1.JobState_JOB_STATE_FAILED:    4,
		fairlanev1.JobState_JOB_STATE_CANCELLED: 5,
		fairlanev1.JobState_JOB_STATE_TIMED_OUT: 6,
		fairlanev1.JobState_JOB_STATE_RUNNING:   1, // not final within --for
	} {
		endpoint := (&fakeNode{state: state}).start(t)
		code, out, errs := cli{}.run(t, "job", "wait", "7", "--for", "1ms", "-e", endpoint)
		if code != want || !strings.Contains(out, stateName(state)) {
			t.Errorf("%v: exit code %d, want %d; %q %q", state, code, want, out, errs)
		}
		if silent := errs == ""; silent != (want != 1) {
			t.Errorf("%v: errors %q", state, errs)
		}
	}
}

func TestRefusalKeepsItsWords(t *testing.T) {
	endpoint := (&fakeNode{}).start(t)
	code, _, errs := cli{}.run(t, "job", "get", "8", "-e", endpoint)
	if code != exitFailed || errs != "fairlane: there is no job 8 (UNKNOWN_JOB FL1202)\n" {
		t.Errorf("exit code %d, %q", code, errs)
	}
	_, _, errs = cli{env: map[string]string{"FAIRLANE_OUTPUT": "json"}}.run(t, "job", "get", "8", "-e", endpoint)
	var got struct{ Error description }
	if err := json.Unmarshal([]byte(errs), &got); err != nil || got.Error.Reason != "UNKNOWN_JOB" || got.Error.Code != "FL1202" || got.Error.ExitCode != 1 {
		t.Errorf("%v: %s", err, errs)
	}
}

// TestNoLeader: a cluster without a leader is asked again within --timeout, and is exit code 3 after it.
func TestNoLeader(t *testing.T) {
	endpoint := (&fakeNode{noLeader: 1, state: fairlanev1.JobState_JOB_STATE_PENDING}).start(t)
	if code, _, errs := (cli{}).run(t, "job", "get", "7", "-e", endpoint); code != exitOK {
		t.Errorf("elected in time: exit code %d, %q", code, errs)
	}
	endpoint = (&fakeNode{noLeader: 1 << 30}).start(t)
	code, _, errs := cli{}.run(t, "job", "get", "7", "-e", endpoint, "--timeout", "300ms")
	if code != exitUnreachable {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if code, _, _ := (cli{}).run(t, "cluster", "status", "-e", endpoint); code != exitUnreachable {
		t.Errorf("status of a node that knows no leader: exit code %d", code)
	}
}

// TestSecondEndpoint: a node that is down does not matter while another one answers.
func TestSecondEndpoint(t *testing.T) {
	endpoint := (&fakeNode{leader: "n-1"}).start(t)
	code, out, errs := cli{env: map[string]string{"FAIRLANE_ENDPOINTS": "127.0.0.1:1," + endpoint}}.run(t, "cluster", "status")
	if code != exitOK || !strings.Contains(out, "n-1") {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
}

func TestTables(t *testing.T) {
	endpoint := (&fakeNode{leader: "n-1", state: fairlanev1.JobState_JOB_STATE_SUCCEEDED}).start(t)
	for args, want := range map[string][]string{
		"job list":           {"ID  KIND", "7   hello  manual  ana", "2/4", "hello"},
		"job list --limit 1": {"more: --before 7"},
		"job get 7":          {`progress  29 % "page 29", 2026-09-21T`, "payload   {\"n\":1}", `result    "a\tb"`, "2 (1 of 4 charged)", "2026-09-21T"},
		"queue list":         {"manual  default  paused  0", "5        2        3      1m1s"},
		"queue get q":        {"q      default  open   0          5        2        3      1m1s", "live claims  4", "max_running  4  jobs"},
		"queue users q":      {"ana   41       2        1m30s        yes       1099511627790", "ben   0        0        -            no        never"},
		"queue order q":      {"1     7   hello  manual  ana   0         manual (0)  3.2s", "2     9   hello  bulk    -     4         * (1)       0s"},
		"log explain 55":     {"2026-09-21T14:13:20.000Z, claim 1099511627791, attempt 1\n  job 12 of user ben to worker w1 lane 0\n"},
		"log show 42":        {"42 2026-09-21T14:13:20.000Z term 3 commands, rules 4, 120 bytes\n  cancel job 7\n  enqueue a job: mail\n"},
		"worker list":        {"fast_lane 1/1, manual>* 2/4 (3MiB of 1GiB)", "w2", "draining  ben"},
		"cluster status":     {"n-1   follower  127.0.0.1:1  127.0.0.1:2  yes", "raft-wal"},
	} {
		code, out, errs := cli{}.run(t, append(strings.Fields(args), "-e", endpoint)...)
		for _, w := range want {
			if code != exitOK || !strings.Contains(out, w) {
				t.Errorf("%s: exit code %d %q, no %q in\n%s", args, code, errs, w, out)
			}
		}
		code, out, errs = cli{}.run(t, append(strings.Fields(args), "-e", endpoint, "-o", "json")...)
		if code != exitOK || !json.Valid([]byte(out)) {
			t.Errorf("%s as JSON: exit code %d %q\n%s", args, code, errs, out)
		}
	}
}

// TestJSONShowsEmptyFields: scripts find every field, and numbers of 64 bits as the API has them.
func TestJSONShowsEmptyFields(t *testing.T) {
	endpoint := (&fakeNode{state: fairlanev1.JobState_JOB_STATE_PENDING}).start(t)
	_, out, _ := cli{}.run(t, "job", "get", "7", "-o", "json", "-e", endpoint)
	for _, want := range []string{`"id": "7"`, `"error": ""`, `"state": "JOB_STATE_PENDING"`, `"fence": "0"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestFlagsBecomeFields(t *testing.T) {
	f := &fakeNode{}
	endpoint := f.start(t)
	code, _, errs := cli{}.run(t, "queue", "set", "q", "--mode", "fifo", "--max-running", "0", "--lease", "5s", "--on-timeout", "fail",
		"--retention", "0s", "-e", endpoint)
	s := f.setQueue.GetSettings()
	if code != exitOK || s.GetMode() != fairlanev1.QueueMode_QUEUE_MODE_FIFO || s.GetLimits().GetLeaseMs() != 5000 ||
		s.GetLimits().GetOnTimeout() != fairlanev1.OnTimeout_ON_TIMEOUT_FAIL {
		t.Errorf("exit code %d %q, %v", code, errs, s)
	}
	if s.MaxRunning == nil || s.RetentionMs == nil || s.MaxRunningPerUser != nil || s.GetLimits().HeartbeatMs != nil {
		t.Errorf("given zeros and what was not given are mixed up: %v", s)
	}
	cli{}.run(t, "job", "list", "--state", "failed,timed_out", "--user", "ana", "-e", endpoint)
	if len(f.list.GetFilter().GetStates()) != 2 || f.list.GetFilter().GetUser() != "ana" {
		t.Errorf("list asked %v", f.list)
	}
}
