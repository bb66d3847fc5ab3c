package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// orderTable is a cluster at which jobs are enqueued and claimed by name, so that an order can be read.
type orderTable struct {
	t       *testing.T
	ctx     context.Context
	cluster *harness.Cluster
	session *harness.Session
}

func newOrderTable(t *testing.T, store string, env ...string) *orderTable {
	cluster := harness.Start(t, harness.Options{LogStore: store, Env: env})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	session, err := cluster.OpenSession(ctx, rand.Uint64()|1)
	if err != nil {
		t.Fatal(err)
	}
	return &orderTable{t: t, ctx: ctx, cluster: cluster, session: session}
}

// at gives the same cluster for a subtest.
func (o *orderTable) at(t *testing.T) *orderTable {
	return &orderTable{t: t, ctx: o.ctx, cluster: o.cluster, session: o.session}
}

// enqueue adds jobs named like A1: the letter is the user. "A1+5" has priority 5.
func (o *orderTable) enqueue(queue, names string) {
	o.t.Helper()
	for _, name := range strings.Fields(names) {
		job := &fairlanev1.NewJob{Kind: name, Queue: queue, User: name[:1]}
		if bare, priority, ok := strings.Cut(name, "+"); ok {
			job.Kind = bare
			if _, err := fmt.Sscan(priority, &job.Priority); err != nil {
				o.t.Fatal(err)
			}
		}
		if _, err := o.cluster.Enqueue(o.ctx, o.session, job); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *orderTable) worker(name, lanes string) *harness.Worker {
	o.t.Helper()
	worker, err := o.cluster.Register(o.ctx, name, lanes)
	if err != nil {
		o.t.Fatal(err)
	}
	return worker
}

// claim claims up to that many jobs, one after the other, finishes each, and gives their names in order.
func (o *orderTable) claim(worker *harness.Worker, lane uint32, count int) string {
	o.t.Helper()
	var names []string
	for range count {
		answer, err := worker.Claim(o.ctx, lane, 0)
		if err != nil {
			o.t.Fatal(err)
		}
		if answer.GetClaim() == nil {
			names = append(names, strings.TrimPrefix(answer.GetReason().String(), "EMPTY_REASON_"))
			break
		}
		names = append(names, answer.GetClaim().GetJob().GetKind())
		if finish, err := worker.Succeed(o.ctx, answer.GetClaim().GetFence(), ""); err != nil || finish.GetError() != nil {
			o.t.Fatalf("finish: %v %v", finish, err)
		}
	}
	return strings.Join(names, " ")
}

func (o *orderTable) expect(worker *harness.Worker, want string) {
	o.t.Helper()
	if got := o.claim(worker, 0, len(strings.Fields(want))); got != want {
		o.t.Errorf("claimed %s, want %s", got, want)
	}
}

func (o *orderTable) mode(queue string, mode fairlanev1.QueueMode) {
	o.t.Helper()
	if err := o.cluster.SetQueue(o.ctx, queue, &fairlanev1.QueueSettings{Mode: &mode}); err != nil {
		o.t.Fatal(err)
	}
}

// arrived is the order in which the example of docs/design.md §7 is enqueued.
const arrived = "A1 A2 B1 C1 C2 A3"

// TestOrder: the order of claims, through the public API (A5).
func TestOrder(t *testing.T) {
	t.Parallel()
	table := newOrderTable(t, harness.LogStores[0])
	t.Run("round robin", func(t *testing.T) {
		o := table.at(t)
		o.enqueue("rr", arrived)
		o.expect(o.worker("rr", "rr:1"), "A1 B1 C1 A2 C2 A3 NOTHING")
	})
	t.Run("fifo", func(t *testing.T) {
		o := table.at(t)
		o.mode("ff", fairlanev1.QueueMode_QUEUE_MODE_FIFO)
		o.enqueue("ff", arrived)
		o.expect(o.worker("ff", "ff:1"), arrived)
	})
	t.Run("priority", func(t *testing.T) {
		o := table.at(t)
		o.enqueue("pr", "A1 B1 A2+9 C1+1")
		// Priority is inside a user. A's best job is younger than B1.
		o.expect(o.worker("pr", "pr:1"), "B1 A2 C1 A1")
		o.mode("pf", fairlanev1.QueueMode_QUEUE_MODE_FIFO)
		o.enqueue("pf", "A1 B1 A2+9 C1+1")
		o.expect(o.worker("pf", "pf:1"), "A2 C1 A1 B1")
	})
	t.Run("single user", func(t *testing.T) {
		o := table.at(t)
		o.multiUser(false)
		defer o.multiUser(true)
		o.enqueue("su", arrived)
		o.expect(o.worker("su", "su:1"), arrived)
	})
	t.Run("chain", func(t *testing.T) {
		o := table.at(t)
		o.enqueue("later", "A1 A2")
		o.enqueue("first", "B1 B2")
		o.enqueue("third", "C1")
		// Queue preference beats turns; a chain without * takes nothing else.
		strict := o.worker("strict", "first>later:1")
		o.expect(strict, "B1 B2 A1 A2 NOTHING")
		o.enqueue("later", "A3+100")
		o.enqueue("first", "B3")
		o.expect(strict, "B3 A3 NOTHING")
		o.expect(o.worker("all", "later>*:1"), "C1 NOTHING")
	})
	t.Run("any queue", func(t *testing.T) {
		o := table.at(t)
		worker := o.worker("star", "starred>*:1")
		o.enqueue("any1", "E1 E2")
		o.enqueue("any2", "F1 E3")
		o.enqueue("any3", "G1")
		o.enqueue("starred", "H1")
		// The line over all queues has turns of its own: E, F, G, then E again, whatever the queue.
		o.expect(worker, "H1 E1 F1 G1 E2 E3 NOTHING")
	})
	t.Run("back from idling", func(t *testing.T) {
		o := table.at(t)
		worker := o.worker("idle", "idle:1")
		o.enqueue("idle", "A1 B1 A2 A3 A4 A5")
		o.expect(worker, "A1 B1 A2 A3")
		o.enqueue("idle", "B2 B3")
		// B is served next, once: idling saves no credit.
		o.expect(worker, "B2 A4 B3 A5 NOTHING")
	})
	t.Run("paused", func(t *testing.T) {
		o := table.at(t)
		worker := o.worker("paused", "paused>open:1")
		o.enqueue("paused", "A1 A2")
		o.enqueue("open", "B1 B2")
		o.pause("paused", true)
		o.expect(worker, "B1")
		o.pause("paused", false)
		o.expect(worker, "A1 A2 B2 NOTHING")
	})
	table.cluster.CheckDigests(t)
}

func (o *orderTable) multiUser(on bool) {
	o.t.Helper()
	err := o.cluster.Any(o.ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.SetSettings(ctx, &fairlanev1.SetSettingsRequest{Settings: &fairlanev1.Settings{MultiUser: &on}})
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *orderTable) pause(queue string, on bool) {
	o.t.Helper()
	err := o.cluster.Any(o.ctx, func(ctx context.Context, api harness.API) (err error) {
		if on {
			_, err = api.Queues.PauseQueue(ctx, &fairlanev1.PauseQueueRequest{Name: queue})
		} else {
			_, err = api.Queues.ResumeQueue(ctx, &fairlanev1.ResumeQueueRequest{Name: queue})
		}
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// TestTurnKept: the turn is state of the cluster. It survives the death of the leader, and of all nodes at once after
// each has made a snapshot.
func TestTurnKept(t *testing.T) {
	t.Parallel()
	o := newOrderTable(t, harness.LogStores[1], harness.SnapshotEvery(10))
	worker := o.worker("w", "q:1")
	o.enqueue("q", arrived)
	o.expect(worker, "A1 B1")
	o.killLeader()
	o.expect(worker, "C1 A2")
	for _, node := range o.cluster.Nodes {
		if err := node.WaitSnapshot(o.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range o.cluster.Nodes {
		node.Kill()
	}
	for _, node := range o.cluster.Nodes {
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range o.cluster.Nodes {
		if err := node.WaitReady(o.ctx); err != nil {
			t.Fatal(err)
		}
	}
	o.expect(worker, "C2 A3 NOTHING")
	o.cluster.CheckDigests(t)
}

// killLeader kills the leader and starts it again when another one leads.
func (o *orderTable) killLeader() {
	o.t.Helper()
	leader, _, err := o.cluster.Leader(o.ctx)
	if err != nil {
		o.t.Fatal(err)
	}
	leader.Kill()
	if _, _, err := o.cluster.Leader(o.ctx); err != nil {
		o.t.Fatal(err)
	}
	if err := o.cluster.Restart(o.ctx, leader); err != nil {
		o.t.Fatal(err)
	}
}

// killSoon kills the leader in the middle of the calls that follow, and then sends it.
func (o *orderTable) killSoon(after time.Duration) chan *harness.Node {
	o.t.Helper()
	leader, _, err := o.cluster.Leader(o.ctx)
	if err != nil {
		o.t.Fatal(err)
	}
	killed := make(chan *harness.Node, 1)
	go func() {
		_ = sleep(o.ctx, after)
		leader.Kill()
		killed <- leader
	}()
	return killed
}

// TestOrderThroughKills: the same calls, one after the other, give the same jobs and the same fences in the same order,
// whether leaders are killed under them or not.
func TestOrderThroughKills(t *testing.T) {
	t.Parallel()
	calls, kills := 300, 2
	if *full {
		calls, kills = 3000, 8
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d calls, %d kills", seed, calls, kills)
	var quiet, shaken []string
	t.Run("quiet", func(t *testing.T) { quiet = play(t, seed, calls, 0) })
	t.Run("kills", func(t *testing.T) { shaken = play(t, seed, calls, kills) })
	if len(quiet) < calls/6 {
		t.Errorf("only %d claims in the quiet run", len(quiet))
	}
	if slices.Equal(quiet, shaken) {
		return
	}
	for i := range min(len(quiet), len(shaken)) {
		if quiet[i] != shaken[i] {
			t.Fatalf("claim %d: %s in the quiet run, %s in the one with kills", i, quiet[i], shaken[i])
		}
	}
	t.Fatalf("%d claims in the quiet run, %d in the one with kills", len(quiet), len(shaken))
}

// play makes random calls, the choices coming from the seed and from the answers only, and gives what was claimed. While
// the k-th part of the calls is made, a leader is killed.
func play(t *testing.T, seed uint64, calls, kills int) []string {
	o := newOrderTable(t, harness.LogStores[0], harness.SnapshotEvery(100))
	rng := rand.New(rand.NewPCG(seed, 1))
	workers := []*harness.Worker{o.worker("w0", "a>*:3"), o.worker("w1", "b:2 *:2")}
	held := make([][]uint64, len(workers))
	var claimed []string
	var killed chan *harness.Node
	for i := range calls {
		if kills > 0 && i%(calls/kills) == calls/kills/2 {
			killed = o.killSoon(time.Duration(rand.IntN(5000)) * time.Microsecond)
		}
		if killed != nil && i%(calls/kills) == calls/kills/2+20 {
			if err := o.cluster.Restart(o.ctx, <-killed); err != nil {
				t.Fatal(err)
			}
			killed = nil
		}
		w := rng.IntN(len(workers))
		switch draw := rng.IntN(10); {
		case draw < 3:
			o.enqueue(pick(rng, []string{"a", "b", "c"}), fmt.Sprintf("%s%d+%d", pick(rng, []string{"A", "B", "C", "D"}), i, rng.IntN(2)))
		case draw < 6:
			answer, err := workers[w].Claim(o.ctx, uint32(rng.IntN(len(workers[w].Lanes))), 0)
			if err != nil {
				t.Fatal(err)
			}
			if claim := answer.GetClaim(); claim != nil {
				claimed = append(claimed, fmt.Sprintf("%s with fence %d by %s", claim.GetJob().GetKind(), claim.GetFence(), workers[w].Name))
				held[w] = append(held[w], claim.GetFence())
			}
		case len(held[w]) > 0:
			k := rng.IntN(len(held[w]))
			if answer, err := workers[w].Succeed(o.ctx, held[w][k], ""); err != nil || answer.GetError() != nil {
				t.Fatalf("finish: %v %v", answer, err)
			}
			held[w] = slices.Delete(held[w], k, k+1)
		}
	}
	o.cluster.CheckDigests(t)
	return claimed
}
