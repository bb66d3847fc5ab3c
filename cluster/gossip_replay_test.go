package cluster

import (
	"encoding/base64"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
)

// tapped keeps the packets that a member of the gossip sends, as they are on the wire.
type tapped struct {
	*memberlist.NetTransport

	mu   sync.Mutex
	sent [][]byte
}

func (t *tapped) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	t.mu.Lock()
	t.sent = append(t.sent, slices.Clone(b))
	t.mu.Unlock()
	return t.NetTransport.WriteToAddress(b, to)
}

func (t *tapped) packets() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.sent)
}

type fixedMeta struct {
	meta []byte
}

func (m fixedMeta) NodeMeta(int) []byte                  { return m.meta }
func (fixedMeta) NotifyMsg([]byte)                       {}
func (fixedMeta) GetBroadcasts(overhead, _ int) [][]byte { return nil }
func (fixedMeta) LocalState(bool) []byte                 { return nil }
func (fixedMeta) MergeRemoteState([]byte, bool)          {}

// Packets of a node that left, recorded with the right key and label, do not bring it back.
func TestGossipReplayed(t *testing.T) {
	key := keyLine(7, 32)
	a := startChat(t, chatOptions{key: key})
	id := uuid.NewString()
	meta, err := gossipMeta{id: id, process: drawID(), raft: "ghost:1", api: "ghost:2"}.encode()
	if err != nil {
		t.Fatal(err)
	}
	settings := memberlist.DefaultLANConfig()
	settings.LogOutput = io.Discard
	wire, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{NetTransport: wire}
	settings.Transport, settings.Name, settings.Label = tap, id, "fairlane"
	settings.AdvertiseAddr, settings.AdvertisePort, settings.BindPort = "127.0.0.1", wire.GetAutoBindPort(), wire.GetAutoBindPort()
	settings.EnableCompression, settings.GossipInterval, settings.ProbeInterval = false, 10*time.Millisecond, 50*time.Millisecond
	settings.Delegate = fixedMeta{meta: meta}
	if settings.SecretKey, err = base64.StdEncoding.DecodeString(key); err != nil {
		t.Fatal(err)
	}
	ghost, err := memberlist.Create(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ghost.Shutdown() })
	if _, err := ghost.Join([]string{a.address}); err != nil {
		t.Fatal(err)
	}
	until(t, "the other to be seen", func() bool { return slices.Contains(a.ids(), id) })
	if err := ghost.UpdateNode(time.Second); err != nil { // says once more, in packets, that it lives
		t.Fatal(err)
	}
	until(t, "packets", func() bool { return len(tap.packets()) >= 5 })
	recorded := tap.packets()
	if err := ghost.Leave(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	until(t, "the other to be gone", func() bool { return !slices.Contains(a.ids(), id) })
	if err := ghost.Shutdown(); err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	// At its address: an answer goes to where the packet says that it comes from.
	stranger, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: settings.AdvertisePort}, to)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for range 3 {
		for _, packet := range recorded {
			if _, err := stranger.Write(packet); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A recorded ping is answered, so these were read; a node that lived again would show within a few looks.
	if err := stranger.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Read(make([]byte, 1500)); err != nil {
		t.Fatalf("no recorded packet was taken for one of a member: %v", err)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for range 40 {
		<-look.C
		if slices.Contains(a.ids(), id) {
			t.Fatal("a replayed packet brought a node back")
		}
	}
}
