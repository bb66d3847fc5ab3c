package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// API is the services at one address.
type API struct {
	Jobs    fairlanev1connect.JobServiceClient
	Workers fairlanev1connect.WorkerServiceClient
	Queues  fairlanev1connect.QueueServiceClient
	Cluster fairlanev1connect.ClusterServiceClient
	Events  fairlanev1connect.EventServiceClient

	Schedules fairlanev1connect.ScheduleServiceClient
}

// Dial gives the services at this node, over the connections of the cluster's tests.
func (n *Node) Dial() API { return dial(n.cluster.http, n.URL()) }

func dial(client *http.Client, base string) API {
	return API{
		Jobs:    fairlanev1connect.NewJobServiceClient(client, base),
		Workers: fairlanev1connect.NewWorkerServiceClient(client, base),
		Queues:  fairlanev1connect.NewQueueServiceClient(client, base),
		Cluster: fairlanev1connect.NewClusterServiceClient(client, base),
		Events:  fairlanev1connect.NewEventServiceClient(client, base),

		Schedules: fairlanev1connect.NewScheduleServiceClient(client, base),
	}
}

// DialApart gives the services at this node over one HTTP/2 connection of its own. close gives it back.
func (n *Node) DialApart() (api API, close func()) {
	client := newSingleClient()
	return dial(client, n.URL()), client.CloseIdleConnections
}

// Addresses of the API of all nodes.
func (c *Cluster) Addresses() []string {
	var addresses []string
	for _, n := range c.Nodes {
		addresses = append(addresses, n.API)
	}
	return addresses
}

// Any calls at one node after the other until the outcome is known: an answer, or a refusal that says that trying again
// does not help. Whatever call sends must be safe to send again. It starts at the first node.
func (c *Cluster) Any(ctx context.Context, call func(ctx context.Context, api API) error) error {
	return c.AnyFrom(ctx, 0, c.options.Patience, call)
}

// AnyFrom is Any that starts at the given node and gives each attempt the given patience; 0: that of the options.
func (c *Cluster) AnyFrom(ctx context.Context, first int, patience time.Duration, call func(ctx context.Context, api API) error) error {
	if patience == 0 {
		patience = c.options.Patience
	}
	for attempt := first; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, patience)
		err := call(try, c.Nodes[attempt%len(c.Nodes)].Dial())
		cancel()
		if err == nil || !Passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last attempt: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// passingReasons are those after which the same request is sent again.
var passingReasons = map[string]bool{
	"NOT_LEADER": true, "NO_LEADER": true, "UNKNOWN_OUTCOME": true, "BUSY": true, "SHUTTING_DOWN": true, "TIMED_OUT": true,
}

// Reason gives the stable word of a refusal, such as LOST_CLAIM; empty for errors of the connection.
func Reason(err error) string {
	var failure *connect.Error
	if !errors.As(err, &failure) {
		return ""
	}
	for _, detail := range failure.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// Passing reports whether the call may be sent again: its outcome is unknown, or this attempt did nothing.
func Passing(err error) bool {
	if reason := Reason(err); reason != "" {
		return passingReasons[reason]
	}
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeUnimplemented, connect.CodePermissionDenied, connect.CodeNotFound:
		return false
	}
	return true
}

// Raw posts one protobuf message to a procedure of this node, for example "JobService/Enqueue", and gives the answer as
// it came, byte for byte.
func (n *Node) Raw(ctx context.Context, procedure string, message proto.Message) (status int, body []byte, err error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL()+"/fairlane.v1."+procedure, bytes.NewReader(encoded))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/proto")
	request.Header.Set("Connect-Protocol-Version", "1")
	response, err := n.cluster.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// OpenSession opens a session for a party that is no worker.
func (c *Cluster) OpenSession(ctx context.Context, nonce uint64) (*Session, error) {
	var answer *fairlanev1.OpenSessionResponse
	err := c.Any(ctx, func(ctx context.Context, api API) (err error) {
		answer, err = api.Jobs.OpenSession(ctx, &fairlanev1.OpenSessionRequest{Nonce: nonce, Name: "e2e"})
		return err
	})
	return NewSession(answer.GetSession()), err
}
