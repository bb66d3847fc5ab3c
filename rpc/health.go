package rpc

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

// maxBehind is how many log entries a ready node's own state may be behind what is committed.
const maxBehind = 2048

// health is what /readyz answers.
type health struct {
	Ready        bool   `json:"ready"`
	Reason       string `json:"reason,omitempty"`
	NodeID       string `json:"node_id"`
	Role         string `json:"role"`
	LeaderID     string `json:"leader_id,omitempty"`
	AppliedIndex uint64 `json:"applied_index"`
	CommitIndex  uint64 `json:"commit_index"`
	// Voter: the node counts for the majority.
	Voter bool `json:"voter"`
	// Behind is how many log entries the node's state lacks of what it knows as committed.
	Behind uint64 `json:"behind"`
	// LeaderContactMs since the leader was last heard of; 0 on the leader, -1 if it never was.
	LeaderContactMs int64 `json:"leader_contact_ms"`
	// NotLeading says why the node does not lead; it serves all the same.
	NotLeading string `json:"not_leading,omitempty"`
}

// healthz says that the process is alive; always 200.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "node_id": s.node.ID(), "version": s.version})
}

// readyz says whether this node serves: 200, or 503 with the reason. With ?leader only the leader is ready, for load
// balancers that want it.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	status := s.node.Status()
	out := health{
		NodeID: status.ID, Role: status.Role, LeaderID: status.LeaderID,
		AppliedIndex: status.AppliedIndex, CommitIndex: status.CommitIndex,
		Voter: status.Voter, Behind: behind(status), LeaderContactMs: status.LeaderContact.Milliseconds(), NotLeading: status.NotLeading,
		Reason: s.notReady(status),
	}
	if status.LeaderContact < 0 {
		out.LeaderContactMs = -1
	}
	if out.Reason == "" && r.URL.Query().Has("leader") && !s.node.IsLeader() {
		out.Reason = "this node is not the leader"
	}
	out.Ready = out.Reason == ""
	code := http.StatusOK
	if !out.Ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, out)
}

// notReady says why this node does not serve; empty: it does.
func (s *server) notReady(status cluster.Status) string {
	switch _, address, known := s.node.Leader(); {
	case status.NotReady != "":
		return status.NotReady
	case !known:
		return "no leader is known: a majority of the cluster's nodes must run and reach each other"
	case address == "":
		return "the leader's API address is not known yet"
	case behind(status) > maxBehind:
		return "this node's state is " + strconv.FormatUint(behind(status), 10) + " log entries behind"
	}
	return ""
}

func behind(status cluster.Status) uint64 {
	return status.CommitIndex - min(status.CommitIndex, status.AppliedIndex)
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // the caller has left: nobody to tell
}
