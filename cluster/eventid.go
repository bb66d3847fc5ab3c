package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// Position of an event in the order of the log: epoch of the cluster, index of the entry, place among the events of that entry,
// counted before any filter. It is the same on every node.
type Position struct {
	Epoch uint32
	Index uint64
	Place uint32
}

// lastPlace stands for all events of an entry, however many they were.
const lastPlace = ^uint32(0)

// String is the event id: "7.500.3".
func (p Position) String() string {
	return strconv.FormatUint(uint64(p.Epoch), 10) + "." + strconv.FormatUint(p.Index, 10) + "." + strconv.FormatUint(uint64(p.Place), 10)
}

// ParsePosition reads an event id in exactly the form that String gives.
func ParsePosition(id string) (Position, error) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return Position{}, fmt.Errorf("cluster: %q is not an event id of the form epoch.index.place", id)
	}
	epoch, err1 := strconv.ParseUint(parts[0], 10, 32)
	index, err2 := strconv.ParseUint(parts[1], 10, 64)
	place, err3 := strconv.ParseUint(parts[2], 10, 32)
	p := Position{Epoch: uint32(epoch), Index: index, Place: uint32(place)}
	if err1 != nil || err2 != nil || err3 != nil || p.String() != id {
		return Position{}, fmt.Errorf("cluster: %q is not an event id of the form epoch.index.place", id)
	}
	return p, nil
}

// Before tells whether p comes before q, in the order of epoch, index and place.
func (p Position) Before(q Position) bool {
	if p.Epoch != q.Epoch {
		return p.Epoch < q.Epoch
	}
	if p.Index != q.Index {
		return p.Index < q.Index
	}
	return p.Place < q.Place
}
