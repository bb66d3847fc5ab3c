package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// CertDir holds the authority (ca.pem, ca.key), a pair for each node, and operator, worker and client.
func (c *Cluster) CertDir() string { return filepath.Join(c.Dir, "certs") }

// CertFlags of the binary for the pair of this name.
func (c *Cluster) CertFlags(name string) []string {
	dir := c.CertDir()
	return []string{"--tls-ca", filepath.Join(dir, "ca.pem"), "--tls-cert", filepath.Join(dir, name+".pem"), "--tls-key", filepath.Join(dir, name+".key")}
}

func (n *Node) certName() string { return fmt.Sprintf("node%d", n.Number) }

// URL of the node's API.
func (n *Node) URL() string {
	if n.cluster.tls != nil {
		return "https://" + n.API
	}
	return "http://" + n.API
}

// InitCerts makes an authority and its certificates with the binary, as an operator does.
func InitCerts(dir string, nodes int) error {
	binary, err := Binary()
	if err != nil {
		return err
	}
	args := []string{"tls", "init", "--dir", dir}
	for i := range nodes {
		args = append(args, "--node", fmt.Sprintf("node%d,127.0.0.1", i))
	}
	if out, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("fairlane %v: %w\n%s", args, err, out)
	}
	return nil
}

func (c *Cluster) makeCerts() error {
	if err := InitCerts(c.CertDir(), c.options.Nodes); err != nil {
		return err
	}
	settings, err := c.TLS("operator")
	if err != nil {
		return err
	}
	c.tls = settings
	c.http.Transport.(*http.Transport).TLSClientConfig = settings
	return nil
}

// TLS of a caller that shows the pair of this name.
func (c *Cluster) TLS(name string) (*tls.Config, error) {
	dir := c.CertDir()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in ca.pem")
	}
	return &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{pair}}, nil
}

// IssueUntil signs a pair with a role that ends at an hour of the test's choice, which the binary does not do. It replaces what is there, each file at once.
func (c *Cluster) IssueUntil(name, role string, end time.Time) error {
	dir := c.CertDir()
	authority, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: end.Add(-time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{{Scheme: "fairlane", Host: "fairlane", Path: "/" + role}}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		replace(filepath.Join(dir, name+".key"), "PRIVATE KEY", rawKey), replace(filepath.Join(dir, name+".pem"), "CERTIFICATE", raw))
}

func replace(path, kind string, raw []byte) error {
	half := path + ".new"
	if err := os.WriteFile(half, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		return err
	}
	return os.Rename(half, path)
}

// HangUp sends SIGHUP: the node reads its certificates again.
func (n *Node) HangUp() error { return n.command.Process.Signal(syscall.SIGHUP) }
