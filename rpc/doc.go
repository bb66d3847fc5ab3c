// Package rpc is the room of the callers: the Connect services of fairlane.v1, forwarding to the leader, the table of
// errors, the limits of what is read, and health.
//
// # The way of a call
//
// A call passes the gate (method, content type, size of the body: gate.go), the codec (codec.go: unknown JSON fields and
// broken messages become errors with a code), the validation of its fields (validate*.go), and then becomes a command
// of the log (convert.go). On the leader the command is proposed; on any other node the *call*, not the command, is sent
// once to the leader (forward.go). The answer is made from the logv1.Result alone (answers.go), and messages are marshalled
// deterministically, so a repeated call gets the same bytes from whichever node leads then.
//
// Streams are made from this node's own state (events.go, watch.go, output.go; sse.go for plain HTTP). Each message has a time in which it
// must leave (stream.go), and each watch waits for a signal, never the node for a watch.
//
// # Errors
//
// Every error carries google.rpc.ErrorInfo with a stable reason and code, and a sentence that says what happened, why, and
// what to do. There is one table of them, in errors.go; docs/errors.md is written from it. An error of a forwarded call
// passes through as it came.
package rpc
