package fsm

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// The commands of every job's life are encoded by hand for their hash: protobuf needs several times as long. What comes out is what protobuf makes of
// them, byte for byte, since hashes are kept in snapshots. A command with a field that is not written here is left to protobuf.

// appendCommand encodes a command without its Repeat, if it is of a frequent kind. False: it is not, and nothing was appended.
func appendCommand(b []byte, c *logv1.Command) ([]byte, bool) {
	start, ok := len(b), false
	switch op := c.GetOp().(type) {
	case *logv1.Command_Enqueue:
		b = openMessage(b, 6)
		at := len(b)
		b, ok = appendEnqueue(b, op.Enqueue)
		b = closeMessage(b, at)
	case *logv1.Command_Claim:
		b = openMessage(b, 7)
		at := len(b)
		b = appendNumber(b, 1, op.Claim.GetSession())
		b = appendNumber(b, 2, uint64(op.Claim.GetLane()))
		b, ok = closeMessage(b, at), isKnown(op.Claim)
	case *logv1.Command_Finish:
		b = openMessage(b, 9)
		at := len(b)
		b, ok = appendFinish(b, op.Finish)
		b = closeMessage(b, at)
	}
	if !ok {
		return b[:start], false
	}
	return b, true
}

func appendEnqueue(b []byte, e *logv1.Enqueue) ([]byte, bool) {
	for _, n := range e.GetJobs() {
		if len(n.GetLabels()) > 0 || n.GetLimits() != nil || !isKnown(n) {
			return b, false
		}
		b = openMessage(b, 1)
		at := len(b)
		b = appendText(b, 1, n.GetKind())
		b = appendText(b, 2, n.GetQueue())
		b = appendText(b, 3, n.GetUser())
		b = appendNumber(b, 4, uint64(int64(n.GetPriority())))
		b = appendText(b, 5, n.GetPayload())
		b = appendFlag(b, 6, n.GetPayloadIsJson())
		b = appendNumber(b, 7, n.GetMemoryBytes())
		b = appendNumber(b, 8, uint64(n.GetDelayMs()))
		b = appendNumber(b, 9, uint64(n.GetRunAtMs()))
		b = appendText(b, 10, n.GetIdempotencyKey())
		b = appendFlag(b, 13, n.GetInsertFront())
		b = appendText(b, 14, n.GetCoordinator())
		b = closeMessage(b, at)
	}
	return appendFlag(b, 2, e.GetAllOrNothing()), isKnown(e)
}

func appendFinish(b []byte, f *logv1.Finish) ([]byte, bool) {
	if f.GetRest() != nil {
		return b, false
	}
	b = appendNumber(b, 1, f.GetSession())
	b = appendNumber(b, 2, f.GetFence())
	if next := f.GetNext(); next != nil {
		b = openMessage(b, 6)
		at := len(b)
		b = closeMessage(appendNumber(b, 1, uint64(next.GetLane())), at)
		if !isKnown(next) {
			return b, false
		}
	}
	b, ok := appendOutcome(b, f) // protobuf writes a oneof behind the other fields
	return b, ok && isKnown(f)
}

// appendOutcome is a Finish with nothing but its outcome.
func appendOutcome(b []byte, f *logv1.Finish) ([]byte, bool) {
	o, ok := f.GetOutcome().(*logv1.Finish_Success)
	if !ok || !isKnown(o.Success) {
		return b, false
	}
	b = openMessage(b, 3)
	at := len(b)
	return closeMessage(appendText(b, 1, o.Success.GetResult()), at), true
}

// isKnown: a message has no fields of a later version.
func isKnown(m proto.Message) bool { return len(m.ProtoReflect().GetUnknown()) == 0 }

// openMessage begins a field that is a message, with room for a short length.
func openMessage(b []byte, field protowire.Number) []byte {
	return append(protowire.AppendTag(b, field, protowire.BytesType), 0)
}

// closeMessage writes the length of the message that begins at a position, before it.
func closeMessage(b []byte, at int) []byte {
	n := len(b) - at
	if more := protowire.SizeVarint(uint64(n)) - 1; more > 0 {
		var room [binary.MaxVarintLen64]byte
		b = append(b, room[:more]...)
		copy(b[at+more:], b[at:at+n])
	}
	binary.PutUvarint(b[at-1:], uint64(n))
	return b
}

func appendText[T string | []byte](b []byte, field protowire.Number, text T) []byte {
	if len(text) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(len(text)))
	return append(b, text...)
}

func appendFlag(b []byte, field protowire.Number, set bool) []byte {
	if !set {
		return b
	}
	return append(protowire.AppendTag(b, field, protowire.VarintType), 1)
}
