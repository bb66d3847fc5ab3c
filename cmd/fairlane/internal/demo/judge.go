package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
)

// judge asks the cluster what it stores and compares it with the files.
func (r *run) judge(ctx context.Context) error {
	if r.verdict.Stuck == "" {
		if err := r.waitFinal(ctx); err != nil {
			return err
		}
	}
	v := r.verdict
	v.Jobs = len(r.work)
	status, _, err := r.servers.Leader(ctx)
	if err != nil {
		return err
	}
	v.Entries = status.GetAppliedIndex()
	if err := r.compareResults(ctx); err != nil {
		return err
	}
	v.FinishedTwice = max(0, int(status.GetTotals().GetFinished())-(v.Jobs-v.Lost))
	v.DigestIndex, v.Digests, err = r.servers.Digests(ctx)
	return err
}

// waitFinal waits until the cluster has no job left that is not final: the last finishes may still be on their way.
func (r *run) waitFinal(ctx context.Context) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		status, _, err := r.servers.Leader(ctx)
		if jobs := status.GetTotals().GetJobs(); err == nil && jobs.GetScheduled()+jobs.GetPending()+jobs.GetRunning() == 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("jobs are left that are not final: %w", ctx.Err())
		}
	}
}

// compareResults reads every job from the cluster and hashes every file once more, here.
func (r *run) compareResults(ctx context.Context) error {
	client, err := fairlane.Connect(r.servers.Endpoints()...)
	if err != nil {
		return err
	}
	defer client.Close()
	var mu sync.Mutex
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(32)
	for i, id := range r.ids {
		work.Go(func() error {
			state, result, err := stored(ctx, client, id)
			if err != nil {
				return fmt.Errorf("get job %d: %w", id, err)
			}
			want, err := HashFile(r.work[i].Path)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case state != fairlane.StateSucceeded:
				r.verdict.Lost++
			case result != want:
				r.verdict.WrongHashes++
				fallthrough
			default:
				r.verdict.Checked++
			}
			return nil
		})
	}
	return work.Wait()
}

// judgeReports draws the conclusions from what the workers reported.
func (r *run) judgeReports() {
	v, t := r.verdict, r.tally
	v.Took = t.Took()
	v.RunTwice = t.RunTwice()
	v.FinishedTwice = max(v.FinishedTwice, t.FinishedTwice())
	for _, w := range r.workers.all {
		for lane, slots := range slotsOf {
			v.Lanes = append(v.Lanes, LaneVerdict{w.Name, laneNames[lane], t.Most[LaneKey{w.Name, lane}], slots})
		}
	}
	for _, w := range r.killer.windows {
		if d, ok := t.Failover(w.killed, w.until); ok {
			v.Failovers = append(v.Failovers, d)
		}
	}
	served := InLine(t.Claims, "manual", r.killer.fence)
	v.First = served[:min(12, len(served))]
	v.TurnsChecked = len(served)
	waiting := map[string]int{}
	for _, w := range r.work {
		if w.Queue == "manual" {
			waiting[w.User]++
		}
	}
	v.Turns = CheckTurns(served, Users, waiting)
}

// laneNames of the lanes, in their order.
var laneNames = []string{"fast_lane", "manual>*"}

// HashFile gives the SHA-256 of a file's bytes in hex.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// share says in words how many jobs each user has.
func share(work []Work) string {
	count := map[string]int{}
	for _, w := range work {
		count[w.User]++
	}
	text := ""
	for _, u := range Users {
		text += fmt.Sprintf("%s %d  ", u, count[u])
	}
	return text
}
