package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// DamagedError says that a file is not a whole trace, and where that was noticed.
type DamagedError struct {
	Path   string
	Offset int64
	Why    string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: not a whole trace, at byte %d: %s", e.Path, e.Offset, e.Why)
}

// Reader reads a trace file from front to back: Machine first, then Next until io.EOF, then End.
type Reader struct {
	path   string
	file   *os.File
	in     *bufio.Reader
	offset int64
	plain  bool // a snapshot and nothing else

	machine bool
	kind    kind // of the frame that was read ahead; 0: none
	body    []byte
	last    uint64
	entries uint64
	end     *End
}

// Open a trace, or a plain snapshot.
func Open(path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{path: path, file: file, in: bufio.NewReaderSize(file, 256<<10)}
	head, err := r.in.Peek(len(magic) + 4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, file.Close())
	}
	switch {
	case len(head) < len(magic)+4 || string(head[:len(magic)]) != magic && string(head[:len(magic)]) != snapshotMagic:
		return nil, errors.Join(r.damaged("it begins neither as a trace nor as a snapshot does"), file.Close())
	case string(head[:len(magic)]) == snapshotMagic:
		r.plain = true
		return r, nil
	}
	if v := binary.BigEndian.Uint32(head[len(magic):]); v != version {
		return nil, errors.Join(r.damaged(fmt.Sprintf("its version is %d, this binary reads %d", v, version)), file.Close())
	}
	_, err = r.in.Discard(len(head))
	r.offset = int64(len(head))
	return r, err
}

// Close the file.
func (r *Reader) Close() error { return r.file.Close() }

func (r *Reader) damaged(why string) error { return &DamagedError{r.path, r.offset, why} }

// Machine is the state at the beginning; call it once, before Next.
func (r *Reader) Machine() (*fsm.Machine, error) {
	r.machine = true
	if r.plain {
		m, err := fsm.Restore(r.in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.path, err)
		}
		r.last = m.AppliedIndex()
		r.end = &End{Index: r.last}
		return m, nil
	}
	if err := r.ahead(); err != nil {
		return nil, err
	}
	if r.kind != kindSnapshot {
		return fsm.New(), nil
	}
	m, err := fsm.Restore(&pieces{r: r})
	if err != nil {
		return nil, fmt.Errorf("%s: the snapshot in it: %w", r.path, err)
	}
	r.last = m.AppliedIndex()
	return m, nil
}

// pieces of the snapshot as one stream.
type pieces struct {
	r  *Reader
	at int
}

func (p *pieces) Read(into []byte) (int, error) {
	for p.at == len(p.r.body) {
		if p.r.kind != kindSnapshot {
			return 0, io.EOF
		}
		p.r.kind = 0
		if err := p.r.ahead(); err != nil {
			return 0, err
		}
		if p.at = 0; p.r.kind != kindSnapshot {
			return 0, io.EOF
		}
	}
	if p.r.kind != kindSnapshot {
		return 0, io.EOF
	}
	n := copy(into, p.r.body[p.at:])
	p.at += n
	return n, nil
}

// Next entry; io.EOF after the last one, when the end was read and found right.
func (r *Reader) Next() (Entry, error) {
	if !r.machine {
		return Entry{}, errors.New("trace: the snapshot was not read")
	}
	if r.end != nil {
		return Entry{}, io.EOF
	}
	if err := r.ahead(); err != nil {
		return Entry{}, err
	}
	switch {
	case r.kind == kindEntry && len(r.body) >= 8:
		e := Entry{Index: binary.BigEndian.Uint64(r.body), Batch: r.body[8:]}
		if e.Index <= r.last {
			return Entry{}, r.damaged(fmt.Sprintf("entry %d follows index %d", e.Index, r.last))
		}
		r.kind, r.last = 0, e.Index
		r.entries++
		return e, nil
	case r.kind == kindEnd && (len(r.body) == 16 || len(r.body) == 48):
		return Entry{}, r.finish()
	}
	return Entry{}, r.damaged("a frame stands in the wrong place")
}

func (r *Reader) finish() error {
	end := &End{Index: binary.BigEndian.Uint64(r.body), Entries: binary.BigEndian.Uint64(r.body[8:]), Digest: r.body[16:]}
	if len(end.Digest) == 0 {
		end.Digest = nil
	}
	if end.Entries != r.entries || end.Index != r.last {
		return r.damaged(fmt.Sprintf("its end speaks of %d entries up to index %d; there are %d up to %d", end.Entries, end.Index, r.entries, r.last))
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return r.damaged("something follows its end")
	}
	r.end = end
	return io.EOF
}

// End of the trace; nil before Next said io.EOF.
func (r *Reader) End() *End { return r.end }

// ahead reads one frame, unless one was read already.
func (r *Reader) ahead() error {
	if r.kind != 0 {
		return nil
	}
	var head [frameHead]byte
	if err := r.read(head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > mostFrame {
		return r.damaged("a frame is longer than any can be")
	}
	const step = 1 << 20 // a damaged length must not allocate much
	body := make([]byte, 0, min(int(size), step))
	for len(body) < int(size) {
		at := len(body)
		body = append(body, make([]byte, min(step, int(size)-at))...)
		if err := r.read(body[at:]); err != nil {
			return err
		}
	}
	if binary.BigEndian.Uint32(head[5:]) != frameSum(head[:], body) {
		return r.damaged("the check sum of a frame is wrong")
	}
	r.offset += int64(frameHead + len(body))
	r.kind, r.body = kind(head[0]), body
	return nil
}

// read passes the file's own errors on; an early end is damage.
func (r *Reader) read(into []byte) error {
	_, err := io.ReadFull(r.in, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.damaged("it ends too early")
	}
	return err
}
