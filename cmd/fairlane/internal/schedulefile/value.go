package schedulefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fairlane-scheduler/fairlane/client"
)

// Values are what TOML has (string, int64, float64, bool, time.Time, []any, map[string]any) or what a flag gives. Each reader's error says
// what would be right.

func readText(v any) (string, error) {
	if text, ok := v.(string); ok {
		return text, nil
	}
	return "", errors.New(`want text in quotes`)
}

func readNumber(v any) (int64, error) {
	n, ok := v.(int64)
	switch {
	case !ok:
		return 0, errors.New("want a whole number")
	case n < math.MinInt32 || n > math.MaxInt32:
		return 0, fmt.Errorf("want a whole number from %d to %d", math.MinInt32, math.MaxInt32)
	}
	return n, nil
}

func readTruth(v any) (bool, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return false, errors.New("want true or false")
}

func readOneOf(v any, words ...string) (string, error) {
	text, _ := v.(string)
	for _, word := range words {
		if text == word {
			return word, nil
		}
	}
	last := len(words) - 1
	return "", fmt.Errorf("want %s or %q", strings.Join(quoted(words[:last]), ", "), words[last])
}

func quoted(words []string) (out []string) {
	for _, word := range words {
		out = append(out, strconv.Quote(word))
	}
	return out
}

// longUnits of a duration stand before those that Go knows.
var longUnits = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?(.*)$`)

// readDuration of whole milliseconds: "90s", "1h30m", "2d", "1w".
func readDuration(v any) (time.Duration, error) {
	bad := errors.New(`want a duration in quotes, such as "90s", "10m", "1h30m" or "2d", in whole milliseconds`)
	text, ok := v.(string)
	if !ok {
		return 0, bad
	}
	parts := longUnits.FindStringSubmatch(text)
	weeks, _ := strconv.Atoi(parts[1])
	days, _ := strconv.Atoi(parts[2])
	out := time.Duration(7*weeks+days) * 24 * time.Hour
	if rest := parts[3]; rest != "" || text == "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || rest[0] == '+' || rest[0] == '-' {
			return 0, bad
		}
		out += d
	}
	if out < 0 || out%time.Millisecond != 0 {
		return 0, bad
	}
	return out, nil
}

// readGrace is a duration or "unlimited".
func readGrace(v any) (time.Duration, error) {
	if v == "unlimited" {
		return fairlane.Unlimited, nil
	}
	d, err := readDuration(v)
	if err != nil {
		return 0, fmt.Errorf(`%w; or "unlimited"`, err)
	}
	if d == 0 {
		return 0, errors.New(`want at least "1ms", or "unlimited"; leave it out for the larger of a minute and one period`)
	}
	return d, nil
}

// readInstant is a TOML date-time with an offset; a flag gives its text.
func readInstant(v any) (time.Time, error) {
	t, ok := v.(time.Time)
	if text, is := v.(string); is {
		var err error
		t, err = time.Parse(time.RFC3339, text)
		ok = err == nil
	}
	if !ok || t.UnixMilli() <= 0 {
		return time.Time{}, errors.New("want a time with its offset, such as 2027-01-31T09:00:00+01:00 or 2027-01-31T08:00:00Z")
	}
	return t, nil
}

// memoryUnits, the largest first.
var memoryUnits = []struct {
	name  string
	shift uint
}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}

// readMemory in the units of lanes, or in bytes: "512MiB".
func readMemory(v any) (uint64, error) {
	text, _ := v.(string)
	for _, unit := range memoryUnits {
		number, is := strings.CutSuffix(text, unit.name)
		if n, err := strconv.ParseUint(number, 10, 64); is && err == nil && n > 0 && n <= 1<<63>>unit.shift {
			return n << unit.shift, nil
		}
	}
	return 0, errors.New(`want a whole number of B, KiB, MiB or GiB in quotes, such as "512MiB"`)
}

func readLabels(v any) (map[string]string, error) {
	if labels, ok := v.(map[string]string); ok {
		return labels, nil
	}
	table, ok := v.(map[string]any)
	out := map[string]string{}
	for name, value := range table {
		text, is := value.(string)
		out[name], ok = text, ok && is
	}
	if !ok {
		return nil, errors.New(`want a table of texts, such as { team = "voice" }`)
	}
	return out, nil
}

// readPayload: text that is JSON is sent as it is, other text as bytes; anything else as the JSON that says the same. Keys are sorted, so that
// the same file always gives the same bytes.
func readPayload(v any) (any, error) {
	if text, ok := v.(string); ok {
		if json.Valid([]byte(text)) {
			return json.RawMessage(text), nil
		}
		return fairlane.Raw(text), nil
	}
	out, err := json.Marshal(jsonValue(v))
	if err != nil {
		return nil, errors.New("want what JSON can say: it has no infinity and no nan")
	}
	return json.RawMessage(out), nil
}

// jsonValue turns times into text, as TOML writes them.
func jsonValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = jsonValue(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = jsonValue(value)
		}
		return out
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case fmt.Stringer: // a date or a time of day without a zone
		return v.String()
	}
	return v
}

// shown is a value as a file would say it, for errors.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case map[string]any, map[string]string:
		return "{...}"
	case []any:
		return "[...]"
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}
