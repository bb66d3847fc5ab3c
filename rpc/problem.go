package rpc

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// maxValueBytes of one value shown in an error.
const maxValueBytes = 160

// problem builds the error of a reason; values come in pairs of key and value and become its metadata.
func problem(reason Reason, values ...string) *connect.Error {
	return problemAfter(reason, retryDelay, values...)
}

// problemAfter is problem with the delay that RetryInfo gives, for reasons that have one.
func problemAfter(reason Reason, delay time.Duration, values ...string) *connect.Error {
	entry := entryOf[reason]
	metadata := make(map[string]string, len(values)/2+1)
	for i := 0; i+1 < len(values); i += 2 {
		metadata[values[i]] = shorten(values[i+1])
	}
	err := connect.NewError(entry.Connect, errors.New(entry.sentence(metadata)))
	metadata["code"] = entry.Code
	addDetail(err, &errdetails.ErrorInfo{Reason: string(reason), Domain: Domain, Metadata: metadata})
	if entry.Retry {
		addDetail(err, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return err
}

// addDetail marshals deterministically, so that equal errors are equal bytes.
func addDetail(err *connect.Error, detail proto.Message) {
	packed := new(anypb.Any)
	if anypb.MarshalFrom(packed, detail, proto.MarshalOptions{Deterministic: true}) != nil {
		return // only a message with invalid UTF-8 cannot be marshalled; the sentence still goes out
	}
	if d, e := connect.NewErrorDetail(packed); e == nil {
		err.AddDetail(d)
	}
}

// ReasonOf an error of this API, and its metadata. ok is false for errors that carry none, such as a broken connection.
func ReasonOf(err error) (reason Reason, metadata map[string]string, ok bool) {
	var connectErr *connect.Error
	if !errors.As(err, &connectErr) {
		return "", nil, false
	}
	for _, detail := range connectErr.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		if info, isInfo := value.(*errdetails.ErrorInfo); isInfo && info.Domain == Domain {
			return Reason(info.Reason), info.Metadata, true
		}
	}
	return "", nil, false
}

// refusalError is the error of a command that the machine refused as a whole.
func refusalError(refusal *logv1.Refusal, about ...string) *connect.Error {
	reason, values := translate(refusal, about)
	return problem(reason, values...)
}

// refusalBody is the same inside an answer.
func refusalBody(refusal *logv1.Refusal, about ...string) *v1.ErrorBody {
	if refusal == nil {
		return nil
	}
	reason, values := translate(refusal, about)
	entry := entryOf[reason]
	metadata := make(map[string]string, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		metadata[values[i]] = shorten(values[i+1])
	}
	return &v1.ErrorBody{Code: entry.Code, Reason: string(reason), Message: entry.sentence(metadata), Metadata: metadata}
}

// translate a refusal of the machine. about are pairs that the request itself knows; the machine's own values win. A
// repeated request has the same ones, so the answer stays equal.
func translate(refusal *logv1.Refusal, about []string) (Reason, []string) {
	reason, known := refusals[refusal.GetReason()]
	if !known {
		return Internal, append(about, "incident", "refusal "+strconv.Itoa(int(refusal.GetReason())))
	}
	values := about
	for _, param := range refusal.GetParams() {
		value := param.GetValue()
		if reason == InvalidArgument && param.GetKey() == "want" {
			value = "want " + value // the machine gives a bound, the sentence needs a verb
		}
		values = append(values, param.GetKey(), value)
	}
	return reason, values
}

// sentence fills the template.
func (e *Entry) sentence(values map[string]string) string {
	var out strings.Builder
	rest := e.Template
	for rest != "" {
		open := strings.IndexByte(rest, '[')
		if open < 0 {
			text, _ := fill(rest, values)
			out.WriteString(text)
			break
		}
		text, _ := fill(rest[:open], values)
		out.WriteString(text)
		end := open + strings.IndexByte(rest[open:], ']')
		if text, whole := fill(rest[open+1:end], values); whole {
			out.WriteString(text)
		}
		rest = rest[end+1:]
	}
	return out.String()
}

// fill replaces each {key}; whole is false when one has no value, which then shows as "?".
func fill(template string, values map[string]string) (text string, whole bool) {
	var out strings.Builder
	whole = true
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			out.WriteString(template)
			return out.String(), whole
		}
		end := open + strings.IndexByte(template[open:], '}')
		value, known := values[template[open+1:end]]
		if !known {
			value, whole = "?", false
		}
		out.WriteString(template[:open])
		out.WriteString(value)
		template = template[end+1:]
		if strings.HasSuffix(value, "?") || strings.HasSuffix(value, "...") {
			template = strings.TrimPrefix(template, ".") // the value has ended the sentence
		}
	}
}

// shorten a value to what an error may show: valid UTF-8, one line, bounded.
func shorten(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, value)
	if len(value) > maxValueBytes {
		value = strings.ToValidUTF8(value[:maxValueBytes], "") + "..."
	}
	return value
}
