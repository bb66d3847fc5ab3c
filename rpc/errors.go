package rpc

import (
	"time"

	"connectrpc.com/connect"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Domain of every ErrorInfo.
const Domain = "fairlane"

// retryDelay is what RetryInfo says when nobody knows better.
const retryDelay = 200 * time.Millisecond

// Reason names an error for machines; stable.
type Reason string

// The reasons. Their codes, Connect codes and sentences are in Table.
const (
	NotLeader          Reason = "NOT_LEADER"
	NoLeader           Reason = "NO_LEADER"
	UnknownOutcome     Reason = "UNKNOWN_OUTCOME"
	Busy               Reason = "BUSY"
	ShuttingDown       Reason = "SHUTTING_DOWN"
	TimedOut           Reason = "TIMED_OUT"
	SlowWatcher        Reason = "SLOW_WATCHER"
	TraceEnded         Reason = "TRACE_ENDED"
	ClusterTooOld      Reason = "CLUSTER_TOO_OLD"
	LostClaim          Reason = "LOST_CLAIM"
	UnknownJob         Reason = "UNKNOWN_JOB"
	WrongState         Reason = "WRONG_STATE"
	OutputGap          Reason = "OUTPUT_GAP"
	SessionEnded       Reason = "SESSION_ENDED"
	SessionReplaced    Reason = "SESSION_REPLACED"
	TooOld             Reason = "TOO_OLD"
	TooManyOpen        Reason = "TOO_MANY_OPEN"
	NumberReused       Reason = "NUMBER_REUSED"
	KeyReused          Reason = "KEY_REUSED"
	UnknownQueue       Reason = "UNKNOWN_QUEUE"
	BadLanes           Reason = "BAD_LANES"
	QueueNotEmpty      Reason = "QUEUE_NOT_EMPTY"
	UnknownWorker      Reason = "UNKNOWN_WORKER"
	UnknownLane        Reason = "UNKNOWN_LANE"
	NotAWorker         Reason = "NOT_A_WORKER"
	UnknownSchedule    Reason = "UNKNOWN_SCHEDULE"
	StaleRevision      Reason = "STALE_REVISION"
	MaxInstances       Reason = "MAX_INSTANCES"
	BadSpec            Reason = "BAD_SPEC"
	NeverFires         Reason = "NEVER_FIRES"
	TooManyTicks       Reason = "TOO_MANY_TICKS"
	BacklogFull        Reason = "BACKLOG_FULL"
	UnknownCoordinator Reason = "UNKNOWN_COORDINATOR"
	NodeRemoved        Reason = "NODE_REMOVED"
	NodeIDInUse        Reason = "NODE_ID_IN_USE"
	WrongCluster       Reason = "WRONG_CLUSTER"
	UnknownNode        Reason = "UNKNOWN_NODE"
	StaleConfiguration Reason = "STALE_CONFIGURATION"
	UnsafeChange       Reason = "UNSAFE_CHANGE"
	TransferFailed     Reason = "TRANSFER_FAILED"
	ClockNotAhead      Reason = "CLOCK_NOT_AHEAD"
	BadArchive         Reason = "BAD_ARCHIVE"
	ForeignArchive     Reason = "FOREIGN_ARCHIVE"
	RestoreRefused     Reason = "RESTORE_REFUSED"
	StateFull          Reason = "STATE_FULL"
	NotAll             Reason = "NOT_ALL"
	NoDigest           Reason = "NO_DIGEST"
	NoDecision         Reason = "NO_DECISION"
	LogCompacted       Reason = "LOG_COMPACTED"
	InvalidArgument    Reason = "INVALID_ARGUMENT"
	TooLarge           Reason = "TOO_LARGE"
	Malformed          Reason = "MALFORMED"
	UnknownMethod      Reason = "UNKNOWN_METHOD"
	NotPermitted       Reason = "NOT_PERMITTED"
	Internal           Reason = "INTERNAL"
)

// Entry of the table of errors.
type Entry struct {
	Reason Reason
	// Code for people to look up; stable.
	Code    string
	Connect connect.Code
	// Retry: the error carries RetryInfo, and the attempt that got it did nothing (except UNKNOWN_OUTCOME, which does not know).
	Retry bool
	// Template of the sentence. {key} is a value of the metadata; a part in [ ] is left out when one of its values is missing.
	Template string
}

// Table is every error that a call can get, ordered by code.
var Table = []Entry{
	{NotLeader, "FL1101", connect.CodeUnavailable, true,
		"node {node_id} is not the leader[; the leader is {leader_id} at {leader_url}]. This attempt did nothing. Clients go to the leader by themselves; curl: ask any node, it forwards."},
	{NoLeader, "FL1102", connect.CodeUnavailable, true,
		"no leader for {waited_ms} ms as seen by node {node_id}[: {why}]. This attempt did nothing. Try again; if it stays so, start the missing nodes (a majority must run) and look at /readyz of each."},
	{UnknownOutcome, "FL1103", connect.CodeUnknown, true,
		"the outcome of this call is not known[: {why}]. It may have been done. Repeat it with the same session and number, or the same idempotency key: then it is done once and the answer is the true one."},
	{Busy, "FL1104", connect.CodeResourceExhausted, true,
		"node {node_id} has too many commands waiting, or too many watches open, and took no more. This attempt did nothing. Try again in {retry_ms} ms, with less at the same time."},
	{ShuttingDown, "FL1105", connect.CodeUnavailable, true,
		"node {node_id} is shutting down. This attempt did nothing. Use another node."},
	{TimedOut, "FL1106", connect.CodeDeadlineExceeded, false,
		"the time that the caller gave ended while node {node_id} was {doing}. This attempt changed nothing. Try again with more time."},
	{SlowWatcher, "FL1107", connect.CodeResourceExhausted, true,
		"this watch was cut off by node {node_id}: {why}. Nothing was changed. Go on after the last event id that was received, {event_id}; read faster, or filter more."},
	{TraceEnded, "FL1108", connect.CodeResourceExhausted, true,
		"node {node_id} does not record any further: {why}. Nothing was changed; what was received is not a whole trace. Record again, for a shorter time or on another node."},
	{ClusterTooOld, "FL1109", connect.CodeFailedPrecondition, false,
		"this needs rules {needs} of the cluster; {rules} are what all its nodes can apply[: node {lowest} is of an older version]. Nothing was done. Upgrade every node, or remove one that is gone; fairlane cluster status shows the rules of each."},
	{LostClaim, "FL1201", connect.CodeAborted, false,
		"claim {fence} is not a live claim of this session[: {why}]. Nothing was stored. Stop the handler; the job was or will be given to somebody else."},
	{UnknownJob, "FL1202", connect.CodeNotFound, false,
		"there is no job {job}: it never was, or its retention is over. Check the id; finished jobs are kept as long as the queue's retention says."},
	{WrongState, "FL1203", connect.CodeFailedPrecondition, false,
		"job {job} is {state}, so this is not possible[; it must be {want}]. Nothing was changed. Look at the job first."},
	{OutputGap, "FL1204", connect.CodeFailedPrecondition, false,
		"output at offset {offset} leaves a gap: the cluster has {end} bytes of this attempt. Nothing of it was stored. Send again from offset {end}."},
	{SessionEnded, "FL1211", connect.CodeFailedPrecondition, false,
		"the session[ {session}] has ended: nothing was heard of it for too long, or it was never opened. Nothing was done. Register (workers) or open a session (clients) again."},
	{SessionReplaced, "FL1212", connect.CodeFailedPrecondition, false,
		"the session[ {session}] was replaced: another process registered under the same worker name. Nothing was done. Stop this process, or give each worker a name of its own."},
	{TooOld, "FL1213", connect.CodeFailedPrecondition, false,
		"number {number} of session {session} is below the lowest unanswered number[ {lowest}] that the session itself has named: its answer is forgotten and it is not run. Use a new number."},
	{TooManyOpen, "FL1214", connect.CodeResourceExhausted, false,
		"session {session} has too many calls open[: number {number} is more than {most} above the lowest unanswered, {lowest}]. Nothing was done. Raise \"lowest\" to the lowest number whose answer has not arrived, or wait for answers."},
	{NumberReused, "FL1215", connect.CodeAlreadyExists, false,
		"number {number} of session {session} was used before for another call. Nothing was done. Number every call once; only a repetition of the same call has the same number."},
	{KeyReused, "FL1216", connect.CodeAlreadyExists, false,
		"idempotency key {key} was used before for another job of the same user. Nothing was enqueued. Use a new key, or send the same body as then."},
	{UnknownQueue, "FL1301", connect.CodeNotFound, false,
		"there is no queue {queue}. Nothing was done. Make it: fairlane queue set {queue}; or let enqueues make queues (setting create_queues)."},
	{BadLanes, "FL1302", connect.CodeInvalidArgument, false,
		"lanes {value}: {lane_code} at byte {offset}[, in {token}]: {why}. Write them as in fast_lane:1 manual>*:4; see docs/lanes.md."},
	{QueueNotEmpty, "FL1303", connect.CodeFailedPrecondition, false,
		"queue {queue} is not empty[: {value} jobs wait or run][: {schedules} schedules enqueue into it]. Nothing was deleted. Pause it, and let its jobs end or cancel them first; change or delete the schedules that name it."},
	{UnknownWorker, "FL1304", connect.CodeNotFound, false,
		"there is no worker[ {name}][ with session {session}]. Nothing was done. See fairlane worker list."},
	{UnknownLane, "FL1305", connect.CodeInvalidArgument, false,
		"session {session} has no lane {lane}[; it registered {lanes}]. Nothing was done. Lanes are named by their position in the registration, from 0."},
	{NotAWorker, "FL1306", connect.CodeFailedPrecondition, false,
		"session {session} is not a worker's, so it cannot claim. Nothing was done. Register a worker."},
	{UnknownSchedule, "FL1311", connect.CodeNotFound, false,
		"there is no schedule {schedule}. Nothing was done. See fairlane schedule list; fairlane schedule put makes one."},
	{StaleRevision, "FL1312", connect.CodeAborted, false,
		"schedule {schedule} has revision {revision}[, not {expected}]: it was changed meanwhile. Nothing was done. Look at it, and do it again if you still want it."},
	{MaxInstances, "FL1313", connect.CodeFailedPrecondition, false,
		"schedule {schedule} runs {instances} of {most} instances already. Nothing was done. See which: fairlane schedule get {schedule}. Wait until one ends, cancel one, or raise its max_instances."},
	{BadSpec, "FL1314", connect.CodeInvalidArgument, false,
		"{field} is {value}; {want}. Nothing was done. See docs/schedules.md; fairlane schedule next shows what a spec means."},
	{NeverFires, "FL1315", connect.CodeInvalidArgument, false,
		"the schedule would never fire: {why}. Nothing was done. Correct its spec, start_ms or end_ms."},
	{TooManyTicks, "FL1316", connect.CodeInvalidArgument, false,
		"the range has {ticks} fire times of schedule {schedule}, {most} are allowed in one backfill. Nothing was done. The first {most} of them are those up to {until}: give to_ms {until_ms}, and the rest in a second call."},
	{BacklogFull, "FL1317", connect.CodeResourceExhausted, true,
		"schedule {schedule} has {value} fire times waiting to be caught up, at most {most} may wait. Nothing was done. Wait until some have run, or give a shorter range."},
	{UnknownCoordinator, "FL1321", connect.CodeNotFound, false,
		"there is no coordinator {coordinator}: no job that waits or runs and no schedule names it. Nothing was done. See fairlane coordinator list."},
	{NodeRemoved, "FL1331", connect.CodeFailedPrecondition, false,
		"node {node_id} was removed from the cluster. Nothing was done. To come back it begins anew, as another node: fairlane server --rejoin sets its old data aside."},
	{NodeIDInUse, "FL1332", connect.CodeAlreadyExists, false,
		"node id {node_id} is in use by a live process[ at {address}]. Nothing was done. A data directory must not be copied: start this node with an empty one."},
	{WrongCluster, "FL1333", connect.CodeFailedPrecondition, false,
		"this is cluster {cluster}, not {expected}. Nothing was done. Check --join and --cluster-name of the node that asked."},
	{UnknownNode, "FL1334", connect.CodeNotFound, false,
		"there is no node {node_id} in the cluster. Nothing was done. See fairlane cluster status."},
	{StaleConfiguration, "FL1335", connect.CodeAborted, false,
		"the members have changed meanwhile: their configuration is {now}, not {expected}. Nothing was done. Look at fairlane cluster status, and do it again if you still want it."},
	{UnsafeChange, "FL1336", connect.CodeFailedPrecondition, false,
		"{change} of node {node_id} is refused: {why}. Nothing was done. {todo}"},
	{TransferFailed, "FL1337", connect.CodeFailedPrecondition, false,
		"leadership was not handed over[ to {node_id}]: {why}. See fairlane cluster status, and try again."},
	{ClockNotAhead, "FL1338", connect.CodeFailedPrecondition, false,
		"the cluster's clock is not ahead of the leader's: {cluster_ms} against {leader_ms} (Unix ms). Nothing was done; there is nothing to set back."},
	{BadArchive, "FL1341", connect.CodeInvalidArgument, false,
		"this is no archive that can be restored: {why}. Nothing was changed. Take another one; fairlane snapshot inspect checks it."},
	{ForeignArchive, "FL1342", connect.CodeFailedPrecondition, false,
		"the archive is of cluster {archive}, this is {cluster}. Nothing was changed. If it is meant, name it: fairlane snapshot restore --from-cluster {archive}."},
	{RestoreRefused, "FL1343", connect.CodeFailedPrecondition, false,
		"nothing was restored: {why}. Nothing was changed. {todo}"},
	{StateFull, "FL1401", connect.CodeResourceExhausted, true,
		"the cluster is full: {limit}[ is {value} of {most}]. Nothing was done. Wait until jobs are done, lower the retention, or raise the setting {limit}."},
	{NotAll, "FL1402", connect.CodeAborted, false,
		"this job was not enqueued, because all or nothing was asked for and another job of the same call was refused[: job {job_position}]. Correct that one and send all again."},
	{NoDigest, "FL1403", connect.CodeNotFound, false,
		"node {node_id} keeps no digest of index {index}: no checkpoint lies there, or it is too long ago. Make one with ClusterService.Checkpoint and ask for the index that it answers."},
	{NoDecision, "FL1404", connect.CodeNotFound, false,
		"no claim was decided by the log entry at index {index}, as far as is known[: decisions are kept from index {oldest} to {newest}]. Give an index in which a job was claimed; fairlane job why shows those of a job."},
	{LogCompacted, "FL1405", connect.CodeNotFound, false,
		"log entry {index} is not in the log of node {node_id}, which holds {first} to {last}. Older ones are in its snapshot; ask another node, or for a later one."},
	{InvalidArgument, "FL1501", connect.CodeInvalidArgument, false,
		"{field} is {value}; {want}. Nothing was done."},
	{TooLarge, "FL1502", connect.CodeInvalidArgument, false,
		"{field} has {value} bytes, {most} are allowed. Nothing was done. Send less, or store it elsewhere and send where it is."},
	{Malformed, "FL1503", connect.CodeInvalidArgument, false,
		"the request cannot be read: {why}. Nothing was done. Send {want}."},
	{UnknownMethod, "FL1504", connect.CodeUnimplemented, false,
		"there is no {method} {path} here. Methods are called as POST /fairlane.v1.JobService/Enqueue, with a JSON object as body."},
	{NotPermitted, "FL1511", connect.CodePermissionDenied, false,
		"{method} needs a client certificate with the role {role}[; this one has {roles}]. Nothing was done. Use one that fairlane tls made for it: --tls-cert and --tls-key."},
	{Internal, "FL1901", connect.CodeInternal, false,
		"node {node_id} failed at this call; the reason is in its log under {incident}. This is a defect of Fairlane. What was done is not known: repeat with the same session and number, or look first."},
}

// entryOf finds entries by reason.
var entryOf = func() map[Reason]*Entry {
	m := make(map[Reason]*Entry, len(Table))
	for i := range Table {
		m[Table[i].Reason] = &Table[i]
	}
	return m
}()

// refusals translates what the machine says.
var refusals = map[logv1.Reason]Reason{
	logv1.Reason_REASON_UNKNOWN_JOB:      UnknownJob,
	logv1.Reason_REASON_LOST_CLAIM:       LostClaim,
	logv1.Reason_REASON_UNKNOWN_QUEUE:    UnknownQueue,
	logv1.Reason_REASON_UNKNOWN_WORKER:   UnknownWorker,
	logv1.Reason_REASON_SESSION_ENDED:    SessionEnded,
	logv1.Reason_REASON_SESSION_REPLACED: SessionReplaced,
	logv1.Reason_REASON_TOO_OLD:          TooOld,
	logv1.Reason_REASON_TOO_MANY_OPEN:    TooManyOpen,
	logv1.Reason_REASON_NUMBER_REUSED:    NumberReused,
	logv1.Reason_REASON_KEY_REUSED:       KeyReused,
	logv1.Reason_REASON_STATE_FULL:       StateFull,
	logv1.Reason_REASON_QUEUE_NOT_EMPTY:  QueueNotEmpty,
	logv1.Reason_REASON_WRONG_STATE:      WrongState,
	logv1.Reason_REASON_UNKNOWN_LANE:     UnknownLane,
	logv1.Reason_REASON_INVALID:          InvalidArgument,
	logv1.Reason_REASON_NOT_ALL:          NotAll,
	logv1.Reason_REASON_NOT_A_WORKER:     NotAWorker,
	logv1.Reason_REASON_OUTPUT_GAP:       OutputGap,
	logv1.Reason_REASON_UNKNOWN_SCHEDULE: UnknownSchedule,
	logv1.Reason_REASON_STALE_REVISION:   StaleRevision,
	logv1.Reason_REASON_MAX_INSTANCES:    MaxInstances,
	logv1.Reason_REASON_NODE_REMOVED:     NodeRemoved,
}
