// Package archive is the format of backups.
//
// An archive is: a line of text that names the format, the length of the header (4 bytes, big-endian), the header (JSON), the state exactly as the
// machine writes it, and the SHA-256 of all bytes before it. It holds no names of files and is not compressed: there is nothing to leave a
// directory by and nothing to blow up. Read trusts no length: memory grows with what was really read.
package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// Format is the version that this package writes, and the only one that it reads.
const Format = 1

const (
	magic = "fairlane archive 1\n"
	// maxHeader and maxState bytes of one archive.
	maxHeader = 64 << 10
	maxState  = 64 << 30
	// maxIndex leaves room for a log behind it.
	maxIndex = 1 << 62
	// MaxBytes of a whole archive.
	MaxBytes = int64(len(magic)) + 4 + maxHeader + maxState + sha256.Size
)

// ContentType of an archive over HTTP.
const ContentType = "application/vnd.fairlane.archive"

// Header says what an archive holds. Read compares what it can with the state itself.
type Header struct {
	Format int `json:"format"`
	// ClusterID is empty when the cluster had none yet (rules below 4).
	ClusterID   string `json:"cluster_id"`
	ClusterName string `json:"cluster_name"`
	// NodeID of the node that wrote it, and Version of its binary.
	NodeID  string `json:"node_id"`
	Version string `json:"version"`
	// Index of the log up to which the state goes; Term of the node then.
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	Epoch uint32 `json:"epoch"`
	Rules uint32 `json:"rules"`
	// MadeMs is when it was written, by the wall clock of the node. Unix ms.
	MadeMs     int64 `json:"made_ms"`
	StateBytes int64 `json:"state_bytes"`
	// StateDigest is the SHA-256 of the state, hex: the digest that nodes give at a checkpoint of this index.
	StateDigest string `json:"state_digest"`
}

// State is what can be archived: one state, which writes the same bytes each time.
type State interface {
	WriteTo(io.Writer) (int64, error)
}

// Error says why something is no archive that can be used.
type Error struct{ Why string }

func (e *Error) Error() string { return "no usable archive: " + e.Why }

func badf(format string, values ...any) error { return &Error{fmt.Sprintf(format, values...)} }

// Write an archive. Format, StateBytes and StateDigest of the header are filled in here, for which the state is written twice: once to measure it.
func Write(w io.Writer, h Header, state State) (Header, error) {
	sum := sha256.New()
	size, err := state.WriteTo(sum)
	if err != nil {
		return h, err
	}
	if size > maxState {
		return h, fmt.Errorf("the state has %d bytes, an archive holds %d at most", size, int64(maxState))
	}
	h.Format, h.StateBytes, h.StateDigest = Format, size, hex.EncodeToString(sum.Sum(nil))
	text, err := json.Marshal(h)
	if err != nil {
		return h, err
	}
	if len(text) > maxHeader {
		return h, fmt.Errorf("the header has %d bytes, %d are allowed", len(text), maxHeader)
	}
	whole := sha256.New()
	both := io.MultiWriter(w, whole)
	head := append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text))), text...)
	if _, err := both.Write(head); err != nil {
		return h, err
	}
	written, err := state.WriteTo(both)
	if err != nil {
		return h, err
	}
	if written != size {
		return h, fmt.Errorf("the state had %d bytes and then %d: it changed while it was written", size, written)
	}
	_, err = w.Write(whole.Sum(nil))
	return h, err
}

// Read a whole archive, up to the end of r, and verify all of it. *Error: it is not one, or not whole, or not of this version; other errors are
// those of the reader.
func Read(r io.Reader) (h Header, state *fsm.Machine, err error) {
	defer func() {
		if cause := recover(); cause != nil { // the state passed its check sums, and the machine did not take it
			err = badf("its state cannot be used: %v", cause)
		}
	}()
	whole := sha256.New()
	in := io.TeeReader(r, whole)
	if h, err = readHeader(in); err != nil {
		return h, nil, err
	}
	if state, err = readState(in, h); err != nil {
		return h, nil, err
	}
	want := whole.Sum(nil)
	trailer := make([]byte, sha256.Size+1)
	switch n, err := io.ReadFull(r, trailer); {
	case err == nil:
		return h, nil, badf("something follows its end")
	case !early(err):
		return h, nil, err
	case n < sha256.Size:
		return h, nil, badf("it ends %d bytes too early", sha256.Size-n)
	}
	if !bytes.Equal(trailer[:sha256.Size], want) {
		return h, nil, badf("its check sum is wrong: it was damaged or changed after it was written")
	}
	return h, state, agree(h, state)
}

func readHeader(in io.Reader) (h Header, err error) {
	head := make([]byte, len(magic)+4)
	n, err := io.ReadFull(in, head)
	if err != nil && !early(err) {
		return h, err
	}
	if !bytes.HasPrefix(head[:n], []byte(magic)) {
		return h, badf("%s", whatIs(head[:n]))
	}
	if n < len(head) {
		return h, badf("it ends in its header")
	}
	size := binary.BigEndian.Uint32(head[len(magic):])
	if size > maxHeader {
		return h, badf("its header claims %d bytes, %d are allowed", size, maxHeader)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(in, text); early(err) {
		return h, badf("it ends in its header")
	} else if err != nil {
		return h, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&h); err != nil {
		return Header{}, badf("its header cannot be read: %v", err)
	}
	switch {
	case h.Format != Format:
		return h, badf("its format is %d, this binary reads %d", h.Format, Format)
	case h.StateBytes < 0 || h.StateBytes > maxState:
		return h, badf("its header claims a state of %d bytes, %d are allowed", h.StateBytes, int64(maxState))
	}
	return h, nil
}

func readState(in io.Reader, h Header) (*fsm.Machine, error) {
	sum := sha256.New()
	counted := &counter{r: io.LimitReader(io.TeeReader(in, sum), h.StateBytes)}
	state, err := fsm.Restore(counted)
	var damaged *fsm.DamagedError
	switch {
	case errors.As(err, &damaged) && counted.ended && counted.read < h.StateBytes:
		return nil, badf("it ends in its state: %d of %d bytes are there", counted.read, h.StateBytes)
	case errors.As(err, &damaged):
		return nil, badf("%v", err)
	case err != nil:
		return nil, err
	case counted.read != h.StateBytes || digestOf(sum) != h.StateDigest:
		return nil, badf("its state is not the one that its header names")
	}
	return state, nil
}

func digestOf(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// agree: the header says of the state what the state says of itself.
func agree(h Header, state *fsm.Machine) error {
	id, name := state.ClusterID()
	switch {
	case h.Index > maxIndex:
		return badf("its index is %d, %d is the highest", h.Index, uint64(maxIndex))
	case h.Index != state.AppliedIndex():
		return badf("its header names index %d, its state %d", h.Index, state.AppliedIndex())
	case h.Epoch != state.Epoch(), h.Rules != state.Rules():
		return badf("its header names epoch %d and rules %d, its state %d and %d", h.Epoch, h.Rules, state.Epoch(), state.Rules())
	case h.ClusterID != id, id != "" && h.ClusterName != name:
		return badf("its header names cluster %q (%s), its state %q (%s)", h.ClusterName, h.ClusterID, name, id)
	}
	return nil
}

// whatIs names what lies there instead of an archive, by its first bytes.
func whatIs(head []byte) string {
	for _, other := range []struct{ begins, what string }{
		{"\x1f\x8b", "a gzip file"}, {"PK\x03\x04", "a zip file"}, {"PK\x05\x06", "a zip file"}, {"\x28\xb5\x2f\xfd", "a zstd file"},
		{"BZh", "a bzip2 file"}, {"\xfd7zXZ\x00", "an xz file"},
		{"FAIRLANE", "a bare snapshot of a node's state"}, {"fairlane archive ", "an archive of another version of the format"},
	} {
		if bytes.HasPrefix(head, []byte(other.begins)) {
			return "it is " + other.what + "; archives are what fairlane snapshot save writes, as it wrote them"
		}
	}
	if len(head) == 0 {
		return "it is empty"
	}
	return "it does not begin as an archive does; tar files and the like are not read"
}

func early(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// counter of what was read; ended: the end was met.
type counter struct {
	r     io.Reader
	read  int64
	ended bool
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.read += int64(n)
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}
