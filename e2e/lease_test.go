package e2e

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// shortLease is the shortest lease that the cluster grants.
const shortLease = 3 * time.Second

// leaseBench is a cluster for tests of claims: each uses queues and workers of its own.
type leaseBench struct {
	t       *testing.T
	ctx     context.Context
	cluster *harness.Cluster
	session *harness.Session
}

func newLeaseBench(t *testing.T, o harness.Options) *leaseBench {
	cluster := harness.Start(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	session, err := cluster.OpenSession(ctx, rand.Uint64()|1)
	if err != nil {
		t.Fatal(err)
	}
	return &leaseBench{t: t, ctx: ctx, cluster: cluster, session: session}
}

func (b *leaseBench) at(t *testing.T) *leaseBench {
	return &leaseBench{t: t, ctx: b.ctx, cluster: b.cluster, session: b.session}
}

// shortLimits are those of a job with the shortest lease.
func shortLimits() *fairlanev1.JobLimits {
	return &fairlanev1.JobLimits{LeaseMs: proto.Int64(shortLease.Milliseconds()), HeartbeatMs: proto.Int64(1000), BackoffFirstMs: proto.Int64(0)}
}

// enqueue adds a job with the shortest lease; change may be nil.
func (b *leaseBench) enqueue(queue string, change func(*fairlanev1.NewJob)) uint64 {
	b.t.Helper()
	job := &fairlanev1.NewJob{Kind: "lease", Queue: queue, Limits: shortLimits()}
	if change != nil {
		change(job)
	}
	answer, err := b.cluster.Enqueue(b.ctx, b.session, job)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.GetId()
}

func (b *leaseBench) worker(name, lanes string) *harness.Worker {
	b.t.Helper()
	worker, err := b.cluster.Register(b.ctx, name, lanes)
	if err != nil {
		b.t.Fatal(err)
	}
	return worker
}

// claimed is a claim and when its call was sent and answered.
type claimed struct {
	*fairlanev1.Claim
	call, back time.Time
}

func (c claimed) job() uint64 { return c.GetJob().GetId() }

func (b *leaseBench) claim(worker *harness.Worker, wait time.Duration) claimed {
	b.t.Helper()
	call := time.Now()
	answer, err := worker.Claim(b.ctx, 0, wait)
	if err != nil || answer.GetClaim() == nil {
		b.t.Fatalf("claim by %s: %v %v", worker.Name, answer, err)
	}
	return claimed{answer.GetClaim(), call, time.Now()}
}

func (b *leaseBench) noClaim(worker *harness.Worker, want fairlanev1.EmptyReason) {
	b.t.Helper()
	answer, err := worker.Claim(b.ctx, 0, 0)
	if err != nil || answer.GetClaim() != nil || answer.GetReason() != want {
		b.t.Fatalf("claim by %s: %v %v, want %v", worker.Name, answer, err, want)
	}
}

func (b *leaseBench) get(id uint64) *fairlanev1.Job {
	b.t.Helper()
	job, err := b.cluster.Get(b.ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

func (b *leaseBench) state(id uint64, want fairlanev1.JobState) {
	b.t.Helper()
	if job := b.get(id); job.GetState() != want {
		b.t.Fatalf("job %d is %v, want %v", id, job.GetState(), want)
	}
}

func (b *leaseBench) beat(worker *harness.Worker, fence uint64) fairlanev1.ClaimStatus {
	b.t.Helper()
	answer, err := worker.Heartbeat(b.ctx, fence)
	if err != nil || len(answer.GetStatuses()) != 1 {
		b.t.Fatalf("heartbeat by %s: %v %v", worker.Name, answer, err)
	}
	return answer.GetStatuses()[0]
}

func (b *leaseBench) succeed(worker *harness.Worker, fence uint64) *fairlanev1.FinishResponse {
	b.t.Helper()
	answer, err := worker.Succeed(b.ctx, fence, worker.Name)
	if err != nil {
		b.t.Fatalf("finish by %s: %v", worker.Name, err)
	}
	return answer
}

func (b *leaseBench) cancel(id uint64) *fairlanev1.CancelResponse {
	b.t.Helper()
	answer, err := b.cluster.Cancel(b.ctx, b.session, id)
	if err != nil {
		b.t.Fatalf("cancel %d: %v", id, err)
	}
	return answer
}

const (
	statusOK        = fairlanev1.ClaimStatus_CLAIM_STATUS_OK
	statusLost      = fairlanev1.ClaimStatus_CLAIM_STATUS_LOST
	statusCancelled = fairlanev1.ClaimStatus_CLAIM_STATUS_CANCELLED

	stateCancelled = fairlanev1.JobState_JOB_STATE_CANCELLED
	stateSucceeded = fairlanev1.JobState_JOB_STATE_SUCCEEDED
	stateTimedOut  = fairlanev1.JobState_JOB_STATE_TIMED_OUT
)

// TestLeases: what happens to claims whose workers are silent, late, draining, or whose jobs are cancelled (A6).
func TestLeases(t *testing.T) {
	t.Parallel()
	bench := newLeaseBench(t, harness.Options{})
	for name, test := range map[string]func(*leaseBench){
		"silent worker":  testSilentWorker,
		"run limit":      testRunLimit,
		"exclusion":      testExclusion,
		"drain":          testDrain,
		"cancel waiting": testCancelWaiting,
		"cancel running": testCancelRunning,
		"racing cancels": testRacingCancels,
		"one name twice": testOneNameTwice,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(bench.at(t))
		})
	}
}

// testSilentWorker: the job of a worker that falls silent goes to another one, not before its lease has run its length;
// what the first says afterwards changes nothing.
func testSilentWorker(b *leaseBench) {
	silent, other := b.worker("silent", "silence:1"), b.worker("other", "silence:1")
	id := b.enqueue("silence", nil)
	first := b.claim(silent, 0)
	second := b.claim(other, 20*time.Second)
	if length := second.back.Sub(first.call); length < shortLease {
		b.t.Errorf("the lease of %v was over after %v", shortLease, length)
	} else if length > shortLease+3*time.Second {
		b.t.Errorf("the job came back only after %v", length)
	}
	if second.job() != id || second.GetFence() <= first.GetFence() || second.GetJob().GetAttempt() != 2 {
		b.t.Errorf("the second claim is %v", second.Claim)
	}
	before := b.get(id)
	if status := b.beat(silent, first.GetFence()); status != statusLost {
		b.t.Errorf("a late heartbeat: %v", status)
	}
	if answer := b.succeed(silent, first.GetFence()); answer.GetError().GetReason() != "LOST_CLAIM" || answer.GetError().GetCode() != "FL1201" {
		b.t.Errorf("a late finish: %v", answer)
	}
	if after := b.get(id); !proto.Equal(before, after) {
		b.t.Errorf("a late finish changed the job from %v to %v", before, after)
	}
	if answer := b.succeed(other, second.GetFence()); answer.GetError() != nil || answer.GetState() != stateSucceeded {
		b.t.Errorf("finish: %v", answer)
	}
	if answer := b.succeed(silent, first.GetFence()); answer.GetError().GetReason() != "LOST_CLAIM" {
		b.t.Errorf("a finish after the end: %v", answer)
	}
	if job := b.get(id); string(job.GetResult()) != "other" {
		b.t.Errorf("the result is %q", job.GetResult())
	}
}

// testRunLimit: max_run counts from the claim and ends the run although the worker keeps beating.
func testRunLimit(b *leaseBench) {
	worker := b.worker("runner", "limit:1")
	const limit = 2 * time.Second
	id := b.enqueue("limit", func(job *fairlanev1.NewJob) {
		job.Limits.MaxRunMs = proto.Int64(limit.Milliseconds())
		job.Limits.OnTimeout = fairlanev1.OnTimeout_ON_TIMEOUT_FAIL.Enum()
	})
	claim := b.claim(worker, 0)
	for b.beat(worker, claim.GetFence()) == statusOK {
		if time.Since(claim.back) > limit+5*time.Second {
			b.t.Fatalf("it still runs %v after its claim", time.Since(claim.back))
		}
		if err := sleep(b.ctx, 200*time.Millisecond); err != nil {
			b.t.Fatal(err)
		}
	}
	if length := time.Since(claim.call); length < limit {
		b.t.Errorf("the run limit of %v was over after %v", limit, length)
	}
	b.state(id, stateTimedOut)
}

// testExclusion: a worker that failed a job gets the younger ones, and another worker gets that job.
func testExclusion(b *leaseBench) {
	failing, other := b.worker("failing", "exclude:1"), b.worker("able", "exclude:1")
	first, second := b.enqueue("exclude", nil), b.enqueue("exclude", nil)
	claim := b.claim(failing, 0)
	if claim.job() != first {
		b.t.Fatalf("claimed %d, want %d", claim.job(), first)
	}
	if answer, err := failing.Fail(b.ctx, claim.GetFence(), "no"); err != nil || answer.GetError() != nil {
		b.t.Fatalf("fail: %v %v", answer, err)
	}
	younger := b.claim(failing, 5*time.Second)
	if younger.job() != second {
		b.t.Errorf("the worker that failed job %d got %d", first, younger.job())
	}
	b.succeed(failing, younger.GetFence())
	b.noClaim(failing, fairlanev1.EmptyReason_EMPTY_REASON_NOTHING)
	if again := b.claim(other, 5*time.Second); again.job() != first {
		b.t.Errorf("the other worker got job %d, want %d", again.job(), first)
	}
}

// testDrain: a draining worker gets nothing new and finishes what it runs.
func testDrain(b *leaseBench) {
	worker := b.worker("drained", "drain:2")
	b.enqueue("drain", nil)
	b.enqueue("drain", nil)
	claim := b.claim(worker, 0)
	drain := func(undo bool) {
		var answer *fairlanev1.DrainResponse
		err := b.cluster.Any(b.ctx, func(ctx context.Context, api harness.API) (err error) {
			answer, err = api.Workers.Drain(ctx, &fairlanev1.DrainRequest{Name: "drained", Undo: undo})
			return err
		})
		if err != nil || answer.GetRunning() != 1 {
			b.t.Fatalf("drain: %v %v", answer, err)
		}
	}
	drain(false)
	b.noClaim(worker, fairlanev1.EmptyReason_EMPTY_REASON_DRAINING)
	if answer, err := worker.Heartbeat(b.ctx, claim.GetFence()); err != nil || !answer.GetDraining() || answer.GetStatuses()[0] != statusOK {
		b.t.Errorf("heartbeat while draining: %v %v", answer, err)
	}
	drain(true)
	second := b.claim(worker, 0)
	for _, fence := range []uint64{claim.GetFence(), second.GetFence()} {
		if answer := b.succeed(worker, fence); answer.GetState() != stateSucceeded {
			b.t.Errorf("finish: %v", answer)
		}
	}
}

// testCancelWaiting: a waiting job that was cancelled is never handed out.
func testCancelWaiting(b *leaseBench) {
	worker := b.worker("cw", "cancelw:1")
	id := b.enqueue("cancelw", nil)
	if answer := b.cancel(id); !answer.GetCancelled() || answer.GetState() != stateCancelled {
		b.t.Errorf("cancel: %v", answer)
	}
	if answer := b.cancel(id); answer.GetCancelled() || answer.GetState() != stateCancelled {
		b.t.Errorf("cancel again: %v", answer)
	}
	b.noClaim(worker, fairlanev1.EmptyReason_EMPTY_REASON_NOTHING)
	b.state(id, stateCancelled)
}

// testCancelRunning: cancelled at once; the claim keeps its slot until its worker lets go, and cannot become a success.
func testCancelRunning(b *leaseBench) {
	worker := b.worker("cr", "cancelr:1")
	id, next := b.enqueue("cancelr", nil), b.enqueue("cancelr", nil)
	claim := b.claim(worker, 0)
	if answer := b.cancel(id); !answer.GetCancelled() {
		b.t.Errorf("cancel: %v", answer)
	}
	b.state(id, stateCancelled)
	if status := b.beat(worker, claim.GetFence()); status != statusCancelled {
		b.t.Errorf("heartbeat: %v", status)
	}
	b.noClaim(worker, fairlanev1.EmptyReason_EMPTY_REASON_AT_CAPACITY)
	if answer := b.succeed(worker, claim.GetFence()); answer.GetError() != nil || !answer.GetCancelled() || answer.GetState() != stateCancelled {
		b.t.Errorf("finish: %v", answer)
	}
	if job := b.get(id); job.GetState() != stateCancelled || len(job.GetResult()) != 0 {
		b.t.Errorf("after the finish: %v", job)
	}
	if claim := b.claim(worker, 0); claim.job() != next {
		b.t.Errorf("the slot was given to job %d, want %d", claim.job(), next)
	}
}

// testRacingCancels: of cancels that race, at different nodes, exactly one says that it did it.
func testRacingCancels(b *leaseBench) {
	for round := range 20 {
		id := b.enqueue("race", nil)
		did := make([]bool, 2)
		errs := make([]error, 2)
		var both sync.WaitGroup
		gun := make(chan struct{})
		for i := range did {
			number := b.session.Begin()
			both.Go(func() {
				defer b.session.End(number)
				<-gun
				errs[i] = b.cluster.AnyFrom(b.ctx, round+i, 0, func(ctx context.Context, api harness.API) error {
					answer, err := api.Jobs.Cancel(ctx, &fairlanev1.CancelRequest{Id: id, Repeat: b.session.Repeat(number)})
					did[i] = answer.GetCancelled()
					return err
				})
			})
		}
		close(gun)
		both.Wait()
		if errs[0] != nil || errs[1] != nil || did[0] == did[1] {
			b.t.Fatalf("round %d: did it: %v; errors: %v", round, did, errs)
		}
	}
}

// testOneNameTwice: a second process with the name of a live one ends its session; its claim lives on until its lease is
// over, or is lost at once when the caller knows that the first process is gone.
func testOneNameTwice(b *leaseBench) {
	first := b.worker("twin", "twin:1")
	id := b.enqueue("twin", nil)
	claim := b.claim(first, 0)
	second := b.worker("twin", "twin:1")
	b.noClaim(second, fairlanev1.EmptyReason_EMPTY_REASON_NOTHING)
	if _, err := first.Claim(b.ctx, 0, 0); harness.Reason(err) != "SESSION_REPLACED" {
		b.t.Errorf("a claim by the first process: %v", err)
	}
	late := b.claim(second, 20*time.Second)
	if length := late.back.Sub(claim.call); length < shortLease || late.job() != id {
		b.t.Errorf("after %v of a lease of %v: %v", length, shortLease, late.Claim)
	}
	third, err := b.cluster.RegisterAs(b.ctx, &fairlanev1.RegisterRequest{Name: "twin", Nonce: rand.Uint64() | 1, Lanes: "twin:1", FormerGone: true})
	if err != nil {
		b.t.Fatal(err)
	}
	begin := time.Now()
	if last := b.claim(third, 20*time.Second); last.job() != id || time.Since(begin) > shortLease-time.Second {
		b.t.Errorf("after %v: %v", time.Since(begin), last.Claim)
	}
}
