package rpc

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

var rewrite = flag.Bool("rewrite", false, "write docs/errors.md from the table")

const errorsPage = "../docs/errors.md"

// TestTableIsInTheDocs fails when docs/errors.md is not what the table says; run with -rewrite and read the difference.
func TestTableIsInTheDocs(t *testing.T) {
	want := renderTable()
	if *rewrite {
		if err := os.WriteFile(errorsPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(errorsPage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s differs from the table: go test ./rpc -run TestTableIsInTheDocs -rewrite", errorsPage)
	}
}

func renderTable() []byte {
	var out bytes.Buffer
	out.WriteString(`# Errors

Every error has a Connect code, a sentence (what happened, why, what to do), and a ` + "`google.rpc.ErrorInfo`" + ` with domain
` + "`fairlane`" + `, the reason below, and metadata: ` + "`code`" + ` and the values in the sentence. Reasons and codes are stable; sentences
may get better. An error inside an answer (one job of an EnqueueMany, one part of a Finish) is an ` + "`ErrorBody`" + ` with the same words.

*Retry* means that the error carries ` + "`google.rpc.RetryInfo`" + `: the same request may succeed later. Such an attempt did nothing, with one
exception: after UNKNOWN_OUTCOME only a repetition with the same session and number (or idempotency key) tells what happened. A part
in [ ] is left out when its value is not known. This page is written from the table in rpc/errors.go.

| code | reason | Connect code | HTTP | retry | sentence |
|---|---|---|---|---|---|
`)
	for _, e := range Table {
		retry := ""
		if e.Retry {
			retry = "yes"
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %d | %s | %s |\n", e.Code, e.Reason, e.Connect, httpStatus(e.Connect), retry, e.Template)
	}
	return out.Bytes()
}

// httpStatus asks Connect itself how it maps a code.
func httpStatus(code connect.Code) int {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("Content-Type", "application/json")
	_ = connect.NewErrorWriter().Write(w, r, connect.NewError(code, nil))
	return w.Code
}

func TestTableIsWhole(t *testing.T) {
	codes := make(map[string]bool)
	last := ""
	for _, e := range Table {
		if codes[e.Code] || e.Code <= last {
			t.Errorf("%s: code %s is there twice or out of order", e.Reason, e.Code)
		}
		codes[e.Code], last = true, e.Code
		if !regexp.MustCompile(`^FL1\d{3}$`).MatchString(e.Code) || e.Template == "" || e.Connect == 0 {
			t.Errorf("%s is incomplete: %+v", e.Reason, e)
		}
		if strings.Count(e.Template, "[") != strings.Count(e.Template, "]") || strings.Count(e.Template, "{") != strings.Count(e.Template, "}") {
			t.Errorf("%s: brackets do not pair: %s", e.Reason, e.Template)
		}
	}
	if len(entryOf) != len(Table) {
		t.Errorf("%d reasons in %d entries", len(entryOf), len(Table))
	}
	for number, name := range logv1.Reason_name {
		reason, known := refusals[logv1.Reason(number)]
		if number != 0 && (!known || entryOf[reason] == nil) {
			t.Errorf("the machine's %s has no entry", name)
		}
	}
}

func TestSentences(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{
			problem(TooOld, "number", "3", "session", "9").Message(),
			"number 3 of session 9 is below the lowest unanswered number that the session itself has named: its answer is forgotten and it is not run. Use a new number.",
		},
		{
			problem(InvalidArgument, "field", "job.kind", "value", "a\x00b\xff", "want", "w").Message(),
			"job.kind is a\uFFFDb\uFFFD; w. Nothing was done.",
		},
		{
			refusalError(&logv1.Refusal{Reason: logv1.Reason_REASON_UNKNOWN_QUEUE, Params: []*logv1.Param{{Key: "queue", Value: "q"}}}, "queue", "not this").Message(),
			"there is no queue q. Nothing was done. Make it: fairlane queue set q; or let enqueues make queues (setting create_queues).",
		},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
	reason, metadata, ok := ReasonOf(fmt.Errorf("wrapped: %w", problem(TooLarge, "field", "x", "value", strings.Repeat("y", 1000), "most", "1")))
	if !ok || reason != TooLarge || metadata["code"] != "FL1502" || len(metadata["value"]) > maxValueBytes+3 {
		t.Errorf("got %s %v %v", reason, metadata, ok)
	}
}

// TestErrorsAreEqualBytes: the metadata is a map, whose order must not show.
func TestErrorsAreEqualBytes(t *testing.T) {
	first := problem(StateFull, "limit", "max_jobs", "value", "1", "most", "2", "queue", "q", "user", "u")
	for range 50 {
		again := problem(StateFull, "limit", "max_jobs", "value", "1", "most", "2", "queue", "q", "user", "u")
		for i, detail := range again.Details() {
			if !bytes.Equal(detail.Bytes(), first.Details()[i].Bytes()) {
				t.Fatal("equal errors have different bytes")
			}
		}
	}
}

// hasRetryInfo tells whether an error says when to try again.
func hasRetryInfo(err error) bool {
	var connectErr *connect.Error
	if !errors.As(err, &connectErr) {
		return false
	}
	for _, detail := range connectErr.Details() {
		if detail.Type() == "google.rpc.RetryInfo" {
			return true
		}
	}
	return false
}
