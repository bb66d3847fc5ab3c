package cluster

import (
	"slices"
	"strings"
	"testing"
)

// A fresh node that has confirmed a set confirms no other while it runs: two sets that share a node never both get all confirmations.
func TestConfirmationBinds(t *testing.T) {
	var seeds []string
	w := &world{t: t, store: StoreWAL, edit: func(c *Config) {
		c.BootstrapExpect = 3
		c.Gossip = GossipConfig{Listen: "127.0.0.1:0", Seeds: seeds}
	}}
	fresh := func() *Node {
		n := w.start(w.config(t.TempDir()))
		seeds = []string{n.GossipAddress()}
		return n
	}
	set := func(nodes ...*Node) (ids []string) {
		for _, n := range nodes {
			ids = append(ids, n.ID())
		}
		slices.Sort(ids)
		return ids
	}
	a, b, c := fresh(), fresh(), fresh()
	w.until("all to see all", func() bool { return slices.Equal(b.FreshSet().IDs, set(a, b, c)) })
	if why := b.ConfirmBootstrap(set(a, b, c), "another"); why == "" {
		t.Error("a set of another cluster is confirmed")
	}
	if why := b.ConfirmBootstrap(set(a, b), "fairlane"); why == "" {
		t.Error("a set that is too small is confirmed")
	}
	for range 2 {
		if why := b.ConfirmBootstrap(set(a, b, c), "fairlane"); why != "" {
			t.Fatal(why)
		}
	}
	w.close(c)
	seeds = []string{a.GossipAddress()}
	d := fresh()
	w.until("the other set to be seen", func() bool { return slices.Equal(b.FreshSet().IDs, set(a, b, d)) })
	if why := b.ConfirmBootstrap(set(a, b, d), "fairlane"); !strings.Contains(why, "confirmed another set") {
		t.Errorf("two sets that share a node are confirmed by it: %q", why)
	}
}
