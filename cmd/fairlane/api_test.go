package main

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
)

// TestCallGoesOnWhereAMachineIsOff: a connection that times out is no answer; the next endpoint is asked.
func TestCallGoesOnWhereAMachineIsOff(t *testing.T) {
	a := &app{endpoints: []string{"off:1", "on:1"}, timeout: 10 * time.Second}
	asked := ""
	res, err := call(t.Context(), a, func(_ connect.HTTPClient, url string) string { return url },
		func(url string, _ context.Context, n *int) (*int, error) {
			asked += url + " "
			if strings.Contains(url, "off") {
				return nil, connect.NewError(connect.CodeDeadlineExceeded, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded})
			}
			return n, nil
		}, new(int))
	if err != nil || res == nil || asked != "http://off:1 http://on:1 " {
		t.Errorf("asked %s: %v", asked, err)
	}
}
