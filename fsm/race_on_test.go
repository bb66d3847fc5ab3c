//go:build race

package fsm_test

// raced: the race detector is on. It allocates too.
const raced = true
