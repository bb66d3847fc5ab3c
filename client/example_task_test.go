package fairlane_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
)

type Resize struct {
	URL   string `json:"url"`
	Width int    `json:"width"`
}

type Thumb struct {
	Path string `json:"path"`
}

// ResizeTask is shared by the producer and the worker.
var ResizeTask = fairlane.Define[Resize, Thumb]("image.resize")

// A producer adds a job and waits for its typed result.
func ExampleTask_Enqueue() {
	ctx := context.Background()
	cl, err := fairlane.Connect("http://127.0.0.1:7171", "http://127.0.0.1:7181")
	if err != nil {
		log.Fatal(err)
	}
	defer cl.Close()

	job, err := ResizeTask.Enqueue(ctx, cl, Resize{URL: "https://example.com/1.jpg", Width: 640},
		fairlane.To("manual"), fairlane.AsUser("ana"), fairlane.IdempotencyKey("resize:1"))
	if err != nil {
		log.Fatal(err)
	}
	thumb, err := job.Wait(ctx)
	if errors.Is(err, fairlane.ErrFailed) {
		log.Fatal("all attempts failed: ", err)
	}
	fmt.Println(thumb.Path, err)
}

// A worker with two lanes, which drains on SIGTERM.
func ExampleWorker() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cl, err := fairlane.Connect() // FAIRLANE_ENDPOINTS, or http://127.0.0.1:7171
	if err != nil {
		log.Fatal(err)
	}
	defer cl.Close()

	w := fairlane.NewWorker(cl, fairlane.Lanes("fast_lane:1 manual>*:4"), fairlane.Grace(time.Minute))
	ResizeTask.Handle(w, func(ctx context.Context, job *fairlane.Job[Resize]) (Thumb, error) {
		if job.Args.Width <= 0 {
			return Thumb{}, fairlane.Discard(errors.New("no width"))
		}
		// Long work ends when ctx does; job.Fence goes to every system outside that can refuse old numbers.
		return Thumb{Path: fmt.Sprintf("/thumbs/%d.jpg", job.ID)}, nil
	})
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// An untyped handler takes every kind that has no handler of its own.
func ExampleWorker_HandleRest() {
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	w := fairlane.NewWorker(cl, fairlane.Lanes("*:2"))
	w.HandleRest(func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		fmt.Printf("%s in lane %s: %s\n", job.Kind, job.LaneText, job.Payload)
		return nil, nil
	})
}

// A handler's error says what comes next.
func ExampleRetryAfter() {
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	w := fairlane.NewWorker(cl)
	w.HandleFunc("call", func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		switch {
		case job.Attempt > 10:
			return nil, fairlane.Discard(errors.New("enough")) // failed, no further attempt
		case time.Now().Hour() < 8:
			return nil, fairlane.Snooze(time.Hour) // later, no attempt charged
		}
		return nil, fairlane.RetryAfter(5*time.Second, errors.New("busy")) // an attempt, and when the next one is due
	})
}
