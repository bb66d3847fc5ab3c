package cluster

import (
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// sourcesKept bounds the memory of who was warned of; beyond it the oldest is forgotten, and may be logged again.
const sourcesKept = 1024

// oncePerSource logs what strangers do once for each host and kind in a while: a stranger who tries again and again must not fill the disk.
type oncePerSource struct {
	log   hclog.Logger
	every time.Duration

	mu    sync.Mutex
	seen  map[string]time.Time
	order []string
}

func newOncePerSource(log hclog.Logger, every time.Duration) *oncePerSource {
	return &oncePerSource{log: log, every: every, seen: make(map[string]time.Time)}
}

// warn of what the host at the address did, unless it was said a short while ago.
func (o *oncePerSource) warn(from net.Addr, kind, message string, args ...any) {
	host := from.String()
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if o.isNew(host + " " + kind) {
		o.log.Warn(message, append([]any{"from", host, "kind", kind}, args...)...)
	}
}

func (o *oncePerSource) isNew(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if at, known := o.seen[key]; known {
		if now.Sub(at) < o.every {
			return false
		}
		o.seen[key] = now
		return true
	}
	if len(o.order) >= sourcesKept {
		delete(o.seen, o.order[0])
		o.order = o.order[1:]
	}
	o.seen[key], o.order = now, append(o.order, key)
	return true
}
