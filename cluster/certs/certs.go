// Package certs holds the certificates of a node or of a caller: their files, their roles, and the TLS settings made of them. It also makes them,
// for a cluster that has no authority of its own.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Files of one party, PEM.
type Files struct{ CA, Cert, Key string }

// Roles that a certificate can have. They stand in it as a URI, fairlane://CLUSTER/ROLE.
const (
	RoleNode     = "node"
	RoleOperator = "operator"
	RoleWorker   = "worker"
	RoleClient   = "client"
)

// Roles are all of them.
var Roles = []string{RoleNode, RoleOperator, RoleWorker, RoleClient}

const scheme = "fairlane"

// Info of a certificate.
type Info struct {
	Subject  string
	Roles    []string
	NotAfter time.Time
}

// pair is what one reading of the files gave.
type pair struct {
	cert        tls.Certificate
	authorities *x509.CertPool
	info        Info
}

// Bundle of a node's certificate, its key and the authorities that it trusts. Safe for many goroutines.
type Bundle struct {
	files   Files
	cluster string
	now     atomic.Pointer[pair]
}

// Load the files of a node of the named cluster. It refuses a certificate that has ended or that is not one of a node of this cluster.
func Load(files Files, cluster string) (*Bundle, error) {
	b := &Bundle{files: files, cluster: cluster}
	return b, b.Reload()
}

// Reload the files; on an error the former stay. Connections that are open stay as they are.
func (b *Bundle) Reload() error {
	read, err := b.files.read()
	if err != nil {
		return err
	}
	leaf := read.cert.Leaf
	read.info = Info{Subject: leaf.Subject.CommonName, Roles: rolesIn(leaf, b.cluster), NotAfter: leaf.NotAfter}
	if !slices.Contains(read.info.Roles, RoleNode) {
		return fmt.Errorf("certificate %s is not one of a node of cluster %q: it says %s, and %s is needed. Make one with fairlane tls add",
			b.files.Cert, b.cluster, orNothing(uris(leaf)), roleURI(b.cluster, RoleNode))
	}
	if err := verify(leaf, read.others(), read.authorities, x509.ExtKeyUsageServerAuth); err != nil {
		return fmt.Errorf("certificate %s: %w", b.files.Cert, err)
	}
	b.now.Store(read)
	return nil
}

// Info of the node's own certificate.
func (b *Bundle) Info() Info { return b.now.Load().info }

// read and check the files against each other.
func (f Files) read() (*pair, error) {
	authorities, err := f.authorities()
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	return &pair{cert: cert, authorities: authorities}, nil
}

func (f Files) authorities() (*x509.CertPool, error) {
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("authority %s: no certificate (PEM) in it", f.CA)
	}
	return pool, nil
}

// ClusterServer is for the port between nodes: the other side must show a certificate of a node of this cluster, in TLS 1.3.
func (b *Bundle) ClusterServer() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := b.now.Load()
			return &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{now.cert},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: now.authorities,
				VerifyConnection: b.isNode, SessionTicketsDisabled: true,
			}, nil
		},
	}
}

// ClusterClient calls other nodes, at either of their ports. It goes by authority and role, not by host name: nodes move, and every node may do
// what any other may.
func (b *Bundle) ClusterClient() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // the chain is verified below, only the name is not
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("the other node shows no certificate")
			}
			err := verify(state.PeerCertificates[0], state.PeerCertificates[1:], b.now.Load().authorities, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			return b.isNode(state)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &b.now.Load().cert, nil },
	}
}

// APIServer is for callers, who may show a certificate.
func (b *Bundle) APIServer() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := b.now.Load()
			return &tls.Config{
				MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{now.cert},
				ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: now.authorities, SessionTicketsDisabled: true,
			}, nil
		},
		// Never used, since every handshake gets the settings above; a server asks that there is one.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &b.now.Load().cert, nil },
	}
}

// RolesOf the other side of a connection in this cluster.
func (b *Bundle) RolesOf(state *tls.ConnectionState) []string { return RolesOf(state, b.cluster) }

func (b *Bundle) isNode(state tls.ConnectionState) error {
	if roles := RolesOf(&state, b.cluster); !slices.Contains(roles, RoleNode) {
		return fmt.Errorf("the certificate %q is not one of a node of cluster %q: it says %s",
			state.PeerCertificates[0].Subject.CommonName, b.cluster, orNothing(uris(state.PeerCertificates[0])))
	}
	return nil
}

// RolesOf the other side of a connection in the named cluster; none when it showed no certificate.
func RolesOf(state *tls.ConnectionState, cluster string) []string {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	return rolesIn(state.PeerCertificates[0], cluster)
}

// Client settings of a caller: the authorities to trust and, if given, the certificate to show.
func Client(files Files) (*tls.Config, error) {
	authorities, err := files.authorities()
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
	if files.Cert == "" && files.Key == "" {
		return settings, nil
	}
	read, err := files.read()
	if err != nil {
		return nil, err
	}
	settings.Certificates = []tls.Certificate{read.cert}
	return settings, nil
}

func verify(leaf *x509.Certificate, others []*x509.Certificate, authorities *x509.CertPool, use x509.ExtKeyUsage) error {
	between := x509.NewCertPool()
	for _, one := range others {
		between.AddCert(one)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

func roleURI(cluster, role string) string { return scheme + "://" + cluster + "/" + role }

// rolesIn a certificate for the named cluster.
func rolesIn(leaf *x509.Certificate, cluster string) []string {
	var roles []string
	for _, u := range leaf.URIs {
		if role := strings.TrimPrefix(u.Path, "/"); u.Scheme == scheme && u.Host == cluster && slices.Contains(Roles, role) {
			roles = append(roles, role)
		}
	}
	return roles
}

func uris(leaf *x509.Certificate) string {
	var out []string
	for _, u := range leaf.URIs {
		out = append(out, (*url.URL)(u).String())
	}
	return strings.Join(out, ", ")
}

func orNothing(text string) string {
	if text == "" {
		return "no role"
	}
	return text
}

// others are the certificates behind the first one in its file.
func (p *pair) others() []*x509.Certificate {
	var out []*x509.Certificate
	for _, raw := range p.cert.Certificate[1:] {
		if one, err := x509.ParseCertificate(raw); err == nil {
			out = append(out, one)
		}
	}
	return out
}
