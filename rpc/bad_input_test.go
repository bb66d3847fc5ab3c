package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// goodCall is what the test of bad input must be told about one method; everything else it reads from the descriptors.
type goodCall struct {
	// body is a request that passes the checks of fields, in JSON; each bad request differs from it in one thing.
	body string
	// required fields: path -> the name that the error must give, if it is not the path itself.
	required []string
	// most bytes of every field of text or bytes; 0: any number that fits into a body.
	most map[string]int
}

var newJobMost = map[string]int{
	"kind": 128, "queue": 64, "user": 128, "json": 1 << 20, "data": 1 << 20, "idempotency_key": 256, "labels.key": 128, "labels.value": 128,
	"coordinator": 128,
}

var scheduleMost = merged(map[string]int{"name": 128, "spec": 256, "zone": 64, "group": 128, "description": 1 << 10}, under("job.", newJobMost))

func merged(all ...map[string]int) map[string]int {
	out := make(map[string]int)
	for _, one := range all {
		maps.Copy(out, one)
	}
	return out
}

var filterMost = map[string]int{"queue": 64, "user": 128, "kind": 128, "labels.key": 128, "labels.value": 128, "id_prefix": 20, "schedule": 128}

func under(prefix string, most map[string]int) map[string]int {
	out := make(map[string]int)
	for field, bytes := range most {
		out[prefix+field] = bytes
	}
	return out
}

var name128 = map[string]int{"name": 128}

var name64 = map[string]int{"name": 64}

// goodCalls has an entry for every method, or the test fails.
var goodCalls = map[string]goodCall{
	"JobService/OpenSession":      {`{"nonce":"7"}`, []string{"nonce"}, map[string]int{"name": 128}},
	"JobService/Enqueue":          {`{"job":{"kind":"k"}}`, []string{"job", "job.kind"}, under("job.", newJobMost)},
	"JobService/EnqueueMany":      {`{"jobs":[{"kind":"k"}]}`, []string{"jobs", "jobs.kind"}, under("jobs.", newJobMost)},
	"JobService/Get":              {`{"id":"1"}`, []string{"id"}, nil},
	"JobService/Wait":             {`{"id":"1"}`, []string{"id"}, nil},
	"JobService/List":             {`{}`, nil, under("filter.", filterMost)},
	"JobService/CancelMany":       {`{"filter":{"queue":"q"}}`, []string{"filter"}, under("filter.", filterMost)},
	"JobService/RetryMany":        {`{"filter":{"queue":"q"}}`, []string{"filter"}, under("filter.", filterMost)},
	"JobService/Why":              {`{"id":"1"}`, []string{"id"}, nil},
	"JobService/Cancel":           {`{"id":"1"}`, []string{"id"}, nil},
	"JobService/Retry":            {`{"id":"1"}`, []string{"id"}, nil},
	"WorkerService/Register":      {`{"name":"w","nonce":"7","lanes":"*:1"}`, []string{"name", "nonce", "lanes"}, map[string]int{"name": 128, "lanes": 64 << 10, "user": 128}},
	"WorkerService/Claim":         {`{"session":"1"}`, []string{"session"}, nil},
	"WorkerService/Heartbeat":     {`{"session":"1"}`, []string{"session"}, nil},
	"WorkerService/Work":          {`{"session":"1"}`, []string{"session"}, nil}, // its calls have tests of their own
	"WorkerService/Release":       {`{"session":"1","fences":["1"]}`, []string{"session", "fences"}, nil},
	"WorkerService/Drain":         {`{"session":"1"}`, []string{"session"}, map[string]int{"name": 128}},
	"WorkerService/Deregister":    {`{"session":"1"}`, []string{"session"}, nil},
	"WorkerService/ListWorkers":   {`{}`, nil, nil},
	"QueueService/ListQueues":     {`{}`, nil, nil},
	"QueueService/GetQueue":       {`{"name":"q"}`, []string{"name"}, name64},
	"QueueService/SetQueue":       {`{"name":"q"}`, []string{"name"}, name64},
	"QueueService/PauseQueue":     {`{"name":"q"}`, []string{"name"}, name64},
	"QueueService/ResumeQueue":    {`{"name":"q"}`, []string{"name"}, name64},
	"QueueService/ListQueueUsers": {`{"name":"q"}`, []string{"name"}, map[string]int{"name": 64, "after_user": 128}},
	"QueueService/PreviewOrder":   {`{"queue":"q"}`, []string{"queue"}, map[string]int{"queue": 64, "worker": 128}},
	"QueueService/DeleteQueue":    {`{"name":"q"}`, []string{"name"}, name64},
	"ClusterService/Status":       {`{}`, nil, nil},
	"ClusterService/GetSettings":  {`{}`, nil, nil},
	"ClusterService/SetSettings":  {`{"settings":{}}`, []string{"settings"}, nil},
	"ClusterService/Checkpoint":   {`{}`, nil, nil},
	"ClusterService/SetClock":     {`{}`, nil, nil},
	"ClusterService/Digest":       {`{"index":"1"}`, []string{"index"}, nil},
	"WorkerService/Finish": {`{"session":"1","fence":"1","success":{}}`, []string{"session", "fence", "outcome"},
		map[string]int{"success.result": 1 << 20, "failure.error": 16 << 10, "rest.data": 1 << 20}},
	"WorkerService/AppendOutput": {`{"session":"1","parts":[{"fence":"1"}]}`, []string{"session", "parts", "parts.fence"},
		map[string]int{"parts.data": 1 << 20, "parts.progress.message": 1 << 10}},
	"JobService/WatchJob":        {`{"id":"1"}`, []string{"id"}, map[string]int{"after": 64}},
	"JobService/StreamOutput":    {`{"id":"1"}`, []string{"id"}, nil},
	"QueueService/WatchQueue":    {`{"name":"q"}`, []string{"name"}, name64},
	"EventService/WatchEvents":   {`{}`, nil, map[string]int{"after": 64, "queue": 64, "user": 128, "schedule": 128}},
	"ClusterService/RecordTrace": {`{}`, nil, nil},
	"ClusterService/Join": {`{"node_id":"n","raft_address":"127.0.0.1:1","api_address":"127.0.0.1:2"}`, []string{"node_id", "raft_address", "api_address"},
		map[string]int{"node_id": 128, "raft_address": 256, "api_address": 256, "cluster_name": 128, "cluster_id": 128}},
	"ClusterService/Introduce":          {`{}`, nil, map[string]int{"node_id": 128, "cluster_name": 128}},
	"ClusterService/ConfirmBootstrap":   {`{"node_ids":["n"]}`, []string{"node_ids"}, map[string]int{"node_ids": 128, "cluster_name": 128, "cluster_id": 128}},
	"ClusterService/ListNodes":          {`{}`, nil, nil},
	"ClusterService/Verify":             {`{}`, nil, nil},
	"ClusterService/RemoveNode":         {`{"node_id":"n"}`, []string{"node_id"}, map[string]int{"node_id": 128}},
	"ClusterService/PromoteNode":        {`{"node_id":"n"}`, []string{"node_id"}, map[string]int{"node_id": 128}},
	"ClusterService/DemoteNode":         {`{"node_id":"n"}`, []string{"node_id"}, map[string]int{"node_id": 128}},
	"ClusterService/TransferLeadership": {`{}`, nil, map[string]int{"node_id": 128}},
	"ClusterService/Leave":              {`{}`, nil, nil},
	"ClusterService/SetLogLevel":        {`{"level":"info"}`, []string{"level"}, map[string]int{"level": 128}},
	"ClusterService/ReadLog":            {`{}`, nil, nil},
	"ClusterService/ExplainIndex":       {`{"index":"1"}`, []string{"index"}, nil},
	"ClusterService/ReadIndex":          {`{}`, nil, nil},
	"ScheduleService/PutSchedule": {`{"schedule":{"name":"s","spec":"@hourly","job":{"kind":"k"}}}`,
		[]string{"schedule", "schedule.name", "schedule.spec", "schedule.job", "schedule.job.kind"}, under("schedule.", scheduleMost)},
	"ScheduleService/DeleteSchedule":   {`{"name":"s"}`, []string{"name"}, name128},
	"ScheduleService/PauseSchedule":    {`{"name":"s"}`, []string{"name"}, name128},
	"ScheduleService/ResumeSchedule":   {`{"name":"s"}`, []string{"name"}, name128},
	"ScheduleService/TriggerSchedule":  {`{"name":"s"}`, []string{"name"}, name128},
	"ScheduleService/BackfillSchedule": {`{"name":"s","from_ms":"1","to_ms":"2"}`, []string{"name", "from_ms", "to_ms"}, name128},
	"ScheduleService/GetSchedule":      {`{"name":"s"}`, []string{"name"}, name128},
	"ScheduleService/ListSchedules":    {`{}`, nil, map[string]int{"prefix": 128, "group": 128, "after_name": 128}},
	"ScheduleService/ListTicks":        {`{"name":"s"}`, []string{"name"}, name128},
	"ScheduleService/PreviewSchedule": {`{"schedule":{"spec":"@hourly"}}`, []string{"schedule", "schedule.spec"},
		merged(name128, under("schedule.", scheduleMost))},
	"ScheduleService/ListCoordinators": {`{}`, nil, map[string]int{"after_name": 128}},
	"ScheduleService/GetCoordinator":   {`{"name":"c"}`, []string{"name"}, name128},
}

// badCall is one bad request and what its error must be.
type badCall struct {
	what        string
	contentType string
	body        []byte
	status      int    // 0: any but 200
	reason      Reason // "": any of the table
	field       string // must be named in the sentence
}

const asJSON, asProto = "application/json", "application/proto"

// TestBadInput sends to every method: required fields left out one by one, every text one byte too long, 10 MB long, with a
// NUL byte and with invalid UTF-8, every signed number negative, every enum with a number that has no name, fields that do not exist,
// broken JSON and protobuf, other content types, other HTTP methods and bodies that are too large. Each must get an error of
// the table, and the machine must not have moved.
func TestBadInput(t *testing.T) {
	node := startNode(t)
	before := node.fingerprint(t)
	calls, visited := 0, 0
	for _, service := range services() {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			name := fmt.Sprintf("%s/%s", service.Name(), method.Name())
			good, known := goodCalls[name]
			if known {
				visited++
			}
			if !known {
				t.Errorf("%s has no entry in goodCalls", name)
				continue
			}
			for _, bad := range badCalls(t, method, good) {
				calls++
				if method.IsStreamingServer() {
					bad = bad.asStream()
				}
				checkBad(t, node.url+"/fairlane.v1."+name, bad)
			}
		}
	}
	if visited != len(goodCalls) {
		t.Errorf("%d entries for %d methods", len(goodCalls), visited)
	}
	if after := node.fingerprint(t); after != before {
		t.Errorf("bad input moved the machine\nfrom %+v\nto   %+v", before, after)
	}
	t.Logf("%d bad requests", calls)
}

func checkBad(t *testing.T, url string, bad badCall) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second} // a stream that was taken for good never ends
	if strings.HasSuffix(url, "/Work") {
		client.Transport = h2c(t).Transport
	}
	response, err := client.Post(url, bad.contentType, bytes.NewReader(bad.body))
	if err != nil {
		t.Errorf("%s, %s: %v", url, bad.what, err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("%s, %s: %v", url, bad.what, err)
		return
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/connect+") { // always 200; the error is in the last envelope
		body = endOfStream(t, body)
	} else if response.StatusCode == http.StatusOK || (bad.status != 0 && bad.status != response.StatusCode) {
		t.Errorf("%s, %s: status %d, want %d: %s", url, bad.what, response.StatusCode, bad.status, body)
		return
	}
	reason, message := wireError(t, body)
	entry := entryOf[reason]
	if entry == nil || reason == Internal || (bad.reason != "" && reason != bad.reason) {
		t.Errorf("%s, %s: reason %q, want %q: %s", url, bad.what, reason, bad.reason, body)
	}
	if !strings.Contains(message, bad.field) {
		t.Errorf("%s, %s: the error does not name %q: %s", url, bad.what, bad.field, message)
	}
}

// wireError reads an error of Connect's JSON form, as curl shows it.
func wireError(t *testing.T, body []byte) (Reason, string) {
	t.Helper()
	var wire struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []struct{ Type, Value string }
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Code == "" {
		t.Errorf("not an error in JSON: %.200q (%v)", body, err)
		return "", ""
	}
	for _, detail := range wire.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		var info errdetails.ErrorInfo
		if err == nil && detail.Type == "google.rpc.ErrorInfo" && proto.Unmarshal(value, &info) == nil {
			if info.Metadata["code"] != entryOf[Reason(info.Reason)].Code || info.Domain != Domain {
				t.Errorf("metadata of %s: %v", info.Reason, &info)
			}
			return Reason(info.Reason), wire.Message
		}
	}
	return "", wire.Message
}

// badCalls of one method.
func badCalls(t *testing.T, method protoreflect.MethodDescriptor, good goodCall) []badCall {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		t.Fatal(err)
	}
	request := kind.New().Interface()
	if err := protojson.Unmarshal([]byte(good.body), request); err != nil {
		t.Fatalf("%s: %v", method.FullName(), err)
	}
	out := []badCall{
		{"empty JSON", asJSON, nil, 400, Malformed, ""},
		{"broken JSON", asJSON, []byte(good.body[:len(good.body)-1] + `,`), 400, Malformed, ""},
		{"a JSON list", asJSON, []byte(`[1]`), 400, Malformed, ""},
		{"unknown JSON field", asJSON, []byte(`{"no_such_field":1,` + good.body[1:]), 400, "", "no_such_field"},
		{"broken protobuf", asProto, []byte{0x0a, 0xff, 0xff}, 400, Malformed, ""},
		{"protobuf tag 0", asProto, []byte{0, 0}, 400, Malformed, ""},
		{"content type", "text/plain", []byte(good.body), 415, Malformed, "text/plain"},
		{"no content type", "", []byte(good.body), 415, Malformed, ""},
		{"content type of the other kind", "application/connect+json", []byte(good.body), 415, Malformed, ""},
		{"charset", "application/json; charset=latin1", []byte(good.body), 415, Malformed, ""},
		{"10 MB of blanks", asJSON, append([]byte(good.body), bytes.Repeat([]byte{' '}, 10<<20)...), 400, TooLarge, "the request"},
		{"10 MB of zeros", asProto, make([]byte, 10<<20), 400, TooLarge, "the request"},
	}
	if method.IsStreamingServer() {
		out[8].contentType = asJSON // asStream makes a stream's type of a unary one
	}
	if strings.HasSuffix(good.body, `}`) && good.body == `{}` {
		out[3].body = []byte(`{"no_such_field":1}`)
	}
	for _, field := range good.required {
		out = append(out, without(t, request, field))
	}
	if method.IsStreamingClient() {
		out[10].field, out[11].field = "the message", "the message"
		return out[1:] // a stream without messages is none that is bad
	}
	for _, leaf := range leavesOf(method.Input(), nil) {
		out = append(out, leaf.spoiled(t, request, good)...)
	}
	return out
}
