package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// shownPayloadBytes: a longer payload is told by its length and hash.
const shownPayloadBytes = 160

// scheduleField is one field of a definition, as text; empty when it is left out.
type scheduleField struct {
	name string
	text func(*logv1.Schedule) string
	// zoned: the text is an instant in the schedule's zone.
	zoned bool
}

// scheduleFields in the order in which differences are shown. Two definitions that differ, differ in one of these texts.
var scheduleFields = append([]scheduleField{
	{name: "spec", text: (*logv1.Schedule).GetSpec},
	{name: "zone", text: (*logv1.Schedule).GetZone},
	{name: "start_ms", text: func(s *logv1.Schedule) string { return newZones().text(s.GetZone(), s.GetStartMs()) }, zoned: true},
	{name: "end_ms", text: func(s *logv1.Schedule) string { return newZones().text(s.GetZone(), s.GetEndMs()) }, zoned: true},
	{name: "jitter_ms", text: func(s *logv1.Schedule) string { return spanOrNone(s.GetJitterMs()) }},
	{name: "spread", text: func(s *logv1.Schedule) string { return trueOrNone(s.GetSpread()) }},
	{name: "misfire_grace_ms", text: graceText},
	{name: "catch_up", text: func(s *logv1.Schedule) string { return enumWord(s.GetCatchUp(), "CATCH_UP_") }},
	{name: "max_instances", text: func(s *logv1.Schedule) string { return numberOrNone(int64(s.GetMaxInstances())) }},
	{name: "overlap", text: func(s *logv1.Schedule) string { return enumWord(s.GetOverlap(), "OVERLAP_") }},
	{name: "min_interval_ms", text: func(s *logv1.Schedule) string { return spanOrNone(s.GetMinIntervalMs()) }},
	{name: "group", text: (*logv1.Schedule).GetGroup},
	{name: "description", text: func(s *logv1.Schedule) string { return plainText(s.GetDescription()) }},
	{name: "job.kind", text: ofJob(func(j *logv1.NewJob) string { return plainText(j.GetKind()) })},
	{name: "job.queue", text: ofJob((*logv1.NewJob).GetQueue)},
	{name: "job.user", text: ofJob(func(j *logv1.NewJob) string { return plainText(j.GetUser()) })},
	{name: "job.priority", text: ofJob(func(j *logv1.NewJob) string { return numberOrNone(int64(j.GetPriority())) })},
	{name: "job.payload", text: ofJob(payloadText)},
	{name: "job.memory_bytes", text: ofJob(func(j *logv1.NewJob) string {
		if j.GetMemoryBytes() == 0 {
			return ""
		}
		return memoryText(int64(j.GetMemoryBytes()))
	})},
	{name: "job.coordinator", text: ofJob((*logv1.NewJob).GetCoordinator)},
	{name: "job.labels", text: ofJob(labelsText)},
}, limitFields()...)

// limitFields of the job: a limit of 0 is not the same as none.
func limitFields() (out []scheduleField) {
	span := func(n int64) string { return exactSpan(n) }
	plain := decimal
	for _, limit := range []struct {
		name  string
		value func(*logv1.Limits) *int64
		text  func(int64) string
	}{
		{"lease_ms", func(l *logv1.Limits) *int64 { return l.LeaseMs }, span},
		{"heartbeat_ms", func(l *logv1.Limits) *int64 { return l.HeartbeatMs }, span},
		{"max_attempts", func(l *logv1.Limits) *int64 { return wide(l.MaxAttempts) }, plain},
		{"backoff_first_ms", func(l *logv1.Limits) *int64 { return l.BackoffFirstMs }, span},
		{"backoff_factor_percent", func(l *logv1.Limits) *int64 { return wide(l.BackoffFactorPercent) }, plain},
		{"backoff_most_ms", func(l *logv1.Limits) *int64 { return l.BackoffMostMs }, span},
		{"on_timeout", func(l *logv1.Limits) *int64 { return wide(l.OnTimeout) }, func(n int64) string {
			return strings.ToLower(strings.TrimPrefix(logv1.OnTimeout(n).String(), "ON_TIMEOUT_"))
		}},
		{"max_run_ms", func(l *logv1.Limits) *int64 { return l.MaxRunMs }, span},
		{"exclusion_window_ms", func(l *logv1.Limits) *int64 { return l.ExclusionWindowMs }, span},
	} {
		out = append(out, scheduleField{name: "job.limits." + limit.name, text: func(s *logv1.Schedule) string {
			limits := s.GetTemplate().GetLimits()
			if limits == nil {
				return ""
			}
			if value := limit.value(limits); value != nil {
				return limit.text(*value)
			}
			return ""
		}})
	}
	return out
}

func wide[N ~int32](value *N) *int64 {
	if value == nil {
		return nil
	}
	out := int64(*value)
	return &out
}

// differencesOf two normal forms, one for each field; from is nil when there was none.
func differencesOf(from, to *logv1.Schedule) (out []*v1.FieldChange) {
	for _, field := range scheduleFields {
		before := ""
		switch {
		case from != nil && field.zoned: // in one zone, else it would differ with the zone
			before = field.text(&logv1.Schedule{Zone: to.GetZone(), StartMs: from.GetStartMs(), EndMs: from.GetEndMs()})
		case from != nil:
			before = field.text(from)
		}
		if after := field.text(to); after != before {
			out = append(out, &v1.FieldChange{Field: field.name, From: before, To: after})
		}
	}
	return out
}

func ofJob(text func(*logv1.NewJob) string) func(*logv1.Schedule) string {
	return func(s *logv1.Schedule) string { return text(s.GetTemplate()) }
}

func graceText(s *logv1.Schedule) string {
	switch {
	case s.MisfireGraceMs == nil:
		return ""
	case s.GetMisfireGraceMs() < 0:
		return "unlimited"
	}
	return exactSpan(s.GetMisfireGraceMs())
}

func payloadText(j *logv1.NewJob) string {
	length := len(j.GetPayload())
	switch {
	case length == 0:
		return ""
	case j.GetPayloadIsJson() && length <= shownPayloadBytes:
		return string(j.GetPayload())
	}
	kind := "bytes"
	if j.GetPayloadIsJson() {
		kind = "bytes of JSON"
	}
	sum := sha256.Sum256(j.GetPayload())
	return fmt.Sprintf("%d %s, sha256 %s", length, kind, hex.EncodeToString(sum[:8]))
}

func labelsText(j *logv1.NewJob) string {
	var out []string
	for _, label := range j.GetLabels() {
		out = append(out, strconv.Quote(label.GetKey())+"="+strconv.Quote(label.GetValue()))
	}
	return strings.Join(out, " ")
}

func spanOrNone(ms int64) string {
	if ms == 0 {
		return ""
	}
	return exactSpan(ms)
}

func numberOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return decimal(n)
}

func trueOrNone(set bool) string {
	if set {
		return "true"
	}
	return ""
}

// plainText is a text as it is, or quoted if it would not be one plain line.
func plainText(text string) string {
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}
