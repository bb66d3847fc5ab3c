package schedulefile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
)

// mostProblems of one file that are told.
const mostProblems = 20

// File is what a file says.
type File struct {
	Path string
	// Group of all its schedules; empty: they have none.
	Group string
	// Definitions in the order of the file. No two have the same name.
	Definitions []*Definition

	places places
}

// Read a file. The error is one or several *config.FileError, joined.
func Read(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &config.FileError{Path: path, Message: err.Error()}
	}
	return Parse(path, text)
}

// Parse what was read from path.
func Parse(path string, text []byte) (*File, error) {
	var contents map[string]any
	if err := toml.Unmarshal(text, &contents); err != nil {
		return nil, syntaxError(path, text, err)
	}
	r := &reader{file: &File{Path: path, places: findPlaces(text)}, named: map[string]int{}}
	r.top(contents)
	if len(r.problems) > 0 {
		return nil, r.all()
	}
	return r.file, nil
}

// Error is what is wrong with one field of the schedule, in words and with its place in the file. A key without a place gives that of the schedule.
func (d *Definition) Error(key, message string) error {
	if d.file == nil {
		return fmt.Errorf("schedule %s: %s", d.Schedule.Name, message)
	}
	where := d.file.places.of(join(d.path(), key))
	return &config.FileError{Path: d.file.Path, Line: where.line, Column: where.column, Message: fmt.Sprintf("schedule %s: %s", d.Schedule.Name, message)}
}

func (d *Definition) path() string { return "schedule." + strconv.Itoa(d.index) }

// otherFormat begins as YAML or JSON does: a key with a colon, a list, a document, a brace.
var otherFormat = regexp.MustCompile(`^(\s|#.*\n)*(---|\{|- |["']?[\w./-]+["']?[ \t]*:)`)

func syntaxError(path string, text []byte, err error) error {
	var bad *toml.DecodeError
	if otherFormat.Match(text) {
		return &config.FileError{Path: path, Message: `this is not TOML, as it seems YAML or JSON. Write group = "...", and for each schedule [[schedule]] with name = "...", spec = "...", kind = "..."; see docs/cli.md`}
	}
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return &config.FileError{Path: path, Line: line, Column: column, Message: strings.TrimPrefix(bad.Error(), "toml: ")}
	}
	return &config.FileError{Path: path, Message: strings.TrimPrefix(err.Error(), "toml: ")}
}

// reader turns the contents of one file into definitions and gathers what is wrong.
type reader struct {
	file     *File
	named    map[string]int // schedules by name
	problems []*config.FileError
}

func (r *reader) problem(path, format string, args ...any) {
	where := r.file.places.of(path)
	r.problems = append(r.problems, &config.FileError{Path: r.file.Path, Line: where.line, Column: where.column, Message: fmt.Sprintf(format, args...)})
}

// all that is wrong, in the order of the file.
func (r *reader) all() error {
	slices.SortStableFunc(r.problems, func(a, b *config.FileError) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	var out []error
	for i, p := range r.problems {
		if i == mostProblems {
			out = append(out, fmt.Errorf("and %d more", len(r.problems)-i))
			break
		}
		out = append(out, p)
	}
	return errors.Join(out...)
}

func (r *reader) top(contents map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(contents)) {
		switch key {
		case "group", "defaults", "schedule":
		default:
			hint := "; known are group, defaults and schedule"
			if near, ok := config.Nearest(key, []string{"group", "defaults", "schedule"}); ok {
				hint = fmt.Sprintf("; did you mean %q?", near)
			} else if slices.ContainsFunc(Fields, func(f Field) bool { return f.Key == key }) || key == "name" {
				hint = "; it belongs into [defaults] or a [[schedule]]"
			}
			r.problem(key, "unknown key %q%s", key, hint)
		}
	}
	if group, given := contents["group"]; given {
		text, err := readText(group)
		if err == nil && text == "" {
			err = errors.New("want a name, or leave it out")
		}
		if err != nil {
			r.problem("group", "group = %s: %v", shown(group), err)
		}
		r.file.Group = text
	}
	defaults := r.defaults(contents["defaults"])
	switch list := contents["schedule"].(type) {
	case nil:
	case []any:
		for i, one := range list {
			r.schedule(i, one, defaults)
		}
	case map[string]any:
		r.problem("schedule", "schedule is one table: write [[schedule]], with two brackets, before each of them")
	default:
		r.problem("schedule", "schedule = %s: want tables, each under [[schedule]]", shown(list))
	}
}

// defaults for the fields that a schedule leaves out, checked once and not for each schedule.
func (r *reader) defaults(v any) map[string]any {
	if v == nil {
		return nil
	}
	table, ok := v.(map[string]any)
	if !ok {
		r.problem("defaults", "defaults = %s: want a table, under [defaults]", shown(v))
		return nil
	}
	good, scratch := map[string]any{}, New("")
	for key, value := range table {
		if key == "name" {
			r.problem("defaults.name", "each schedule has a name of its own")
			continue
		}
		if r.set(scratch, "defaults", key, value) {
			good[key] = value
		}
	}
	r.onePayload("defaults", table)
	return good
}

// payloadKeys are the forms of a payload.
var payloadKeys = []string{"payload", "payload_json", "payload_base64"}

// onePayload is said in one form, and tells whether it is.
func (r *reader) onePayload(path string, table map[string]any) (given bool) {
	for _, key := range payloadKeys {
		if _, here := table[key]; here && given {
			r.problem(join(path, key), "%s: the payload is given already, in another form", key)
		} else {
			given = given || here
		}
	}
	return given
}

func (r *reader) schedule(index int, v any, defaults map[string]any) {
	d := New("")
	d.file, d.index, d.Schedule.Group = r.file, index, r.file.Group
	table, ok := v.(map[string]any)
	if !ok {
		r.problem(d.path(), "schedule number %d is %s: want a table", index+1, shown(v))
		return
	}
	sound := r.name(d, table)
	if r.onePayload(d.path(), table) {
		defaults = maps.Clone(defaults)
		maps.DeleteFunc(defaults, func(key string, _ any) bool { return slices.Contains(payloadKeys, key) })
	}
	for _, key := range slices.Sorted(maps.Keys(merged(defaults, table))) {
		if key == "name" {
			continue
		}
		if value, own := table[key]; own && !r.set(d, d.path(), key, withDefaults(key, value, defaults)) {
			sound = false
		} else if !own {
			_ = d.Set(key, defaults[key]) // it was checked
		}
	}
	if !sound {
		return // what seems to be missing may be what is wrong
	}
	for _, missing := range d.Missing() {
		if d.Schedule.Name == "" {
			r.problem(d.path(), "schedule number %d: %s", index+1, missing)
			continue
		}
		r.problem(d.path(), "schedule %s: %s", d.Schedule.Name, missing)
	}
	r.file.Definitions = append(r.file.Definitions, d)
}

// name of the schedule, which no other one has; false: it cannot be read.
func (r *reader) name(d *Definition, table map[string]any) bool {
	value, given := table["name"]
	if !given {
		return true
	}
	name, err := readText(value)
	if err != nil {
		r.problem(join(d.path(), "name"), "name = %s: %v", shown(value), err)
		return false
	}
	if first, known := r.named[name]; known && name != "" {
		r.problem(join(d.path(), "name"), "schedule %s is in line %d already", name, r.file.places.of("schedule."+strconv.Itoa(first)+".name").line)
	} else {
		r.named[name] = d.index
	}
	d.Schedule.Name = name
	return true
}

// set one field, and tell whether it could be.
func (r *reader) set(d *Definition, path, key string, value any) bool {
	known := slices.ContainsFunc(Fields, func(f Field) bool { return f.Key == key })
	switch {
	case key == "group":
		r.problem(join(path, key), "unknown key %q; the group stands at the top of the file, for all of its schedules", key)
		return false
	case !known:
		r.problem(join(path, key), "unknown key %q%s", key, suggestion(key))
		return false
	}
	if err := d.Set(key, value); err != nil {
		r.problem(join(path, key), "%s = %s: %v", key, shown(value), err)
		return false
	}
	return true
}

func merged(a, b map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, a)
	maps.Copy(out, b)
	return out
}

// withDefaults adds the labels of the defaults to those of a schedule; every other value replaces the default.
func withDefaults(key string, value any, defaults map[string]any) any {
	own, isTable := value.(map[string]any)
	others, both := defaults[key].(map[string]any)
	if key != "labels" || !isTable || !both {
		return value
	}
	return merged(others, own)
}
