// Coordinators keeps a shop's database in order. Two coordinators work on one SQLite file: "pulse" ticks every 10 s and has two members, "upkeep"
// ticks every minute and has four, one of which always fails and one of which has an interval of its own. Start as many processes of it as
// you like: no two members of one coordinator ever run at a time, and the schedules fire once.
//
//	go run . -servers 127.0.0.1:7171 -db /tmp/shop.db          # until Ctrl-C
//	go run . -db /tmp/shop.db -check                           # what the members wrote down
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
)

func main() {
	servers := flag.String("servers", "127.0.0.1:7171", "addresses of the cluster, separated by commas")
	path := flag.String("db", "shop.db", "the SQLite file")
	name := flag.String("name", "shop-1", "of this process; one that takes the place of a dead one has its name")
	pace := flag.Float64("pace", 1, "factor of all times: 0.1 ticks every second and every six seconds")
	busy := flag.Duration("busy", 0, "how long each member is busy beside its work, as it would be with large tables")
	look := flag.Bool("check", false, "say what the members wrote down, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *path, *look, settings{servers: strings.Split(*servers, ","), name: *name, pace: *pace, busy: *busy})
	if err != nil {
		fmt.Fprintln(os.Stderr, "coordinators:", err)
		os.Exit(1)
	}
}

type settings struct {
	servers []string
	name    string
	pace    float64
	busy    time.Duration
}

func run(ctx context.Context, path string, look bool, set settings) (err error) {
	s, err := openStore(ctx, path, set.busy)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }() // last: after the worker has drained
	if look {
		return check(ctx, s, os.Stdout)
	}
	life, end := context.WithCancel(ctx)
	shop := make(chan struct{})
	go func() {
		defer close(shop)
		s.shop(life)
	}()
	err = work(ctx, s, set)
	end()
	<-shop
	return err
}

// work declares the members and runs them until ctx ends; then it takes no more, lets those that run come to their end, and returns.
func work(ctx context.Context, s *store, set settings) error {
	c, err := fairlane.Connect(set.servers...)
	if err != nil {
		return err
	}
	defer c.Close()
	w := fairlane.NewWorker(c, fairlane.Lanes("shop:4"), fairlane.WorkerName(set.name), fairlane.FormerGone())
	for _, m := range members(set.pace) {
		task := fairlane.Define[struct{}, struct{}](m.name)
		task.Handle(w, func(ctx context.Context, job *fairlane.Job[struct{}]) (struct{}, error) {
			return struct{}{}, s.run(ctx, m, uint64(job.ID), uint64(job.Fence), job.FireTime)
		})
		task.Declare(w, fairlane.Schedule{
			Name: m.coordinator + "/" + m.name, Spec: "@every " + m.tick.String(), MinInterval: m.interval, Coordinator: m.coordinator, Group: "shop",
		}, struct{}{}, fairlane.To("shop"), fairlane.MaxAttempts(2), fairlane.Backoff(500*time.Millisecond, 200, 5*time.Second),
			fairlane.Lease(3*time.Second, time.Second))
	}
	return w.Run(ctx)
}
