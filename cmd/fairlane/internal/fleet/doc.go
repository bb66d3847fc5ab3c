//go:build unix

// Package fleet runs a cluster of real node processes on this machine, for the demonstration and for measurements: each with a
// directory, a log and addresses of its own, so that it can be killed and started again.
package fleet
