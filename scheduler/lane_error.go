package scheduler

import (
	"fmt"
	"unicode/utf8"
)

// Codes of LaneError, in the order in which a token is checked.
const (
	LaneMissingCount     = "missing_count"
	LaneInvalidCount     = "invalid_count"
	LaneCountBelowOne    = "count_below_one"
	LaneInvalidMemory    = "invalid_memory"
	LaneEmptyQueueName   = "empty_queue_name"
	LaneInvalidQueueName = "invalid_queue_name"
	LaneWildcardNotLast  = "wildcard_not_last"
	LaneEmptyConfig      = "empty_config"
)

// Codes of Warning.
const (
	WarnDuplicateQueueName  = "duplicate_queue_name"
	WarnIdenticalQueueLists = "identical_queue_lists"
)

// LaneError says which token of a lane configuration is wrong, why, and what to do.
type LaneError struct {
	Code    string
	Token   string // empty for empty_config
	Offset  int    // of the token in the string, in bytes
	Message string // one sentence or two; a long token is shortened in it
}

func (e *LaneError) Error() string { return e.Message }

func (t laneToken) fail(code, format string, args ...any) *LaneError {
	return &LaneError{Code: code, Token: t.text, Offset: t.offset, Message: "lane " + quoted(t.text) + ": " + fmt.Sprintf(format, args...)}
}

func (t laneToken) missingCount() *LaneError {
	return t.fail(LaneMissingCount, "it has no number of slots after a colon; write for example %s", quoted("manual:5"))
}

func (t laneToken) invalidCount(count string) *LaneError {
	return t.fail(LaneInvalidCount, "the number of slots %s is not a plain decimal number up to %d; write for example %s",
		quoted(count), maxSlots, quoted("manual:5"))
}

func (t laneToken) countBelowOne(count string) *LaneError {
	return t.fail(LaneCountBelowOne, "the number of slots %s is below one; give at least one slot or leave the lane out", quoted(count))
}

func (t laneToken) invalidMemory(memory string) *LaneError {
	return t.fail(LaneInvalidMemory, "the memory %s is not a plain number of at least 1 with KiB, MiB or GiB behind it; write for example %s",
		quoted(memory), quoted("manual:5@2GiB"))
}

func (t laneToken) emptyQueueName() *LaneError {
	return t.fail(LaneEmptyQueueName, "a queue name is empty; put a name on both sides of each %s and before the colon", quoted(">"))
}

func (t laneToken) invalidQueueName(name string) *LaneError {
	return t.fail(LaneInvalidQueueName, "the queue name %s is not 1 to %d letters, digits or underscores; rename it, or write %s for all queues",
		quoted(name), maxNameBytes, quoted(Any))
}

func (t laneToken) wildcardNotLast() *LaneError {
	return t.fail(LaneWildcardNotLast, "%s stands for all queues, so nothing after it could be reached; put it last, once", quoted(Any))
}

func emptyConfig() *LaneError {
	return &LaneError{Code: LaneEmptyConfig, Message: "the lanes are empty, so the worker could take no job; write for example " + quoted("manual>*:5")}
}

func (t laneToken) warnDuplicate(name string) Warning {
	return Warning{Code: WarnDuplicateQueueName, Token: t.text, Offset: t.offset,
		Message: fmt.Sprintf("lane %s: the queue %s is named more than once; only its first place counts", quoted(t.text), quoted(name))}
}

func (t laneToken) warnIdentical(first string) Warning {
	return Warning{Code: WarnIdenticalQueueLists, Token: t.text, Offset: t.offset,
		Message: fmt.Sprintf("lane %s: it has the same queues as lane %s; they stay two lanes and their slots add up", quoted(t.text), quoted(first))}
}

// quoted quotes text of any content, shortened to what fits in a sentence.
func quoted(s string) string {
	const most = 80
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q...", s[:cut])
}
