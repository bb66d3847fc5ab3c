package rpc

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// roleFor is the least role that a path needs when there is TLS. What is not named here every certificate may do, and callers without one too.
// Nodes and operators may do everything that operators may.
var roleFor = map[string]string{
	"/fairlane.v1.ClusterService/Join":             certs.RoleNode,
	"/fairlane.v1.ClusterService/ReadIndex":        certs.RoleNode,
	"/fairlane.v1.ClusterService/Introduce":        certs.RoleNode,
	"/fairlane.v1.ClusterService/ConfirmBootstrap": certs.RoleNode,

	"/fairlane.v1.ClusterService/RemoveNode":         certs.RoleOperator,
	"/fairlane.v1.ClusterService/PromoteNode":        certs.RoleOperator,
	"/fairlane.v1.ClusterService/DemoteNode":         certs.RoleOperator,
	"/fairlane.v1.ClusterService/TransferLeadership": certs.RoleOperator,
	"/fairlane.v1.ClusterService/Leave":              certs.RoleOperator,
	"/fairlane.v1.ClusterService/SetClock":           certs.RoleOperator,
	"/fairlane.v1.ClusterService/SetSettings":        certs.RoleOperator,
	"/fairlane.v1.ClusterService/SetLogLevel":        certs.RoleOperator,
	"/fairlane.v1.ClusterService/ReadLog":            certs.RoleOperator,
	"/fairlane.v1.ClusterService/RecordTrace":        certs.RoleOperator,
	"/fairlane.v1.ClusterService/Verify":             certs.RoleOperator,

	"/v1/snapshot": certs.RoleOperator,
}

// guard looks at the certificate of a caller before anything of a request is decoded.
type guard struct {
	next  http.Handler
	gate  *gate
	certs *certs.Bundle
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	roles := g.certs.RolesOf(tlsOf(r))
	node := slices.Contains(roles, certs.RoleNode)
	if !node {
		r.Header.Del(forwardedHeader) // a caller that claims to be a node
	}
	need := roleFor[strings.TrimSuffix(r.URL.Path, "/")]
	if need == "" || node || slices.Contains(roles, need) {
		g.next.ServeHTTP(w, r)
		return
	}
	values := []string{"method", r.URL.Path, "role", need}
	if len(roles) > 0 {
		values = append(values, "roles", strings.Join(roles, ", "))
	}
	status := 0
	if _, known := g.gate.methods[r.URL.Path]; !known {
		status = http.StatusForbidden // none of Connect's: its error writer would guess
	}
	g.gate.refuse(w, r, status, problem(NotPermitted, values...))
}

// secured is a connection of the port between nodes.
type secured interface{ TLS() *tls.ConnectionState }

type tlsKey struct{}

// rememberTLS of a connection that another listener took, for tlsOf.
func rememberTLS(ctx context.Context, conn net.Conn) context.Context {
	if s, ok := conn.(secured); ok {
		return context.WithValue(ctx, tlsKey{}, s.TLS())
	}
	return ctx
}

func tlsOf(r *http.Request) *tls.ConnectionState {
	if r.TLS != nil {
		return r.TLS
	}
	state, _ := r.Context().Value(tlsKey{}).(*tls.ConnectionState)
	return state
}
