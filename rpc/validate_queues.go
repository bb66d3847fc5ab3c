package rpc

import (
	"math"
	"net"
	"strconv"

	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func checkQueueName(name string) error {
	var f fields
	f.requiredQueue("name", name)
	return f.result()
}

func checkSetQueue(r *v1.SetQueueRequest) error {
	var f fields
	f.requiredQueue("name", r.GetName())
	if s := r.GetSettings(); s != nil {
		if s.Mode != nil {
			f.enum("settings.mode", int32(s.GetMode()), v1.QueueMode_name)
		}
		f.limits("settings.limits", s.GetLimits())
		f.optional("settings.max_running", s.MaxRunning, 0, math.MaxInt64, "jobs (0: no limit)")
		f.optional("settings.max_running_per_user", s.MaxRunningPerUser, 0, math.MaxInt64, "jobs (0: no limit)")
		f.optional("settings.retention_ms", s.RetentionMs, 0, maxDurationMs, "ms (0: keep none)")
		f.optional("settings.retention_jobs", s.RetentionJobs, 0, math.MaxInt64, "jobs (0: keep none)")
	}
	f.repeat("repeat", r.GetRepeat())
	return f.result()
}

func checkListQueueUsers(r *v1.ListQueueUsersRequest) error {
	var f fields
	f.requiredQueue("name", r.GetName())
	f.text("after_user", r.GetAfterUser(), maxTextBytes)
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "users (0: 100)")
	return f.result()
}

func checkPreviewOrder(r *v1.PreviewOrderRequest) error {
	var f fields
	f.queue("queue", r.GetQueue())
	f.text("worker", r.GetWorker(), maxTextBytes)
	f.check(r.GetQueue() != "" || r.GetWorker() != "", "queue", "missing, and so is worker", "give the name of a queue, or a worker and one of its lanes")
	f.check(r.GetQueue() == "" || r.GetWorker() == "", "queue", "given together with worker", "give one of the two")
	f.check(r.GetQueue() == "" || r.GetLane() == 0, "lane", "given together with queue", "name the worker whose lane it is")
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "jobs (0: 20)")
	return f.result()
}

func checkExplainIndex(r *v1.ExplainIndexRequest) error {
	var f fields
	f.check(r.GetIndex() != 0, "index", "missing", "give the index of a log entry in which a job was claimed")
	return f.result()
}

func checkSetSettings(r *v1.SetSettingsRequest) error {
	var f fields
	s := r.GetSettings()
	if s == nil {
		f.wrong("settings", "missing", "give the settings to change")
		return f.result()
	}
	if s.DefaultMode != nil {
		f.enum("settings.default_mode", int32(s.GetDefaultMode()), v1.QueueMode_name)
		f.check(s.GetDefaultMode() != v1.QueueMode_QUEUE_MODE_UNSPECIFIED, "settings.default_mode", "QUEUE_MODE_UNSPECIFIED", "give one of "+enumNames(v1.QueueMode_name))
	}
	f.limits("settings.limits", s.GetLimits())
	f.optional("settings.retention_ms", s.RetentionMs, 0, maxDurationMs, "ms (0: keep none)")
	f.optional("settings.retention_jobs", s.RetentionJobs, 0, math.MaxInt64, "jobs (0: keep none)")
	f.optional("settings.max_running_per_user", s.MaxRunningPerUser, 0, math.MaxInt64, "jobs (0: no limit)")
	for _, most := range []struct {
		field string
		value *int64
	}{
		{"max_state_bytes", s.MaxStateBytes}, {"max_jobs", s.MaxJobs}, {"max_sessions", s.MaxSessions},
		{"max_queues", s.MaxQueues}, {"max_users", s.MaxUsers}, {"max_idempotency_keys", s.MaxIdempotencyKeys},
		{"max_schedules", s.MaxSchedules},
	} {
		f.optional("settings."+most.field, most.value, 1, math.MaxInt64, "as limit of the whole cluster")
	}
	f.optional("settings.max_output_bytes", s.MaxOutputBytes, 0, fsm.MostOutputBytes, "bytes of output of one job (0: keep none)")
	return f.result()
}

func checkDigest(r *v1.DigestRequest) error {
	var f fields
	f.check(r.GetIndex() != 0, "index", "missing", "give the index that Checkpoint answered")
	f.between("wait_ms", r.GetWaitMs(), 0, maxWaitMs, "ms")
	return f.result()
}

func checkJoin(r *v1.JoinRequest) error {
	var f fields
	f.requiredText("node_id", r.GetNodeId(), maxTextBytes, "it names the node for its whole life")
	f.address("raft_address", r.GetRaftAddress())
	f.address("api_address", r.GetApiAddress())
	f.text("cluster_name", r.GetClusterName(), maxTextBytes)
	f.text("cluster_id", r.GetClusterId(), maxTextBytes)
	return f.result()
}

// checkIntroduce: who asks may be unknown, and need not say who it is.
func checkIntroduce(r *v1.IntroduceRequest) error {
	var f fields
	f.text("node_id", r.GetNodeId(), maxTextBytes)
	f.text("cluster_name", r.GetClusterName(), maxTextBytes)
	return f.result()
}

func checkConfirmBootstrap(r *v1.ConfirmBootstrapRequest) error {
	var f fields
	f.check(len(r.GetNodeIds()) > 0, "node_ids", "missing", "give the ids of the set, sorted")
	f.check(len(r.GetNodeIds()) <= mostExpected, "node_ids", strconv.Itoa(len(r.GetNodeIds())), "give at most "+strconv.Itoa(mostExpected))
	for _, id := range r.GetNodeIds() {
		f.requiredText("node_ids", id, maxTextBytes, "give the ids of the set, sorted")
	}
	f.text("cluster_name", r.GetClusterName(), maxTextBytes)
	f.text("cluster_id", r.GetClusterId(), maxTextBytes)
	return f.result()
}

// address as host:port that other nodes can dial.
func (f *fields) address(field, value string) {
	f.requiredText(field, value, maxAddressBytes, "other nodes reach this one there")
	host, port, err := net.SplitHostPort(value)
	number, portErr := strconv.ParseUint(port, 10, 16)
	f.check(err == nil && host != "" && portErr == nil && number != 0, field, strconv.Quote(value), "give host:port as other nodes reach it, for example 10.0.0.11:7171")
}
