package fairlane

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// counter is a cluster that only counts: what is measured is the SDK and the sockets. A call takes as long as a commit does.
type counter struct {
	fairlanev1connect.UnimplementedJobServiceHandler
	last, calls atomic.Uint64
}

const benchCommit = 500 * time.Microsecond

func (c *counter) OpenSession(context.Context, *fairlanev1.OpenSessionRequest) (*fairlanev1.OpenSessionResponse, error) {
	return &fairlanev1.OpenSessionResponse{Session: 1}, nil
}

func (c *counter) Enqueue(context.Context, *fairlanev1.EnqueueRequest) (*fairlanev1.EnqueueResponse, error) {
	c.calls.Add(1)
	time.Sleep(benchCommit)
	return &fairlanev1.EnqueueResponse{Id: c.last.Add(1)}, nil
}

func (c *counter) EnqueueMany(_ context.Context, r *fairlanev1.EnqueueManyRequest) (*fairlanev1.EnqueueManyResponse, error) {
	c.calls.Add(1)
	time.Sleep(benchCommit)
	res := &fairlanev1.EnqueueManyResponse{}
	for range r.GetJobs() {
		res.Results = append(res.Results, &fairlanev1.EnqueueOutcome{Id: c.last.Add(1)})
	}
	return res, nil
}

// benchClient of a counter over sockets; or of a real cluster, whose addresses are in FAIRLANE_BENCH_ENDPOINTS.
func benchClient(b *testing.B) *Client {
	b.Helper()
	endpoints := strings.FieldsFunc(os.Getenv("FAIRLANE_BENCH_ENDPOINTS"), func(r rune) bool { return r == ',' })
	if len(endpoints) == 0 {
		mux, count := http.NewServeMux(), &counter{}
		mux.Handle(fairlanev1connect.NewJobServiceHandler(count))
		b.Cleanup(func() { b.ReportMetric(float64(count.last.Load())/float64(count.calls.Load()), "jobs/call") })
		server := httptest.NewServer(mux)
		b.Cleanup(server.Close)
		endpoints = []string{server.URL}
	}
	c, err := Connect(endpoints...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	if _, err := c.Enqueue(b.Context(), "bench", nil); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkProducer: goroutines that each enqueue one job after the other, of 200 bytes; by a producer, and by a call for each job.
func BenchmarkProducer(b *testing.B) {
	args := Raw(make([]byte, 200))
	for _, callers := range []int{1, 16, 128} {
		for _, through := range []string{"producer", "calls"} {
			b.Run(fmt.Sprintf("%s/callers=%d", through, callers), func(b *testing.B) {
				c := benchClient(b)
				var e Enqueuer = c
				if through == "producer" {
					p := NewProducer(c)
					b.Cleanup(func() { _ = p.Close(context.Background()) })
					e = p
				}
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ReportAllocs()
				b.ResetTimer()
				var all sync.WaitGroup
				for range callers {
					all.Go(func() {
						for left.Add(-1) >= 0 {
							if _, err := e.Enqueue(context.Background(), "bench", args); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			})
		}
	}
	b.Run("send", func(b *testing.B) { // one goroutine that does not wait
		c := benchClient(b)
		p := NewProducer(c)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			p.Send(context.Background(), NewJob{Kind: "bench", Args: args})
		}
		if err := p.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}
