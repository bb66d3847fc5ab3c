package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Set changes one setting of the cluster: the name of a field of the API, such as max_running_per_user or lease_ms.
func (c *Changes) Set(key, value string) error {
	if c.Settings == nil {
		c.Settings = &logv1.Settings{}
	}
	return setField(c.Settings, key, value)
}

// SetQueue changes one setting of a queue; the key paused pauses or resumes it.
func (c *Changes) SetQueue(queue, key, value string) error {
	if !scheduler.ValidName(queue) {
		return fmt.Errorf("%q cannot be the name of a queue", queue)
	}
	if key == "paused" {
		paused, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("paused=%q: want true or false", value)
		}
		c.queue(queue, true).Paused = &paused
		return nil
	}
	q := c.queue(queue, false)
	if q.Settings == nil {
		q.Settings = &logv1.QueueSettings{}
	}
	return setField(q.Settings, key, value)
}

// queue finds or makes the change of a queue. A pause is a command of its own: it does not make a queue.
func (c *Changes) queue(name string, pause bool) *logv1.SetQueue {
	for _, q := range c.Queues {
		if q.GetName() == name && pause == (q.Settings == nil) {
			return q
		}
	}
	q := &logv1.SetQueue{Name: name}
	if c.Queues = append(c.Queues, q); !pause {
		q.Settings = &logv1.QueueSettings{}
	}
	return q
}

// SetLanes of a recorded worker; "*" names all others.
func (c *Changes) SetLanes(worker, lanes string) error {
	parsed, err := parseLanes(lanes)
	if err != nil {
		return err
	}
	if c.Lanes == nil {
		c.Lanes = map[string][]*logv1.Lane{}
	}
	c.Lanes[worker] = parsed
	return nil
}

// AddWorker that is there from the beginning to the end.
func (c *Changes) AddWorker(name, lanes string) error {
	parsed, err := parseLanes(lanes)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(c.Workers, func(w Worker) bool { return w.Name == name }) || name == "" {
		return fmt.Errorf("worker %q: want names, each once", name)
	}
	c.Workers = append(c.Workers, Worker{name, parsed})
	return nil
}

func parseLanes(text string) (list []*logv1.Lane, err error) {
	lanes, _, err := scheduler.ParseLanes(text)
	if err != nil {
		return nil, fmt.Errorf("lanes %q: %w", text, err)
	}
	for _, l := range lanes {
		list = append(list, &logv1.Lane{Chain: l.Chain, Slots: l.Slots, MemoryBytes: l.MemoryBytes})
	}
	return list, nil
}

// setField sets a field of a message of settings, or of the limits in it, by its name.
func setField(m proto.Message, key, value string) error {
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	field := fields.ByName(protoreflect.Name(key))
	if limits := fields.ByName("limits"); field == nil && limits != nil {
		if inside := limits.Message().Fields().ByName(protoreflect.Name(key)); inside != nil {
			r, field = r.Mutable(limits).Message(), inside
		}
	}
	if field == nil || field.Message() != nil {
		return fmt.Errorf("there is no setting %q; there are %s", key, strings.Join(fieldNames(fields), ", "))
	}
	v, err := parseValue(field, value)
	if err != nil {
		return fmt.Errorf("%s=%q: %w", key, value, err)
	}
	r.Set(field, v)
	return nil
}

func fieldNames(fields protoreflect.FieldDescriptors) (names []string) {
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() != nil {
			names = append(names, fieldNames(f.Message().Fields())...)
		} else {
			names = append(names, string(f.Name()))
		}
	}
	slices.Sort(names)
	return names
}

func parseValue(field protoreflect.FieldDescriptor, text string) (v protoreflect.Value, err error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return v, fmt.Errorf("want true or false")
		}
		return protoreflect.ValueOfBool(b), nil
	case protoreflect.EnumKind:
		return parseEnum(field.Enum(), text)
	}
	bits := 64
	if field.Kind() == protoreflect.Int32Kind {
		bits = 32
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil && strings.HasSuffix(string(field.Name()), "_ms") {
		var d time.Duration
		if d, err = time.ParseDuration(text); err != nil {
			return v, fmt.Errorf("want milliseconds, or a duration such as 90s")
		}
		n = d.Milliseconds()
	}
	if err != nil {
		return v, fmt.Errorf("want a whole number")
	}
	if bits == 32 {
		return protoreflect.ValueOfInt32(int32(n)), nil
	}
	return protoreflect.ValueOfInt64(n), nil
}

// parseEnum takes a value as people write it: MODE_ROUND_ROBIN is round_robin, and the one that says nothing is default.
func parseEnum(enum protoreflect.EnumDescriptor, text string) (v protoreflect.Value, err error) {
	var known []string
	values := enum.Values()
	prefix := strings.TrimSuffix(string(values.Get(0).Name()), "UNSPECIFIED")
	for i := range values.Len() {
		name := strings.ToLower(strings.TrimPrefix(string(values.Get(i).Name()), prefix))
		if i == 0 {
			name = "default"
		}
		if name == text {
			return protoreflect.ValueOfEnum(values.Get(i).Number()), nil
		}
		known = append(known, name)
	}
	return v, fmt.Errorf("want %s", strings.Join(known, ", "))
}
