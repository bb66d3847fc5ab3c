package fairlane

import (
	"context"
	"fmt"
	"time"
)

// A schedule is declared next to its handler; every replica of the program may do so.
func ExampleTask_Declare() {
	type Report struct{ Region string }
	nightly := Define[Report, string]("report.nightly")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cl := exampleClient()
	defer cl.Close()

	w := NewWorker(cl)
	nightly.Handle(w, func(_ context.Context, job *Job[Report]) (string, error) {
		if job.FireTime.IsZero() {
			return "", fmt.Errorf("this job covers the day of its fire time, and has none")
		}
		// FireTime is the same for every attempt, however late it runs: work for it, not for the clock's time.
		return fmt.Sprintf("%s for schedule %s, by %s", job.Args.Region, job.Schedule, job.FireCause), nil
	})
	nightly.Declare(w, Schedule{
		Name: "reports/north", Spec: "0 2 * * mon-fri", Zone: "Europe/Berlin",
		MisfireGrace: 20 * time.Minute, CatchUp: CatchUpAll, Coordinator: "reports",
	}, Report{Region: "north"}, To("reports"), MaxAttempts(3))
	w.Declare(Schedule{Name: "sweep", Spec: "@every 90s", Spread: true}, NewJob{Kind: "sweep"})
	w.HandleFunc("sweep", func(context.Context, *RawJob) ([]byte, error) { return nil, nil })

	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }() // puts both schedules, then takes jobs
	if first, err := cl.Enqueue(ctx, "sweep", nil); err != nil {
		fmt.Println(err)
	} else if _, err := first.Wait(ctx); err != nil { // so both are there
		fmt.Println(err)
	}

	job, err := cl.TriggerSchedule(ctx, "reports/north") // now, beside its times
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println((&TaskHandle[string]{job}).Wait(ctx))
	stop()
	fmt.Println(<-ended)
	// Output:
	// north for schedule reports/north, by trigger <nil>
	// <nil>
}

// A schedule can also be put by a program that runs no jobs.
func ExampleTask_Schedule() {
	ctx := context.Background()
	cl := exampleClient()
	defer cl.Close()
	backup := Define[string, string]("backup")

	for _, spec := range []string{"@daily", "@daily", "@hourly"} {
		res, err := backup.Schedule(ctx, cl, Schedule{Name: "backup", Spec: spec, MisfireGrace: Unlimited}, "/var/lib", AsUser("ops"))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(spec, res.Created, res.Updated, res.Info.GetRevision())
	}
	// Output:
	// @daily true false 1
	// @daily false false 1
	// @hourly false true 2
}

// Jobs of one coordinator run one after the other, whatever queue they are in.
func ExampleCoordinator() {
	ctx := context.Background()
	cl := exampleClient()
	defer cl.Close()
	migrate := Define[string, string]("migrate")
	for _, table := range []string{"users", "orders"} {
		if _, err := migrate.Enqueue(ctx, cl, table, Coordinator("database"), To("slow")); err != nil {
			fmt.Println(err)
		}
	}
	job, err := cl.Get(ctx, 1)
	fmt.Println(job.GetCoordinator(), err)
	// Output: database <nil>
}
