package logwords

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const canary = "canary-7f3a"

// secret fields hold what belongs to jobs, or what a session could be taken over with.
var secret = map[string]bool{
	"payload": true, "result": true, "error": true, "data": true, "message": true, "labels": true, "idempotency_key": true, "nonce": true,
	"description": true,
}

// fill every field of a message: text and bytes of secret fields with the canary, lists with n entries.
func fill(m protoreflect.Message, n int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if one := field.ContainingOneof(); one != nil && !one.IsSynthetic() && m.WhichOneof(one) != nil {
			continue // the first of each is taken
		}
		if field.IsList() {
			list := m.Mutable(field).List()
			for range n {
				if field.Message() != nil {
					element := list.NewElement()
					fill(element.Message(), n)
					list.Append(element)
				} else {
					list.Append(scalar(field))
				}
			}
			continue
		}
		if field.Message() != nil {
			fill(m.Mutable(field).Message(), n)
			continue
		}
		m.Set(field, scalar(field))
	}
}

func scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	text := "some-" + string(field.Name())
	if secret[string(field.Name())] || secret[string(field.Parent().Name())] || field.Parent().Name() == "Label" {
		text = canary
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(text))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(271828)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(271828)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(271828)
	}
	return protoreflect.ValueOfUint64(271828)
}

// everyCommand that the log knows, each filled.
func everyCommand(n int) (list []*logv1.Command) {
	ops := (&logv1.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	for i := range ops.Len() {
		c := &logv1.Command{Repeat: &logv1.Repeat{Session: 4, Number: 9}}
		fill(c.ProtoReflect().Mutable(ops.Get(i)).Message(), n)
		list = append(list, c)
	}
	return list
}

// TestEveryCommandHasWords: none is unknown or empty, none shows what is secret, each is one line of bounded length, whatever the lists hold.
func TestEveryCommandHasWords(t *testing.T) {
	for _, n := range []int{0, 1, 3, 200} {
		seen := map[string]bool{}
		for _, c := range everyCommand(n) {
			line := Lines(&logv1.Batch{Commands: []*logv1.Command{c}})[0]
			kind := fmt.Sprintf("%T", c.GetOp())
			if strings.Contains(line, "later version") || strings.Contains(line, "empty command") || len(line) < 10 {
				t.Errorf("%s has no words: %q", kind, line)
			}
			if strings.Contains(line, canary) {
				t.Errorf("%s shows a secret: %s", kind, line)
			}
			if len(line) > mostLine || strings.Contains(line, "\n") {
				t.Errorf("%s is %d bytes long: %s", kind, len(line), line)
			}
			if !strings.HasSuffix(line, " (call 9 of session 4)") {
				t.Errorf("%s does not say which call it is: %s", kind, line)
			}
			if seen[line] {
				t.Errorf("%s reads like another command: %s", kind, line)
			}
			seen[line] = true
		}
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		command *logv1.Command
		want    string
	}{
		{&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{
			{Kind: "mail", Queue: "q", User: "an na", Priority: -2, Payload: []byte("secret"), IdempotencyKey: "k"}}}}},
			`enqueue a job: mail queue=q user="an na" priority=-2 with a key payload=6B`},
		{&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: make([]*logv1.NewJob, 7), AllOrNothing: true}}},
			`enqueue 7 jobs, all or none: "" payload=0B; "" payload=0B; "" payload=0B; "" payload=0B; "" payload=0B and 2 more`},
		{&logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Session: 3, Fence: 17, Next: &logv1.NextClaim{Lane: 1},
			Outcome: &logv1.Finish_Failure{Failure: &logv1.Failure{Error: "secret", RetryAfterMs: proto.Int64(50)}}}}},
			"session 3 finishes claim 17: failure, error=6B, again after 50ms, and claims the next for lane 1"},
		{&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: "q\nx", Paused: proto.Bool(true),
			Settings: &logv1.QueueSettings{Mode: logv1.Mode_MODE_FIFO.Enum(), Limits: &logv1.Limits{LeaseMs: proto.Int64(5000)}}}}},
			`set queue "q\nx" lease_ms=5000 mode=fifo paused`},
		{&logv1.Command{Op: &logv1.Command_SetClock{SetClock: &logv1.SetClock{NowMs: 1_790_000_000_000}}},
			"set the cluster's clock back to 2026-09-21T14:13:20.000Z"},
		{&logv1.Command{Op: &logv1.Command_Fire{Fire: &logv1.Fire{Dues: []*logv1.Due{{Schedule: 4, LastMs: 1_790_000_000_000, Count: 3}}}}},
			"schedules are due: number 4 for 3 times up to 2026-09-21T14:13:20.000Z"},
		{&logv1.Command{}, "an empty command"},
	} {
		if got := Lines(&logv1.Batch{Commands: []*logv1.Command{c.command}})[0]; got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

// TestRead: what a later version wrote, and what nobody wrote, ends in a sentence.
func TestRead(t *testing.T) {
	later := protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte(canary))
	data := protowire.AppendBytes(protowire.AppendTag(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 9), 5, protowire.BytesType), later)
	if rules, lines := Read(data); rules != 9 || len(lines) != 1 || lines[0] != "a command of a later version (number 99)" {
		t.Error(rules, lines)
	}
	if _, lines := Read([]byte{0xff}); len(lines) != 1 || lines[0] != "this entry cannot be read by this version" {
		t.Error(lines)
	}
	if long := name(strings.Repeat("ä", 100)); len(long) > mostName+2 {
		t.Error(long)
	}
}
