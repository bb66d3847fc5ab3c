package rpc

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// clusterService is for operators and for the nodes themselves.
type clusterService struct{ *server }

func (s *clusterService) GetSettings(ctx context.Context, r *v1.GetSettingsRequest) (*v1.GetSettingsResponse, error) {
	return atLeader(ctx, s.server, leaderCall[v1.GetSettingsResponse]{
		local: func(ctx context.Context) (*v1.GetSettingsResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			out := &v1.GetSettingsResponse{}
			s.node.View(func(m *fsm.Machine) {
				out.Settings = settingsAnswer(m.Settings())
				out.Index = m.AppliedIndex()
			})
			return out, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.GetSettingsResponse, error) {
			return p.cluster.GetSettings(ctx, r)
		},
		harmless: true,
	})
}

func (s *clusterService) SetSettings(ctx context.Context, r *v1.SetSettingsRequest) (*v1.SetSettingsResponse, error) {
	if err := checkSetSettings(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.SetSettingsResponse]{
		local: func(ctx context.Context) (*v1.SetSettingsResponse, error) {
			op := &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: settingsFrom(r.GetSettings())}}
			result, err := s.propose(ctx, &logv1.Command{Op: op})
			if err != nil {
				return nil, err
			}
			return &v1.SetSettingsResponse{Settings: settingsAnswer(result.GetSettings().GetSettings()), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.SetSettingsResponse, error) {
			return p.cluster.SetSettings(ctx, r)
		},
	})
}

func (s *clusterService) Checkpoint(ctx context.Context, r *v1.CheckpointRequest) (*v1.CheckpointResponse, error) {
	return atLeader(ctx, s.server, leaderCall[v1.CheckpointResponse]{
		local: func(ctx context.Context) (*v1.CheckpointResponse, error) {
			result, err := s.propose(ctx, &logv1.Command{Op: &logv1.Command_Checkpoint{Checkpoint: &logv1.Checkpoint{}}})
			if err != nil {
				return nil, err
			}
			return &v1.CheckpointResponse{Index: result.GetIndex()}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.CheckpointResponse, error) {
			return p.cluster.Checkpoint(ctx, r)
		},
		// A second marker is a marker.
		harmless: true,
	})
}

// Digest is of this node alone and never forwarded.
func (s *clusterService) Digest(ctx context.Context, r *v1.DigestRequest) (*v1.DigestResponse, error) {
	if err := checkDigest(r); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.GetWaitMs())*time.Millisecond+time.Second)
	defer cancel()
	digest, err := s.node.Digest(ctx, r.GetIndex())
	if errors.Is(err, cluster.ErrNoDigest) {
		return nil, problem(NoDigest, "node_id", s.node.ID(), "index", number(r.GetIndex()))
	}
	if err != nil {
		return nil, s.failure(err)
	}
	return &v1.DigestResponse{Index: r.GetIndex(), Digest: hex.EncodeToString(digest[:]), NodeId: s.node.ID()}, nil
}

// ReadIndex answers on the leader only, in effect: others forward it like any call.
func (s *clusterService) ReadIndex(ctx context.Context, r *v1.ReadIndexRequest) (*v1.ReadIndexResponse, error) {
	return s.readIndex(ctx)
}

func (s *clusterService) Join(ctx context.Context, r *v1.JoinRequest) (*v1.JoinResponse, error) {
	if err := checkJoin(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.JoinResponse]{
		local: func(ctx context.Context) (*v1.JoinResponse, error) {
			if err := s.admit(ctx, r); err != nil {
				return nil, err
			}
			if err := s.node.AddNode(ctx, r.GetNodeId(), r.GetRaftAddress(), r.GetApiAddress(), r.GetRules()); err != nil {
				return nil, err
			}
			return &v1.JoinResponse{LeaderId: s.node.ID(), ClusterId: s.node.Introduction().ClusterID}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.JoinResponse, error) { return p.cluster.Join(ctx, r) },
		// Adding a node twice adds it once.
		harmless: true,
	})
}

// totalsAnswer of the whole cluster; the jobs by state are the sum over the queues.
func totalsAnswer(t fsm.Totals, queues []*logv1.Queue) *v1.Totals {
	jobs := &v1.QueueCounts{}
	for _, queue := range queues {
		c := queue.GetCounts()
		jobs.Scheduled += c.GetScheduled()
		jobs.Pending += c.GetPending()
		jobs.Running += c.GetRunning()
		jobs.Succeeded += c.GetSucceeded()
		jobs.Failed += c.GetFailed()
		jobs.TimedOut += c.GetTimedOut()
		jobs.Cancelled += c.GetCancelled()
	}
	return &v1.Totals{
		Jobs: jobs, Sessions: uint64(t.Sessions), Workers: uint64(t.Workers), Claims: uint64(t.Claims), Users: uint64(t.Users),
		StateBytes: uint64(t.Bytes), Enqueued: t.Enqueued, Claimed: t.Claimed, Finished: t.Finished,
	}
}
