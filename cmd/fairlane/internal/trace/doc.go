// Package trace is the file of a recorded stretch of a cluster's life: its state at one log index and every batch that was applied
// after it. Replayed through the machine it gives the same digest, on any computer.
//
// A file is: magic of 8 bytes, version as 4 bytes, frames. A frame is: kind (1 byte), length (4), CRC32C of kind, length and body (4),
// body. Numbers are big-endian. First comes the snapshot in pieces (none: the machine begins empty), then the entries in the order of the
// log, then one end. A plain snapshot, as a node keeps it on its disk, is read as a trace without entries.
package trace

import "hash/crc32"

const (
	magic         = "FLTRACE\n"
	snapshotMagic = "FAIRLANE"
	version       = 1
	frameHead     = 9
	// mostFrame is more than any entry of the log can have.
	mostFrame = 64 << 20
	// Piece is how many bytes of the snapshot go into one frame.
	Piece = 64 << 10
)

type kind byte

const (
	kindSnapshot kind = iota + 1
	kindEntry         // index (8), batch
	kindEnd           // index (8), entries (8), digest (32, or none)
)

// Entry is one batch as it lies in the log.
type Entry struct {
	Index uint64
	Batch []byte
}

// End of a trace.
type End struct {
	// Index of the last entry, or of the snapshot.
	Index   uint64
	Entries uint64
	// Digest of the state at Index, or none: the trace was made from a disk.
	Digest []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func frameSum(head, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:5], castagnoli), castagnoli, body)
}
