package scheduler

import (
	"strconv"
	"strings"
)

// laneToken is one blank-free piece of a lane configuration.
type laneToken struct {
	text   string
	offset int
}

// parse checks count, memory and names in the order that docs/design.md §8
// gives, and returns the lane and the names that were repeated in its chain.
func (t laneToken) parse() (lane Lane, repeated []string, err *LaneError) {
	colon := strings.LastIndexByte(t.text, ':')
	if colon < 0 {
		return lane, nil, t.missingCount()
	}
	count, memory, hasMemory := strings.Cut(t.text[colon+1:], "@")
	if lane.Slots, err = t.parseCount(count); err != nil {
		return lane, nil, err
	}
	if hasMemory {
		bytes, ok := parseMemory(memory)
		if !ok {
			return lane, nil, t.invalidMemory(memory)
		}
		lane.MemoryBytes = bytes
	}
	names := strings.Split(t.text[:colon], ">")
	if err = t.checkNames(names); err != nil {
		return lane, nil, err
	}
	lane.Chain, repeated = withoutRepeats(names)
	return lane, repeated, nil
}

func (t laneToken) parseCount(count string) (uint32, *LaneError) {
	if count == "" {
		return 0, t.missingCount()
	}
	digits, negative := strings.CutPrefix(count, "-")
	if !isCanonical(digits) || count == "-0" {
		return 0, t.invalidCount(count)
	}
	if negative || digits == "0" {
		return 0, t.countBelowOne(count)
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > maxSlots {
		return 0, t.invalidCount(count)
	}
	return uint32(n), nil
}

func parseMemory(memory string) (bytes uint64, ok bool) {
	for _, unit := range memoryUnits {
		digits, has := strings.CutSuffix(memory, unit.name)
		if !has {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if !isCanonical(digits) || err != nil || n < 1 || n > maxMemoryBytes/unit.bytes {
			return 0, false
		}
		return n * unit.bytes, true
	}
	return 0, false
}

// isCanonical reports whether s is a decimal integer without sign or leading zeros.
func isCanonical(s string) bool {
	if s == "" || (s[0] == '0' && len(s) > 1) {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// checkNames goes over all names once per kind of error, so that the kind
// decides before the position does.
func (t laneToken) checkNames(names []string) *LaneError {
	for _, name := range names {
		if name == "" {
			return t.emptyQueueName()
		}
	}
	for _, name := range names {
		if name != Any && !ValidName(name) {
			return t.invalidQueueName(name)
		}
	}
	for _, name := range names[:len(names)-1] {
		if name == Any {
			return t.wildcardNotLast()
		}
	}
	return nil
}

// withoutRepeats keeps each name at its first place. A name repeated several
// times is listed once.
func withoutRepeats(names []string) (kept, repeated []string) {
	const once, told = 1, 2
	seen := make(map[string]int, len(names))
	for _, name := range names {
		switch seen[name] {
		case 0:
			kept = append(kept, name)
			seen[name] = once
		case once:
			repeated = append(repeated, name)
			seen[name] = told
		}
	}
	return kept, repeated
}
