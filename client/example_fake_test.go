package fairlane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// exampleClient talks to a cluster in memory, so that the examples below have an output.
func exampleClient() *Client {
	c, err := Open(Config{Endpoints: []string{"n1:1"}, HTTPClient: &http.Client{Transport: newFake()}})
	if err != nil {
		panic(err)
	}
	return c
}

// Producer and worker in one program.
func ExampleTask() {
	ctx, stop := context.WithCancel(context.Background())
	cl := exampleClient()
	defer cl.Close()
	square := Define[int, int]("square")

	w := NewWorker(cl, Lanes("default:2"))
	square.Handle(w, func(_ context.Context, job *Job[int]) (int, error) { return job.Args * job.Args, nil })
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()

	job, err := square.Enqueue(ctx, cl, 7, AsUser("ana"))
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(job.Wait(ctx))
	stop()
	fmt.Println(<-ended)
	// Output:
	// 49 <nil>
	// <nil>
}

// Many jobs in one call; each has its own outcome.
func ExampleClient_EnqueueMany() {
	cl := exampleClient()
	defer cl.Close()
	square := Define[int, int]("square")
	got, err := cl.EnqueueMany(context.Background(), []NewJob{square.New(1), {Kind: ""}, square.New(3, To("manual"))})
	if err != nil {
		fmt.Println(err)
	}
	for _, one := range got {
		if one.Err != nil {
			fmt.Println("refused:", errors.Is(one.Err, ErrInvalidArgument))
			continue
		}
		fmt.Println("job", one.Handle.ID)
	}
	// Output:
	// job 1
	// refused: true
	// job 2
}

// Of two cancels one has done it.
func ExampleClient_Cancel() {
	ctx := context.Background()
	cl := exampleClient()
	defer cl.Close()
	job, err := cl.Enqueue(ctx, "k", nil)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(job.Cancel(ctx))
	fmt.Println(job.Cancel(ctx))
	_, err = (&TaskHandle[string]{job}).Wait(ctx)
	fmt.Println(err, errors.Is(err, ErrCancelled))
	// Output:
	// true <nil>
	// false <nil>
	// fairlane: job 1 is cancelled true
}

// Output is read while the job runs.
func ExampleClient_Stream() {
	ctx, stop := context.WithCancel(context.Background())
	cl := exampleClient()
	defer cl.Close()
	w := NewWorker(cl)
	w.HandleFunc("count", func(_ context.Context, job *RawJob) ([]byte, error) {
		for i := range 3 {
			fmt.Fprintf(job.Output(), "%d;", i+1)
		}
		return nil, nil
	})
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()

	job, err := cl.Enqueue(ctx, "count", nil)
	if err != nil {
		fmt.Println(err)
	}
	var text []byte
	for chunk, err := range cl.Stream(ctx, job.ID) {
		if err != nil {
			fmt.Println(err)
			break
		}
		if chunk.Restarted {
			text = text[:0]
		}
		text = append(text, chunk.Data...)
	}
	fmt.Printf("%s\n", text)
	stop()
	fmt.Println(<-ended)
	// Output:
	// 1;2;3;
	// <nil>
}
