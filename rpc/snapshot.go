package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/archive"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// pieceTime for one piece of an archive to come or to leave.
	pieceTime = 30 * time.Second
	// restoreTime for the cluster to take a restored state, and for its nodes to say their digests.
	restoreTime = 5 * time.Minute
	// digestWait is how long a node may take to get a restored state.
	digestWait = time.Minute - time.Second
)

// restoreAnswer of POST /v1/snapshot. Equal: every member answered, with one digest.
type restoreAnswer struct {
	Archive archive.Header `json:"archive"`
	Epoch   uint32         `json:"epoch"`
	// Index of a checkpoint behind the restore, at which the digests were taken.
	Index  uint64       `json:"index"`
	Digest string       `json:"digest"`
	Equal  bool         `json:"equal"`
	Nodes  []nodeDigest `json:"nodes"`
}

type nodeDigest struct {
	NodeID  string `json:"node_id"`
	Digest  string `json:"digest,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// saveSnapshot serves GET /v1/snapshot on any node: an archive of this node's state right after a checkpoint. It ends with a check sum; an answer
// that breaks off has none.
func (s *server) saveSnapshot(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	state, err := s.captureState(r.Context())
	if err != nil {
		s.plainError(w, r, s.failure(err))
		return
	}
	w.Header().Set("Content-Type", archive.ContentType)
	w.Header().Set("Content-Disposition", `attachment; filename="fairlane.archive"`)
	control := http.NewResponseController(w)
	defer control.SetWriteDeadline(time.Time{})
	out := &pacedWriter{w: w, control: control}
	if _, err := s.node.WriteArchive(out, state, s.version); err != nil {
		if r.Context().Err() == nil {
			s.log.Warn("an archive was not sent wholly", "error", err)
		}
		panic(http.ErrAbortHandler) // the caller sees a broken connection, and not an end
	}
}

// captureState right after a checkpoint of now.
func (s *server) captureState(ctx context.Context) (cluster.Captured, error) {
	const attempts = 3 // a node that is far behind may get a snapshot instead of the checkpoint
	for attempt := 1; ; attempt++ {
		state, err := s.captureOnce(ctx)
		if attempt == attempts || !errors.Is(err, cluster.ErrNotCaptured) {
			return state, err
		}
	}
}

func (s *server) captureOnce(ctx context.Context) (cluster.Captured, error) {
	capture, err := s.node.NewCapture()
	if err != nil {
		return cluster.Captured{}, err
	}
	defer capture.Close()
	mark, err := (&clusterService{s}).Checkpoint(ctx, &v1.CheckpointRequest{})
	if err != nil {
		return cluster.Captured{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, digestWait)
	defer cancel()
	return capture.At(ctx, mark.GetIndex())
}

// restoreSnapshot serves POST /v1/snapshot on the leader; other nodes say where it is.
func (s *server) restoreSnapshot(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	for name := range r.URL.Query() {
		if name != "from_cluster" {
			s.plainError(w, r, problem(InvalidArgument, "field", strconv.Quote(shorten(name)), "value", "not a parameter", "want", "give from_cluster or nothing"))
			return
		}
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, archive.MaxBytes), control: http.NewResponseController(w)}
	if err := s.mayRestore(r); err != nil {
		if r.Header.Get("Expect") == "" { // else nothing comes before it is asked for
			_ = body.drain()
		}
		s.plainError(w, r, err)
		return
	}
	restored, err := s.node.Restore(r.Context(), body, r.URL.Query().Get("from_cluster"))
	if err != nil {
		_ = body.drain()
		s.plainError(w, r, s.restoreFailure(body, err))
		return
	}
	// The state is replaced: who asked may have gone, but what is found out is worth the log.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), restoreTime)
	defer cancel()
	answer, err := s.compareRestored(ctx, restored)
	if err != nil {
		s.plainError(w, r, problem(UnknownOutcome, "why", "the state was restored, but not compared: "+err.Error()))
		return
	}
	if !answer.Equal {
		s.log.Error("after a restore the nodes were not found equal", "index", answer.Index, "nodes", answer.Nodes)
	}
	writeJSON(w, http.StatusOK, answer)
}

// mayRestore refuses what needs no look at the archive. Before it sends anything of this content type to a stranger a browser asks, and gets no
// permission: so no page can replace the state of a node that its reader happens to reach.
func (s *server) mayRestore(r *http.Request) error {
	if kind := r.Header.Get("Content-Type"); kind != archive.ContentType {
		return problem(Malformed, "why", "content type "+strconv.Quote(shorten(kind))+" is not served", "want", "the archive with Content-Type: "+archive.ContentType)
	}
	if !s.lead.IsLeader() {
		return s.notLeader()
	}
	return nil
}

func (s *server) restoreFailure(body *pacedReader, err error) error {
	var bad *archive.Error
	var foreign *cluster.ForeignError
	var refused *cluster.RestoreError
	switch {
	case errors.As(err, &bad):
		return problem(BadArchive, "why", bad.Why)
	case errors.As(err, &foreign):
		return problem(ForeignArchive, "archive", foreign.Archive, "cluster", foreign.Cluster)
	case errors.As(err, &refused):
		return problem(RestoreRefused, "why", refused.Why, "todo", refused.Todo)
	case body.err != nil:
		return problem(Malformed, "why", "the archive did not come wholly: "+body.err.Error(), "want", "the whole file as body of the POST")
	}
	return s.failure(err)
}

// compareRestored asks every member for its digest behind the restore.
func (s *server) compareRestored(ctx context.Context, restored cluster.Restored) (restoreAnswer, error) {
	out := restoreAnswer{Archive: restored.Header, Epoch: restored.Epoch}
	compared, err := (&clusterService{s}).Verify(ctx, &v1.VerifyRequest{WaitMs: digestWait.Milliseconds()})
	if err != nil {
		return out, err
	}
	out.Index, out.Equal = compared.GetIndex(), compared.GetEqual()
	for _, line := range compared.GetDigests() {
		out.Nodes = append(out.Nodes, nodeDigest{NodeID: line.GetNodeId(), Digest: line.GetDigest(), Problem: line.GetProblem()})
		if line.GetNodeId() == s.node.ID() {
			out.Digest = line.GetDigest()
		}
	}
	return out, nil
}

// pacedReader gives every piece of a body its own time to come, and remembers how the body failed.
type pacedReader struct {
	r       io.Reader
	control *http.ResponseController
	err     error
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if err := p.control.SetReadDeadline(time.Now().Add(pieceTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := p.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	if err != nil {
		_ = p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// drain some of what a caller still sends, so that it reads the answer and no broken connection.
func (p *pacedReader) drain() error {
	_, err := io.CopyN(io.Discard, p, maxDrainBytes)
	_ = p.control.SetReadDeadline(time.Time{})
	return err
}

// pacedWriter gives every piece of an answer its own time to leave.
type pacedWriter struct {
	w       io.Writer
	control *http.ResponseController
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(pieceTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.w.Write(b)
}
