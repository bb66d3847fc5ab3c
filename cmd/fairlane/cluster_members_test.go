package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// fakeMembers answers the calls that change members, and remembers them.
type fakeMembers struct {
	*fakeNode
	got []proto.Message
}

func (f *fakeMembers) Status(context.Context, *fairlanev1.StatusRequest) (*fairlanev1.StatusResponse, error) {
	return &fairlanev1.StatusResponse{LeaderId: "aaaa-1", Members: []*fairlanev1.Member{{NodeId: "aaaa-1"}, {NodeId: "aaaa-2"}, {NodeId: "bbbb-1"}}}, nil
}

func (f *fakeMembers) RemoveNode(_ context.Context, r *fairlanev1.RemoveNodeRequest) (*fairlanev1.RemoveNodeResponse, error) {
	f.got = append(f.got, r)
	return &fairlanev1.RemoveNodeResponse{ConfigurationIndex: 42}, nil
}

func (f *fakeMembers) PromoteNode(_ context.Context, r *fairlanev1.PromoteNodeRequest) (*fairlanev1.PromoteNodeResponse, error) {
	f.got = append(f.got, r)
	return &fairlanev1.PromoteNodeResponse{ConfigurationIndex: 42}, nil
}

func (f *fakeMembers) DemoteNode(_ context.Context, r *fairlanev1.DemoteNodeRequest) (*fairlanev1.DemoteNodeResponse, error) {
	f.got = append(f.got, r)
	return &fairlanev1.DemoteNodeResponse{ConfigurationIndex: 42}, nil
}

func (f *fakeMembers) TransferLeadership(_ context.Context, r *fairlanev1.TransferLeadershipRequest) (*fairlanev1.TransferLeadershipResponse, error) {
	f.got = append(f.got, r)
	return &fairlanev1.TransferLeadershipResponse{LeaderId: "bbbb-1"}, nil
}

func (f *fakeMembers) Leave(_ context.Context, r *fairlanev1.LeaveRequest) (*fairlanev1.LeaveResponse, error) {
	f.got = append(f.got, r)
	return &fairlanev1.LeaveResponse{}, nil
}

// TestMemberVerbs: a node is named by its id or by the beginning of it; what is not clear is asked back and nothing is sent.
func TestMemberVerbs(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string // in what was printed
		sent proto.Message
	}{
		{"cluster remove aaaa-2", exitOK, "aaaa-2 removed", &fairlanev1.RemoveNodeRequest{NodeId: "aaaa-2"}},
		{"cluster remove bbbb", exitOK, "configuration 42", &fairlanev1.RemoveNodeRequest{NodeId: "bbbb-1"}},
		{"cluster remove bbbb --configuration 7", exitOK, "", &fairlanev1.RemoveNodeRequest{NodeId: "bbbb-1", ConfigurationIndex: 7}},
		{"cluster remove aaaa", exitUsage, "aaaa-1, aaaa-2", nil},
		{"cluster remove b", exitUsage, "too short", nil},
		{"cluster remove", exitUsage, "accepts 1 arg(s), received 0", nil},
		{"cluster promote bbbb", exitOK, "is a voter", &fairlanev1.PromoteNodeRequest{NodeId: "bbbb-1"}},
		{"cluster demote unknown", exitOK, "is no voter", &fairlanev1.DemoteNodeRequest{NodeId: "unknown"}},
		{"cluster transfer", exitOK, "bbbb-1 leads", &fairlanev1.TransferLeadershipRequest{}},
		{"cluster transfer aaaa-1", exitOK, "bbbb-1 leads", &fairlanev1.TransferLeadershipRequest{NodeId: "aaaa-1"}},
		{"cluster leave", exitOK, "left the cluster", &fairlanev1.LeaveRequest{}},
	} {
		fake := &fakeMembers{fakeNode: &fakeNode{}}
		endpoint := serveMembers(t, fake)
		code, out, errs := cli{}.run(t, append(strings.Fields(c.args), "-e", endpoint)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d, %q %q; want %d, %q", c.args, code, out, errs, c.code, c.want)
		}
		if c.sent == nil && len(fake.got) != 0 || c.sent != nil && (len(fake.got) != 1 || !proto.Equal(fake.got[0], c.sent)) {
			t.Errorf("%s sent %v, want %v", c.args, fake.got, c.sent)
		}
	}
	if code, _, errs := (cli{}).run(t, "cluster", "leave", "-e", "127.0.0.1:1,127.0.0.1:2"); code != exitUsage || !strings.Contains(errs, "name the one that leaves") {
		t.Errorf("leave of two: exit code %d, %q", code, errs)
	}
}

func serveMembers(t *testing.T, f *fakeMembers) (endpoint string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(fairlanev1connect.NewClusterServiceHandler(f))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}
