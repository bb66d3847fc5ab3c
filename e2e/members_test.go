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
	"github.com/fairlane-scheduler/fairlane/e2e/history"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// memberChanges of one run: nodes that come and go, are promoted and demoted, one at a time. The producers go on until all are made.
	memberChanges = 25
	// deadAfter is how long a voter is silent in these runs before it is replaced.
	deadAfter = "FAIRLANE_DEAD_AFTER=4s"
	// mostLeaderless is how long nobody may lead while the members change, and mostLeaderlessBeside while other tests run beside it.
	mostLeaderless, mostLeaderlessBeside = 3 * time.Second, 20 * time.Second
	// exitRemoved is the exit code of a node that was removed.
	exitRemoved = 70
)

// TestMembership: more than 20 changes of the members under load. A cluster of five shrinks to three, grows to five and shrinks again, a follower is
// demoted and promoted, the leader is removed twice, a dead voter is replaced by its successor, a node leaves. Every removed node ends by itself and
// comes back as another. Afterwards the history is checked as in TestChaos, and in the long form, which runs alone, no time without a leader was longer than 3 s.
func TestMembership(t *testing.T) {
	if !*full {
		t.Parallel()
	}
	plan := chaosPlan{Store: harness.LogStores[0], Seed: *seedFlag, Jobs: 1000, Changes: memberChanges, PerSecond: 100, Limit: 3 * time.Minute}
	if plan.Seed == 0 {
		plan.Seed = rand.Uint64()
	}
	t.Logf("seed %d", plan.Seed)
	runChaos(t, plan)
}

// changeMembers one after the other, while others use the cluster.
func (c *chaos) changeMembers(ctx context.Context, _ *rand.Rand) error {
	if err := c.waitRules(ctx); err != nil {
		return err
	}
	began := c.record.Now()
	for i, step := range []func(context.Context) error{
		c.shrinkAndGrow, c.demoteAndPromote, c.removeLeader, c.replaceDead, c.leave, c.removeLeader, c.transfer, c.shrink,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("step %d, after %d changes: %w", i+1, c.faults.Load(), err)
		}
	}
	if made := c.faults.Load(); made < memberChanges {
		return fmt.Errorf("%d changes were made, want %d", made, memberChanges)
	}
	longest, unled := c.longestGap(began)
	c.mu.Lock()
	c.leaderless = append(c.leaderless, unled, longest)
	c.mu.Unlock()
	most := mostLeaderlessBeside
	if *full { // alone
		most = mostLeaderless
	}
	if longest > most {
		return fmt.Errorf("no enqueue was acknowledged for %v", longest)
	}
	return nil
}

// waitRules until every member can remember removals.
func (c *chaos) waitRules(ctx context.Context) error {
	return c.until(ctx, "the rules of membership", func(s *fairlanev1.StatusResponse) bool { return s.GetClusterRules() >= 4 })
}

// until the leader's status is as wanted.
func (c *chaos) until(ctx context.Context, what string, ok func(*fairlanev1.StatusResponse) bool) error {
	for {
		_, status, err := c.cluster.Leader(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok(status) {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %s in vain; the members are %v", what, status.GetMembers())
		}
	}
}

// id of a running node.
func (c *chaos) id(ctx context.Context, n *harness.Node) (string, error) {
	status, err := n.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
	return status.GetNodeId(), err
}

func memberOf(s *fairlanev1.StatusResponse, id string) *fairlanev1.Member {
	at := slices.IndexFunc(s.GetMembers(), func(m *fairlanev1.Member) bool { return m.GetNodeId() == id })
	if at < 0 {
		return nil
	}
	return s.GetMembers()[at]
}

// remove a node and see it end with the reason.
func (c *chaos) remove(ctx context.Context, n *harness.Node) error {
	id, err := c.id(ctx, n)
	if err != nil {
		return err
	}
	begin := time.Now()
	err = c.cluster.AnyFrom(ctx, n.Number+1, 0, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.RemoveNode(ctx, &fairlanev1.RemoveNodeRequest{NodeId: id})
		return err
	})
	if err != nil {
		return fmt.Errorf("remove node %d: %w", n.Number, err)
	}
	if err := c.write(ctx, n.Number+1, begin); err != nil {
		return err
	}
	err = c.ended(ctx, n, exitRemoved)
	c.faults.Add(1)
	return err
}

func (c *chaos) ended(ctx context.Context, n *harness.Node, want int) error {
	code, err := n.WaitExit(ctx)
	if err == nil && code != want {
		err = fmt.Errorf("node %d ended with code %d, want %d", n.Number, code, want)
	}
	return err
}

// rejoin lets a removed node begin anew, and waits until it votes.
func (c *chaos) rejoin(ctx context.Context, n *harness.Node) error {
	var others []string
	for _, other := range c.cluster.Nodes {
		if other != n {
			others = append(others, other.API)
		}
	}
	n.Enter = []string{"--rejoin", "--join", strings.Join(others, ",")}
	if err := c.cluster.Restart(ctx, n); err != nil {
		return err
	}
	id, err := c.id(ctx, n)
	if err != nil {
		return err
	}
	err = c.until(ctx, fmt.Sprintf("node %d to vote", n.Number), func(s *fairlanev1.StatusResponse) bool { return memberOf(s, id).GetVoter() })
	c.faults.Add(2) // it was added, and promoted
	return err
}

func (c *chaos) shrinkAndGrow(ctx context.Context) error {
	followers, err := c.cluster.Followers(ctx)
	if err != nil {
		return err
	}
	for _, change := range []func(context.Context, *harness.Node) error{c.remove, c.rejoin} {
		for _, n := range followers[:2] {
			if err := change(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *chaos) demoteAndPromote(ctx context.Context) error {
	followers, err := c.cluster.Followers(ctx)
	if err != nil {
		return err
	}
	id, err := c.id(ctx, followers[0])
	if err != nil {
		return err
	}
	err = c.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.DemoteNode(ctx, &fairlanev1.DemoteNodeRequest{NodeId: id})
		return err
	})
	if err != nil {
		return fmt.Errorf("demote: %w", err)
	}
	if err := c.until(ctx, "a demoted node", func(s *fairlanev1.StatusResponse) bool { return !memberOf(s, id).GetVoter() }); err != nil {
		return err
	}
	err = c.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.PromoteNode(ctx, &fairlanev1.PromoteNodeRequest{NodeId: id})
		return err
	})
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	c.faults.Add(2)
	return c.until(ctx, "a promoted node", func(s *fairlanev1.StatusResponse) bool { return memberOf(s, id).GetVoter() })
}

func (c *chaos) removeLeader(ctx context.Context) error {
	leader, _, err := c.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	if err := c.remove(ctx, leader); err != nil {
		return fmt.Errorf("the leader: %w", err)
	}
	return c.rejoin(ctx, leader)
}

// replaceDead kills a voter; another node joins as its successor, the leader removes the dead one by itself, and that one, back again, learns it.
func (c *chaos) replaceDead(ctx context.Context) error {
	followers, err := c.cluster.Followers(ctx)
	if err != nil {
		return err
	}
	fresh, dead := followers[0], followers[1]
	if err := c.remove(ctx, fresh); err != nil {
		return err
	}
	id, err := c.id(ctx, dead)
	if err != nil {
		return err
	}
	dead.Kill()
	if err := sleep(ctx, 3500*time.Millisecond); err != nil { // a voter that was silent for less needs no successor
		return err
	}
	if err := c.rejoin(ctx, fresh); err != nil {
		return err
	}
	err = c.until(ctx, "the dead voter to be removed", func(s *fairlanev1.StatusResponse) bool { return memberOf(s, id) == nil })
	if err != nil {
		return err
	}
	c.faults.Add(1)
	if err := dead.Start(); err != nil {
		return err
	}
	if err := c.ended(ctx, dead, exitRemoved); err != nil {
		return fmt.Errorf("the dead voter, back again: %w", err)
	}
	return c.rejoin(ctx, dead)
}

// leave: a node leaves by itself, and ends without a failure.
func (c *chaos) leave(ctx context.Context) error {
	followers, err := c.cluster.Followers(ctx)
	if err != nil {
		return err
	}
	if _, err := followers[0].Dial().Cluster.Leave(ctx, &fairlanev1.LeaveRequest{}); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	c.faults.Add(1)
	if err := c.ended(ctx, followers[0], 0); err != nil {
		return err
	}
	return c.rejoin(ctx, followers[0])
}

func (c *chaos) transfer(ctx context.Context) error {
	leader, _, err := c.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	answer, err := leader.Dial().Cluster.TransferLeadership(ctx, &fairlanev1.TransferLeadershipRequest{})
	if err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	return c.until(ctx, "the new leader", func(s *fairlanev1.StatusResponse) bool { return s.GetNodeId() == answer.GetLeaderId() })
}

// shrink to three.
func (c *chaos) shrink(ctx context.Context) error {
	followers, err := c.cluster.Followers(ctx)
	if err != nil {
		return err
	}
	for _, n := range followers[:2] {
		if err := c.remove(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// longestGap is the longest time since then in which no enqueue was acknowledged: without a leader none is. unled is how long the first write after
// a removal took at most.
func (c *chaos) longestGap(since int64) (longest, unled time.Duration) {
	var at []int64
	for _, op := range c.record.Ops() {
		if op.Kind == history.Enqueue && op.Outcome == history.Done && op.Return >= since {
			at = append(at, op.Return)
		}
	}
	at = append(at, since, c.record.Now())
	slices.Sort(at)
	for i := 1; i < len(at); i++ {
		longest = max(longest, time.Duration(at[i]-at[i-1]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, took := range c.failovers {
		unled = max(unled, took)
	}
	return longest, unled
}
