package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

var (
	keyVoteTerm      = []byte("LastVoteTerm")
	keyVoteCandidate = []byte("LastVoteCand")
	keyVote          = []byte("Vote")
)

// voteStore keeps a vote, term and candidate, as one record. raft writes the two one after the other, and a crash between
// them would leave the new term with the old candidate: a vote that was never given, and that raft would honour without
// looking at the candidate's log.
//
// The term is held back until its candidate comes. A held term is visible to reads, its candidate is not found: that is
// what the node has decided so far. A candidate without a held term is refused.
type voteStore struct {
	raft.StableStore

	mu   sync.Mutex
	held *uint64
}

func (s *voteStore) SetUint64(key []byte, value uint64) error {
	if !bytes.Equal(key, keyVoteTerm) {
		return s.StableStore.SetUint64(key, value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = &value
	return nil
}

func (s *voteStore) Set(key, value []byte) error {
	if !bytes.Equal(key, keyVoteCandidate) {
		return s.StableStore.Set(key, value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return errors.New("cluster: a vote's candidate came without its term: raft writes votes in an order that this version does not know")
	}
	record := binary.BigEndian.AppendUint64(nil, *s.held)
	if err := s.StableStore.Set(keyVote, append(record, value...)); err != nil {
		return err
	}
	s.held = nil
	return nil
}

func (s *voteStore) GetUint64(key []byte) (uint64, error) {
	if !bytes.Equal(key, keyVoteTerm) {
		return s.StableStore.GetUint64(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		return *s.held, nil
	}
	term, _, err := s.record()
	return term, err
}

func (s *voteStore) Get(key []byte) ([]byte, error) {
	if !bytes.Equal(key, keyVoteCandidate) {
		return s.StableStore.Get(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		return nil, raftboltdb.ErrKeyNotFound
	}
	_, candidate, err := s.record()
	return candidate, err
}

// record as it lies on the disk. The caller holds mu.
func (s *voteStore) record() (term uint64, candidate []byte, err error) {
	record, err := s.StableStore.Get(keyVote)
	if err != nil {
		return 0, nil, err
	}
	if len(record) < 8 {
		return 0, nil, errors.New("cluster: the record of the last vote is damaged")
	}
	return binary.BigEndian.Uint64(record), record[8:], nil
}
