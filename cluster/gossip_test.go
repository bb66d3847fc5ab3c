package cluster

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// chatter is gossip without a node around it.
type chatter struct {
	*gossip
	log *logText
}

type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), words)
}

type chatOptions struct {
	name, cluster, key, id, dir, advertise, listen string
	seeds                                          []string
}

func chatConfig(t *testing.T, o chatOptions) (Config, gossipMeta, *logText) {
	t.Helper()
	set(&o.name, "fairlane")
	set(&o.id, uuid.NewString())
	set(&o.dir, t.TempDir())
	set(&o.listen, "127.0.0.1:0")
	text := &logText{}
	c := Config{DataDir: o.dir, ClusterName: o.name, Gossip: GossipConfig{Listen: o.listen, Advertise: o.advertise, Seeds: o.seeds},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: text})}
	if o.key != "" {
		c.Gossip.KeyFile = filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(c.Gossip.KeyFile, []byte(o.key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c, gossipMeta{id: o.id, cluster: o.cluster, process: drawID(), raft: "raft-of-" + o.id[:8] + ":1", api: "a:1"}, text
}

func startChat(t *testing.T, o chatOptions) *chatter {
	t.Helper()
	c, meta, text := chatConfig(t, o)
	g, err := openGossip(c, meta, c.Logger)
	if err != nil {
		t.Fatal(err)
	}
	once := sync.OnceValue(g.close)
	t.Cleanup(func() { _ = once() })
	return &chatter{g, text}
}

func (c *chatter) ids() []string {
	var ids []string
	for _, m := range c.members() {
		ids = append(ids, m.ID)
	}
	return ids
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	(&world{t: t}).until(what, done)
}

// Nodes find each other through one seed, and again, by what they remembered, without any.
func TestGossipFindsOthers(t *testing.T) {
	a := startChat(t, chatOptions{})
	dir, id := t.TempDir(), uuid.NewString()
	c, meta, _ := chatConfig(t, chatOptions{dir: dir, id: id, seeds: []string{a.address}})
	b, err := openGossip(c, meta, c.Logger)
	if err != nil {
		t.Fatal(err)
	}
	third := startChat(t, chatOptions{seeds: []string{b.address}})
	until(t, "all know all", func() bool { return len(a.members()) == 2 && len(b.members()) == 2 && len(third.members()) == 2 })
	if at, other := a.find("x", "y:1"); other != "" || at != "y:1" {
		t.Errorf("an unknown node is at %q, where %q is", at, other)
	}
	if at, _ := a.find(raft.ServerID(id), "old:1"); string(at) != meta.raft {
		t.Errorf("the node is found at %q, not at %q", at, meta.raft)
	}
	if _, other := a.find("x", raft.ServerAddress(meta.raft)); other != id {
		t.Errorf("where another node is, %q is found", other)
	}
	until(t, "the others are remembered", func() bool { return len(rememberedPeers(dir)) == 3 })
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the farewell", func() bool { return len(a.members()) == 1 })
	again := startChat(t, chatOptions{dir: dir, id: id})
	until(t, "it is found again at another address", func() bool { return len(again.members()) == 2 && slices.Contains(a.ids(), id) })
}

// What is not of this cluster is refused, logged once for each kind, and changes nothing: garbage, other labels, other keys, another cluster of the same name.
func TestGossipRefusesStrangers(t *testing.T) {
	own := uuid.NewString()
	a := startChat(t, chatOptions{key: keyLine(1, 32), cluster: own})
	b := startChat(t, chatOptions{key: keyLine(1, 32), cluster: own, seeds: []string{a.address}})
	until(t, "they know each other", func() bool { return len(a.members()) == 1 && len(b.members()) == 1 })
	for _, stranger := range []struct {
		what, kind string
		options    chatOptions
	}{
		{"another label", "gossip label", chatOptions{name: "other", key: keyLine(1, 32)}},
		{"another key", "gossip key", chatOptions{key: keyLine(2, 32)}},
		{"no key", "gossip key", chatOptions{}},
		{"another cluster", "gossip node", chatOptions{key: keyLine(1, 32), cluster: uuid.NewString()}},
	} {
		stranger.options.seeds = []string{a.address}
		s := startChat(t, stranger.options)
		until(t, stranger.what+" is refused", func() bool { return a.log.count(`kind="`+stranger.kind+`"`) == 1 })
		if ids := s.ids(); len(ids) > 0 && stranger.kind != "gossip node" {
			t.Errorf("%s: it knows %v", stranger.what, ids)
		}
	}
	conn, err := net.Dial("udp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 200 {
		if _, err := fmt.Fprintf(conn, "garbage %d", i); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := net.Dial("tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = stream.Write([]byte("\x06\xff\xff\xff\xff\xff\xff\xff\xff"))
	stream.Close()
	if ids := a.ids(); len(ids) != 1 || ids[0] != b.id {
		t.Errorf("it knows %v, want %s alone", ids, b.id)
	}
	if n := a.log.count("gossip was refused"); n > 3 {
		t.Errorf("%d lines of what was refused from one source, want one for each of 3 kinds:\n%s", n, a.log.text.String())
	}
}

// A copy of a data directory is refused before raft begins. When it is too late for that both say it.
func TestGossipRefusesCopy(t *testing.T) {
	other := startChat(t, chatOptions{})
	a := startChat(t, chatOptions{seeds: []string{other.address}})
	until(t, "they know each other", func() bool { return len(other.members()) == 1 })
	c, meta, _ := chatConfig(t, chatOptions{id: a.id, seeds: []string{other.address}})
	if g, err := openGossip(c, meta, c.Logger); err == nil {
		_ = g.close()
		t.Fatal("a copy was let in")
	} else if !strings.Contains(err.Error(), a.address) {
		t.Errorf("the error names no address: %v", err)
	}
	until(t, "the original lives on", func() bool { return slices.Contains(other.ids(), a.id) && a.notReady() == "" })

	apart := startChat(t, chatOptions{id: a.id})
	apart.addSeeds([]string{other.address})
	until(t, "the copy says that it is one", func() bool { return strings.Contains(apart.notReady(), a.address) })
	until(t, "the log says so once", func() bool { return apart.log.count("another live process has this node's id") == 1 })
}
