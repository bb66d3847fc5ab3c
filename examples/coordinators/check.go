package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// findings is what the notes of the members say.
type findings struct {
	Overlaps int                    `json:"overlaps"`
	Members  map[string]memberFound `json:"members"`
	Ordered  int                    `json:"ordered"` // ever
	Open     int                    `json:"open"`
	Archived int                    `json:"archived"`
	Reported int                    `json:"reported"`
}

type memberFound struct {
	Runs   int   `json:"runs"`   // that ended by themselves
	Failed int   `json:"failed"` // of these
	Broken int   `json:"broken"` // whose process died
	Last   int64 `json:"last"`   // start of the last run, Unix milliseconds
}

func check(ctx context.Context, s *store, out io.Writer) error {
	f := findings{Members: map[string]memberFound{}}
	for query, into := range map[string]*int{
		`SELECT COUNT(*) FROM overlaps`:                     &f.Overlaps,
		`SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence`: &f.Ordered,
		`SELECT COUNT(*) FROM orders`:                       &f.Open,
		`SELECT COUNT(*) FROM archive`:                      &f.Archived,
		`SELECT COALESCE(SUM(orders), 0) FROM report`:       &f.Reported,
	} {
		if err := s.QueryRowContext(ctx, query).Scan(into); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	rows, err := s.QueryContext(ctx, `SELECT coordinator || '/' || member, COUNT(ended), COUNT(error), SUM(ended IS NULL), MAX(began) FROM runs GROUP BY 1`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var m memberFound
		if err := rows.Scan(&name, &m.Runs, &m.Failed, &m.Broken, &m.Last); err != nil {
			return err
		}
		f.Members[name] = m
	}
	if err := rows.Err(); err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(f)
}
