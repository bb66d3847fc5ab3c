// Package harness runs real clusters: server processes of the fairlane binary in data folders of their own, on loopback,
// with fsync on. Tests start them, kill them with SIGKILL, freeze them with SIGSTOP, start them again, and compare the
// digests of their states. Whatever happens to a test, its processes end with it.
//
// The binary is built once for each test process, with the test hooks (build tag failpoint) and without the race detector.
//
// The package sees what a user sees: the binary, its ports and the public API.
package harness
