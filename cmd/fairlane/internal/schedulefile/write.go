package schedulefile

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Write gives the file of schedules that are all of one group (empty: of none). To put it where they are changes nothing.
func Write(group string, schedules []*fairlanev1.Schedule) ([]byte, error) {
	var out bytes.Buffer
	if group != "" {
		fmt.Fprintf(&out, "group = %s\n", tomlText(group))
	}
	for _, s := range schedules {
		said, err := Of(s)
		if err != nil {
			return nil, err
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "[[schedule]]\nname = %s\n", tomlText(s.GetName()))
		for _, one := range said {
			fmt.Fprintf(&out, "%s = %s\n", one.Key, tomlOfValue(one.Value))
		}
	}
	return out.Bytes(), nil
}

// tomlOfValue writes a value on one line.
func tomlOfValue(v any) string {
	var parts []string
	switch v := v.(type) {
	case string:
		return tomlText(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case float64:
		return tomlFloat(v)
	case []any:
		for _, one := range v {
			parts = append(parts, tomlOfValue(one))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]string:
		table := make(map[string]any, len(v))
		for key, value := range v {
			table[key] = value
		}
		return tomlOfValue(table)
	case map[string]any:
		if len(v) == 0 {
			return "{}"
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, tomlKey(key)+" = "+tomlOfValue(v[key]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return fmt.Sprint(v) // a whole number, true or false
}

// tomlFloat has a point or an exponent, by which TOML tells it from a whole number.
func tomlFloat(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(text, ".e") {
		return text
	}
	return text + ".0"
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func tomlKey(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return tomlText(key)
}

// tomlText quotes text so that it is easy to read: JSON stands in single quotes, in which nothing is escaped.
func tomlText(text string) string {
	if strings.ContainsAny(text, `"\`) && !strings.ContainsFunc(text, func(r rune) bool { return r == '\'' || unicode.IsControl(r) }) {
		return "'" + text + "'"
	}
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteRune('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case unicode.IsControl(r):
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}
