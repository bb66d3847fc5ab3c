package cluster

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// gossipLog takes what memberlist logs. What strangers send is logged once for each source and kind, the rest at the level trace: members that
// come and go are told by this package.
type gossipLog struct {
	log     hclog.Logger
	refused *oncePerSource
}

// The kinds of what is refused, by a word of memberlist's line.
var refusedKinds = []struct{ word, kind, why string }{
	{"unacceptable label", "label", "it is of a cluster with another name, or of none"},
	{"label header", "label", "it is no gossip"},
	{"Decrypt packet failed", "key", "it is not encrypted with a key of this cluster"},
	{"failed to receive", "key", "it is not encrypted with a key of this cluster, or it is no gossip"},
	{"not supported", "garbage", "it is no gossip"},
	{"invalid msgType", "garbage", "it is no gossip"},
	{"missing message type", "garbage", "it is no gossip"},
	{"too short", "garbage", "it is no gossip"},
	{"Failed to decode", "garbage", "it is no gossip"},
	{"Failed to decompress", "garbage", "it is no gossip"},
	{"truncated", "garbage", "it is no gossip"},
	{"Failed to read remote state", "garbage", "it is no gossip"},
}

var gossipSource = regexp.MustCompile(`from=(\S+)`)

// source of a packet, as a net.Addr.
type source string

func (source) Network() string  { return "gossip" }
func (s source) String() string { return string(s) }

func (g *gossipLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	if from := gossipSource.FindStringSubmatch(text); from != nil {
		if _, err := netip.ParseAddrPort(from[1]); err == nil {
			for _, refused := range refusedKinds {
				if strings.Contains(text, refused.word) {
					g.refused.warn(source(from[1]), "gossip "+refused.kind, "gossip was refused", "why", refused.why)
					return len(line), nil
				}
			}
		}
	}
	g.log.Trace(text)
	return len(line), nil
}
