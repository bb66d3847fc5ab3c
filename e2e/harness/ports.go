package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports lie below the range from which Linux takes the ports of outgoing connections: else a connection of a test could
// sit on the port of a node that is about to start again.
const (
	lowestPort  = 12000
	highestPort = 32000
)

var given struct {
	sync.Mutex
	ports map[int]bool
}

// freePort gives a loopback port that nobody listens on now and that this process did not give before.
func freePort() (int, error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = make(map[int]bool)
	}
	for range 200 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		given.ports[port] = true
		return port, nil
	}
	return 0, errors.New("no free port found in 200 tries")
}
