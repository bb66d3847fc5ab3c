// Package logwords puts what lies in the replicated log into words, for operators. It shows who asked for what, with names, numbers and sizes.
// It never shows what belongs to the jobs themselves: payloads, results, output, error texts, messages of progress, labels, idempotency keys; nor
// nonces, by which a session could be taken over.
package logwords

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// mostListed of a list are shown; the others are counted.
	mostListed = 5
	// mostName bytes of one name are shown.
	mostName = 64
	// mostLine bytes of one line.
	mostLine = 600
	// mostCall of them say which call of a session it is.
	mostCall = 64
)

// Lines puts a batch into words: one line for each command, in the order in which they lie in it, each of at most 600 bytes. A command of a later
// version is named by its number.
func Lines(b *logv1.Batch) []string {
	lines := make([]string, 0, len(b.GetCommands()))
	for _, c := range b.GetCommands() {
		line := cut(words(c), mostLine-mostCall)
		if r := c.GetRepeat(); r != nil {
			line += fmt.Sprintf(" (call %d of session %d)", r.GetNumber(), r.GetSession())
		}
		lines = append(lines, line)
	}
	return lines
}

// Read puts an encoded batch into words; a batch that cannot be read says so.
func Read(data []byte) (rules uint32, lines []string) {
	b := &logv1.Batch{}
	if err := proto.Unmarshal(data, b); err != nil {
		return 0, []string{"this entry cannot be read by this version"}
	}
	return b.GetRules(), Lines(b)
}

func words(c *logv1.Command) string {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Register:
		return register(op.Register)
	case *logv1.Command_OpenSession:
		return "open a session" + about(" for ", op.OpenSession.GetName())
	case *logv1.Command_Drain:
		return drain(op.Drain)
	case *logv1.Command_Deregister:
		return fmt.Sprintf("deregister session %d", op.Deregister.GetSession())
	case *logv1.Command_Checkpoint:
		return "checkpoint: every node computes its digest here"
	case *logv1.Command_SetQueue:
		return setQueue(op.SetQueue)
	case *logv1.Command_DeleteQueue:
		return "delete queue " + name(op.DeleteQueue.GetName())
	case *logv1.Command_SetSettings:
		return "set the cluster's settings" + fields(op.SetSettings.GetSettings())
	case *logv1.Command_SetNode:
		n := op.SetNode
		return fmt.Sprintf("node %s is at %s, its API at %s, and can apply rules %d", name(n.GetId()), name(n.GetRaftAddress()),
			name(n.GetApiAddress()), n.GetRules())
	case *logv1.Command_SetClock:
		return "set the cluster's clock back to " + instant(op.SetClock.GetNowMs())
	case *logv1.Command_NameCluster:
		return fmt.Sprintf("the cluster is named %s, with the id %s", name(op.NameCluster.GetName()), name(op.NameCluster.GetId()))
	case *logv1.Command_ForgetNode:
		return fmt.Sprintf("node %s is removed", name(op.ForgetNode.GetId()))
	}
	if line, ok := jobWords(c); ok {
		return line
	}
	if line, ok := scheduleWords(c); ok {
		return line
	}
	return unknown(c)
}

// unknown names a command by the number of its field: this version does not know more.
func unknown(c *logv1.Command) string {
	rest := c.ProtoReflect().GetUnknown()
	if len(rest) == 0 {
		return "an empty command"
	}
	number, _, _ := protowire.ConsumeTag(rest)
	return fmt.Sprintf("a command of a later version (number %d)", number)
}

func register(r *logv1.Register) string {
	line := "register worker " + name(r.GetName())
	var lanes []string
	for _, l := range r.GetLanes() {
		text := strings.Join(each(l.GetChain(), name), ">") + ":" + strconv.FormatUint(uint64(l.GetSlots()), 10)
		if l.GetMemoryBytes() > 0 {
			text += fmt.Sprintf("@%d", l.GetMemoryBytes())
		}
		lanes = append(lanes, text)
	}
	line += " with the lanes " + list(lanes)
	line += about(" for user ", r.GetUser())
	if r.GetFormerGone() {
		line += "; the former process of this name is gone"
	}
	return line
}

func drain(d *logv1.Drain) string {
	who := fmt.Sprintf("session %d", d.GetSession())
	if d.GetSession() == 0 {
		who = "worker " + name(d.GetName())
	}
	if d.GetUndo() {
		return who + " takes jobs again"
	}
	return who + " drains"
}

func setQueue(q *logv1.SetQueue) string {
	line := "set queue " + name(q.GetName()) + fields(q.GetSettings())
	if q.Paused == nil {
		return line
	}
	if q.GetPaused() {
		return line + " paused"
	}
	return line + " resumed"
}

// fields that are set, as name=value, nested ones too. It is for messages of settings alone, which hold numbers, words and booleans.
func fields(m proto.Message) (out string) {
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch field.Kind() {
		case protoreflect.MessageKind:
			out += fields(value.Message().Interface())
		case protoreflect.EnumKind:
			out += fmt.Sprintf(" %s=%s", field.Name(), enumWord(field, value.Enum()))
		case protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
			out += fmt.Sprintf(" %s=%v", field.Name(), value.Interface())
		}
		return true
	})
	return sorted(out)
}

// sorted words: a message's fields come in no order.
func sorted(text string) string {
	list := strings.Fields(text)
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return " " + strings.Join(list, " ")
}

func enumWord(field protoreflect.FieldDescriptor, number protoreflect.EnumNumber) string {
	value := field.Enum().Values().ByNumber(number)
	if value == nil {
		return strconv.Itoa(int(number))
	}
	prefix := strings.TrimSuffix(string(field.Enum().Values().Get(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// name is a name of somebody's choice, quoted unless it is plain.
func name(s string) string {
	plain := s != "" && len(s) <= mostName
	for _, r := range s {
		plain = plain && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./:*@#+", r))
	}
	if plain {
		return s
	}
	return strconv.Quote(cut(s, mostName))
}

// about is a name behind some words; nothing when it is empty.
func about(before, s string) string {
	if s == "" {
		return ""
	}
	return before + name(s)
}

// cut a text to so many bytes, at a rune.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}

func each[T any](in []T, text func(T) string) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = text(v)
	}
	return out
}

// list of words, of which the first are shown.
func list(in []string) string {
	if len(in) == 0 {
		return "none"
	}
	if len(in) <= mostListed {
		return strings.Join(in, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(in[:mostListed], ", "), len(in)-mostListed)
}

// numbers of jobs or claims.
func numbers(in []uint64) string {
	out := make([]string, len(in))
	for i, n := range in {
		out[i] = strconv.FormatUint(n, 10)
	}
	return list(out)
}
