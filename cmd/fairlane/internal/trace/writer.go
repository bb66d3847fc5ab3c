package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Writer makes a trace file. The file has its name only once Finish was called: a recording that breaks off leaves nothing.
type Writer struct {
	path    string
	file    *os.File
	out     *bufio.Writer
	piece   []byte
	last    uint64
	entries uint64
	err     error
}

// Create begins a trace. It must end with Finish or Discard. Only its owner may read the file: it holds payloads.
func Create(path string) (*Writer, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-")
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	w := &Writer{path: path, file: file, out: bufio.NewWriterSize(file, 256<<10)}
	_, w.err = w.out.Write(binary.BigEndian.AppendUint32([]byte(magic), version))
	return w, nil
}

// Write a part of the snapshot; all of it before the first entry. The parts may be of any size.
func (w *Writer) Write(p []byte) (int, error) {
	w.piece = append(w.piece, p...)
	for len(w.piece) >= Piece {
		w.frame(kindSnapshot, w.piece[:Piece])
		w.piece = append(w.piece[:0], w.piece[Piece:]...)
	}
	return len(p), w.err
}

func (w *Writer) endSnapshot() {
	if len(w.piece) > 0 {
		w.frame(kindSnapshot, w.piece)
		w.piece = nil
	}
}

// Entry adds one batch.
func (w *Writer) Entry(index uint64, batch []byte) error {
	w.endSnapshot()
	w.frame(kindEntry, binary.BigEndian.AppendUint64(nil, index), batch)
	w.last = index
	w.entries++
	return w.err
}

// Finish writes the end and gives the file its name. index is that of the state at the end; digest may be nil.
func (w *Writer) Finish(index uint64, digest []byte) error {
	w.endSnapshot()
	if w.entries > 0 && index != w.last && w.err == nil {
		w.err = fmt.Errorf("trace: the end is at index %d, but the last entry is %d", index, w.last)
	}
	body := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, index), w.entries)
	w.frame(kindEnd, append(body, digest...))
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if w.err != nil {
		return errors.Join(w.err, w.Discard())
	}
	file := w.file
	w.file = nil
	if err := errors.Join(file.Close(), os.Rename(file.Name(), w.path)); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// Discard what was written. After Finish, or a second time, it does nothing.
func (w *Writer) Discard() error {
	if w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

func (w *Writer) frame(k kind, parts ...[]byte) {
	if w.err != nil {
		return
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > mostFrame {
		w.err = fmt.Errorf("trace: a frame of %d bytes; %d are allowed", size, mostFrame)
		return
	}
	var head [frameHead]byte
	head[0] = byte(k)
	binary.BigEndian.PutUint32(head[1:], uint32(size))
	body := parts[0]
	if len(parts) > 1 {
		body = append(append(make([]byte, 0, size), parts[0]...), parts[1]...)
	}
	binary.BigEndian.PutUint32(head[5:], frameSum(head[:], body))
	if _, w.err = w.out.Write(head[:]); w.err == nil {
		_, w.err = w.out.Write(body)
	}
}

var _ io.Writer = (*Writer)(nil)
