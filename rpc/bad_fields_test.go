package rpc

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// leaf is a field without fields of its own, and the way to it. In a list it is the first element.
type leaf struct {
	way   []protoreflect.FieldDescriptor
	field protoreflect.FieldDescriptor
}

func leavesOf(message protoreflect.MessageDescriptor, way []protoreflect.FieldDescriptor) []leaf {
	var out []leaf
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if field.Message() == nil || field.IsMap() {
			out = append(out, leaf{way, field})
			continue
		}
		out = append(out, leavesOf(field.Message(), append(way[:len(way):len(way)], field))...)
	}
	return out
}

// path of the leaf, as errors name it but for the index in a list.
func (l leaf) path() string {
	var names []string
	for _, field := range append(l.way[:len(l.way):len(l.way)], l.field) {
		names = append(names, string(field.Name()))
	}
	return strings.Join(names, ".")
}

// with gives the request with this leaf set to a value, in protobuf.
func (l leaf) with(request proto.Message, value protoreflect.Value) []byte {
	request = proto.Clone(request)
	message := request.ProtoReflect()
	for _, field := range l.way {
		if field.IsList() {
			list := message.Mutable(field).List()
			if list.Len() == 0 {
				list.AppendMutable()
			}
			message = list.Get(0).Message()
			continue
		}
		message = message.Mutable(field).Message()
	}
	if l.field.IsList() {
		message.Mutable(l.field).List().Append(value)
	} else {
		message.Set(l.field, value)
	}
	body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(request)
	if err != nil {
		panic(err)
	}
	return body
}

// mayBeAnyText: fields in which a NUL byte is as good as any other.
var mayBeAnyText = map[string]bool{"failure.error": true}

// spoiled gives every bad value that the leaf's type has.
func (l leaf) spoiled(t *testing.T, request proto.Message, good goodCall) []badCall {
	name := string(l.field.Name())
	switch {
	case l.field.IsMap():
		return l.spoiledMap(t, request, good)
	case l.field.Kind() == protoreflect.StringKind:
		return l.spoiledText(t, request, good)
	case l.field.Kind() == protoreflect.BytesKind:
		most, known := good.most[l.path()]
		if !known {
			t.Errorf("%s: no limit of %s", request.ProtoReflect().Descriptor().FullName(), l.path())
		}
		return []badCall{{l.path() + " a byte too long", asProto, l.with(request, protoreflect.ValueOfBytes(make([]byte, most+1))), 400, TooLarge, name}}
	case l.field.Kind() == protoreflect.EnumKind:
		return []badCall{
			{l.path() + " 77", asProto, l.with(request, protoreflect.ValueOfEnum(77)), 400, InvalidArgument, name},
			{l.path() + " -1", asProto, l.with(request, protoreflect.ValueOfEnum(-1)), 400, InvalidArgument, name},
		}
	case l.field.Kind() == protoreflect.Int32Kind && name != "priority":
		return []badCall{{l.path() + " negative", asProto, l.with(request, protoreflect.ValueOfInt32(-1)), 400, InvalidArgument, name}}
	case l.field.Kind() == protoreflect.DoubleKind:
		var out []badCall
		for _, value := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
			out = append(out, badCall{fmt.Sprint(l.path(), " ", value), asProto, l.with(request, protoreflect.ValueOfFloat64(value)), 400, InvalidArgument, name})
		}
		return out
	case l.field.Kind() == protoreflect.Int64Kind: // not -1, which is a grace without end
		return []badCall{{l.path() + " negative", asProto, l.with(request, protoreflect.ValueOfInt64(-2)), 400, InvalidArgument, name}}
	}
	return nil
}

func (l leaf) spoiledText(t *testing.T, request proto.Message, good goodCall) []badCall {
	name := string(l.field.Name())
	most, known := good.most[l.path()]
	if !known {
		t.Errorf("%s: no limit of %s", request.ProtoReflect().Descriptor().FullName(), l.path())
	}
	text := func(value string) []byte { return l.with(request, protoreflect.ValueOfString(value)) }
	marker := strings.Repeat("x", most+1)
	utf8 := []byte(strings.Replace(string(text(strings.Repeat("~", 7))), "~~~~~~~", "abc\xff\xfe\xfdz", 1))
	out := []badCall{
		{l.path() + " a byte too long", asProto, text(marker), 400, TooLarge, name},
		{l.path() + " 3 MB long", asProto, text(strings.Repeat("y", 3<<20)), 400, TooLarge, ""},
		{l.path() + " 10 MB long", asProto, text(strings.Repeat("y", 10<<20)), 400, TooLarge, "the request"},
		{l.path() + " not UTF-8", asProto, utf8, 400, InvalidArgument, name},
	}
	if !mayBeAnyText[l.path()] {
		out = append(out, badCall{l.path() + " with NUL", asProto, text("a\x00b"), 400, "", name})
	}
	return out
}

// spoiledMap: the only maps are labels.
func (l leaf) spoiledMap(t *testing.T, request proto.Message, good goodCall) []badCall {
	with := func(entries ...string) []byte {
		message := proto.Clone(request)
		at := message.ProtoReflect()
		for _, field := range l.way {
			if field.IsList() {
				at = at.Mutable(field).List().Get(0).Message()
			} else {
				at = at.Mutable(field).Message()
			}
		}
		for i := 0; i+1 < len(entries); i += 2 {
			at.Mutable(l.field).Map().Set(protoreflect.ValueOfString(entries[i]).MapKey(), protoreflect.ValueOfString(entries[i+1]))
		}
		body, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	var many []string
	for i := range 17 {
		many = append(many, strings.Repeat("k", i+1), "v")
	}
	return []badCall{
		{"17 labels", asProto, with(many...), 400, InvalidArgument, "labels"},
		{"a label's key too long", asProto, with(strings.Repeat("k", good.most[l.path()+".key"]+1), ""), 400, TooLarge, "labels"},
		{"a label's value too long", asProto, with("k", strings.Repeat("k", good.most[l.path()+".value"]+1)), 400, TooLarge, "labels"},
		{"a label's key empty", asProto, with("", "v"), 400, InvalidArgument, "labels"},
		{"a label's value with NUL", asProto, with("k", "\x00"), 400, InvalidArgument, "labels"},
	}
}

// without gives the request with one required field, or oneof, left out.
func without(t *testing.T, request proto.Message, path string) badCall {
	t.Helper()
	request = proto.Clone(request)
	message := request.ProtoReflect()
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		field := message.Descriptor().Fields().ByName(protoreflect.Name(name))
		if field.IsList() {
			message = message.Mutable(field).List().Get(0).Message()
		} else {
			message = message.Mutable(field).Message()
		}
	}
	last := protoreflect.Name(names[len(names)-1])
	if field := message.Descriptor().Fields().ByName(last); field != nil {
		message.Clear(field)
	} else {
		message.Clear(message.WhichOneof(message.Descriptor().Oneofs().ByName(last)))
	}
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return badCall{path + " left out", asProto, body, 400, InvalidArgument, string(last)}
}
