package rpc

import (
	"fmt"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// summaryText explains a job in one sentence.
func summaryText(a *fsm.WhyAnswer) string {
	job := a.Job
	at := instantText(job.GetFinishedMs(), a.ClockMs)
	switch job.GetState() {
	case logv1.State_STATE_SCHEDULED:
		return scheduledText(a)
	case logv1.State_STATE_PENDING:
		return pendingText(a)
	case logv1.State_STATE_RUNNING:
		return fmt.Sprintf("Job %d runs on worker %s lane %d, attempt %d, for %s since %s.", job.GetId(), job.GetWorker(), job.GetLane(),
			job.GetAttempt(), spanText(a.ClockMs-job.GetStartedMs()), instantText(job.GetStartedMs(), a.ClockMs))
	case logv1.State_STATE_SUCCEEDED:
		return fmt.Sprintf("Job %d succeeded at %s on worker %s, in attempt %d, which ran for %s.", job.GetId(), at, job.GetWorker(),
			job.GetAttempt(), spanText(job.GetFinishedMs()-job.GetStartedMs()))
	case logv1.State_STATE_FAILED, logv1.State_STATE_TIMED_OUT:
		verb := "failed"
		if job.GetState() == logv1.State_STATE_TIMED_OUT {
			verb = "timed out"
		}
		return fmt.Sprintf("Job %d %s at %s%s.", job.GetId(), verb, at, endText(a))
	case logv1.State_STATE_CANCELLED:
		return fmt.Sprintf("Job %d was cancelled at %s.", job.GetId(), at)
	}
	return fmt.Sprintf("Job %d is in a state that this version cannot put into words (%d).", job.GetId(), job.GetState())
}

func scheduledText(a *fsm.WhyAnswer) string {
	why := ""
	if steps := a.Steps.GetSteps(); len(steps) > 0 {
		switch steps[len(steps)-1].GetKind() {
		case logv1.StepKind_STEP_KIND_FAILED_RETRY:
			why = "; then comes another attempt"
		case logv1.StepKind_STEP_KIND_SNOOZED:
			why = ", as its worker asked"
		}
	}
	return fmt.Sprintf("Job %d waits %s%s.", a.Job.GetId(), untilText(a.Job.GetDueMs(), a.ClockMs), why)
}

func pendingText(a *fsm.WhyAnswer) string {
	wait := waitText(a)
	switch {
	case wait == "" && a.Lane != nil:
		return fmt.Sprintf("Job %d waits and is the next one that %s gets.", a.Job.GetId(), laneText(a.Lane))
	case wait == "":
		return fmt.Sprintf("Job %d waits; nothing keeps it from being claimed.", a.Job.GetId())
	}
	return fmt.Sprintf("Job %d waits: %s.", a.Job.GetId(), wait)
}

// endText is the step that ended a job, after a colon; empty when it is not known.
func endText(a *fsm.WhyAnswer) string {
	steps := a.Steps.GetSteps()
	for i := len(steps) - 1; i >= 0; i-- {
		switch steps[i].GetKind() {
		case logv1.StepKind_STEP_KIND_FAILED, logv1.StepKind_STEP_KIND_DISCARDED, logv1.StepKind_STEP_KIND_LEASE_ENDED,
			logv1.StepKind_STEP_KIND_RUN_LIMIT, logv1.StepKind_STEP_KIND_WORKER_GONE:
			return ": " + stepText(a, i, steps[i])
		}
	}
	return ""
}

// ruleName of a step, as docs/why.md lists them.
func ruleName(kind logv1.StepKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "STEP_KIND_"))
}

// stepText tells the step at position i of the past.
func stepText(a *fsm.WhyAnswer, i int, step *logv1.Step) string {
	worker := "worker " + step.GetWorker()
	if step.GetWorker() == "" {
		worker = "the worker"
	}
	attempt := fmt.Sprintf("attempt %d", step.GetAttempt())
	const again, last = "; another attempt follows", ", and no further attempt was left or wanted"
	switch step.GetKind() {
	case logv1.StepKind_STEP_KIND_ENQUEUED:
		return "enqueued"
	case logv1.StepKind_STEP_KIND_DELAYED:
		return "enqueued, to wait until " + instantText(step.GetUntilMs(), a.ClockMs)
	case logv1.StepKind_STEP_KIND_DUE:
		return "its time came: it went into the lines"
	case logv1.StepKind_STEP_KIND_CLAIMED:
		return fmt.Sprintf("claimed by %s lane %d, %s", worker, step.GetLane(), attempt)
	case logv1.StepKind_STEP_KIND_SUCCEEDED:
		return worker + " reported the success of " + attempt
	case logv1.StepKind_STEP_KIND_FAILED_RETRY:
		if step.GetUntilMs() > step.GetAtMs() {
			return fmt.Sprintf("%s reported the failure of %s; another one follows after %s, at %s", worker, attempt,
				spanText(step.GetUntilMs()-step.GetAtMs()), instantText(step.GetUntilMs(), a.ClockMs))
		}
		return worker + " reported the failure of " + attempt + again
	case logv1.StepKind_STEP_KIND_FAILED:
		return worker + " reported the failure of " + attempt + ", the last one"
	case logv1.StepKind_STEP_KIND_DISCARDED:
		return worker + " reported the failure of " + attempt + " and that another one makes no sense"
	case logv1.StepKind_STEP_KIND_SNOOZED:
		return worker + " put it off until " + instantText(step.GetUntilMs(), a.ClockMs) + "; no attempt was charged"
	case logv1.StepKind_STEP_KIND_RELEASED:
		return worker + " gave it back to its place; no attempt was charged"
	case logv1.StepKind_STEP_KIND_LEASE_ENDED_RETRY:
		return "the lease of " + worker + " ended without a heartbeat in " + attempt + again
	case logv1.StepKind_STEP_KIND_LEASE_ENDED:
		return "the lease of " + worker + " ended without a heartbeat in " + attempt + last
	case logv1.StepKind_STEP_KIND_RUN_LIMIT_RETRY:
		return attempt + " on " + worker + " reached its run limit (max_run)" + again
	case logv1.StepKind_STEP_KIND_RUN_LIMIT:
		return attempt + " on " + worker + " reached its run limit (max_run)" + last
	case logv1.StepKind_STEP_KIND_WORKER_GONE_RETRY:
		return attempt + " was lost: a new process took the name of " + worker + " and said that the former one is gone" + again
	case logv1.StepKind_STEP_KIND_WORKER_GONE:
		return attempt + " was lost: a new process took the name of " + worker + " and said that the former one is gone" + last
	case logv1.StepKind_STEP_KIND_CANCELLED:
		return "cancelled"
	case logv1.StepKind_STEP_KIND_LET_GO:
		return worker + " let go of the cancelled job: its slot is free"
	case logv1.StepKind_STEP_KIND_RETRIED_BY_HAND:
		return retriedText(a, i)
	case logv1.StepKind_STEP_KIND_FIRED:
		return firedText(a, step)
	}
	return "a step that this version cannot put into words (" + ruleName(step.GetKind()) + ")"
}

// retriedText: the first step of a new job, or the last one of the job that it runs again.
func retriedText(a *fsm.WhyAnswer, i int) string {
	if i == 0 && a.Job.GetRetryOf() != 0 {
		return "enqueued by hand, to run job " + number(a.Job.GetRetryOf()) + " again"
	}
	return "run again by hand, as job " + number(a.Job.GetRetriedAs())
}

// firedText is the first step of a job that a schedule made.
func firedText(a *fsm.WhyAnswer, step *logv1.Step) string {
	schedule, at := "schedule "+a.Job.GetSchedule(), instantText(step.GetUntilMs(), a.ClockMs)
	if a.Job.GetSchedule() == "" {
		schedule = "a schedule"
	}
	switch a.Job.GetFireCause() {
	case logv1.FireCause_FIRE_CAUSE_CATCH_UP:
		return "fired by " + schedule + " for " + at + ", which it caught up"
	case logv1.FireCause_FIRE_CAUSE_BACKFILL:
		return "fired by " + schedule + " for " + at + ", in a backfill"
	case logv1.FireCause_FIRE_CAUSE_TRIGGER:
		return schedule + " was triggered by hand at " + at
	}
	return "fired by " + schedule + " for " + at
}
