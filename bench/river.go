package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	riverName = "River on PostgreSQL (1 node)"
	// riverConnections at most: with more of them a server on few processors gets slower, not faster.
	riverConnections = 32
	// What River's own benchmark takes; the defaults, 100 ms and 1 s, are slower.
	riverCooldown = 2 * time.Millisecond
	riverPoll     = 20 * time.Millisecond
	// postgresUser runs the server where this program runs as root, which PostgreSQL refuses.
	postgresUser = "postgres"
)

// findRiver looks for a PostgreSQL server; apt-get install postgresql brings it.
func findRiver(ctx context.Context, _ options, _ string) (system, error) {
	server, err := findPostgres()
	if err != nil {
		return system{}, err
	}
	version, err := exec.CommandContext(ctx, server, "--version").Output()
	if err != nil {
		return system{}, err
	}
	return system{
		version: fmt.Sprintf("River %s, %s; one server, fsync and synchronous_commit on", moduleVersion("github.com/riverqueue/river"), strings.TrimSpace(string(version))),
		measure: func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error) {
			if s.sdk || s.referencesOnly || s.waiting > 0 && s.memory == "" {
				return outcome{}, errNotOffered
			}
			q, err := startRiver(ctx, server, dir)
			if err != nil {
				return outcome{}, err
			}
			defer q.stop()
			return measureQueue(ctx, q, s, length)
		},
	}, nil
}

// findPostgres on the PATH, or where Debian keeps it, the newest.
func findPostgres() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed here")
	}
	sort.Strings(found)
	return found[len(found)-1], nil
}

// riverQueue is one PostgreSQL server with River's tables.
type riverQueue struct {
	process *process
	pool    *pgxpool.Pool
}

func startRiver(ctx context.Context, server, dir string) (_ *riverQueue, err error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addresses[0])
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	create := exec.CommandContext(ctx, filepath.Join(filepath.Dir(server), "initdb"), "--no-sync", "--auth", "trust", "--username", postgresUser, "--pgdata", data)
	start := exec.Command(server, "-D", data, "-p", port, "-c", "listen_addresses="+host, "-c", "unix_socket_directories=",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "shared_buffers=256MB")
	create.Dir, start.Dir = data, data
	for _, command := range []*exec.Cmd{create, start} {
		if err := runAs(command, postgresUser, dir, data); err != nil {
			return nil, err
		}
	}
	if out, err := create.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, oneLine(string(out)))
	}
	q := &riverQueue{}
	defer func() {
		if err != nil {
			q.stop()
		}
	}()
	if q.process, err = startProcess(filepath.Join(dir, "output"), start); err != nil {
		return nil, err
	}
	if q.pool, err = pgxpool.New(ctx, fmt.Sprintf("postgres://%s@%s/postgres?pool_max_conns=%d", postgresUser, addresses[0], riverConnections)); err != nil {
		return nil, err
	}
	if err := q.process.await(ctx, q.pool.Ping); err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(q.pool), &rivermigrate.Config{Logger: noLog()})
	if err != nil {
		return nil, err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return q, err
}

func noLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (q *riverQueue) servers() []int { return []int{q.process.pid()} }

func (q *riverQueue) stop() {
	if q.pool != nil {
		q.pool.Close()
	}
	if q.process != nil {
		q.process.stop()
	}
}

// riverJob is what lies in the table, as JSON.
type riverJob struct {
	Payload []byte `json:"payload"`
}

// Kind is River's name of it.
func (riverJob) Kind() string { return "bench" }

// produce: one transaction for each call.
func (q *riverQueue) produce(context.Context) (func(context.Context, [][]byte) error, func(), error) {
	client, err := river.NewClient(riverpgxv5.New(q.pool), &river.Config{Logger: noLog()})
	if err != nil {
		return nil, nil, err
	}
	put := func(ctx context.Context, payloads [][]byte) error {
		if len(payloads) == 1 {
			_, err := client.Insert(ctx, riverJob{Payload: payloads[0]}, nil)
			return err
		}
		jobs := make([]river.InsertManyParams, len(payloads))
		for i, p := range payloads {
			jobs[i] = river.InsertManyParams{Args: riverJob{Payload: p}}
		}
		_, err := client.InsertManyFast(ctx, jobs)
		return err
	}
	return put, func() {}, nil
}

// work in one client with so many workers. River fetches for all that are free at once and confirms finishes together.
func (q *riverQueue) work(ctx context.Context, workers, batch int, started func([]byte), finished func(int)) error {
	handlers := river.NewWorkers()
	river.AddWorker(handlers, river.WorkFunc(func(_ context.Context, job *river.Job[riverJob]) error {
		started(job.Args.Payload)
		return nil
	}))
	client, err := river.NewClient[pgx.Tx](riverpgxv5.New(q.pool), &river.Config{
		Logger: noLog(), Workers: handlers, FetchCooldown: riverCooldown, FetchPollInterval: riverPoll,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers * batch}},
	})
	if err != nil {
		return err
	}
	events, done := client.SubscribeConfig(&river.SubscribeConfig{ChanSize: 100_000, Kinds: []river.EventKind{river.EventKindJobCompleted}})
	defer done()
	if err := client.Start(ctx); err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		_ = client.StopAndCancel(limit) // the server ends next
	}()
	for {
		select {
		case <-events:
			finished(1)
		case <-ctx.Done():
			return nil
		}
	}
}
