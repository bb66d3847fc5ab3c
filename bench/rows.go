package main

import (
	"fmt"
	"slices"
)

// The figures, by the names that --json and --rows use.
const (
	jobs1       = "jobs/1+1"
	jobs16      = "jobs/16+16"
	jobs128     = "jobs/128+128"
	jobsBatch   = "jobs/16+16/batch50"
	jobsStream  = "jobs/128+128/stream"
	startP50    = "start/200/p50"
	startP99    = "start/200/p99"
	enqueue1    = "enqueue/1/p50"
	enqueue16   = "enqueue/16/p50"
	enqueue128  = "enqueue/128/p50"
	cpu1        = "cpu/1+1"
	cpu128      = "cpu/128+128"
	claim10k    = "claim/10k/p50"
	claim200k   = "claim/200k/p50"
	claim1m     = "claim/1M/p50"
	claimSpread = "claim/spread"
	memory200k  = "memory/200k"
	raft1       = "raft/1"
	raft128     = "raft/128"
	raft1024    = "raft/1024"
	echo128     = "echo/128"
)

// row is one line of the table.
type row struct {
	Name     string `json:"name"`
	Title    string `json:"title"`
	decimals int
	lower    bool // less is better
	aim      float64
	aimBolt  float64 // where raft-boltdb has an aim of its own
	// reference rows have no aim: they say what the machine can do.
	reference bool
}

// rows of the table, in its order. The aims are those of raft-wal, the default store, unless raft-boltdb has its own.
var rows = []row{
	{Name: jobs1, Title: "jobs/s, 1 producer + 1 worker", aim: 1_200, aimBolt: 850},
	{Name: jobs16, Title: "jobs/s, 16 + 16", aim: 5_500},
	{Name: jobs128, Title: "jobs/s, 128 + 128", aim: 8_000},
	{Name: jobsBatch, Title: "jobs/s, 16 + 16, batches of 50", aim: 60_000},
	{Name: jobsStream, Title: "jobs/s, the SDK: streaming workers, 128 + 128 slots", aim: 25_000},
	{Name: startP50, Title: "enqueue to start at 200 jobs/s, p50, ms", decimals: 2, lower: true, aim: 1.0},
	{Name: startP99, Title: "enqueue to start at 200 jobs/s, p99, ms", decimals: 2, lower: true, aim: 2.0},
	{Name: enqueue1, Title: "durable enqueue p50, 1 caller, ms", decimals: 2, lower: true, aim: 0.7},
	{Name: enqueue16, Title: "durable enqueue p50, 16 callers, ms", decimals: 2, lower: true, aim: 2.0},
	{Name: enqueue128, Title: "durable enqueue p50, 128 callers, ms", decimals: 2, lower: true, aim: 6.0},
	{Name: cpu1, Title: "servers' CPU s per 1,000 jobs, 1 + 1", decimals: 3, lower: true, aim: 1.0},
	{Name: cpu128, Title: "servers' CPU s per 1,000 jobs, 128 + 128", decimals: 3, lower: true, aim: 0.15},
	{Name: claim10k, Title: "claim p50 with 10,000 waiting, ms", decimals: 2, lower: true},
	{Name: claim200k, Title: "claim p50 with 200,000 waiting, ms", decimals: 2, lower: true},
	{Name: claim1m, Title: "claim p50 with 1,000,000 waiting, ms", decimals: 2, lower: true},
	{Name: claimSpread, Title: "the slowest of these three against the fastest", decimals: 2, lower: true, aim: 1.10},
	{Name: memory200k, Title: "memory of all servers, 200,000 waiting, MB", lower: true, aim: 400},
	{Name: raft1, Title: "raw raft, commands/s, 1 caller", reference: true},
	{Name: raft128, Title: "raw raft, commands/s, 128 callers", reference: true},
	{Name: raft1024, Title: "raw raft, commands/s, 1,024 callers", reference: true},
	{Name: echo128, Title: "bare Connect echo, calls/s, 128 callers", reference: true},
}

// aimOf a row for one system; 0: none. Only Fairlane has aims.
func (r row) aimOf(system string) float64 {
	switch {
	case system == fairlaneBolt && r.aimBolt != 0:
		return r.aimBolt
	case system == fairlaneBolt, system == fairlaneWAL:
		return r.aim
	}
	return 0
}

// met tells whether a median reaches the aim.
func (r row) met(value, aim float64) bool {
	if r.lower {
		return value <= aim
	}
	return value >= aim
}

func (r row) aimText() string {
	if r.aim == 0 {
		return "-"
	}
	sign := ">="
	if r.lower {
		sign = "<="
	}
	text := fmt.Sprintf("%s %s", sign, number(r.aim, r.decimals))
	if r.aimBolt != 0 {
		text += fmt.Sprintf(" (raft-boltdb %s)", number(r.aimBolt, r.decimals))
	}
	return text
}

// figures holds what was measured: by system and row, one value for each round.
type figures map[string]map[string][]float64

// add one value.
func (f figures) add(system, row string, value float64) {
	if f[system] == nil {
		f[system] = make(map[string][]float64)
	}
	f[system][row] = append(f[system][row], value)
}

// derive adds what follows from the medians of others: how far the three claims lie apart.
func (f figures) derive() {
	for _, of := range f {
		var claims []float64
		for _, name := range []string{claim10k, claim200k, claim1m} {
			if rounds := of[name]; len(rounds) > 0 {
				claims = append(claims, summarize(rounds).Median)
			}
		}
		if len(claims) == 3 {
			of[claimSpread] = []float64{slices.Max(claims) / slices.Min(claims)}
		}
	}
}
