package fsm_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// restored returns a machine restored from m's snapshot.
func restored(m *fsm.Machine) (*fsm.Machine, error) {
	var buf bytes.Buffer
	if _, err := m.Snapshot().WriteTo(&buf); err != nil {
		return nil, err
	}
	return fsm.Restore(&buf)
}

func snapshotBytes(t testing.TB, m *fsm.Machine) []byte {
	t.Helper()
	var buf bytes.Buffer
	if _, err := m.Snapshot().WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func digest(t testing.TB, m *fsm.Machine) [32]byte {
	t.Helper()
	d, err := m.Snapshot().Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wire is the deterministic encoding of a message.
func wire(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
