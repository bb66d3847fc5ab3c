package rpc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// gated serves one method behind a gate whose bodies may take 100 ms.
func gated(t *testing.T, get func(context.Context, *v1.GetRequest) (*v1.GetResponse, error)) string {
	t.Helper()
	const path = "/fairlane.v1.JobService/Get"
	handler := connect.NewUnaryHandlerSimple(path, get, connect.WithCodec(jsonCodec{"json"}))
	served := httptest.NewServer(&gate{
		next: handler, methods: methods(), writer: connect.NewErrorWriter(), node: "n", bodyTime: 100 * time.Millisecond,
	})
	t.Cleanup(served.Close)
	return served.Listener.Addr().String()
}

func TestBodyThatDoesNotCome(t *testing.T) {
	address := gated(t, func(context.Context, *v1.GetRequest) (*v1.GetResponse, error) {
		t.Error("the handler ran")
		return &v1.GetResponse{}, nil
	})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /fairlane.v1.JobService/Get HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if reason, _ := wireError(t, body); reason != TimedOut {
		t.Errorf("got %s", body)
	}
}

// TestCallOutlivesTheBodysTime: the time limit is for the body alone; a parked call takes longer, on the same connection.
func TestCallOutlivesTheBodysTime(t *testing.T) {
	address := gated(t, func(ctx context.Context, _ *v1.GetRequest) (*v1.GetResponse, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(300 * time.Millisecond):
			return &v1.GetResponse{}, nil
		}
	})
	for range 2 {
		if status, answer := curl(t, "http://"+address+"/fairlane.v1.JobService/Get", `{"id":1}`); status != http.StatusOK {
			t.Errorf("%d %v", status, answer)
		}
	}
}
