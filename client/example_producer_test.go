package fairlane

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Many goroutines enqueue, for example the handlers of a web server; what they add goes out together.
func ExampleProducer() {
	ctx := context.Background()
	cl := exampleClient()
	defer cl.Close()
	p := NewProducer(cl)
	square := Define[int, int]("square")

	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			// Returns when the job is on a majority of disks.
			if _, err := square.Enqueue(ctx, p, i, AsUser("ana")); err != nil {
				fmt.Println(err)
			}
		})
	}
	all.Wait()
	fmt.Println(p.Close(ctx))
	job, err := cl.Get(ctx, 100)
	fmt.Println(job.GetKind(), err)
	// Output:
	// <nil>
	// square <nil>
}

// One goroutine that does not wait for each answer.
func ExampleProducer_Send() {
	ctx := context.Background()
	cl := exampleClient()
	defer cl.Close()
	p := NewProducer(cl, QueueLimit(1000, 4<<20))
	square := Define[int, int]("square")

	var sent []*Pending
	for i := range 3 {
		sent = append(sent, p.Send(ctx, square.New(i)))
	}
	sent = append(sent, p.Send(ctx, NewJob{Kind: ""})) // the others go on
	if err := p.Close(ctx); err != nil {               // sends what is left
		fmt.Println(err)
	}
	for _, one := range sent {
		job, err := one.Wait(ctx)
		if err != nil {
			fmt.Println("refused:", errors.Is(err, ErrInvalidArgument))
			continue
		}
		fmt.Println("job", job.ID)
	}
	// Output:
	// job 1
	// job 2
	// job 3
	// refused: true
}
