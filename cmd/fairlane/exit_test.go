package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

// TestExitCodesOfNodes: supervisors start a node again after some ends, and not after others.
func TestExitCodesOfNodes(t *testing.T) {
	for want, errs := range map[int][]error{
		exitFatal:  {&cluster.RemovedError{ID: "n"}, &cluster.UnconfirmedError{File: "f"}},
		exitAgain:  {&cluster.RestartError{Err: errors.New("the disk is full")}},
		exitFailed: {&cluster.CloneError{ID: "n"}},
	} {
		for _, err := range errs {
			if code := exitCode(fmt.Errorf("node: %w", err)); code != want {
				t.Errorf("%T: exit code %d, want %d", err, code, want)
			}
		}
	}
}
