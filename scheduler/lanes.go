package scheduler

import (
	"strconv"
	"strings"
)

// Lane is one slice of a worker's capacity.
type Lane struct {
	Chain       []string // queue names by preference, each once; Any only last
	Slots       uint32   // 1 <= Slots <= 2147483647
	MemoryBytes uint64   // 0: no budget; else whole KiB
}

// Warning is something that is accepted but probably not meant.
type Warning struct {
	Code    string // WarnDuplicateQueueName or WarnIdenticalQueueLists
	Token   string
	Offset  int // of the token in the string, in bytes
	Message string
}

const (
	maxNameBytes   = 64
	maxSlots       = 1<<31 - 1
	maxMemoryBytes = 1<<63 - 1
	blanks         = " \t\n\v\f\r" // ASCII white space
)

// ParseLanes reads a lane configuration such as "fast:1 manual>*:4@2GiB"
// (docs/design.md §8). A leading "--" is ignored. The error is a *LaneError
// about the leftmost bad token. Lanes with the same chain stay two lanes.
func ParseLanes(s string) ([]Lane, []Warning, error) {
	at := len(s) - len(strings.TrimLeft(s, blanks))
	if strings.HasPrefix(s[at:], "--") {
		at += len("--")
	}
	var lanes []Lane
	var warnings []Warning
	firstOf := make(map[string]string) // chain -> the token that had it first
	for {
		at += len(s[at:]) - len(strings.TrimLeft(s[at:], blanks))
		if at == len(s) {
			break
		}
		t := laneToken{text: s[at:], offset: at}
		if end := strings.IndexAny(t.text, blanks); end >= 0 {
			t.text = t.text[:end]
		}
		lane, repeated, err := t.parse()
		if err != nil {
			return nil, nil, err
		}
		for _, name := range repeated {
			warnings = append(warnings, t.warnDuplicate(name))
		}
		chain := strings.Join(lane.Chain, ">")
		if first, seen := firstOf[chain]; seen {
			warnings = append(warnings, t.warnIdentical(first))
		} else {
			firstOf[chain] = t.text
		}
		lanes = append(lanes, lane)
		at += len(t.text)
	}
	if len(lanes) == 0 {
		return nil, nil, emptyConfig()
	}
	return lanes, warnings, nil
}

// FormatLanes writes lanes in the one canonical way: ParseLanes reads back the
// same lanes, without duplicates warned of.
func FormatLanes(lanes []Lane) string {
	var out strings.Builder
	for i, lane := range lanes {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(strings.Join(lane.Chain, ">"))
		out.WriteByte(':')
		out.WriteString(strconv.FormatUint(uint64(lane.Slots), 10))
		if lane.MemoryBytes > 0 {
			out.WriteByte('@')
			out.WriteString(formatMemory(lane.MemoryBytes))
		}
	}
	return out.String()
}

// memoryUnits are in falling size, so that the largest that divides is written.
var memoryUnits = []struct {
	name  string
	bytes uint64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// formatMemory writes whole KiB; a part of one is dropped.
func formatMemory(bytes uint64) string {
	for _, unit := range memoryUnits {
		if bytes%unit.bytes == 0 {
			return strconv.FormatUint(bytes/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatUint(bytes>>10, 10) + "KiB"
}

// ValidName reports whether s can name a queue: 1 to 64 ASCII letters, digits or underscores.
func ValidName(s string) bool {
	if s == "" || len(s) > maxNameBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
