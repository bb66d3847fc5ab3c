package demo

import (
	"context"
	"fmt"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
)

// File is what a job says: which file to hash.
type File struct {
	Path string `json:"path"`
}

// Sum is what comes of it.
type Sum struct {
	SHA256 string `json:"sha256"`
}

// Hash is the one task of the demonstration, shared by its producer and its workers.
var Hash = fairlane.Define[File, Sum]("demo.sha256")

// ServeHash runs a worker that hashes files and reports, until ctx ends.
func ServeHash(ctx context.Context, endpoints []string, name, lanes string, reporter *Reporter) error {
	client, err := fairlane.Connect(endpoints...)
	if err != nil {
		return err
	}
	defer client.Close()
	w := fairlane.NewWorker(client, fairlane.WorkerName(name), fairlane.Lanes(lanes), fairlane.Observe(func(e fairlane.Event) {
		if e.Kind == fairlane.EventFinished {
			reporter.Finished(Report{Job: uint64(e.Job), Fence: uint64(e.Fence), Lane: e.Lane})
		}
	}))
	Hash.Handle(w, func(_ context.Context, job *fairlane.Job[File]) (Sum, error) {
		defer reporter.Began(Report{
			Job: uint64(job.ID), Fence: uint64(job.Fence), User: job.User, Queue: job.Queue, Lane: job.Lane,
		})()
		sum, err := HashFile(job.Args.Path)
		return Sum{sum}, err
	})
	return w.Run(ctx)
}

// enqueue adds one job for each piece of work, user after user, many in one call, and gives their ids by position.
func enqueue(ctx context.Context, endpoints []string, work []Work) ([]uint64, error) {
	client, err := fairlane.Connect(endpoints...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	const inOneCall = 500
	ids := make([]uint64, len(work))
	for _, user := range Users {
		var jobs []fairlane.NewJob
		var places []int
		for i, w := range work {
			if w.User == user {
				jobs = append(jobs, Hash.New(File{w.Path}, fairlane.To(w.Queue), fairlane.AsUser(user)))
				places = append(places, i)
			}
		}
		for len(jobs) > 0 {
			n := min(inOneCall, len(jobs))
			added, err := client.EnqueueMany(ctx, jobs[:n])
			if err != nil {
				return nil, err
			}
			for i, a := range added {
				if a.Err != nil {
					return nil, fmt.Errorf("%s: %w", work[places[i]].Path, a.Err)
				}
				ids[places[i]] = uint64(a.Handle.ID)
			}
			jobs, places = jobs[n:], places[n:]
		}
	}
	return ids, nil
}

// stored reads the state and the hash of a job from the cluster.
func stored(ctx context.Context, client *fairlane.Client, id uint64) (fairlane.State, string, error) {
	job, err := client.Get(ctx, fairlane.JobID(id))
	if err != nil || job.GetState() != fairlane.StateSucceeded {
		return job.GetState(), "", err
	}
	sum, err := fairlane.ResultOf[Sum](job)
	return job.GetState(), sum.SHA256, err
}
