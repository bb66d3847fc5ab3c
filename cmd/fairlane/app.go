package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
)

// app is what a verb gets from its process. Tests make their own.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      config.Lookup
	// terminal: somebody can be asked on in.
	terminal bool
	// silence after which a stream is taken up at another node; tests change it.
	silence time.Duration

	// Values of the flags that every verb has.
	output     string
	endpoints  []string
	timeout    time.Duration
	configPath string
	tls        certs.Files
	httpClient *http.Client

	mu     sync.Mutex
	atExit []*func() // last first, when a second signal ends the process at once
}

func newApp(in io.Reader, out, err io.Writer, env config.Lookup) *app {
	file, ok := in.(*os.File)
	return &app{in: in, out: out, err: err, env: env, terminal: ok && isTerminal(file), silence: streamSilence, httpClient: http.DefaultClient}
}

// run executes one command line and gives the exit code of the process.
func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(skipLeadingDashes(args))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if errors.Is(err, context.Canceled) && context.Cause(ctx) == errInterrupted {
		err = errInterrupted
	}
	if err != nil {
		a.report(err)
	}
	return codeOf(cmd, err)
}

// echo is the time in which a second signal counts as the first one: some tools, timeout(1) among them, send theirs to the
// process and to its group.
const echo = 100 * time.Millisecond

// signals is the one place that hears SIGINT and SIGTERM: the first cancels the context, which every verb answers by
// ending in order; the second ends the process at once, after the functions given to onAbort.
func (a *app) signals() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	heard := make(chan os.Signal, 2)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case s := <-heard:
				switch {
				case first.IsZero():
					first = time.Now()
					cancel(errInterrupted)
				case time.Since(first) > echo:
					a.abort()
					fmt.Fprintf(a.err, "fairlane: second signal (%v): not waiting any longer\n", s)
					os.Exit(exitSignal + int(s.(syscall.Signal)))
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(heard)
		close(done)
		cancel(nil)
	}
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted by a signal")

// onAbort registers what must be done even when the process is told to end at once. The function given back takes it out.
func (a *app) onAbort(f func()) (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	this := &f
	a.atExit = append(a.atExit, this)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.atExit = slices.DeleteFunc(a.atExit, func(one *func()) bool { return one == this })
	}
}

func (a *app) abort() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.atExit) - 1; i >= 0; i-- {
		(*a.atExit[i])()
	}
}
