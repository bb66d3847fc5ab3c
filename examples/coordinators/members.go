package main

import (
	"context"
	"errors"
	"time"
)

// member is one thing to keep in order. All members of a coordinator have its tick; one with an interval runs at the first tick that comes at
// least that long after its last start.
type member struct {
	coordinator string
	name        string
	tick        time.Duration
	interval    time.Duration
	work        func(ctx context.Context, s *store) error
}

// members of both coordinators. pace shortens all times, to watch a day in an hour.
func members(pace float64) []member {
	after := func(d time.Duration) time.Duration {
		return max(time.Duration(float64(d)*pace), time.Second).Round(time.Millisecond)
	}
	pulse, upkeep := after(10*time.Second), after(time.Minute)
	return []member{
		{"pulse", "expire-carts", pulse, 0, expireCarts},
		{"pulse", "count-stock", pulse, 0, countStock},
		{"upkeep", "archive-orders", upkeep, 0, archiveOrders},
		{"upkeep", "report", upkeep, 0, report},
		{"upkeep", "push-to-partner", upkeep, 0, pushToPartner},
		{"upkeep", "vacuum", upkeep, after(5 * time.Minute), vacuum},
	}
}

// expireCarts that nobody touched for a second.
func expireCarts(ctx context.Context, s *store) error {
	_, err := s.ExecContext(ctx, `UPDATE carts SET expired = 1 WHERE expired = 0 AND touched < ?`, time.Now().Add(-time.Second).UnixMilli())
	return err
}

// countStock that open carts hold. It reads what expireCarts writes, so both must never run at a time.
func countStock(ctx context.Context, s *store) error {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `DELETE FROM stock`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO stock SELECT sku, COUNT(*) FROM carts WHERE expired = 0 GROUP BY sku`); err != nil {
		return err
	}
	return tx.Commit()
}

// archiveOrders moves them, all or none. Run again after a half-way end it finds the rest.
func archiveOrders(ctx context.Context, s *store) error {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var last int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM orders`).Scan(&last); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO archive SELECT * FROM orders WHERE id <= ?`, last); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM orders WHERE id <= ?`, last); err != nil {
		return err
	}
	return tx.Commit()
}

// report of what was sold, made anew from the archive.
func report(ctx context.Context, s *store) error {
	_, err := s.ExecContext(ctx, `INSERT OR REPLACE INTO report SELECT sku, COUNT(*), SUM(cents) FROM archive GROUP BY sku`)
	return err
}

// pushToPartner fails: the partner has been down for weeks, and nobody else has to suffer for it.
func pushToPartner(context.Context, *store) error {
	return errors.New("partner.example: connection refused")
}

func vacuum(ctx context.Context, s *store) error {
	_, err := s.ExecContext(ctx, `VACUUM`)
	return err
}
