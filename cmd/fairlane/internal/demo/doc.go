// Package demo is the main job of Fairlane, on real input, with its promises checked: three servers and two workers, each a
// process of its own; three users who have files hashed, one of whom floods; and the leader killed while it all runs.
//
// The driver (Run) starts the processes, watches what the workers report, kills and restarts leaders, and in the end
// compares three accounts of the same work: what the workers saw, what the cluster stores, and what the files really hash
// to. Input, tally, order and verdict are plain values and functions; servers and workers own the processes.
package demo
