package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
)

// Exit codes. They are part of the contract with scripts: see docs/cli.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3 // no node answered, or the cluster has no leader

	exitJobFailed    = 4 // job wait: failed
	exitJobCancelled = 5 // job wait: cancelled
	exitJobTimedOut  = 6 // job wait: timed out

	exitDiffers = 7 // schedule put --dry-run --exit-code: there would be changes

	exitFatal  = 70  // a node that must not run any longer; supervisors do not restart it
	exitAgain  = 75  // a node that ended by itself and may be started again
	exitSignal = 128 // plus the number of the signal
)

// exitError ends the process with a code of its own. Without an error nothing is printed: the output said it all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef is the error of a command line, a variable or a file that asks for something that does not exist.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func exitCode(err error) int {
	var own *exitError
	var removed *cluster.RemovedError
	var unconfirmed *cluster.UnconfirmedError
	var file *config.FileError
	var setting *config.SettingError
	var again *cluster.RestartError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &removed), errors.As(err, &unconfirmed):
		return exitFatal
	case errors.As(err, &again):
		return exitAgain
	case errors.As(err, &file), errors.As(err, &setting), errors.Is(err, config.ErrBothLanesAndCapacity):
		return exitUsage
	case errors.Is(err, fairlane.ErrNoLeader), errors.Is(err, fairlane.ErrNotLeader), errors.Is(err, fairlane.ErrUnknownOutcome),
		errors.Is(err, fairlane.ErrShuttingDown), errors.Is(err, fairlane.ErrBusy),
		connect.CodeOf(err) == connect.CodeUnavailable, connect.CodeOf(err) == connect.CodeDeadlineExceeded,
		errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable
	}
	return exitFailed
}

// report prints an error on the error output: a sentence, or with -o json an object with the code, the reason and the
// message that the cluster gave.
func (a *app) report(err error) {
	var own *exitError
	if errors.As(err, &own) && own.err == nil {
		return
	}
	d := describe(err)
	if a.output == outputJSON {
		text, _ := json.Marshal(map[string]description{"error": d})
		fmt.Fprintf(a.err, "%s\n", text)
		return
	}
	if d.Reason != "" {
		fmt.Fprintf(a.err, "fairlane: %s (%s %s)\n", d.Message, d.Reason, d.Code)
		return
	}
	fmt.Fprintf(a.err, "fairlane: %s\n", d.Message)
}

// description is an error as scripts see it. Reason and Code are the cluster's stable words; empty: it is not the cluster's.
type description struct {
	Message  string            `json:"message"`
	Reason   string            `json:"reason,omitempty"`
	Code     string            `json:"code,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	ExitCode int               `json:"exit_code"`
}

// describe takes the sentence and, if it came from the cluster, the stable words out of an error.
func describe(err error) description {
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		d := describe(hinted.error)
		d.Message += hinted.hint
		return d
	}
	d := description{ExitCode: exitCode(err)}
	if err == nil {
		return d
	}
	d.Message = err.Error()
	var sdk *fairlane.Error
	if errors.As(err, &sdk) {
		if sdk.Message != "" {
			d.Message = sdk.Message
		}
		d.Reason, d.Code, d.Metadata = string(sdk.Reason), sdk.Code, sdk.Metadata
		return d
	}
	var remote *connect.Error
	if !errors.As(err, &remote) {
		return d
	}
	for _, detail := range remote.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.ErrorInfo); ok {
				d.Message = remote.Message()
				d.Reason, d.Code, d.Metadata = info.GetReason(), info.GetMetadata()["code"], info.GetMetadata()
			}
		}
	}
	return d
}
