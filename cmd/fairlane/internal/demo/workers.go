package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/fleet"
)

// workers are the worker processes and the one stream of their reports.
type workers struct {
	all     []*fleet.Child
	reports chan Report
	readers sync.WaitGroup
}

// startWorkers starts n processes of the hidden verb demo-worker. Their reports come on one channel, which is closed when
// all of them have ended and the last line is read.
func startWorkers(binary, dir, lanes string, endpoints []string, n int) (*workers, error) {
	w := &workers{reports: make(chan Report, 4096)}
	for i := range n {
		name := fmt.Sprintf("w%d", i+1)
		read, write := io.Pipe()
		c, err := fleet.Start(name, binary, filepath.Join(dir, name+".log"), write,
			"demo-worker", "--worker-name", name, "--lanes", lanes, "--endpoints", strings.Join(endpoints, ","))
		if err != nil {
			return w, err
		}
		w.all = append(w.all, c)
		w.readers.Add(2)
		go func() {
			defer w.readers.Done()
			<-c.Ended
			write.Close()
		}()
		go func() {
			defer w.readers.Done()
			w.read(name, read)
		}()
	}
	go func() {
		w.readers.Wait()
		close(w.reports)
	}()
	return w, nil
}

func (w *workers) read(name string, from io.Reader) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		r := Report{}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // not a report; nothing else is counted
		}
		r.Worker = name
		w.reports <- r
	}
}

// killAll ends the workers; reports that nobody reads any longer must not hold them up.
func (w *workers) killAll() {
	go func() {
		for range w.reports { //nolint:revive // read away
		}
	}()
	fleet.KillAll(w.all)
}
