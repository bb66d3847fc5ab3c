// Package check judges what a cluster says of itself, and tells it to monitoring. It asks nobody: what is judged is given.
package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// State of a check; the number is the exit code that Nagios and its kin expect.
type State int

const (
	OK State = iota
	Warning
	Critical
	Unknown
)

func (s State) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[s] }

// The formats of a result.
const (
	FormatText       = "text"
	FormatJSON       = "json"
	FormatNagios     = "nagios"
	FormatPrometheus = "prometheus"
)

// KnownFormat tells whether Print knows it.
func KnownFormat(name string) bool {
	return name == FormatText || name == FormatJSON || name == FormatNagios || name == FormatPrometheus
}

// Value is a measured number. Unit is empty or s.
type Value struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Warn and Crit are the limits that were given for it; nil: none.
	Warn *float64 `json:"warn,omitempty"`
	Crit *float64 `json:"crit,omitempty"`
}

// Result of a check.
type Result struct {
	Check string
	State State
	// Text is one sentence; More has a line for each thing that is wrong.
	Text   string
	More   []string
	Values []Value
}

// raise the state; the first thing that is wrong, of the gravest kind, is the sentence.
func (r *Result) raise(to State, text string) {
	if to > r.State {
		r.State, r.Text = to, text
	}
	r.More = append(r.More, text)
}

// Print the result in a known format. Text from the cluster cannot break a format.
func (r Result) Print(out io.Writer, format string) error {
	switch format {
	case FormatJSON:
		return r.printJSON(out)
	case FormatNagios:
		return r.printNagios(out)
	case FormatPrometheus:
		return r.printPrometheus(out)
	}
	_, err := fmt.Fprintf(out, "%s: %s\n", r.State, clean(r.Text))
	for _, line := range r.more() {
		if err == nil {
			_, err = fmt.Fprintf(out, "  %s\n", clean(line))
		}
	}
	return err
}

// more than the sentence.
func (r Result) more() []string {
	var rest []string
	for _, line := range r.More {
		if line != r.Text {
			rest = append(rest, line)
		}
	}
	return rest
}

func (r Result) printJSON(out io.Writer) error {
	more := r.more()
	if more == nil {
		more = []string{}
	}
	text, err := json.MarshalIndent(struct {
		Check  string   `json:"check"`
		State  string   `json:"state"`
		Code   int      `json:"code"`
		Text   string   `json:"text"`
		More   []string `json:"more"`
		Values []Value  `json:"values"`
	}{r.Check, strings.ToLower(r.State.String()), int(r.State), r.Text, more, r.Values}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// printNagios: CHECK STATE - sentence | name=value[unit];warn;crit. A bar in the text would begin the performance data.
func (r Result) printNagios(out io.Writer) error {
	text := strings.ReplaceAll(clean(strings.Join(append([]string{r.Text}, r.more()...), "; ")), "|", "/")
	var perf []string
	for _, v := range r.Values {
		perf = append(perf, fmt.Sprintf("%s=%s%s;%s;%s", v.Name, number(v.Value), v.Unit, limit(v.Warn), limit(v.Crit)))
	}
	line := fmt.Sprintf("FAIRLANE %s %s - %s", strings.ToUpper(r.Check), r.State, text)
	if len(perf) > 0 {
		line += " | " + strings.Join(perf, " ")
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

// printPrometheus: the state as a number, and each value, for the textfile collector.
func (r Result) printPrometheus(out io.Writer) error {
	_, err := fmt.Fprintf(out, "# HELP fairlane_check_state 0 ok, 1 warning, 2 critical, 3 unknown.\n# TYPE fairlane_check_state gauge\nfairlane_check_state{check=%q} %d\n",
		r.Check, int(r.State))
	for _, v := range r.Values {
		name := "fairlane_check_" + r.Check + "_" + v.Name
		if v.Unit == "s" {
			name += "_seconds"
		}
		if err == nil {
			_, err = fmt.Fprintf(out, "# TYPE %s gauge\n%s %s\n", name, name, number(v.Value))
		}
	}
	return err
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func limit(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

// clean leaves one line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}
