package main

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"unicode/utf8"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func jobDetails(w io.Writer, j *fairlanev1.Job) {
	row(w, "job", j.GetId())
	row(w, "kind", j.GetKind())
	row(w, "queue", j.GetQueue())
	row(w, "user", j.GetUser())
	row(w, "priority", j.GetPriority())
	row(w, "state", stateName(j.GetState()))
	row(w, "attempt", fmt.Sprintf("%d (%d of %d charged)", j.GetAttempt(), j.GetCharged(), j.GetMaxAttempts()))
	row(w, "enqueued", instant(j.GetEnqueuedMs()))
	row(w, "due", instant(j.GetDueMs()))
	row(w, "started", instant(j.GetStartedMs()))
	row(w, "finished", instant(j.GetFinishedMs()))
	if j.GetFence() != 0 {
		row(w, "claim", fmt.Sprintf("fence %d, worker %s, lane %d", j.GetFence(), j.GetWorker(), j.GetLane()))
	}
	if j.GetCoordinator() != "" {
		row(w, "coordinator", j.GetCoordinator())
	}
	if j.GetSchedule() != "" {
		row(w, "schedule", j.GetSchedule())
		row(w, "fire time", fmt.Sprintf("%s (%s)", instant(j.GetFireMs()), j.GetFireCause()))
	}
	if p := j.GetProgress(); p != nil {
		row(w, "progress", progressText(p))
	}
	if j.GetMemoryBytes() != 0 {
		row(w, "memory", memoryText(j.GetMemoryBytes()))
	}
	if j.GetRetryOf() != 0 {
		row(w, "retry of", j.GetRetryOf())
	}
	if j.GetRetriedAs() != 0 {
		row(w, "retried as", j.GetRetriedAs())
	}
	names := make([]string, 0, len(j.GetLabels()))
	for name := range j.GetLabels() {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		row(w, "label", name+"="+j.GetLabels()[name])
	}
	if j.GetError() != "" {
		row(w, "error", strconv.Quote(j.GetError()))
	}
	payload := []byte(j.GetJson())
	if len(payload) == 0 {
		payload = j.GetData()
	}
	row(w, "payload", printable(payload))
	row(w, "result", printable(j.GetResult()))
}

// progressText floors, so that 100 % is all of it; the cluster keeps millionths.
func progressText(p *fairlanev1.Progress) string {
	text := fmt.Sprintf("%d %%", int(p.GetFraction()*1e6+0.5)/10_000)
	if p.GetMessage() != "" {
		text += " " + strconv.Quote(p.GetMessage())
	}
	return text + ", " + instant(p.GetAtMs())
}

// printable shows bytes on one line: text as it is, anything else quoted, and long ones cut.
func printable(b []byte) string {
	const longest = 400
	cut := ""
	if len(b) > longest {
		cut = fmt.Sprintf("... (%d bytes)", len(b))
		b = b[:longest]
	}
	text := string(b)
	for _, r := range text {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return strconv.Quote(text) + cut
		}
	}
	return text + cut
}
