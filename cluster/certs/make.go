package certs

import (
	"crypto"
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
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	caFile, caKeyFile = "ca.pem", "ca.key"
	// early is how long before now certificates begin: clocks differ.
	early = 5 * time.Minute
)

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$`)

// Authority signs the certificates of one cluster.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Party is whom a certificate is made for.
type Party struct {
	// Name of its files, and its common name.
	Name string
	Role string
	// Hosts are names and IP addresses at which a node is reached.
	Hosts []string
	// From and For: how long the certificate is valid. A zero From is now.
	From time.Time
	For  time.Duration
}

// CheckName refuses what cannot be the name of a cluster or of a file.
func CheckName(what, name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%s %q: want 1 to 64 letters, digits, dots, dashes and underscores, with a letter or digit at both ends", what, name)
	}
	return nil
}

// NewAuthority for a cluster, valid for so long.
func NewAuthority(cluster string, valid time.Duration) (*Authority, error) {
	if err := CheckName("cluster name", cluster); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Fairlane " + cluster}, NotBefore: time.Now().Add(-early), NotAfter: time.Now().Add(valid),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &Authority{cert: template, key: key}
	a.cert, err = a.sign(template, key)
	return a, err
}

// ReadAuthority from the files ca.pem and ca.key in dir.
func ReadAuthority(dir string) (*Authority, error) {
	both, err := tls.LoadX509KeyPair(filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, fmt.Errorf("authority in %s: %w", dir, err)
	}
	key, ok := both.PrivateKey.(crypto.Signer)
	if !ok || !both.Leaf.IsCA {
		return nil, fmt.Errorf("authority in %s: %s is not the certificate of an authority", dir, caFile)
	}
	return &Authority{both.Leaf, key}, nil
}

// Write ca.pem and ca.key to dir. It replaces nothing.
func (a *Authority) Write(dir string) error { return writePair(dir, "ca", a.cert, a.key) }

// Issue a certificate of the named cluster, and write NAME.pem and NAME.key to dir. It replaces nothing.
func (a *Authority) Issue(dir, cluster string, p Party) error {
	if err := errors.Join(CheckName("cluster name", cluster), CheckName("name", p.Name)); err != nil {
		return err
	}
	if !slices.Contains(Roles, p.Role) {
		return fmt.Errorf("role %q: want %s", p.Role, strings.Join(Roles, ", "))
	}
	if p.Role == RoleNode && len(p.Hosts) == 0 {
		return fmt.Errorf("node %s: no name or address at which it is reached", p.Name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	from := p.From
	if from.IsZero() {
		from = time.Now()
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: p.Name}, NotBefore: from.Add(-early), NotAfter: from.Add(p.For),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: scheme, Host: cluster, Path: "/" + p.Role}},
	}
	if p.Role == RoleNode {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range p.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	cert, err := a.sign(template, key)
	if err != nil {
		return err
	}
	return writePair(dir, p.Name, cert, key)
}

func (a *Authority) sign(template *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

func writePair(dir, name string, cert *x509.Certificate, key crypto.Signer) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, name+".key"), "PRIVATE KEY", raw, 0o600); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, name+".pem"), "CERTIFICATE", cert.Raw, 0o644)
}

// writeNew makes a file, which must not be there: a key that is lost is not made again.
func writeNew(path, kind string, raw []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("%w; nothing is replaced: give another directory or name, or move that file away", err)
	}
	return errors.Join(pem.Encode(file, &pem.Block{Type: kind, Bytes: raw}), file.Sync(), file.Close())
}

// Read the first certificate of a PEM file: what it says, all its roles in whatever cluster, and its hosts.
func Read(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: no certificate (PEM) in it", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
