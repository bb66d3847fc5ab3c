package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"
)

const (
	// cloneTime bounds the look for another process with this node's id before raft starts.
	cloneTime = 2 * time.Second
	// leaveTime is how long the others may take to be told that this node ends.
	leaveTime = 500 * time.Millisecond
	// seedPause between looks for others while this node is alone doubles up to seedPauseMax; with others it is that at once.
	seedPause    = 250 * time.Millisecond
	seedPauseMax = 15 * time.Second
	// seedsKept bounds the addresses that are asked for others.
	seedsKept = 64
)

// GossipMember is another node that gossip holds for alive.
type GossipMember struct {
	ID, ClusterID                          string
	Process                                uint64
	Fresh                                  bool
	Expect                                 uint32
	Rules                                  uint32
	RaftAddress, APIAddress, GossipAddress string
}

// gossip finds other nodes and where they are. It never changes who is a member.
type gossip struct {
	id      string
	dir     string
	log     hclog.Logger
	refused *oncePerSource
	keys    *keyring
	list    *memberlist.Memberlist
	address string
	wake    chan struct{} // others or seeds changed
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	own     []byte // what this node says of itself
	cluster string
	alive   map[string]GossipMember
	moved   map[string]bool // seen at two addresses: which one is stale shows in a while
	seeds   []string
	rivals  map[string]int // gossip addresses at which this node's id was seen, and how often they did not answer
	rival   string         // the one that answers
}

// openGossip listens and looks for others at the seeds. It fails when a live process with this node's id is found.
func openGossip(c Config, meta gossipMeta, logger hclog.Logger) (*gossip, error) {
	keys, err := openKeys(c.Gossip.KeyFile)
	if err != nil {
		return nil, err
	}
	g := &gossip{
		id: meta.id, dir: c.DataDir, log: logger, refused: newOncePerSource(logger, time.Hour), keys: keys, wake: make(chan struct{}, 1),
		alive: make(map[string]GossipMember), moved: make(map[string]bool), rivals: make(map[string]int), cluster: meta.cluster,
	}
	if g.own, err = meta.encode(); err != nil {
		return nil, err
	}
	settings, err := g.settings(c)
	if err != nil {
		return nil, err
	}
	if g.list, err = memberlist.Create(settings); err != nil {
		return nil, fmt.Errorf("cluster: gossip listens on %s: %w: choose another address with --gossip, or --gossip off", c.Gossip.Listen, err)
	}
	g.address = net.JoinHostPort(settings.AdvertiseAddr, strconv.Itoa(settings.AdvertisePort))
	g.addSeeds(append(rememberedPeers(c.DataDir), c.Gossip.Seeds...))
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	if err := g.refuseClone(ctx); err != nil {
		g.stop()
		g.running.Wait()
		// Without a farewell: it would be taken for the other process's.
		return nil, errors.Join(err, g.list.Shutdown())
	}
	g.running.Go(func() { g.seek(ctx) })
	g.running.Go(func() { g.watchKeys(ctx) })
	g.running.Go(func() { g.watchRivals(ctx) })
	return g, nil
}

func (g *gossip) settings(c Config) (*memberlist.Config, error) {
	listen, err := net.ResolveTCPAddr("tcp", c.Gossip.Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: gossip cannot listen on %q: %w", c.Gossip.Listen, err)
	}
	if listen.IP == nil {
		listen.IP = net.IPv4zero
	}
	told := &net.TCPAddr{IP: listen.IP, Port: listen.Port}
	if c.Gossip.Advertise != "" {
		if told, err = net.ResolveTCPAddr("tcp", c.Gossip.Advertise); err != nil {
			return nil, fmt.Errorf("cluster: gossip address %q for others: %w", c.Gossip.Advertise, err)
		}
	}
	if told.IP == nil || told.IP.IsUnspecified() {
		return nil, fmt.Errorf("cluster: gossip listens on %s, which is no address for others: set --gossip-advertise", c.Gossip.Listen)
	}
	s := memberlist.DefaultLANConfig()
	s.Name, s.Label = g.id, c.ClusterName
	s.BindAddr, s.BindPort = listen.IP.String(), listen.Port
	s.AdvertiseAddr, s.AdvertisePort = told.IP.String(), told.Port
	s.DeadNodeReclaimTime = time.Millisecond // a node that comes back elsewhere is taken at once, when it was found dead before
	s.TCPTimeout = cloneTime
	s.PushPullInterval = 10 * time.Second
	s.EnableCompression = false
	s.Logger = log.New(&gossipLog{g.log, g.refused}, "", 0)
	s.Delegate, s.Events, s.Alive, s.Conflict = gossipDelegate{g}, gossipEvents{g}, gossipEvents{g}, gossipEvents{g}
	if g.keys != nil {
		s.Keyring = g.keys.ring
	}
	return s, nil
}

// addSeeds to ask for others; own addresses and known ones are left out.
func (g *gossip) addSeeds(addresses []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, address := range addresses {
		if address != "" && address != g.address && !slices.Contains(g.seeds, address) && len(g.seeds) < seedsKept {
			g.seeds = append(g.seeds, address)
		}
	}
	g.nudge()
}

func (g *gossip) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// lost seeds are those that are not alive now.
func (g *gossip) lost() (lost []string, alone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := make(map[string]bool)
	for _, m := range g.alive {
		known[m.GossipAddress] = true
	}
	for _, seed := range g.seeds {
		if !known[seed] {
			lost = append(lost, seed)
		}
	}
	return lost, len(g.alive) == 0
}

// seek others at the seeds, for ever: often while this node is alone, else now and then. And remember who was found.
func (g *gossip) seek(ctx context.Context) {
	pause := seedPause
	var remembered []string
	for {
		lost, alone := g.lost()
		if len(lost) > 0 {
			g.join(ctx, lost)
		}
		if peers := g.peers(); !slices.Equal(peers, remembered) {
			if err := rememberPeers(g.dir, mergePeers(peers, rememberedPeers(g.dir))); err != nil {
				g.log.Warn("the addresses of other nodes were not remembered", "error", err)
			}
			remembered = peers
		}
		pause = min(2*pause, seedPauseMax)
		if !alone {
			pause = seedPauseMax
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-g.wake:
			timer.Stop()
			if alone {
				pause = seedPause
			}
		}
	}
}

// join all addresses at the same time: one that does not answer must not hold up the others.
func (g *gossip) join(ctx context.Context, addresses []string) {
	var asked sync.WaitGroup
	for _, address := range addresses {
		asked.Go(func() {
			if _, err := g.list.Join([]string{address}); err != nil && ctx.Err() == nil {
				g.log.Trace("nobody was found", "at", address, "error", err)
			}
		})
	}
	asked.Wait()
}

// peers are the gossip addresses of this node and of those that live.
func (g *gossip) peers() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, m := range g.alive {
		out = append(out, m.GossipAddress)
	}
	slices.Sort(out)
	return append([]string{g.address}, out...)[:min(len(out)+1, peersKept)]
}

// members that live, by id.
func (g *gossip) members() []GossipMember {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]GossipMember, 0, len(g.alive))
	for _, m := range g.alive {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b GossipMember) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// tell the others what this node says of itself now.
func (g *gossip) tell(meta gossipMeta) error {
	own, err := meta.encode()
	if err != nil {
		return err
	}
	g.mu.Lock()
	same := slices.Equal(own, g.own)
	g.own, g.cluster = own, meta.cluster
	g.mu.Unlock()
	if same {
		return nil
	}
	return g.list.UpdateNode(leaveTime)
}

// watchKeys looks whether the file of keys has changed.
func (g *gossip) watchKeys(ctx context.Context) {
	if g.keys == nil {
		return
	}
	look := time.NewTicker(keyLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			_ = g.reloadKeys(false) // logged
		}
	}
}

func (g *gossip) reloadKeys(force bool) error {
	if g.keys == nil {
		return nil
	}
	changed, err := g.keys.reload(force)
	switch {
	case err != nil:
		g.log.Error("the keys of gossip stay as they were", "error", err)
	case changed:
		g.log.Info("the keys of gossip changed", "fingerprints", g.keys.fingerprints())
	}
	return err
}

// close tells the others that this node ends, and stops. Once.
func (g *gossip) close() error {
	g.stop()
	g.running.Wait()
	g.mu.Lock()
	copied := g.rival != ""
	g.mu.Unlock()
	if copied {
		return g.list.Shutdown() // a farewell would be taken for the other process's
	}
	if err := g.list.Leave(leaveTime); err != nil {
		g.log.Debug("the others were not told that this node ends", "error", err)
	}
	return g.list.Shutdown()
}
