package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	natsName   = "NATS JetStream"
	natsServer = "github.com/nats-io/nats-server/v2"
	natsNodes  = 3
	natsLimit  = 10 * time.Second // for one call
)

// natsConfig of one server. sync_interval always: fsync before each answer, as Fairlane does; the default is every two minutes.
const natsConfig = `
server_name: n%d
listen: %q
jetstream { store_dir: %q, sync_interval: always }
cluster { name: bench, listen: %q, routes: [%s] }
`

// findNATS builds the server, in the version of go.mod, which needs a minute the first time.
func findNATS(ctx context.Context, _ options, dir string) (system, error) {
	binary := filepath.Join(dir, "nats-server")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, natsServer).CombinedOutput(); err != nil {
		return system{}, fmt.Errorf("its server cannot be built: %s", oneLine(string(out)))
	}
	version, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return system{}, err
	}
	return system{
		version: fmt.Sprintf("%s, client %s; three servers, stream and consumer on all three, work queue retention, file storage, sync_interval always, double acks",
			strings.TrimSpace(string(version)), moduleVersion("github.com/nats-io/nats.go")),
		measure: func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error) {
			if s.sdk || s.referencesOnly || s.waiting > 0 && s.memory == "" {
				return outcome{}, errNotOffered
			}
			q, err := startNATS(ctx, binary, dir)
			if err != nil {
				return outcome{}, err
			}
			defer q.stop()
			return measureQueue(ctx, q, s, length)
		},
	}, nil
}

// natsQueue is three servers with one stream and one pull consumer.
type natsQueue struct {
	processes []*process
	stream    string // address of its leader, which producers talk to
	consumer  string // address of its leader, which workers talk to
	control   *nats.Conn
}

func startNATS(ctx context.Context, binary, dir string) (_ *natsQueue, err error) {
	q := &natsQueue{}
	defer func() {
		if err != nil {
			q.stop()
		}
	}()
	addresses, err := freeAddresses(2 * natsNodes)
	if err != nil {
		return nil, err
	}
	clients, routes := addresses[:natsNodes], addresses[natsNodes:]
	dirs, err := nodeDirs(dir, natsNodes)
	if err != nil {
		return nil, err
	}
	for i := range natsNodes {
		config := fmt.Sprintf(natsConfig, i+1, clients[i], dirs[i], routes[i], `"nats://`+strings.Join(routes, `", "nats://`)+`"`)
		path := filepath.Join(dirs[i], "server.conf")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			return nil, err
		}
		p, err := startProcess(filepath.Join(dirs[i], "output"), exec.Command(binary, "--config", path))
		if err != nil {
			return nil, err
		}
		q.processes = append(q.processes, p)
	}
	for i, p := range q.processes {
		if err := p.await(ctx, accepts(clients[i])); err != nil {
			return nil, err
		}
	}
	if err := q.processes[0].await(ctx, func(ctx context.Context) error { return q.setUp(ctx, clients) }); err != nil {
		return nil, err
	}
	return q, nil
}

// setUp the stream and the consumer, and find the leader. It may be repeated.
func (q *natsQueue) setUp(ctx context.Context, clients []string) error {
	ctx, cancel := context.WithTimeout(ctx, natsLimit)
	defer cancel()
	if q.control == nil {
		conn, err := nats.Connect(clients[0])
		if err != nil {
			return err
		}
		q.control = conn
	}
	js, err := jetstream.New(q.control)
	if err != nil {
		return err
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "JOBS", Subjects: []string{"jobs"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Replicas: natsNodes,
	})
	if err != nil {
		return err
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxAckPending: -1, Replicas: natsNodes,
	})
	if err != nil {
		return err
	}
	of, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	work, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	for i, address := range clients {
		name := fmt.Sprintf("n%d", i+1)
		if of.Cluster != nil && of.Cluster.Leader == name {
			q.stream = address
		}
		if work.Cluster != nil && work.Cluster.Leader == name {
			q.consumer = address
		}
	}
	if q.stream == "" || q.consumer == "" {
		return errors.New("the stream or its consumer has no leader yet")
	}
	return nil
}

func (q *natsQueue) servers() []int {
	pids := make([]int, len(q.processes))
	for i, p := range q.processes {
		pids[i] = p.pid()
	}
	return pids
}

func (q *natsQueue) stop() {
	if q.control != nil {
		q.control.Close()
	}
	for _, p := range q.processes {
		p.stop()
	}
}

// produce over a connection of its own to the stream's leader. Jobs of one call go out together; each has its own confirmation.
func (q *natsQueue) produce(context.Context) (func(context.Context, [][]byte) error, func(), error) {
	conn, err := nats.Connect(q.stream)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	put := func(ctx context.Context, payloads [][]byte) error {
		if len(payloads) == 1 {
			_, err := js.Publish(ctx, "jobs", payloads[0])
			return err
		}
		futures := make([]jetstream.PubAckFuture, len(payloads))
		for i, p := range payloads {
			if futures[i], err = js.PublishAsync("jobs", p); err != nil {
				return err
			}
		}
		for _, f := range futures {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	return put, conn.Close, nil
}

func (q *natsQueue) work(ctx context.Context, workers, batch int, started func([]byte), finished func(int)) error {
	c := newCrew(ctx)
	for range workers {
		c.run(func(ctx context.Context) error { return q.workOne(ctx, batch, started, finished) })
	}
	c.all.Wait()
	return c.end()
}

// natsWorker is one worker with a connection of its own to the consumer's leader.
type natsWorker struct {
	conn      *nats.Conn
	consumer  jetstream.Consumer
	inbox     string
	confirmed *nats.Subscription // of the double acks, which come to inbox
	started   func([]byte)
	finished  func(int)
}

// workOne worker until ctx ends.
func (q *natsQueue) workOne(ctx context.Context, batch int, started func([]byte), finished func(int)) error {
	conn, err := nats.Connect(q.consumer)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	w := &natsWorker{conn: conn, inbox: conn.NewInbox(), started: started, finished: finished}
	if w.consumer, err = js.Consumer(ctx, "JOBS", "workers"); err != nil {
		return err
	}
	if w.confirmed, err = conn.SubscribeSync(w.inbox); err != nil {
		return err
	}
	if batch == 1 {
		return w.single(ctx)
	}
	return w.batches(ctx, batch)
}

// single messages, one after the other, with the client's standing pull, which is faster than a fetch for each.
func (w *natsWorker) single(ctx context.Context) error {
	pull, err := w.consumer.Messages(jetstream.PullMaxMessages(1))
	if err != nil {
		return err
	}
	defer pull.Stop()
	defer context.AfterFunc(ctx, pull.Stop)()
	for {
		message, err := pull.Next()
		if err != nil {
			return err
		}
		if err := w.ack(message); err != nil {
			return err
		}
		if err := w.confirm(ctx, 1); err != nil {
			return err
		}
	}
}

// batches: a fetch, and the double acks of all its messages together.
func (w *natsWorker) batches(ctx context.Context, batch int) error {
	for ctx.Err() == nil {
		fetched, err := w.consumer.Fetch(batch, jetstream.FetchMaxWait(natsLimit))
		if err != nil {
			return err
		}
		jobs := 0
		for message := range messages(ctx, fetched) {
			if err := w.ack(message); err != nil {
				return err
			}
			jobs++
		}
		if err := fetched.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return err
		}
		if err := w.confirm(ctx, jobs); err != nil {
			return err
		}
	}
	return nil
}

// ack asks for the confirmation too.
func (w *natsWorker) ack(message jetstream.Msg) error {
	w.started(message.Data())
	return w.conn.PublishRequest(message.Reply(), w.inbox, []byte("+ACK"))
}

// confirm waits for so many confirmations.
func (w *natsWorker) confirm(ctx context.Context, jobs int) error {
	for range jobs {
		if _, err := w.confirmed.NextMsgWithContext(ctx); err != nil {
			return err
		}
	}
	w.finished(jobs)
	return nil
}

// messages of a fetch, until it or ctx ends.
func messages(ctx context.Context, fetched jetstream.MessageBatch) func(func(jetstream.Msg) bool) {
	return func(yield func(jetstream.Msg) bool) {
		for {
			select {
			case m, ok := <-fetched.Messages():
				if !ok || !yield(m) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// accepts tells whether something listens.
func accepts(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
