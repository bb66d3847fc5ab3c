package scheduler

import "math/bits"

// Size is the class of a job's memory need: 0 for none, else 1 + log2 of the
// need rounded up to a power of two. The rounded need is what is admitted and
// what is reserved.
//
// Invariant: 0 <= Size <= MaxSize.
type Size uint8

// MaxSize is the class of every need above 2^62 bytes. Its Bytes are 2^63.
const MaxSize Size = 64

// SizeOf returns the class of a need in bytes. Needs above 2^63 bytes, which no
// lane can offer, share the class of 2^63.
func SizeOf(bytes uint64) Size {
	if bytes == 0 {
		return 0
	}
	class := Size(bits.Len64(bytes-1)) + 1
	return min(class, MaxSize)
}

// Bytes returns the rounded need: 0, or a power of two.
func (s Size) Bytes() uint64 {
	if s == 0 {
		return 0
	}
	return 1 << (min(s, MaxSize) - 1)
}
