package cluster

import (
	"path/filepath"
	"testing"
)

func openVotes(t *testing.T, path string) (*voteStore, func()) {
	t.Helper()
	bolt, err := openBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	return &voteStore{StableStore: bolt}, func() { bolt.Close() }
}

func checkVote(t *testing.T, s *voteStore, term uint64, candidate string) {
	t.Helper()
	gotTerm, err := s.GetUint64(keyVoteTerm)
	if err != nil && err.Error() != "not found" {
		t.Fatal(err)
	}
	gotCandidate, err := s.Get(keyVoteCandidate)
	if err != nil && err.Error() != "not found" {
		t.Fatal(err)
	}
	if gotTerm != term || string(gotCandidate) != candidate {
		t.Errorf("vote is %d for %q, want %d for %q", gotTerm, gotCandidate, term, candidate)
	}
}

// A crash between raft's two writes leaves the former vote whole: never the new term with the old candidate.
func TestVoteIsOneRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable.db")
	s, closeStore := openVotes(t, path)
	checkVote(t, s, 0, "")
	if err := s.Set(keyVoteCandidate, []byte("alone")); err == nil {
		t.Error("a candidate without a term was stored")
	}
	if err := s.SetUint64(keyVoteTerm, 7); err != nil {
		t.Fatal(err)
	}
	checkVote(t, s, 7, "")
	if err := s.Set(keyVoteCandidate, []byte("anna")); err != nil {
		t.Fatal(err)
	}
	checkVote(t, s, 7, "anna")
	if err := s.SetUint64(keyVoteTerm, 8); err != nil {
		t.Fatal(err)
	}
	checkVote(t, s, 8, "")
	closeStore() // the crash

	s, closeStore = openVotes(t, path)
	defer closeStore()
	checkVote(t, s, 7, "anna")
	if err := s.Set(keyVoteCandidate, []byte("ben")); err == nil {
		t.Error("a candidate was stored under the term of another vote")
	}
	if err := s.SetUint64([]byte("CurrentTerm"), 9); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetUint64([]byte("CurrentTerm")); err != nil || got != 9 {
		t.Errorf("other keys: %d, %v", got, err)
	}
}
