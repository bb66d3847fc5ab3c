package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite"
)

const schema = `
CREATE TABLE IF NOT EXISTS carts(id INTEGER PRIMARY KEY, sku TEXT NOT NULL, touched INTEGER NOT NULL, expired INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY AUTOINCREMENT, sku TEXT NOT NULL, cents INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS archive(id INTEGER PRIMARY KEY, sku TEXT NOT NULL, cents INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stock(sku TEXT PRIMARY KEY, reserved INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS report(sku TEXT PRIMARY KEY, orders INTEGER NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY, coordinator TEXT NOT NULL, member TEXT NOT NULL, job INTEGER NOT NULL, fence INTEGER NOT NULL,
	fire INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER, error TEXT);
CREATE TABLE IF NOT EXISTS overlaps(coordinator TEXT NOT NULL, member TEXT NOT NULL, at INTEGER NOT NULL);
`

// store is the shop's database, and the notes that members take of their runs.
type store struct {
	*sql.DB
	dir  string
	busy time.Duration // that each member takes beside its work
}

func openStore(ctx context.Context, path string, busy time.Duration) (*store, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &store{db, filepath.Dir(path), busy}, nil
}

// alone says whether nobody else holds the coordinator's lock, and takes it. The kernel lets go of the lock of a process that dies, so it is free
// exactly when no member of the coordinator runs, in any process. It only watches: that members never meet here is the coordinator's doing.
func (s *store) alone(coordinator string) (release func(), free bool, err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, coordinator+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return func() { _ = f.Close() }, err == nil, nil
}

// run notes that a member runs, does its work, and notes how it ended.
func (s *store) run(ctx context.Context, m member, job, fence uint64, fire time.Time) (err error) {
	release, free, err := s.alone(m.coordinator)
	if err != nil {
		return err
	}
	defer release()
	if !free {
		_, err := s.ExecContext(ctx, `INSERT INTO overlaps VALUES (?, ?, ?)`, m.coordinator, m.name, time.Now().UnixMilli())
		return fmt.Errorf("another member of %s runs (%w)", m.coordinator, err)
	}
	note, err := s.ExecContext(ctx, `INSERT INTO runs(coordinator, member, job, fence, fire, began) VALUES (?, ?, ?, ?, ?, ?)`,
		m.coordinator, m.name, job, fence, fire.UnixMilli(), time.Now().UnixMilli())
	if err != nil {
		return err
	}
	id, err := note.LastInsertId()
	if err != nil {
		return err
	}
	failure := m.work(ctx, s)
	select {
	case <-time.After(s.busy):
	case <-ctx.Done():
	}
	text := sql.NullString{}
	if failure != nil {
		text = sql.NullString{String: failure.Error(), Valid: true}
	}
	if _, err := s.ExecContext(context.WithoutCancel(ctx), `UPDATE runs SET ended = ?, error = ? WHERE id = ?`, time.Now().UnixMilli(), text, id); err != nil {
		return err
	}
	return failure
}

// shop makes customers: carts, and some orders, until ctx ends.
func (s *store) shop(ctx context.Context) {
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	for n := 0; ; n++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		sku := fmt.Sprintf("sku-%d", n%17)
		_, _ = s.ExecContext(ctx, `INSERT INTO carts(sku, touched) VALUES (?, ?)`, sku, time.Now().UnixMilli())
		if n%3 == 0 {
			_, _ = s.ExecContext(ctx, `INSERT INTO orders(sku, cents, at) VALUES (?, ?, ?)`, sku, 100+n%900, time.Now().UnixMilli())
		}
	}
}
