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

// TestStreamOutlivesTheBodysTime: so does a stream, and the time that its messages have does not stay on the connection.
func TestStreamOutlivesTheBodysTime(t *testing.T) {
	const path = "/fairlane.v1.JobService/WatchJob"
	stream := connect.NewServerStreamHandlerSimple(path, func(ctx context.Context, _ *v1.WatchJobRequest, s *connect.ServerStream[v1.WatchJobResponse]) error {
		for range 2 {
			if err := s.Send(&v1.WatchJobResponse{}); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(300 * time.Millisecond):
			}
		}
		return nil
	})
	served := serve(t, &gate{
		next: stream, methods: methods(), writer: connect.NewErrorWriter(), node: "n", bodyTime: 100 * time.Millisecond, writeTime: 100 * time.Millisecond,
	})
	h1, h2 := http.DefaultClient, h2c(t)
	for _, over := range []*http.Client{h1, h1, h2, h2} {
		client := connect.NewClient[v1.WatchJobRequest, v1.WatchJobResponse](over, served+path)
		answer, err := client.CallServerStream(t.Context(), connect.NewRequest(&v1.WatchJobRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for answer.Receive() {
			count++
		}
		if count != 2 || answer.Err() != nil {
			t.Errorf("%d messages: %v", count, answer.Err())
		}
		answer.Close()
	}
}
