// Command fairlane is the one binary of Fairlane: a node of the cluster, a development cluster, a worker that runs shell
// commands, a demonstration that checks its promises, and every verb of users and operators.
//
// main knows the process: its arguments, its signals, its exit code. Each verb is in a file of its name.
package main

import (
	"os"
)

func main() {
	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	ctx, stop := a.signals()
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
