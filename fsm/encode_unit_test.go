package fsm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// drawnCommand has every field of the frequent kinds at some time, at every length that changes the length of a length.
func drawnCommand(rng *rand.Rand) *logv1.Command {
	maybe := func(n int64) int64 { return n * int64(rng.IntN(2)) }
	text := func() string {
		return strings.Repeat("ä", []int{0, 0, 1, 20, 61, 62, 63, 64, 65, 8190, 8191, 8192, 8193}[rng.IntN(13)])
	}
	switch rng.IntN(3) {
	case 0:
		return &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: uint64(maybe(rng.Int64())), Lane: uint32(maybe(300))}}}
	case 1:
		f := &logv1.Finish{Session: uint64(maybe(9)), Fence: uint64(maybe(1<<40 + 7))}
		switch rng.IntN(6) {
		case 0:
			f.Outcome = &logv1.Finish_Failure{Failure: &logv1.Failure{Error: text(), Discard: true}}
		case 1:
			f.Rest = &logv1.OutputRest{Offset: 3, Data: []byte(text())}
		case 2:
			f.Outcome = &logv1.Finish_Success{}
		default:
			f.Outcome = &logv1.Finish_Success{Success: &logv1.Success{Result: []byte(text())}}
		}
		if rng.IntN(2) == 0 {
			f.Next = &logv1.NextClaim{Lane: uint32(maybe(3))}
		}
		return &logv1.Command{Op: &logv1.Command_Finish{Finish: f}}
	}
	e := &logv1.Enqueue{AllOrNothing: rng.IntN(2) == 0}
	for range rng.IntN(4) {
		n := &logv1.NewJob{Kind: text(), Queue: text(), User: text(), Priority: int32(maybe(-5)), Payload: []byte(text()), PayloadIsJson: rng.IntN(2) == 0,
			MemoryBytes: uint64(maybe(1 << 40)), DelayMs: maybe(-1), RunAtMs: maybe(1 << 50), IdempotencyKey: text(), InsertFront: rng.IntN(2) == 0,
			Coordinator: text()}
		switch rng.IntN(8) {
		case 0:
			n.Labels = []*logv1.Label{{Key: "k", Value: text()}}
		case 1:
			n.Limits = &logv1.Limits{MaxAttempts: proto.Int32(3)}
		case 2:
			n.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 100, protowire.VarintType), 1))
		}
		e.Jobs = append(e.Jobs, n)
	}
	return &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: e}}
}

// What is encoded by hand for a hash is what protobuf makes of the same message: the hashes lie in snapshots.
func TestEncodedByHand(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	byHand := map[string]int{}
	for range 5000 {
		c := drawnCommand(rng)
		c.Repeat = &logv1.Repeat{Session: 1, Number: 2, Lowest: 3}
		want, err := deterministic.Marshal(&logv1.Command{Op: c.GetOp()})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := appendCommand([]byte("before"), c); ok && !bytes.Equal(got[6:], want) {
			t.Fatalf("%T\n got %.200x\nwant %.200x", c.GetOp(), got[6:], want)
		} else if ok {
			byHand[fmt.Sprintf("%T", c.GetOp())]++
		} else if string(got) != "before" {
			t.Fatalf("%T: refused, but left %.200x", c.GetOp(), got)
		}
		if f := c.GetFinish(); f != nil {
			want, _ := deterministic.Marshal(&logv1.Finish{Outcome: f.GetOutcome()})
			if got, ok := appendOutcome(nil, f); ok && !bytes.Equal(got, want) {
				t.Fatalf("outcome\n got %.200x\nwant %.200x", got, want)
			}
		}
	}
	if len(byHand) != 3 {
		t.Fatalf("by hand: %v", byHand)
	}
}

// Each field of the messages that are encoded by hand is known here: a new one must be written too, or be left to protobuf.
func TestEncodedByHandKnowsAllFields(t *testing.T) {
	for _, c := range []struct {
		msg    proto.Message
		fields int
	}{{&logv1.Enqueue{}, 2}, {&logv1.NewJob{}, 14}, {&logv1.Claim{}, 2}, {&logv1.Finish{}, 7}, {&logv1.Success{}, 1}, {&logv1.NextClaim{}, 1}} {
		if n := c.msg.ProtoReflect().Descriptor().Fields().Len(); n != c.fields {
			t.Errorf("%T has %d fields, %d are known", c.msg, n, c.fields)
		}
	}
}
