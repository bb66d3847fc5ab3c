package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

// print writes an answer of the cluster: as the JSON that the API gives, fields without a value included, or as a table
// that the function fills with tab-separated lines.
func (a *app) print(m proto.Message, table func(w io.Writer)) error {
	if a.output == outputJSON {
		return printMessage(a.out, m)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// printJSON is print for what is not a message of the API.
func (a *app) printJSON(v any, table func(w io.Writer)) error {
	if a.output == outputJSON {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s\n", text)
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// printMessage writes stable JSON: protojson varies its white space on purpose, so it is laid out anew.
func printMessage(out io.Writer, m proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var laidOut bytes.Buffer
	if err := json.Indent(&laidOut, text, "", "  "); err != nil {
		return err
	}
	laidOut.WriteByte('\n')
	_, err = out.Write(laidOut.Bytes())
	return err
}

// printJoined writes a message, with the list of another one as one more field of it.
func printJoined(out io.Writer, m proto.Message, field string, list proto.Message) error {
	whole := make(map[string]json.RawMessage)
	for _, part := range []proto.Message{m, list} {
		text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(part)
		if err != nil {
			return err
		}
		fields := make(map[string]json.RawMessage)
		if err := json.Unmarshal(text, &fields); err != nil {
			return err
		}
		for name, value := range fields {
			if part == m || name == field {
				whole[name] = value
			}
		}
	}
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// printLine writes a message as JSON on one line, for streams.
func printLine(out io.Writer, m proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err = out.Write(line.Bytes())
	return err
}

// row writes one line of a table.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		if c == "" {
			c = "-"
		}
		fmt.Fprint(w, c)
	}
	fmt.Fprintln(w)
}

// stateName is the state as people write it: JOB_STATE_TIMED_OUT is timed_out.
func stateName(s fairlanev1.JobState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "JOB_STATE_"))
}

// parseState is the inverse of stateName.
func parseState(name string) (fairlanev1.JobState, error) {
	n, ok := fairlanev1.JobState_value["JOB_STATE_"+strings.ToUpper(name)]
	if !ok || n == 0 {
		return 0, usagef("--state %q: want scheduled, pending, running, succeeded, failed, timed_out or cancelled", name)
	}
	return fairlanev1.JobState(n), nil
}

// modeName is the mode as people write it; a queue without one of its own says so.
func modeName(m fairlanev1.QueueMode) string {
	if m == fairlanev1.QueueMode_QUEUE_MODE_UNSPECIFIED {
		return "default"
	}
	return strings.ToLower(strings.TrimPrefix(m.String(), "QUEUE_MODE_"))
}

// parseMode is the inverse of modeName.
func parseMode(name string) (fairlanev1.QueueMode, error) {
	switch name {
	case "round_robin":
		return fairlanev1.QueueMode_QUEUE_MODE_ROUND_ROBIN, nil
	case "fifo":
		return fairlanev1.QueueMode_QUEUE_MODE_FIFO, nil
	case "default":
		return fairlanev1.QueueMode_QUEUE_MODE_UNSPECIFIED, nil
	}
	return 0, usagef("--mode %q: want round_robin, fifo or default", name)
}

// instant shows Unix milliseconds as UTC; 0 is no instant.
func instant(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// laneText shows a lane in the grammar it was given in.
func laneText(l *fairlanev1.Lane) string {
	text := fmt.Sprintf("%s:%d", strings.Join(l.GetChain(), ">"), l.GetSlots())
	if m := l.GetMemoryBytes(); m > 0 {
		text += "@" + memoryText(m)
	}
	return text
}

// memoryText shows bytes in the largest unit that divides them.
func memoryText(b uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if b >= u.size && b%u.size == 0 {
			return fmt.Sprintf("%d%s", b/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", b)
}
