package rpc

import (
	"context"
	"fmt"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// ExplainIndex tells what this node keeps of the claims that one log entry decided.
func (s *clusterService) ExplainIndex(_ context.Context, r *v1.ExplainIndexRequest) (*v1.ExplainIndexResponse, error) {
	if err := checkExplainIndex(r); err != nil {
		return nil, err
	}
	out := &v1.ExplainIndexResponse{}
	var decisions []*logv1.DecisionRecord
	s.node.View(func(m *fsm.Machine) {
		decisions, out.OldestIndex, out.NewestIndex = m.Decisions(r.GetIndex())
		out.AppliedIndex = m.AppliedIndex()
	})
	if len(decisions) == 0 {
		about := []string{"index", number(r.GetIndex()), "applied", number(out.AppliedIndex)}
		if out.NewestIndex != 0 {
			about = append(about, "oldest", number(out.OldestIndex), "newest", number(out.NewestIndex))
		}
		return nil, problem(NoDecision, about...)
	}
	for _, decision := range decisions {
		out.Decisions = append(out.Decisions, decisionAnswer(decision))
	}
	return out, nil
}

func decisionAnswer(d *logv1.DecisionRecord) *v1.Decision {
	return &v1.Decision{
		Index: d.GetIndex(), Place: d.GetPlace(), Fence: d.GetFence(), Job: d.GetJob(), Queue: d.GetQueue(), User: d.GetUser(),
		Worker: d.GetWorker(), Session: d.GetSession(), Lane: d.GetLane(), Line: d.GetLine(), Position: d.GetPosition(), Mode: modeText(d.GetMode()),
		Turn: d.GetTurn(), Priority: d.GetPriority(), JobPlace: d.GetJobPlace(), WaitedMs: d.GetWaitedMs(), OnlyUser: d.GetOnlyUser(),
		AtMs: d.GetAtMs(), Attempt: d.GetAttempt(), Waiting: d.GetWaiting(), Text: decisionText(d),
	}
}

// decisionText says why this job: where in the lane's chain, whose turn, which of the user's jobs, how long it waited and among how many.
func decisionText(d *logv1.DecisionRecord) string {
	var turn string
	switch {
	case d.GetOnlyUser():
		turn = fmt.Sprintf("the worker serves %s alone, so turns do not count", userText(d.GetUser()))
	case d.GetMode() == logv1.Mode_MODE_FIFO:
		turn = "priority and age decide, whoever the user is"
	case d.GetTurn() == 0:
		turn = fmt.Sprintf("%s was never served in it", userText(d.GetUser()))
	default:
		turn = fmt.Sprintf("%s was served longest ago (claim %d)", userText(d.GetUser()), d.GetTurn())
	}
	waited := countText(d.GetWaiting(), "job", "jobs") + " waited"
	return fmt.Sprintf("job %d of %s to worker %s lane %d: first of chain position %d, line %s (%s): %s; priority %d, place %d, waited %s; %s",
		d.GetJob(), userText(d.GetUser()), d.GetWorker(), d.GetLane(), d.GetPosition(), d.GetLine(), strings.ReplaceAll(modeText(d.GetMode()), "_", " "),
		turn, d.GetPriority(), d.GetJobPlace(), spanText(d.GetWaitedMs()), waited)
}
