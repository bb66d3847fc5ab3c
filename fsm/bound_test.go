package fsm_test

import (
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestStateDoesNotGrow runs sessions, numbered calls, keys, users and jobs through a machine for a long time: what is over leaves nothing
// behind (docs/design.md §3 law 5), so the snapshot of the second half of that time is not larger than that of the first.
func TestStateDoesNotGrow(t *testing.T) {
	m, index, wall := fsm.New(), uint64(0), int64(1_000_000)
	apply := func(commands ...*logv1.Command) []*logv1.Result {
		index++
		wall += 60_000
		return m.Apply(index, &logv1.Batch{Rules: fsm.Rules, NowMs: wall, MonotonicMs: wall, Leadership: 1, Commands: commands}).Results
	}
	opened := apply(&logv1.Command{Op: &logv1.Command_OpenSession{OpenSession: &logv1.OpenSession{Name: "c", Nonce: 1}}})
	client, number := opened[0].GetSession().GetSession(), uint64(0)
	round := func(i int) {
		name := fmt.Sprintf("worker%d", i)
		registered := apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: name, Nonce: 1, Lanes: lanesOf("*:9")}}})
		session := registered[0].GetSession().GetSession()
		for n := uint64(1); n <= 20; n++ {
			number++
			repeat := &logv1.Repeat{Session: client, Number: number, Lowest: number}
			user := fmt.Sprintf("user%d.%d", i, n)
			apply(&logv1.Command{Repeat: repeat, Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{
				{Kind: "k", User: user, IdempotencyKey: "x", Payload: make([]byte, 100)}}}}})
			fence := apply(claimOf(session))[0].GetClaim().GetFence()
			f := finishCommand(fence, false)
			f.GetFinish().Session = session
			apply(f)
		}
		apply(&logv1.Command{Op: &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: session}}})
	}
	month := 30 * 24 * 60 / 62 // rounds: users are forgotten after 30 days
	size := [2]int{}
	for half := range size {
		for i := range 2 * month {
			round(half*2*month + i)
		}
		size[half] = len(snapshotBytes(t, m))
	}
	if size[1] > size[0]*11/10 {
		t.Fatalf("the state grew from %d to %d bytes", size[0], size[1])
	}
}

func claimOf(session uint64) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session}}}
}
