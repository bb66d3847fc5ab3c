package rpc

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNesting of messages that notText looks into; requests are not deeper.
const maxNesting = 8

// notText gives the path of the first text field of a message in protobuf form that is not valid UTF-8, "" if there is
// none. The decoder refuses such messages without saying which field it was.
func notText(data []byte, message protoreflect.MessageDescriptor, depth int) string {
	for len(data) > 0 && depth < maxNesting {
		tag, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return ""
		}
		data = data[n:]
		field := message.Fields().ByNumber(tag)
		if kind != protowire.BytesType || field == nil {
			if n = protowire.ConsumeFieldValue(tag, kind, data); n < 0 {
				return ""
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return ""
		}
		data = data[n:]
		switch field.Kind() {
		case protoreflect.StringKind:
			if !utf8.Valid(value) {
				return string(field.Name())
			}
		case protoreflect.MessageKind:
			if inner := notText(value, field.Message(), depth+1); inner != "" {
				return string(field.Name()) + "." + inner
			}
		}
	}
	return ""
}
