package fsm_test

import (
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// command reads one command line; ok is false when the verb is no command.
func (r *scriptRun) command(verb string, w words) (c *logv1.Command, ok bool) {
	c = &logv1.Command{}
	if rep, has := w.pair["rep"]; has {
		part := strings.Split(rep, "/")
		if len(part) != 3 {
			bad("rep=SESSION/NUMBER/LOWEST, not %q", rep)
		}
		c.Repeat = &logv1.Repeat{Session: r.session(part[0]), Number: mustUint(part[1]), Lowest: mustUint(part[2])}
	}
	arg := func(i int) string {
		if i >= len(w.bare) {
			bad("%s: word %d is missing", verb, i+1)
		}
		return w.bare[i]
	}
	switch verb {
	case "register", "open", "drain", "deregister":
		r.sessionCommand(c, verb, arg(0), w)
	case "enqueue":
		c.Op = &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: r.enqueued(w), AllOrNothing: w.has("all")}}
	case "claim":
		c.Op = &logv1.Command_Claim{Claim: &logv1.Claim{Session: r.session(arg(0)), Lane: uint32(mustUint(arg(1)))}}
	case "beat":
		c.Op = &logv1.Command_Heartbeat{Heartbeat: &logv1.Heartbeat{Session: r.session(arg(0)), Fences: r.fences(w.bare[1:])}}
	case "finish":
		c.Op = &logv1.Command_Finish{Finish: r.finish(r.session(arg(0)), r.fence(arg(1)), w)}
	case "release":
		c.Op = &logv1.Command_Release{Release: &logv1.Release{Session: r.session(arg(0)), Fences: r.fences(w.bare[1:])}}
	case "cancel":
		c.Op = &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: mustUint(arg(0))}}
	case "retry":
		c.Op = &logv1.Command_Retry{Retry: &logv1.Retry{Job: mustUint(arg(0))}}
	case "cancel_many":
		c.Op = &logv1.Command_CancelMany{CancelMany: &logv1.CancelMany{Jobs: manyOf(w)}}
	case "retry_many":
		c.Op = &logv1.Command_RetryMany{RetryMany: &logv1.RetryMany{Jobs: manyOf(w)}}
	case "output":
		c.Op = &logv1.Command_Output{Output: &logv1.Output{Session: r.session(arg(0)), Parts: r.parts(w)}}
	default:
		return c, r.operatorCommand(c, verb, w, arg)
	}
	return c, true
}

func (r *scriptRun) enqueued(w words) []*logv1.NewJob {
	if w.has("none") {
		return nil
	}
	return w.newJobs()
}

func (r *scriptRun) sessionCommand(c *logv1.Command, verb, name string, w words) {
	bind := name
	if as, ok := w.pair["as"]; ok {
		bind = as
	}
	switch verb {
	case "register":
		reg := &logv1.Register{Name: name, Nonce: uint64(w.int("nonce")), FormerGone: w.has("gone"), User: w.pair["user"]}
		if l, ok := w.pair["lanes"]; ok {
			reg.Lanes = lanesOf(l)
		}
		c.Op = &logv1.Command_Register{Register: reg}
		r.bind = append(r.bind, binding{bind, len(r.batch)})
	case "open":
		c.Op = &logv1.Command_OpenSession{OpenSession: &logv1.OpenSession{Name: name, Nonce: uint64(w.int("nonce"))}}
		r.bind = append(r.bind, binding{bind, len(r.batch)})
	case "drain":
		d := &logv1.Drain{Undo: w.has("undo")}
		if w.has("byname") {
			d.Name = name
		} else {
			d.Session = r.session(name)
		}
		c.Op = &logv1.Command_Drain{Drain: d}
	case "deregister":
		c.Op = &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: r.session(name)}}
	}
}

func (r *scriptRun) finish(session, fence uint64, w words) *logv1.Finish {
	f := &logv1.Finish{Session: session, Fence: fence}
	switch {
	case w.has("ok"):
		f.Outcome = &logv1.Finish_Success{Success: &logv1.Success{}}
	case w.pair["ok"] != "":
		f.Outcome = &logv1.Finish_Success{Success: &logv1.Success{Result: []byte(w.pair["ok"])}}
	case w.has("fail") || w.pair["fail"] != "":
		f.Outcome = &logv1.Finish_Failure{Failure: &logv1.Failure{
			Error: w.pair["fail"], Discard: w.has("discard"), RetryAfterMs: w.optMillis("after")}}
	case w.pair["snooze"] != "":
		f.Outcome = &logv1.Finish_Snooze{Snooze: &logv1.Snooze{DelayMs: mustMillis(w.pair["snooze"])}}
	}
	if rest, ok := w.pair["rest"]; ok {
		offset, data, _ := strings.Cut(rest, ":")
		f.Rest = &logv1.OutputRest{Offset: mustUint(offset), Data: []byte(data + letters(w.int("rest_bytes")))}
	}
	if lane, ok := w.pair["next"]; ok {
		f.Next = &logv1.NextClaim{Lane: uint32(mustUint(lane))}
	}
	return f
}

func (r *scriptRun) operatorCommand(c *logv1.Command, verb string, w words, arg func(int) string) bool {
	switch verb {
	case "set":
		c.Op = &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: arg(0), Settings: &logv1.QueueSettings{
			Mode: w.optMode("mode"), Limits: w.limits(), MaxRunning: w.optInt("max_running"),
			MaxRunningPerUser: w.optInt("max_running_per_user"), RetentionMs: w.optMillis("retention"),
			RetentionJobs: w.optInt("retention_jobs")}}}
	case "put", "unput", "trigger", "backfill", "fire":
		return r.scheduleCommand(c, verb, w, arg)
	case "pause", "resume":
		if arg(0) == "schedule" {
			return r.scheduleCommand(c, verb, w, arg)
		}
		c.Op = &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: arg(0), Paused: proto.Bool(verb == "pause")}}
	case "delete":
		c.Op = &logv1.Command_DeleteQueue{DeleteQueue: &logv1.DeleteQueue{Name: arg(0)}}
	case "settings":
		s := &logv1.Settings{
			DefaultMode: w.optMode("mode"), Limits: w.limits(), RetentionMs: w.optMillis("retention"),
			RetentionJobs: w.optInt("retention_jobs"), MaxRunningPerUser: w.optInt("max_running_per_user"),
			MaxStateBytes: w.optInt("max_state_bytes"), MaxJobs: w.optInt("max_jobs"), MaxSessions: w.optInt("max_sessions"),
			MaxQueues: w.optInt("max_queues"), MaxUsers: w.optInt("max_users"), MaxIdempotencyKeys: w.optInt("max_keys"),
			MaxOutputBytes: w.optInt("max_output"), MaxSchedules: w.optInt("max_schedules")}
		if v, ok := w.pair["multi_user"]; ok {
			s.MultiUser = proto.Bool(v == "true")
		}
		if v, ok := w.pair["create_queues"]; ok {
			s.CreateQueues = proto.Bool(v == "true")
		}
		c.Op = &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: s}}
	case "node":
		c.Op = &logv1.Command_SetNode{SetNode: &logv1.SetNode{Id: arg(0), RaftAddress: arg(1), ApiAddress: arg(2)}}
	case "set_clock":
		c.Op = &logv1.Command_SetClock{SetClock: &logv1.SetClock{NowMs: mustMillis(arg(0))}}
	case "name":
		c.Op = &logv1.Command_NameCluster{NameCluster: &logv1.NameCluster{Id: w.pair["id"], Name: w.pair["name"]}}
	case "forget":
		c.Op = &logv1.Command_ForgetNode{ForgetNode: &logv1.ForgetNode{Id: arg(0)}}
	case "checkpoint":
		c.Op = &logv1.Command_Checkpoint{Checkpoint: &logv1.Checkpoint{}}
	case "unknown":
	default:
		return false
	}
	return true
}
