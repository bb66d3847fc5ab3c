package rpc

import (
	"strconv"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// The commands of a worker's calls, and what their errors may name: the same for a call alone and in a stream.

func claimCommand(r *v1.ClaimRequest) *logv1.Command {
	return &logv1.Command{
		Repeat: repeatOf(r.GetSession(), r.GetNumber(), r.GetLowest()),
		Op:     &logv1.Command_Claim{Claim: &logv1.Claim{Session: r.GetSession(), Lane: r.GetLane()}},
	}
}

func aboutClaim(r *v1.ClaimRequest) []string {
	return []string{"session", number(r.GetSession()), "lane", strconv.Itoa(int(r.GetLane()))}
}

func finishCommand(r *v1.FinishRequest) *logv1.Command {
	return &logv1.Command{
		Repeat: repeatOf(r.GetSession(), r.GetNumber(), r.GetLowest()),
		Op:     &logv1.Command_Finish{Finish: finishFrom(r)},
	}
}

func aboutFinish(r *v1.FinishRequest) []string {
	about := []string{"session", number(r.GetSession()), "fence", number(r.GetFence()), "job", "of claim " + number(r.GetFence())}
	if r.GetNext() != nil {
		about = append(about, "lane", strconv.Itoa(int(r.GetNext().GetLane())))
	}
	return about
}

func releaseCommand(r *v1.ReleaseRequest) *logv1.Command {
	return &logv1.Command{
		Repeat: repeatOf(r.GetSession(), r.GetNumber(), r.GetLowest()),
		Op:     &logv1.Command_Release{Release: &logv1.Release{Session: r.GetSession(), Fences: r.GetFences()}},
	}
}

func heartbeatCommand(r *v1.HeartbeatRequest) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: &logv1.Heartbeat{Session: r.GetSession(), Fences: r.GetFences()}}}
}
