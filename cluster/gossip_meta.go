package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

const (
	metaVersion = 1
	// maxMeta bytes of what a node says of itself in gossip: it goes into every packet that tells of the node.
	maxMeta = 199
	// metaHead is what comes before the addresses at most: version, two UUIDs, the process, flags, and two small numbers.
	metaHead = 1 + 16 + 16 + 8 + 1 + 2*binary.MaxVarintLen32

	metaFresh = 1
)

// gossipMeta is what a node says of itself in gossip.
type gossipMeta struct {
	id, cluster string // UUIDs; no cluster: none known
	process     uint64
	fresh       bool
	expect      uint32
	rules       uint32
	raft, api   string
}

// encode fails when the addresses are too long for a packet.
func (m gossipMeta) encode() ([]byte, error) {
	id, err := uuid.Parse(m.id)
	if err != nil {
		return nil, fmt.Errorf("cluster: node id: %w", err)
	}
	var cluster uuid.UUID
	if m.cluster != "" {
		if cluster, err = uuid.Parse(m.cluster); err != nil {
			return nil, fmt.Errorf("cluster: cluster id: %w", err)
		}
	}
	if most := maxMeta - metaHead - 2*binary.MaxVarintLen16; len(m.raft)+len(m.api) > most {
		return nil, fmt.Errorf("cluster: the addresses for raft (%d bytes) and for the API (%d bytes) are too long for gossip: "+
			"together at most %d; advertise shorter names or IP addresses", len(m.raft), len(m.api), most)
	}
	out := append([]byte{metaVersion}, id[:]...)
	out = append(out, cluster[:]...)
	out = binary.BigEndian.AppendUint64(out, m.process)
	var flags byte
	if m.fresh {
		flags |= metaFresh
	}
	out = append(out, flags)
	out = binary.AppendUvarint(out, uint64(m.expect))
	out = binary.AppendUvarint(out, uint64(m.rules))
	for _, address := range []string{m.raft, m.api} {
		out = binary.AppendUvarint(out, uint64(len(address)))
		out = append(out, address...)
	}
	return out, nil
}

var errMeta = errors.New("what the node says of itself cannot be understood")

// decodeMeta of another node. Bytes that follow are of a later version.
func decodeMeta(in []byte) (gossipMeta, error) {
	if len(in) < 1+16+16+8+1 || in[0] < metaVersion {
		return gossipMeta{}, errMeta
	}
	var m gossipMeta
	m.id = uuid.UUID(in[1:17]).String()
	if cluster := uuid.UUID(in[17:33]); cluster != uuid.Nil {
		m.cluster = cluster.String()
	}
	m.process = binary.BigEndian.Uint64(in[33:41])
	m.fresh = in[41]&metaFresh != 0
	in = in[42:]
	number := func() (uint64, bool) {
		value, n := binary.Uvarint(in)
		if n <= 0 || value > 1<<31 {
			return 0, false
		}
		in = in[n:]
		return value, true
	}
	expect, ok1 := number()
	rules, ok2 := number()
	if !ok1 || !ok2 {
		return gossipMeta{}, errMeta
	}
	m.expect, m.rules = uint32(expect), uint32(rules)
	for _, address := range []*string{&m.raft, &m.api} {
		size, ok := number()
		if !ok || size > uint64(len(in)) {
			return gossipMeta{}, errMeta
		}
		*address, in = string(in[:size]), in[size:]
	}
	return m, nil
}
