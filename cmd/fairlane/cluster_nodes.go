package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// nodeTable has one line for each node. Without reports it shows what the node that was asked knows of the others.
func nodeTable(w io.Writer, asked *fairlanev1.StatusResponse, nodes []*fairlanev1.NodeReport, now time.Time) {
	if nodes == nil {
		row(w, "NODE", "ROLE", "RAFT", "API", "VOTER", "RULES")
		for _, m := range asked.GetMembers() {
			row(w, m.GetNodeId(), memberRole(m), m.GetRaftAddress(), m.GetApiAddress(), yesNo(m.GetVoter()), m.GetRules())
		}
		return
	}
	committed := newestCommit(nodes)
	row(w, "NODE", "ROLE", "VOTER", "RAFT", "API", "TERM", "LAST", "COMMITTED", "APPLIED", "LAG", "VERSION", "RULES", "DISK-P99", "FREE", "CLOCK", "CERT", "WHY")
	for _, n := range nodes {
		m, s := n.GetMember(), n.GetStatus()
		if s == nil {
			row(w, m.GetNodeId(), "away", yesNo(m.GetVoter()), m.GetRaftAddress(), m.GetApiAddress(),
				"", "", "", "", "", "", m.GetRules(), "", "", "", "", n.GetUnreachable())
			continue
		}
		row(w, m.GetNodeId(), s.GetRole(), yesNo(m.GetVoter()), m.GetRaftAddress(), m.GetApiAddress(),
			s.GetTerm(), s.GetLastIndex(), s.GetCommitIndex(), s.GetAppliedIndex(), lag(committed, s), s.GetVersion(), s.GetRules(),
			diskLatency(s.GetDisk()), diskFree(s.GetDisk()), clockText(s), certificateLeft(s.GetCertificate(), now), whyNot(s))
	}
}

func memberRole(m *fairlanev1.Member) string {
	if m.GetLeader() {
		return "leader"
	}
	return "follower"
}

// newestCommit is the highest index that any node knows as committed.
func newestCommit(nodes []*fairlanev1.NodeReport) uint64 {
	newest := uint64(0)
	for _, n := range nodes {
		newest = max(newest, n.GetStatus().GetCommitIndex())
	}
	return newest
}

// lag of a node's state behind what is committed, in log entries. An idle log's last entries are raft's own and never reach the state.
func lag(committed uint64, s *fairlanev1.StatusResponse) uint64 {
	if s.GetCommitIndex() < committed {
		return committed - min(committed, s.GetAppliedIndex())
	}
	return s.GetCommitIndex() - min(s.GetCommitIndex(), s.GetAppliedIndex())
}

// diskLatency of the slowest in a hundred of the last log writes.
func diskLatency(d *fairlanev1.Disk) string {
	if d.GetWrites() == 0 {
		return ""
	}
	return (time.Duration(d.GetP99Us()) * time.Microsecond).Round(10 * time.Microsecond).String()
}

func diskFree(d *fairlanev1.Disk) string {
	if d.GetTotalBytes() == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fGiB", float64(d.GetFreeBytes())/(1<<30))
}

func clockText(s *fairlanev1.StatusResponse) string {
	if !s.GetClockKnown() {
		return ""
	}
	return fmt.Sprintf("%+dms", s.GetClockOffsetMs())
}

// certificateLeft is how long the certificate is still valid, in days while there are some.
func certificateLeft(c *fairlanev1.Certificate, now time.Time) string {
	if c == nil {
		return ""
	}
	switch left := time.UnixMilli(c.GetNotAfterMs()).Sub(now); {
	case left <= 0:
		return "expired"
	case left < 48*time.Hour:
		return left.Round(time.Minute).String()
	default:
		return fmt.Sprintf("%dd", int(left.Hours()/24))
	}
}

func whyNot(s *fairlanev1.StatusResponse) string {
	var parts []string
	if s.GetNotReady() != "" {
		parts = append(parts, "not ready: "+s.GetNotReady())
	}
	if s.GetNotLeading() != "" {
		parts = append(parts, "does not lead: "+s.GetNotLeading())
	}
	return strings.Join(parts, "; ")
}
