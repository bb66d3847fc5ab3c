package rpc

import (
	"context"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Status is what this node knows. Never forwarded.
func (s *clusterService) Status(context.Context, *v1.StatusRequest) (*v1.StatusResponse, error) {
	status := s.node.Status()
	out := &v1.StatusResponse{
		NodeId: status.ID, Role: status.Role, Term: status.Term, LeaderId: status.LeaderID,
		LastIndex: status.LastIndex, CommitIndex: status.CommitIndex, AppliedIndex: status.AppliedIndex,
		Version: s.version, LogStore: status.LogStore, NotReady: s.notReady(status),
		Rules: status.Rules, ClusterRules: status.ClusterRules,
		ClusterId: status.ClusterID, ClusterName: status.ClusterName,
		RaftAddress: status.RaftAddress, ApiAddress: status.APIAddress, GossipAddress: status.GossipAddress,
		Voter: status.Voter, NotLeading: status.NotLeading, GossipKeys: status.GossipKeys,
		ClockMs: time.Now().UnixMilli(), ClockOffsetMs: status.ClockOffset.Milliseconds(), ClockKnown: status.ClockKnown,
		Disk: diskAnswer(status.Disk), StartedMs: instantMillis(status.Started),
		ConfigurationIndex: status.ConfigurationIndex, SnapshotIndex: status.SnapshotIndex,
		LogLevel: levelWord(s.log.GetLevel()),
	}
	if s.certs != nil {
		info := s.certs.Info()
		out.Certificate = &v1.Certificate{Subject: info.Subject, Roles: info.Roles, NotAfterMs: info.NotAfter.UnixMilli()}
	}
	for _, member := range status.Members {
		out.Members = append(out.Members, memberAnswer(member))
	}
	s.node.View(func(m *fsm.Machine) {
		out.Epoch = uint64(m.Epoch())
		out.Totals = totalsAnswer(m.Totals(), m.Queues())
	})
	return out, nil
}

// diskAnswer is unset as long as nothing was measured.
func diskAnswer(d cluster.DiskStatus) *v1.Disk {
	if d == (cluster.DiskStatus{}) {
		return nil
	}
	return &v1.Disk{
		Writes: d.Writes, P50Us: d.P50.Microseconds(), P99Us: d.P99.Microseconds(), MaxUs: d.Max.Microseconds(),
		FreeBytes: d.FreeBytes, TotalBytes: d.OfBytes,
	}
}

// instantMillis of Unix time; 0: not known.
func instantMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
