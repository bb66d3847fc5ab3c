package rpc

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Limits of fields. Lengths are bytes, times milliseconds. The machine has hard bounds of its own; these name the field.
const (
	maxNameBytes    = 64
	maxTextBytes    = 128
	maxKeyBytes     = 256
	maxLabels       = 16
	maxIDDigits     = 20
	maxPayloadBytes = 1 << 20
	maxResultBytes  = 1 << 20
	maxErrorBytes   = 16 << 10
	maxLanesBytes   = 64 << 10
	maxAddressBytes = 256
	maxJobsAtOnce   = 1000
	maxFences       = 4096
	// maxCommandBytes of a whole command in the log, all fields of all jobs together.
	maxCommandBytes = 2 << 20
	maxWaitMs       = 60_000
	maxDurationMs   = 10 * 366 * 24 * 3600 * 1000 // ten years
	maxInstantMs    = 253_402_300_799_000         // the end of the year 9999
	maxPage         = 1000
	minLeaseMs      = 3000
	minHeartbeatMs  = 1000
	maxAttempts     = 1_000_000
	maxFactor       = 100_000
)

// fields collects the first thing that is wrong with a request. Checks after the first failure do nothing, so a
// validation reads as a list.
type fields struct{ err *connect.Error }

// result as an error, nil when all was well.
func (f *fields) result() error {
	if f.err == nil {
		return nil
	}
	return f.err
}

func (f *fields) wrong(field, value, want string) {
	if f.err == nil {
		f.err = problem(InvalidArgument, "field", field, "value", value, "want", want)
	}
}

func (f *fields) tooLarge(field string, bytes, most int) {
	if f.err == nil {
		f.err = problem(TooLarge, "field", field, "value", strconv.Itoa(bytes), "most", strconv.Itoa(most))
	}
}

// check is for rules between fields.
func (f *fields) check(ok bool, field, value, want string) {
	if !ok {
		f.wrong(field, value, want)
	}
}

// requiredID of a job or session.
func (f *fields) requiredID(field string, id uint64) {
	f.check(id != 0, field, "missing", "give the number that an earlier answer carried")
}

func (f *fields) nonce(field string, nonce uint64) {
	f.check(nonce != 0, field, "missing", "give a random 64-bit number drawn once when the process starts; it makes repeated calls find the same session")
}

// text: valid UTF-8 (the decoders see to that), bounded, without NUL.
func (f *fields) text(field, value string, most int) {
	if len(value) > most {
		f.tooLarge(field, len(value), most)
	}
	if i := strings.IndexByte(value, 0); i >= 0 {
		f.wrong(field, "text with a NUL byte at "+strconv.Itoa(i), "leave NUL bytes out")
	}
}

func (f *fields) requiredText(field, value string, most int, why string) {
	f.check(value != "", field, "missing", why+"; give 1 to "+strconv.Itoa(most)+" bytes of UTF-8")
	f.text(field, value, most)
}

// queue name; empty is allowed.
func (f *fields) queue(field, value string) {
	if value == "" || scheduler.ValidName(value) {
		return
	}
	if len(value) > maxNameBytes {
		f.tooLarge(field, len(value), maxNameBytes)
		return
	}
	f.wrong(field, strconv.Quote(value), "give a name of 1 to 64 letters A-Z a-z, digits and _")
}

func (f *fields) requiredQueue(field, value string) {
	f.check(value != "", field, "missing", "give the name of the queue")
	f.queue(field, value)
}

// longName of a schedule, a coordinator or a group; empty is allowed.
func (f *fields) longName(field, value string) {
	if len(value) > maxTextBytes {
		f.tooLarge(field, len(value), maxTextBytes)
		return
	}
	for i := range len(value) {
		if !longNameByte(value[i]) {
			f.wrong(field, strconv.Quote(value), "give a name of 1 to "+strconv.Itoa(maxTextBytes)+" letters A-Z a-z, digits and _ - . /; "+
				strconv.Quote(runeAt(value, i))+" at byte "+strconv.Itoa(i)+" is none of them")
			return
		}
	}
}

// runeAt is the character that begins at a byte.
func runeAt(value string, i int) string {
	_, size := utf8.DecodeRuneInString(value[i:])
	return value[i : i+size]
}

func longNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '/'
}

func (f *fields) requiredLongName(field, value, what string) {
	f.check(value != "", field, "missing", "give the name of the "+what)
	f.longName(field, value)
}

// between checks a number with inclusive bounds; unit is the last word of the advice.
func (f *fields) between(field string, value, least, most int64, unit string) {
	if value < least || value > most {
		f.wrong(field, strconv.FormatInt(value, 10), "give "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10)+" "+unit)
	}
}

// optional is between for a field that may be unset.
func (f *fields) optional(field string, value *int64, least, most int64, unit string) {
	if value != nil {
		f.between(field, *value, least, most, unit)
	}
}

func (f *fields) optional32(field string, value *int32, least, most int64, unit string) {
	if value != nil {
		f.between(field, int64(*value), least, most, unit)
	}
}

// enum checks that a number has a name; the names are what protobuf generated.
func (f *fields) enum(field string, value int32, names map[int32]string) {
	if _, known := names[value]; !known {
		f.wrong(field, strconv.Itoa(int(value)), "give one of "+enumNames(names))
	}
}

// enumNames lists the names that mean something, by number.
func enumNames(names map[int32]string) string {
	var out []string
	for i := int32(1); int(i) < len(names); i++ {
		out = append(out, names[i])
	}
	return strings.Join(out, ", ")
}

// payload of one job or result.
func (f *fields) bytes(field string, length, most int) {
	if length > most {
		f.tooLarge(field, length, most)
	}
}
