package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// FuzzApply decodes arbitrary bytes as a batch and applies it to a machine with some state. Only an unknown command may panic; the
// answers come by position, the invariants hold, and a twin agrees.
func FuzzApply(f *testing.F) {
	for seed := uint64(1); seed <= 20; seed++ {
		h := newHistory(seed)
		h.sessions = []*drawnSession{{id: 1, name: "w", nonce: 1, lanes: lanesOf("*:2"), fences: []uint64{1<<40 + 1}, lowest: 1}}
		h.jobs, h.index = 3, 10
		for range 3 {
			f.Add(wire(h.batch()))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &logv1.Batch{}
		if proto.Unmarshal(data, b) != nil {
			return
		}
		b.Rules = 1 + uint32(len(data)%fsm.Rules)
		m, twin := runHistory(uint64(len(data)%8+1), 12), runHistory(uint64(len(data)%8+1), 12)
		index := m.AppliedIndex() + 1
		out, fault := tryApply(m, index, b)
		if fault != nil {
			err, isErr := fault.(error)
			var unknown *fsm.UnknownCommandError
			if !isErr || !errors.As(err, &unknown) {
				t.Fatalf("panic: %v", fault)
			}
			return
		}
		if len(out.Results) != len(b.GetCommands()) {
			t.Fatalf("%d answers to %d commands", len(out.Results), len(b.GetCommands()))
		}
		for i, res := range out.Results {
			if res == nil {
				t.Fatalf("no answer to %v", b.Commands[i])
			}
		}
		if err := m.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		twin.Apply(index, b)
		back, err := restored(m)
		if err != nil {
			t.Fatal(err)
		}
		if d := digest(t, m); d != digest(t, twin) || d != digest(t, back) {
			t.Fatal("the machine, its twin and the restored one differ")
		}
	})
}

// FuzzRestore restores arbitrary bytes: a machine or an error, never a panic.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add(snapshotBytes(f, fsm.New()))
	for seed := uint64(1); seed <= 5; seed++ {
		f.Add(snapshotBytes(f, runHistory(seed, 20)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := fsm.Restore(bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := m.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(snapshotBytes(t, m), data) {
			t.Fatal("what was restored does not write what was read")
		}
	})
}

// FuzzRestoreSealed replaces, adds or drops a record of a sound snapshot and seals the whole again with right check sums, as a bad program
// would write it: a machine with sound invariants or an error, never a panic.
func FuzzRestoreSealed(f *testing.F) {
	whole := snapshotBytes(f, runHistory(7, 40))
	frames := framesOf(whole)
	for i, frame := range frames {
		f.Add(uint16(i), byte(0), frame)
		f.Add(uint16(i), byte(2), frame)
	}
	f.Fuzz(func(t *testing.T, at uint16, how byte, frame []byte) {
		i := int(at) % len(frames)
		list := append([][]byte(nil), frames[:i]...)
		if how%3 < 2 && len(frame) > 0 {
			list = append(list, frame)
		}
		if how%3 != 0 {
			list = append(list, frames[i])
		}
		m, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], append(list, frames[i+1:]...))))
		if err != nil {
			return
		}
		if err := m.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		h := newHistory(uint64(at))
		h.index = m.AppliedIndex()
		for range 5 {
			b := h.batch()
			if b.NowMs < 1<<60 {
				h.observe(b, m.Apply(h.index, b))
			}
		}
	})
}

// headSize is that of a snapshot before its first frame.
const headSize = 12

// framesOf a snapshot: kind, then body; without the last.
func framesOf(whole []byte) (frames [][]byte) {
	for at := headSize; at < len(whole); {
		size := int(binary.BigEndian.Uint32(whole[at+1:]))
		frames = append(frames, append([]byte{whole[at]}, whole[at+9:at+9+size]...))
		at += 9 + size
	}
	return frames[:len(frames)-1]
}

// sealed writes frames in the form of a snapshot.
func sealed(head []byte, frames [][]byte) []byte {
	out := bytes.Clone(head)
	add := func(kind byte, body []byte) {
		frame := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)))
		sum := crc32.Update(crc32.Checksum(frame, crc32.MakeTable(crc32.Castagnoli)), crc32.MakeTable(crc32.Castagnoli), body)
		out = append(append(append(out, frame...), binary.BigEndian.AppendUint32(nil, sum)...), body...)
	}
	for _, frame := range frames {
		add(frame[0], frame[1:])
	}
	sum := sha256.Sum256(out)
	add(255, wire(&logv1.EndRecord{Records: uint64(len(frames)), Sha256: sum[:]}))
	return out
}
