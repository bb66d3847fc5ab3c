package rpc

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func ofUser(user string) *v1.JobFilter { return &v1.JobFilter{User: user} }

func repeatUser(user string, n int) []string { return slices.Repeat([]string{user}, n) }

// TestBulkSteps: a dry run counts and changes nothing; steps through any node change every match once and nothing else; jobs that were run
// again are not met by a later step, nor by a repeated one.
func TestBulkSteps(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	mine := nodes[0].enqueue(t, "manual", repeatUser("ana", 25)...)
	nodes[1].enqueue(t, "manual", repeatUser("ben", 5)...)
	mine = append(mine, nodes[2].enqueue(t, "bulk", repeatUser("ana", 3)...)...)

	for i, node := range nodes {
		dry, err := node.jobs().CancelMany(ctx, &v1.CancelManyRequest{Filter: ofUser("ana"), DryRun: true, Limit: 2})
		if err != nil || dry.Matched != 28 || dry.Changed != 0 || dry.NextBeforeId != 0 || dry.Position != nil || dry.Index == 0 {
			t.Errorf("dry run through node %d: %v %v", i, dry, err)
		}
	}
	steps, cancelled := 0, uint64(0)
	for before := uint64(0); ; steps++ {
		step, err := nodes[steps%3].jobs().CancelMany(ctx, &v1.CancelManyRequest{Filter: ofUser("ana"), BeforeId: before, Limit: 10})
		if err != nil || step.Changed != step.Matched || step.Matched > 10 || before != 0 && step.NextBeforeId >= before {
			t.Fatalf("step %d below %d: %v %v", steps, before, step, err)
		}
		cancelled += step.Changed
		if before = step.NextBeforeId; before == 0 {
			break
		}
	}
	if cancelled != 28 || steps != 2 {
		t.Errorf("%d cancelled in %d steps", cancelled, steps+1)
	}
	if again, err := nodes[0].jobs().CancelMany(ctx, &v1.CancelManyRequest{Filter: ofUser("ana")}); err != nil || again.Matched != 0 || again.Position != nil {
		t.Errorf("once more: %v %v", again, err)
	}
	left, err := nodes[0].jobs().CancelMany(ctx, &v1.CancelManyRequest{Filter: ofUser("ben"), DryRun: true})
	if err != nil || left.Matched != 5 {
		t.Errorf("ben's jobs: %v %v", left, err)
	}

	first, err := nodes[1].jobs().RetryMany(ctx, &v1.RetryManyRequest{Filter: ofUser("ana"), Limit: 20})
	if err != nil || first.Changed != 20 || first.NextBeforeId == 0 || first.Refused != nil {
		t.Fatalf("first step of a retry: %v %v", first, err)
	}
	if repeated, err := nodes[2].jobs().RetryMany(ctx, &v1.RetryManyRequest{Filter: ofUser("ana"), Limit: 20}); err != nil || repeated.Changed != 0 || repeated.NextBeforeId != first.NextBeforeId {
		t.Errorf("the same step again: %v %v", repeated, err)
	}
	dry, err := nodes[0].jobs().RetryMany(ctx, &v1.RetryManyRequest{Filter: ofUser("ana"), DryRun: true})
	if err != nil || dry.Matched != 8 || dry.Changed != 0 {
		t.Errorf("what is left: %v %v", dry, err)
	}
	// The new jobs are cancelled meanwhile: they match the filter, and yet a later step must not run them again.
	if _, err := nodes[0].jobs().CancelMany(ctx, &v1.CancelManyRequest{Filter: ofUser("ana")}); err != nil {
		t.Fatal(err)
	}
	second, err := nodes[0].jobs().RetryMany(ctx, &v1.RetryManyRequest{Filter: ofUser("ana"), Limit: 20, BeforeId: first.NextBeforeId})
	if err != nil || second.Changed != 8 || second.NextBeforeId != 0 {
		t.Errorf("second step: %v %v", second, err)
	}
	for _, id := range mine {
		job, err := nodes[0].jobs().Get(ctx, &v1.GetRequest{Id: id})
		if err != nil || job.Job.RetriedAs == 0 {
			t.Errorf("job %d was not run again: %v %v", id, job, err)
		}
	}
}

// TestFilters: every field of the filter narrows, in lists and in bulk.
func TestFilters(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	ids := node.enqueue(t, "manual", append(repeatUser("ana", 11), "ben")...)
	node.enqueue(t, "bulk", "ben")
	at, err := node.jobs().Get(ctx, &v1.GetRequest{Id: ids[0]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.jobs().Cancel(ctx, &v1.CancelRequest{Id: ids[11]}); err != nil {
		t.Fatal(err)
	}
	const future = maxInstantMs
	for _, c := range []struct {
		what   string
		filter *v1.JobFilter
		want   int
	}{
		{"queue", &v1.JobFilter{Queue: "bulk"}, 1},
		{"user", &v1.JobFilter{User: "ben"}, 2},
		{"kind", &v1.JobFilter{Kind: "k"}, 13},
		{"no kind", &v1.JobFilter{Kind: "none"}, 0},
		{"label", &v1.JobFilter{Labels: map[string]string{"of": "ben"}}, 2},
		{"label and queue", &v1.JobFilter{Labels: map[string]string{"of": "ben"}, Queue: "manual"}, 1},
		{"a label that none has", &v1.JobFilter{Labels: map[string]string{"of": "ben", "x": ""}}, 0},
		{"from", &v1.JobFilter{EnqueuedFromMs: at.Job.EnqueuedMs}, 13},
		{"from later", &v1.JobFilter{EnqueuedFromMs: future}, 0},
		{"before", &v1.JobFilter{EnqueuedBeforeMs: future}, 13},
		{"before that", &v1.JobFilter{EnqueuedBeforeMs: at.Job.EnqueuedMs}, 0},
		{"id prefix", &v1.JobFilter{IdPrefix: "1"}, 5}, // 1, 10, 11, 12, 13
		{"schedule", &v1.JobFilter{Schedule: "s"}, 0},
		{"state", &v1.JobFilter{States: canRetry}, 1},
	} {
		list, err := node.jobs().List(ctx, &v1.ListRequest{Filter: c.filter})
		if err != nil || len(list.Jobs) != c.want {
			t.Errorf("list by %s: %d jobs, want %d (%v)", c.what, len(list.GetJobs()), c.want, err)
		}
	}
	dry, err := node.jobs().CancelMany(ctx, &v1.CancelManyRequest{DryRun: true, Filter: &v1.JobFilter{Labels: map[string]string{"of": "ben"}, IdPrefix: "1"}})
	if err != nil || dry.Matched != 1 {
		t.Errorf("bulk by label and prefix: %v %v", dry, err)
	}
}

// TestFilterOfALaterVersion: a field that this node would not see narrows a list or a bulk change on another one, so it is refused here.
func TestFilterOfALaterVersion(t *testing.T) {
	filter := &v1.JobFilter{}
	filter.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1}) // field 2047 = 1
	wantReason(t, checkMany(filter, 0, "cancelled", canCancel), InvalidArgument)
	filter.User = "ana"
	wantReason(t, checkMany(filter, 0, "cancelled", canCancel), InvalidArgument)
	wantReason(t, checkList(&v1.ListRequest{Filter: filter}), InvalidArgument)
}

// TestBulkThatBreaksIsUnknown: a step that reached the leader and was not answered may have been done; a dry run, and Why, are asked again.
func TestBulkThatBreaksIsUnknown(t *testing.T) {
	lead, _, client := forwarding(t, 200*time.Millisecond)
	var calls atomic.Int32
	breaks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(breaks.Close)
	lead.follow(breaks.Listener.Addr().String())
	for _, c := range []struct {
		what string
		call func() error
		want Reason
		once bool
	}{
		{"cancel", func() error {
			_, err := client.CancelMany(t.Context(), &v1.CancelManyRequest{Filter: ofUser("ana")})
			return err
		}, UnknownOutcome, true},
		{"retry", func() error {
			_, err := client.RetryMany(t.Context(), &v1.RetryManyRequest{Filter: ofUser("ana")})
			return err
		}, UnknownOutcome, true},
		{"dry run of cancel", func() error {
			_, err := client.CancelMany(t.Context(), &v1.CancelManyRequest{Filter: ofUser("ana"), DryRun: true})
			return err
		}, NoLeader, false},
		{"dry run of retry", func() error {
			_, err := client.RetryMany(t.Context(), &v1.RetryManyRequest{Filter: ofUser("ana"), DryRun: true})
			return err
		}, NoLeader, false},
		{"why", func() error {
			_, err := client.Why(t.Context(), &v1.WhyRequest{Id: 1})
			return err
		}, NoLeader, false},
	} {
		calls.Store(0)
		wantReason(t, c.call(), c.want)
		if once := calls.Load() == 1; once != c.once {
			t.Errorf("%s was sent %d times", c.what, calls.Load())
		}
	}
}
