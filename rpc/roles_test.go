package rpc

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// TestRoles: with TLS every path that needs a role is refused, before its body is decoded, to who has not got it; the rest is open to all.
func TestRoles(t *testing.T) {
	dir := t.TempDir()
	authority, err := certs.NewAuthority("fairlane", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.Write(dir); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]certs.Files)
	for _, role := range certs.Roles {
		if err := authority.Issue(dir, "fairlane", certs.Party{Name: role, Role: role, Hosts: []string{"127.0.0.1"}, For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		files[role] = certs.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, role+".pem"), Key: filepath.Join(dir, role+".key")}
	}
	files["nobody"] = certs.Files{CA: filepath.Join(dir, "ca.pem")}
	bundle, err := certs.Load(files[certs.RoleNode], "fairlane")
	if err != nil {
		t.Fatal(err)
	}
	node := startNode(t, func(c *cluster.Config, r *Config) { c.Certs, r.Certs = bundle, bundle })
	address := serveTLS(t, node, bundle)
	before := node.fingerprint(t)

	may := map[string][]string{certs.RoleNode: {certs.RoleNode}, certs.RoleOperator: {certs.RoleNode, certs.RoleOperator}}
	for who, shown := range files {
		settings, err := certs.Client(shown)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}}
		for path, role := range roleFor {
			allowed := strings.Contains(strings.Join(may[role], " "), who)
			// A body that no method can read: whoever is let through gets another refusal.
			got := post(t, client, "https://"+address+path)
			if refused := strings.Contains(got, "NOT_PERMITTED"); refused == allowed {
				t.Errorf("%s at %s: %s", who, path, got)
			} else if refused && !strings.Contains(got, role) {
				t.Errorf("%s at %s does not say which role it needs: %s", who, path, got)
			}
		}
		for _, path := range []string{"/fairlane.v1.JobService/Enqueue", "/fairlane.v1.ClusterService/Status"} {
			if got := post(t, client, "https://"+address+path); strings.Contains(got, "NOT_PERMITTED") {
				t.Errorf("%s at %s: %s", who, path, got)
			}
		}
	}
	if node.fingerprint(t) != before {
		t.Error("a refused call moved the machine")
	}
	for path := range roleFor {
		if _, known := methods()[path]; !known && path != "/v1/snapshot" {
			t.Errorf("no such method: %s", path)
		}
	}
}

func serveTLS(t *testing.T, node *testNode, bundle *certs.Bundle) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler, release := NewHandler(node.Node, Config{Version: "test", Certs: bundle})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- ServeTLS(ctx, listener, handler, bundle, hclog.NewNullLogger()) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		release()
	})
	return listener.Addr().String()
}

func post(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("not JSON"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(forwardedHeader, "1")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
