package rpc

import (
	"errors"
	"maps"
	"strconv"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// workCall is one call of a worker's stream.
type workCall struct {
	cluster.Ticket
	request *v1.WorkCall
}

// prepare the command of a call, after the checks that the call alone would meet.
func (c *workCall) prepare(r *v1.WorkCall, session, lowest uint64) error {
	c.request, c.Owner = r, c
	var err error
	switch call := r.GetCall().(type) {
	case *v1.WorkCall_Claim:
		err = prepareClaim(c, call.Claim, session, lowest)
	case *v1.WorkCall_Finish:
		err = prepareFinish(c, call.Finish, session, lowest)
	case *v1.WorkCall_Release:
		err = prepareRelease(c, call.Release, session, lowest)
	case *v1.WorkCall_Heartbeat:
		err = prepareHeartbeat(c, call.Heartbeat, session)
	case *v1.WorkCall_Output:
		err = prepareOutput(c, call.Output, session)
	default:
		err = problem(InvalidArgument, "field", "call", "value", "missing", "want", "give one of claim, finish, release, heartbeat and output")
	}
	if err != nil {
		return err
	}
	if size := proto.Size(c.Command); size > maxCommandBytes {
		return tooLargeCommand(size)
	}
	return nil
}

// inSession gives a call the session of its stream; ofNumber the lowest number, if it has a number.
func inSession(field *uint64, session uint64) error {
	if *field != 0 && *field != session {
		return problem(InvalidArgument, "field", "session", "value", number(*field), "want", "leave it out, the stream's is "+number(session))
	}
	*field = session
	return nil
}

func ofNumber(field *uint64, numbered, lowest uint64) {
	if numbered != 0 && *field == 0 {
		*field = lowest
	}
}

func prepareClaim(c *workCall, r *v1.ClaimRequest, session, lowest uint64) error {
	if err := inSession(&r.Session, session); err != nil {
		return err
	}
	ofNumber(&r.Lowest, r.GetNumber(), lowest)
	if err := checkClaim(r); err != nil {
		return err
	}
	c.Command, c.Waits = claimCommand(r), r.GetWaitMs() > 0
	return nil
}

func prepareFinish(c *workCall, r *v1.FinishRequest, session, lowest uint64) error {
	if err := inSession(&r.Session, session); err != nil {
		return err
	}
	ofNumber(&r.Lowest, r.GetNumber(), lowest)
	if err := checkFinish(r); err != nil {
		return err
	}
	c.Command = finishCommand(r)
	return nil
}

func prepareRelease(c *workCall, r *v1.ReleaseRequest, session, lowest uint64) error {
	if err := inSession(&r.Session, session); err != nil {
		return err
	}
	ofNumber(&r.Lowest, r.GetNumber(), lowest)
	if err := checkRelease(r); err != nil {
		return err
	}
	c.Command = releaseCommand(r)
	return nil
}

func prepareHeartbeat(c *workCall, r *v1.HeartbeatRequest, session uint64) error {
	if err := inSession(&r.Session, session); err != nil {
		return err
	}
	if err := checkHeartbeat(r); err != nil {
		return err
	}
	c.Command = heartbeatCommand(r)
	return nil
}

func prepareOutput(c *workCall, r *v1.AppendOutputRequest, session uint64) error {
	if err := inSession(&r.Session, session); err != nil {
		return err
	}
	if err := checkAppendOutput(r); err != nil {
		return err
	}
	c.Command = &logv1.Command{Op: &logv1.Command_Output{Output: outputFrom(r)}}
	return nil
}

// answer of the call, as it is alone; what would be its error there is one here.
func (c *workCall) answer(s *server) *v1.WorkAnswer {
	out := &v1.WorkAnswer{Id: c.request.GetId()}
	if err := c.fill(out); err != nil {
		out.Answer = &v1.WorkAnswer_Error{Error: bodyOf(s.failure(err))}
	}
	return out
}

func (c *workCall) fill(out *v1.WorkAnswer) error {
	if c.Err != nil {
		return c.Err
	}
	if c.Result.GetRefusal() != nil {
		_, err := decided(c.Command, c.Result, nil, c.about())
		return err
	}
	switch call := c.request.GetCall().(type) {
	case *v1.WorkCall_Claim:
		answer, err := claimResult(call.Claim, c.Result, c.Parked)
		out.Answer = &v1.WorkAnswer_Claim{Claim: answer}
		return err
	case *v1.WorkCall_Finish:
		out.Answer = &v1.WorkAnswer_Finish{Finish: finishAnswer(c.Result, call.Finish)}
	case *v1.WorkCall_Release:
		out.Answer = &v1.WorkAnswer_Release{Release: releaseAnswer(c.Result)}
	case *v1.WorkCall_Heartbeat:
		out.Answer = &v1.WorkAnswer_Heartbeat{Heartbeat: heartbeatAnswer(c.Result)}
	case *v1.WorkCall_Output:
		out.Answer = &v1.WorkAnswer_Output{Output: appendAnswer(c.Result, call.Output)}
	}
	return nil
}

// about is what the errors of the call may name.
func (c *workCall) about() []string {
	switch call := c.request.GetCall().(type) {
	case *v1.WorkCall_Claim:
		return aboutClaim(call.Claim)
	case *v1.WorkCall_Finish:
		return aboutFinish(call.Finish)
	case *v1.WorkCall_Release:
		return []string{"session", number(call.Release.GetSession())}
	case *v1.WorkCall_Heartbeat:
		return []string{"session", number(call.Heartbeat.GetSession())}
	case *v1.WorkCall_Output:
		return []string{"session", number(call.Output.GetSession())}
	}
	return nil
}

// answerSize is about how many bytes an answer has: what is large in one is the job.
func answerSize(a *v1.WorkAnswer) int {
	claim := a.GetClaim().GetClaim()
	if claim == nil {
		claim = a.GetFinish().GetNext().GetClaim()
	}
	const rest = 256
	job := claim.GetJob()
	return rest + len(job.GetData()) + len(job.GetJson()) + len(job.GetError())
}

// bodyOf an error of the table, as answers carry it.
func bodyOf(err error) *v1.ErrorBody {
	reason, metadata, ok := ReasonOf(err)
	var answer *connect.Error
	if !ok || !errors.As(err, &answer) {
		return &v1.ErrorBody{Code: entryOf[Internal].Code, Reason: string(Internal), Message: err.Error()}
	}
	metadata = maps.Clone(metadata)
	delete(metadata, "code") // it has a field of its own
	return &v1.ErrorBody{Code: entryOf[reason].Code, Reason: string(reason), Message: answer.Message(), Metadata: metadata}
}

// tooLargeCommand: the log takes no larger ones.
func tooLargeCommand(size int) error {
	return problem(TooLarge, "field", "the call's fields together", "value", strconv.Itoa(size), "most", strconv.Itoa(maxCommandBytes))
}
