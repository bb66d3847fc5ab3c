package main

import (
	"fmt"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newJobLogsCmd(a *app) *cobra.Command {
	logs := &cobra.Command{
		Use: "logs ID", Short: "The output of a job, as it is made", Args: cobra.ExactArgs(1),
		Long: `The output of a job, byte for byte, on the standard output. With -f it follows until the job is final, whichever node leads or fails, and
the exit code is that of job wait: 0 succeeded, 4 failed, 5 cancelled, 6 timed out. A new attempt starts a new output, and a line on the
error output says so: what came before is void.`,
	}
	wantFollow := logs.Flags().BoolP("follow", "f", false, "follow until the job is final")
	attempt := logs.Flags().Int32("attempt", 0, "the output of this attempt only; 0: of the newest and those that follow")
	logs.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		if *attempt < 0 {
			return usagef("--attempt %d: want a number from 1", *attempt)
		}
		r := &outputReader{app: a, id: id, follow: *wantFollow, only: *attempt, attempt: *attempt}
		err = follow(cmd.Context(), a, stream[fairlanev1connect.JobServiceClient, fairlanev1.StreamOutputRequest, fairlanev1.StreamOutputResponse]{
			service: jobsOf, open: fairlanev1connect.JobServiceClient.StreamOutput, request: r.request, receive: r.receive,
		})
		if err != nil {
			return err
		}
		return r.end()
	}
	return logs
}

// outputReader writes each byte of an output once, however often the stream breaks.
type outputReader struct {
	app     *app
	id      uint64
	follow  bool
	only    int32  // the attempt that was asked for; 0: any
	attempt int32  // whose output was written last; 0: none yet
	offset  uint64 // of the next byte of it
	state   fairlanev1.JobState
}

func (r *outputReader) request() *fairlanev1.StreamOutputRequest {
	return &fairlanev1.StreamOutputRequest{Id: r.id, Attempt: r.attempt, Offset: r.offset, Follow: r.follow}
}

func (r *outputReader) receive(m *fairlanev1.StreamOutputResponse) (done bool, err error) {
	if m.GetAttempt() != r.attempt && m.GetAttempt() != 0 {
		if r.only != 0 {
			return true, r.anotherAttempt(m.GetAttempt())
		}
		if r.attempt != 0 {
			fmt.Fprintf(r.app.err, "-- attempt %d: the output of attempt %d ended and is void --\n", m.GetAttempt(), r.attempt)
		}
		r.attempt, r.offset = m.GetAttempt(), 0
	}
	data := m.GetData()
	if len(data) > 0 || m.GetSkipped() > 0 {
		switch at := m.GetOffset(); {
		case at > r.offset:
			fmt.Fprintf(r.app.err, "-- %d bytes are no longer kept --\n", at-r.offset)
			r.offset = at
		case r.offset-at >= uint64(len(data)):
			data = nil // all of it was written before
		default:
			data = data[r.offset-at:]
		}
		if _, err := r.app.out.Write(data); err != nil {
			return true, err
		}
		r.offset += uint64(len(data))
	}
	r.state = m.GetState()
	return m.GetLast(), nil
}

// anotherAttempt came where only one was asked for: that one has ended, or nothing of it is kept.
func (r *outputReader) anotherAttempt(came int32) error {
	if r.offset == 0 {
		return &exitError{exitFailed, fmt.Errorf("no output of attempt %d is kept; the newest is attempt %d", r.only, came)}
	}
	return nil
}

// end gives the exit code.
func (r *outputReader) end() error {
	if !r.follow {
		return nil
	}
	code, final := codeOfState(r.state)
	if !final || code == exitOK {
		return nil
	}
	return &exitError{code: code}
}
