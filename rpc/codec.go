package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Connect gives codecs no way to put details into an error: what Unmarshal returns becomes a bare "unmarshal message: ...".
// So a codec of this file that cannot read a message returns no error; it leaves why in the message's unknown fields
// under the highest field number, and the interceptor reads it from there before any handler runs. A caller who sends that
// field itself gets an error that it wrote itself.
const unreadableField = protowire.MaxValidNumber

// binaryCodec reads and writes protobuf; it writes deterministically, for answers that are equal byte for byte.
type binaryCodec struct{}

func (binaryCodec) Name() string   { return "proto" }
func (binaryCodec) IsBinary() bool { return true }

func (binaryCodec) Marshal(message any) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(message.(proto.Message))
}

func (binaryCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, message.(proto.Message))
}

func (c binaryCodec) MarshalStable(message any) ([]byte, error) { return c.Marshal(message) }

func (binaryCodec) Unmarshal(data []byte, message any) error {
	msg := message.(proto.Message)
	if err := proto.Unmarshal(data, msg); err != nil {
		if field := notText(data, msg.ProtoReflect().Descriptor(), 0); field != "" {
			err = fmt.Errorf("field %s contains invalid UTF-8", field)
		}
		setUnreadable(msg, err)
	}
	return nil
}

// jsonCodec reads and writes JSON. Connect's own drops fields that it does not know; here they are errors, because who
// writes JSON by hand would otherwise enqueue into the wrong queue in silence. Clients of another version use protobuf.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }
func (jsonCodec) IsBinary() bool { return false }

func (jsonCodec) Marshal(message any) ([]byte, error) {
	text, err := protojson.Marshal(message.(proto.Message))
	if err != nil {
		return nil, err
	}
	// protojson varies its white space between builds.
	compact := bytes.NewBuffer(make([]byte, 0, len(text)))
	if err := json.Compact(compact, text); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

func (c jsonCodec) MarshalStable(message any) ([]byte, error) { return c.Marshal(message) }

func (jsonCodec) Unmarshal(data []byte, message any) error {
	msg := message.(proto.Message)
	if len(bytes.TrimSpace(data)) == 0 {
		setUnreadable(msg, fmt.Errorf("the body is empty, which is not a JSON object; the least is {}"))
		return nil
	}
	if err := protojson.Unmarshal(data, msg); err != nil {
		setUnreadable(msg, err)
	}
	return nil
}

// setUnreadable leaves the reason in an otherwise empty message.
func setUnreadable(msg proto.Message, why error) {
	proto.Reset(msg)
	field := protowire.AppendTag(nil, unreadableField, protowire.BytesType)
	msg.ProtoReflect().SetUnknown(protowire.AppendString(field, why.Error()))
}

// unreadable gives the reason that setUnreadable left.
func unreadable(msg proto.Message) (why string, found bool) {
	for rest := msg.ProtoReflect().GetUnknown(); len(rest) > 0; {
		number, kind, n := protowire.ConsumeField(rest)
		if n < 0 {
			return "", false
		}
		if number == unreadableField && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(rest)
			why, _ := protowire.ConsumeString(rest[tag:n])
			return why, true
		}
		rest = rest[n:]
	}
	return "", false
}

var (
	unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)
	badField     = regexp.MustCompile(`invalid value for \S+ field (\w+)`)
	invalidUTF8  = regexp.MustCompile(`field ([\w.]+) contains invalid UTF-8`)
)

// decodeError turns what a decoder said into an error of the table.
func decodeError(why, method string) *connect.Error {
	// protobuf mixes in no-break spaces to keep anybody from depending on its texts; these matches only choose how good an
	// error is, never whether there is one.
	why = strings.ReplaceAll(why, "\u00a0", " ")
	why = strings.TrimPrefix(why, "proto: ")
	if m := unknownField.FindStringSubmatch(why); m != nil {
		return problem(InvalidArgument, "field", m[1], "value", "not a field of this message",
			"want", "check its spelling and its place in "+method+"'s request")
	}
	if m := badField.FindStringSubmatch(why); m != nil {
		return problem(InvalidArgument, "field", m[1], "value", "of the wrong type or out of range ("+why+")",
			"want", "give what the API's description says; 64-bit numbers may be quoted, enums are their full names")
	}
	if m := invalidUTF8.FindStringSubmatch(why); m != nil {
		return problem(InvalidArgument, "field", m[1], "value", "not valid UTF-8", "want", "give UTF-8; binary belongs into payload data")
	}
	return problem(Malformed, "why", why, "want", "one "+method+" request, as JSON object or protobuf")
}

// refuseUnreadable is the interceptor that answers messages which a codec could not read.
func refuseUnreadable(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if msg, ok := request.Any().(proto.Message); ok && len(msg.ProtoReflect().GetUnknown()) > 0 {
			if why, found := unreadable(msg); found {
				return nil, decodeError(why, methodName(request.Spec().Procedure))
			}
		}
		return next(ctx, request)
	}
}

// methodName is the last part of a procedure.
func methodName(procedure string) string { return procedure[strings.LastIndexByte(procedure, '/')+1:] }
