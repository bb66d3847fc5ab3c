package simulate

import (
	"fmt"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Changes are what is otherwise than in the recording.
type Changes struct {
	// Settings of the cluster that are present are changed, from the beginning to the end; nil: none.
	Settings *logv1.Settings
	// Queues whose settings are changed, likewise. A queue that does not exist is made.
	Queues []*logv1.SetQueue
	// Lanes of recorded workers by name; "*": of all others.
	Lanes map[string][]*logv1.Lane
	// Workers that are there from the beginning to the end, beside the recorded ones.
	Workers []Worker
	// WithoutRecorded leaves the recorded workers out.
	WithoutRecorded bool
}

// Worker that nobody recorded.
type Worker struct {
	Name  string
	Lanes []*logv1.Lane
}

// Empty tells whether nothing is changed.
func (c *Changes) Empty() bool {
	return c.Settings == nil && len(c.Queues) == 0 && len(c.Lanes) == 0 && len(c.Workers) == 0 && !c.WithoutRecorded
}

// lanesOf a recorded worker.
func (c *Changes) lanesOf(w *workerLife) []*logv1.Lane {
	if lanes, ok := c.Lanes[w.name]; ok {
		return lanes
	}
	if lanes, ok := c.Lanes["*"]; ok {
		return lanes
	}
	return w.lanes
}

// commands that make the changes of settings.
func (c *Changes) commands() (list []*logv1.Command) {
	if c.Settings != nil {
		list = append(list, &logv1.Command{Op: &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: c.Settings}}})
	}
	for _, q := range c.Queues {
		list = append(list, &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: q}})
	}
	return list
}

// RefusedError is a change that the machine does not accept.
type RefusedError struct{ What, Why string }

func (e *RefusedError) Error() string { return fmt.Sprintf("%s is refused: %s", e.What, e.Why) }

// NoServiceTimeError: jobs of a kind ran in the simulation, but never to an end in the recording.
type NoServiceTimeError struct{ Kind string }

func (e *NoServiceTimeError) Error() string {
	return fmt.Sprintf("the trace holds no whole run of kind %q: say with --run how long one takes", e.Kind)
}
