package fairlane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
)

// AnswerTask is a question to a language model.
var AnswerTask = fairlane.Define[string, string]("llm.answer")

// model stands for whatever makes tokens.
func model(string) []string { return []string{"Four", "ty", "-two", "."} }

// A handler streams its answer token by token and says how far it is.
func ExampleJobMeta_Token() {
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	w := fairlane.NewWorker(cl, fairlane.Lanes("llm:4"))
	AnswerTask.Handle(w, func(ctx context.Context, job *fairlane.Job[string]) (string, error) {
		answer, tokens := "", model(job.Args)
		for i, token := range tokens {
			if err := job.Token(token); err != nil {
				return "", err // the claim is lost or the job was cancelled
			}
			answer += token
			job.Progress(float64(i+1)/float64(len(tokens)), "answering")
		}
		return answer, nil
	})
}

// The output is an io.Writer, for everything that writes.
func ExampleJobMeta_Output() {
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	w := fairlane.NewWorker(cl)
	w.HandleFunc("report", func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		logger := log.New(io.MultiWriter(job.Output(), log.Writer()), "report: ", 0)
		logger.Print("begun")
		return nil, nil
	})
}

// A reader shows the answer while it is made. Only when the loop has ended without an error is it one.
func ExampleHandle_Stream() {
	ctx := context.Background()
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	defer cl.Close()
	job, err := AnswerTask.Enqueue(ctx, cl, "What is six times seven?", fairlane.To("llm"))
	if err != nil {
		log.Fatal(err)
	}
	for chunk, err := range job.Stream(ctx) {
		switch {
		case errors.Is(err, fairlane.ErrFailed):
			log.Fatal("there is no answer: ", err)
		case err != nil:
			log.Fatal(err)
		}
		if chunk.Restarted {
			fmt.Print("\n(once more)\n") // what was shown before is void
		}
		if chunk.Progress != nil {
			fmt.Printf("[%.0f %%]", 100*chunk.Progress.Fraction)
		}
		fmt.Printf("%s", chunk.Data)
	}
}

// load and store stand for whatever keeps what a program has seen.
func load() string   { return "" }
func store(_ string) {}

// What happens in the cluster, from where a former run of this program left off.
func ExampleClient_Events() {
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	defer cl.Close()
	filter := fairlane.EventFilter{Queue: "llm", States: []fairlane.State{fairlane.StateFailed, fairlane.StateTimedOut}}
	for event, err := range cl.Events(context.Background(), filter, load()) {
		if err != nil {
			log.Fatal(err)
		}
		if event.Kind == fairlane.EventReset {
			fmt.Println("events are missing:", event.Reason) // read anew what was kept
			continue
		}
		fmt.Println(event.At, event.Kind, event.Job, event.State)
		store(event.ID)
	}
}

// A queue's counts, whenever they change.
func ExampleClient_WatchQueue() {
	cl, err := fairlane.Connect()
	if err != nil {
		log.Fatal(err)
	}
	defer cl.Close()
	for queue, err := range cl.WatchQueue(context.Background(), "llm") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(queue.Queue.GetCounts().GetPending(), "jobs wait; work for a free lane:", queue.HasWork)
	}
}
