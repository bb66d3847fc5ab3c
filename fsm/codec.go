package fsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// A snapshot is: magic of 8 bytes, version as 4 bytes, frames. A frame is: kind (1 byte), length (4), CRC32C of kind, length and body (4),
// body. Numbers are big-endian. The last frame holds the number of frames before it and the SHA-256 of everything before it.
const (
	magic        = "FAIRLANE"
	version      = Rules // of a state that batches of these rules made; those of former rules alone have a lower one
	mostFrame    = 64 << 20
	frameHead    = 9
	fileHeadSize = len(magic) + 4
)

type kind byte

const (
	kindHeader kind = iota + 1
	kindQueue
	kindUser
	kindJob
	kindFinal
	kindSession
	kindEnded
	kindClaim
	kindAnswer
	kindKey
	kindTurn
	kindNode
	kindDecision // this and what follows: since version 2
	kindChunk
	kindStream
	kindSchedule // this and what follows: since version 3
	kindWaiting
	kindTick
	kindEnd kind = 255
)

// version of a kind is the lowest version of a snapshot that may hold it.
func (k kind) version() uint32 {
	switch {
	case k >= kindSchedule:
		return 3
	case k >= kindDecision:
		return 2
	}
	return 1
}

// DamagedError says that a snapshot is not what was written, and where that was noticed.
type DamagedError struct {
	Offset int64 // of the frame
	Frame  int
	Why    string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the snapshot is damaged in frame %d at byte %d: %s; take another copy of it or another node's", e.Frame, e.Offset, e.Why)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func frameSum(head, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:5], castagnoli), castagnoli, body)
}

// encoder writes frames. The first error stays.
type encoder struct {
	w       *bufio.Writer
	sum     hash.Hash
	written int64
	frames  uint64
	buf     []byte
	err     error
}

func newEncoder(w io.Writer, version uint32) *encoder {
	e := &encoder{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	e.put(binary.BigEndian.AppendUint32([]byte(magic), version))
	return e
}

func (e *encoder) put(data []byte) {
	if e.err != nil {
		return
	}
	e.sum.Write(data)
	n, err := e.w.Write(data)
	e.written += int64(n)
	e.err = err
}

// frame writes one record and reports whether to go on.
func (e *encoder) frame(k kind, msg proto.Message) bool {
	if e.err != nil {
		return false
	}
	var err error
	e.buf = append(e.buf[:0], make([]byte, frameHead)...)
	if e.buf, err = deterministic.MarshalAppend(e.buf, msg); err != nil {
		e.err = err
		return false
	}
	head, body := e.buf[:frameHead], e.buf[frameHead:]
	head[0] = byte(k)
	binary.BigEndian.PutUint32(head[1:], uint32(len(body)))
	binary.BigEndian.PutUint32(head[5:], frameSum(head, body))
	e.put(e.buf)
	e.frames++
	return e.err == nil
}

func (e *encoder) finish() (int64, error) {
	e.frame(kindEnd, &logv1.EndRecord{Records: e.frames, Sha256: e.sum.Sum(nil)})
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.written, e.err
}

// decoder reads frames and checks them.
type decoder struct {
	r       *bufio.Reader
	sum     hash.Hash
	version uint32
	offset  int64
	frames  int
	ended   bool
	buf     []byte // of the last frame, head and body
}

func newDecoder(r io.Reader) (*decoder, error) {
	d := &decoder{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	head := make([]byte, fileHeadSize)
	if err := d.read(head); err != nil {
		return nil, err
	}
	if string(head[:len(magic)]) != magic {
		return nil, d.damaged("it does not begin as a snapshot does")
	}
	if d.version = binary.BigEndian.Uint32(head[len(magic):]); d.version < 1 || d.version > version {
		return nil, d.damaged(fmt.Sprintf("its version is %d, this binary reads 1 to %d", d.version, version))
	}
	d.sum.Write(head)
	d.offset += int64(len(head))
	return d, nil
}

func (d *decoder) damaged(why string) error {
	return &DamagedError{Offset: d.offset, Frame: d.frames, Why: why}
}

// read passes the reader's own errors on; an early end is damage.
func (d *decoder) read(into []byte) error {
	_, err := io.ReadFull(d.r, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return d.damaged("it ends too early")
	}
	return err
}

// next returns one frame, whose body is valid until the next call; after the last one d.ended is set.
func (d *decoder) next() (kind, []byte, error) {
	d.buf = append(d.buf[:0], make([]byte, frameHead)...)
	if err := d.read(d.buf); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(d.buf[1:])
	if size > mostFrame {
		return 0, nil, d.damaged("a frame is longer than any can be")
	}
	if err := d.body(int(size)); err != nil {
		return 0, nil, err
	}
	head, body := d.buf[:frameHead], d.buf[frameHead:]
	if binary.BigEndian.Uint32(head[5:]) != frameSum(head, body) {
		return 0, nil, d.damaged("the check sum of the frame is wrong")
	}
	if kind(head[0]) == kindEnd {
		return kindEnd, nil, d.end(body)
	}
	d.sum.Write(d.buf)
	d.offset += int64(len(d.buf))
	d.frames++
	return kind(head[0]), body, nil
}

// body appends the body to the buffer, piece by piece: a damaged length must not allocate much.
func (d *decoder) body(size int) error {
	const piece = 1 << 20
	for left := size; left > 0; {
		n := min(piece, left)
		at := len(d.buf)
		d.buf = slices.Grow(d.buf, n)[:at+n]
		if err := d.read(d.buf[at:]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func (d *decoder) end(body []byte) error {
	end := &logv1.EndRecord{}
	if err := proto.Unmarshal(body, end); err != nil {
		return d.damaged("the last frame cannot be read")
	}
	if end.GetRecords() != uint64(d.frames) || !bytes.Equal(end.GetSha256(), d.sum.Sum(nil)) {
		return d.damaged("the check sum of the whole is wrong")
	}
	if _, err := d.r.ReadByte(); err == nil {
		return d.damaged("something follows its end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	d.ended = true
	return nil
}
