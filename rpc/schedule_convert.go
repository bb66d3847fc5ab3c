package rpc

import (
	"cmp"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// scheduleFrom gives the normal form of a checked definition, by which schedules are compared: two definitions that mean the same by their
// defaults have the same one.
func scheduleFrom(s *v1.Schedule) *logv1.Schedule {
	return &logv1.Schedule{
		Name: s.GetName(), Spec: strings.Join(strings.Fields(s.GetSpec()), " "), Zone: cmp.Or(s.GetZone(), "UTC"),
		StartMs: s.GetStartMs(), EndMs: s.GetEndMs(), JitterMs: s.GetJitterMs(), Spread: s.GetSpread(), MisfireGraceMs: s.MisfireGraceMs,
		CatchUp:      logv1.CatchUp(cmp.Or(s.GetCatchUp(), v1.CatchUp_CATCH_UP_LATEST)),
		MaxInstances: cmp.Or(s.GetMaxInstances(), 1),
		Overlap:      logv1.Overlap(cmp.Or(s.GetOverlap(), v1.Overlap_OVERLAP_SKIP)), MinIntervalMs: s.GetMinIntervalMs(),
		Template: templateFrom(s.GetJob()), Group: s.GetGroup(), Description: s.GetDescription(),
	}
}

// templateFrom the job of a definition: its queue filled in, its labels sorted, limits only if one is set.
func templateFrom(job *v1.NewJob) *logv1.NewJob {
	out := newJobFrom(job)
	if proto.Size(out.Limits) == 0 {
		out.Limits = nil
	}
	if len(out.Payload) == 0 {
		out.Payload = nil
	}
	return out
}

// scheduleAnswer shows a definition in its normal form. The payload shares the record's memory and must not be changed.
func scheduleAnswer(s *logv1.Schedule) *v1.Schedule {
	return &v1.Schedule{
		Name: s.GetName(), Spec: s.GetSpec(), Zone: s.GetZone(), StartMs: s.GetStartMs(), EndMs: s.GetEndMs(), JitterMs: s.GetJitterMs(),
		Spread: s.GetSpread(), MisfireGraceMs: s.MisfireGraceMs, CatchUp: v1.CatchUp(s.GetCatchUp()), MaxInstances: s.GetMaxInstances(),
		Overlap: v1.Overlap(s.GetOverlap()), MinIntervalMs: s.GetMinIntervalMs(), Job: templateAnswer(s.GetTemplate()), Group: s.GetGroup(),
		Description: s.GetDescription(),
	}
}

func templateAnswer(job *logv1.NewJob) *v1.NewJob {
	out := &v1.NewJob{
		Kind: job.GetKind(), Queue: job.GetQueue(), User: job.GetUser(), Priority: job.GetPriority(), MemoryBytes: job.GetMemoryBytes(),
		Limits: limitsAnswer(job.GetLimits()), Coordinator: job.GetCoordinator(),
	}
	if job.GetPayloadIsJson() {
		out.Payload = &v1.NewJob_Json{Json: string(job.GetPayload())}
	} else if len(job.GetPayload()) > 0 {
		out.Payload = &v1.NewJob_Data{Data: job.GetPayload()}
	}
	if len(job.GetLabels()) > 0 {
		out.Labels = make(map[string]string, len(job.GetLabels()))
		for _, label := range job.GetLabels() {
			out.Labels[label.GetKey()] = label.GetValue()
		}
	}
	return out
}
