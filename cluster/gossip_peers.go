package cluster

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// peersFile remembers gossip addresses, this node's own first: a copy of the data directory finds the original by it.
	peersFile = "gossip_peers"
	peersKept = 32
)

// rememberedPeers of an earlier start. What cannot be read is forgotten: the file only saves time.
func rememberedPeers(dir string) []string {
	text, err := os.ReadFile(filepath.Join(dir, peersFile))
	if err != nil {
		return nil
	}
	var peers []string
	for _, line := range strings.Fields(string(text)) {
		if _, _, err := net.SplitHostPort(line); err == nil && len(peers) < peersKept {
			peers = append(peers, line)
		}
	}
	return peers
}

// mergePeers gives those of now, then the former ones that are not among them, bounded.
func mergePeers(now, former []string) []string {
	out := slices.Clone(now)
	for _, peer := range former {
		if !slices.Contains(out, peer) {
			out = append(out, peer)
		}
	}
	return out[:min(len(out), peersKept)]
}

func rememberPeers(dir string, peers []string) error {
	return writeDurably(filepath.Join(dir, peersFile), strings.Join(peers, "\n")+"\n")
}
