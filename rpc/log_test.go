package rpc

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestReadLog: each entry of a node's log in words, without what belongs to the jobs; waiting gives the next one.
func TestReadLog(t *testing.T) {
	const secret = "canary-5d1"
	node := startNode(t)
	ctx := t.Context()
	made, err := node.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{
		Kind: "mail", User: "ana", Payload: &v1.NewJob_Json{Json: `"` + secret + `"`}, Labels: map[string]string{"l": secret}, IdempotencyKey: secret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := node.cluster().ReadLog(ctx, &v1.ReadLogRequest{From: 1, Limit: 1000})
	if err != nil || all.GetFirstIndex() != 1 || uint64(len(all.GetEntries())) != all.GetLastIndex() || all.GetCommitIndex() < made.GetPosition().GetIndex() {
		t.Fatal(all, err)
	}
	text := all.String()
	for _, want := range []string{"enqueue a job: mail", "user=ana", "with a key", "votes", "the cluster is named fairlane"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, secret) {
		t.Errorf("a secret in %s", text)
	}
	one := all.GetEntries()[made.GetPosition().GetIndex()-1]
	if one.GetIndex() != made.GetPosition().GetIndex() || !one.GetCommitted() || one.GetRules() == 0 || one.GetBytes() == 0 || one.GetAtMs() == 0 || one.GetType() != "commands" {
		t.Error(one)
	}
	next := make(chan *v1.ReadLogResponse, 1)
	go func() {
		got, err := node.cluster().ReadLog(ctx, &v1.ReadLogRequest{From: all.GetLastIndex() + 1, WaitMs: 20_000})
		if err != nil {
			t.Error(err)
		}
		next <- got
	}()
	if _, err := node.cluster().Checkpoint(ctx, &v1.CheckpointRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := <-next; len(got.GetEntries()) == 0 || got.GetEntries()[0].GetIndex() != all.GetLastIndex()+1 {
		t.Error(got)
	}
	_, err = node.cluster().ReadLog(ctx, &v1.ReadLogRequest{From: 1 << 40})
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}
}
