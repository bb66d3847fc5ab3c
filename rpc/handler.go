package rpc

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// Config of the handler.
type Config struct {
	// Version of the binary, as Status shows it.
	Version string
	// Logger gets panics and failed forwards; nil: nothing is logged.
	Logger hclog.Logger
	// LeaderWait is how long a call is held while there is no leader; 0: 5 s.
	LeaderWait time.Duration
	// WriteTime is how long one message of a stream may take to leave before the connection is ended; 0: 20 s.
	WriteTime time.Duration
	// Certs of this node; nil: no TLS, and every caller may do everything.
	Certs *certs.Bundle

	idleTick time.Duration
}

// server is what all services share. Its methods may be called at the same time.
type server struct {
	node       *cluster.Node
	lead       leadership // node
	log        hclog.Logger
	version    string
	leaderWait time.Duration
	writeTime  time.Duration
	idleTick   time.Duration
	writer     *connect.ErrorWriter
	peers      *peers
	certs      *certs.Bundle // nil: no TLS
	incidents  atomic.Uint64
	streams    atomic.Int64 // of workers, open here
}

// NewHandler serves all services, /v1/events, /metrics, /healthz and /readyz of a node. release closes the connections to other nodes; call it
// after the HTTP server has ended.
func NewHandler(node *cluster.Node, cfg Config) (handler http.Handler, release func()) {
	s := &server{node: node, lead: node, log: cfg.Logger, version: cfg.Version, certs: cfg.Certs, peers: newPeers(node.DialInside, cfg.Certs)}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	s.leaderWait = cmp.Or(cfg.LeaderWait, 5*time.Second)
	s.writeTime = cmp.Or(cfg.WriteTime, usualWriteTime)
	s.idleTick = cmp.Or(cfg.idleTick, usualIdleTick)
	options := []connect.HandlerOption{
		connect.WithReadMaxBytes(maxDeclaredBytes),
		// No compression in either direction: that of answers costs more than all else in a call, and that of requests
		// would have to be bounded a second time.
		connect.WithCompression("gzip", nil, nil),
		connect.WithCodec(binaryCodec{}),
		connect.WithCodec(jsonCodec{"json"}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
		connect.WithInterceptors(checks{}),
		connect.WithRecover(s.recovered),
	}
	s.writer = connect.NewErrorWriter(options...)
	calls := http.NewServeMux()
	calls.Handle(fairlanev1connect.NewJobServiceHandler(&jobService{s}, options...))
	calls.Handle(fairlanev1connect.NewWorkerServiceHandler(&workerService{s}, options...))
	calls.Handle(fairlanev1connect.NewQueueServiceHandler(&queueService{s}, options...))
	calls.Handle(fairlanev1connect.NewClusterServiceHandler(&clusterService{s}, options...))
	calls.Handle(fairlanev1connect.NewEventServiceHandler(&eventService{s}, options...))
	calls.Handle(fairlanev1connect.NewScheduleServiceHandler(&scheduleService{server: s}, options...))

	mux := http.NewServeMux()
	gate := &gate{next: calls, methods: methods(), writer: s.writer, node: node.ID(), bodyTime: maxBodyTime, writeTime: s.writeTime}
	mux.Handle("/", gate)
	mux.HandleFunc("GET /v1/events", s.sse)
	mux.HandleFunc("GET /v1/snapshot", s.saveSnapshot)
	mux.HandleFunc("POST /v1/snapshot", s.restoreSnapshot)
	mux.Handle("GET /metrics", newMetrics(node, cfg.Certs, &s.streams))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	ctx, stop := context.WithCancel(context.Background())
	var follower sync.WaitGroup
	follower.Go(func() { s.followLeader(ctx) })
	follower.Go(func() { s.announce(ctx) })
	follower.Go(func() { s.neighbours(ctx) })
	handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, known := gate.methods[r.URL.Path]; known { // nearly every request: the pattern "/" would find the same
			gate.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	if cfg.Certs != nil {
		handler = &guard{next: handler, gate: gate, certs: cfg.Certs}
	}
	return handler, func() {
		stop()
		follower.Wait()
		s.peers.close()
	}
}

// method is how a procedure is called.
type method struct {
	get     bool // with GET too
	streams bool // it answers with a stream
	sends   bool // the caller sends one too
}

// methods of all services, by procedure.
func methods() map[string]method {
	out := make(map[string]method)
	for _, service := range services() {
		for i := range service.Methods().Len() {
			described := service.Methods().Get(i)
			options, _ := described.Options().(*descriptorpb.MethodOptions)
			out[fmt.Sprintf("/%s/%s", service.FullName(), described.Name())] = method{
				get:     options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS,
				streams: described.IsStreamingServer(),
				sends:   described.IsStreamingClient(),
			}
		}
	}
	return out
}

// services of the public contract.
func services() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		v1.File_fairlane_v1_job_proto, v1.File_fairlane_v1_worker_proto, v1.File_fairlane_v1_queue_proto, v1.File_fairlane_v1_cluster_proto,
		v1.File_fairlane_v1_event_proto, v1.File_fairlane_v1_schedule_proto,
	} {
		for i := range file.Services().Len() {
			out = append(out, file.Services().Get(i))
		}
	}
	return out
}

// recovered answers for a handler that panicked: the log gets everything, the caller a number to ask for.
func (s *server) recovered(_ context.Context, spec connect.Spec, _ http.Header, value any) error {
	incident := s.lead.ID() + "-" + strconv.FormatUint(s.incidents.Add(1), 10)
	s.log.Error("a handler panicked", "incident", incident, "procedure", spec.Procedure, "panic", value, "stack", string(debug.Stack()))
	return problem(Internal, "node_id", s.lead.ID(), "incident", incident)
}

// internal answers for an error that no table knows, in the same way.
func (s *server) internal(doing string, err error) error {
	incident := s.lead.ID() + "-" + strconv.FormatUint(s.incidents.Add(1), 10)
	s.log.Error("a call failed", "incident", incident, "doing", doing, "error", err)
	return problem(Internal, "node_id", s.lead.ID(), "incident", incident)
}
