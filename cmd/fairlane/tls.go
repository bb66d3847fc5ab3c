package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// authorityYears is how long the authority that tls init makes is valid.
const authorityYears = 10

const day = 24 * time.Hour

func newTLSCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "tls", Short: "Make and show certificates of a cluster"}
	cmd.AddCommand(newTLSInitCmd(a), newTLSAddCmd(a), newTLSShowCmd(a))
	return cmd
}

func newTLSInitCmd(a *app) *cobra.Command {
	var dir, cluster string
	var nodes []string
	var days int
	cmd := &cobra.Command{
		Use: "init", Short: "Make an authority and the certificates of a new cluster", Args: cobra.NoArgs,
		Long: `Make an authority (ca.pem, ca.key), a certificate and key for each node, named after its first host, and one each for
operators, workers and clients. Files that are there are never replaced. Keep ca.key where no node is: whoever has it can
make certificates of this cluster.`,
		Example: `  fairlane tls init --dir certs --cluster-name prod --node n1.example.org,10.0.0.11 --node n2.example.org,10.0.0.12`,
		RunE: func(*cobra.Command, []string) error {
			if len(nodes) == 0 {
				return usagef("--node is not set: give the names and addresses of each node, --node HOST[,IP...]")
			}
			if err := checkDays(days); err != nil {
				return err
			}
			authority, err := certs.NewAuthority(cluster, authorityYears*365*day)
			if err != nil {
				return usageError(err)
			}
			parties := []certs.Party{{Name: certs.RoleOperator, Role: certs.RoleOperator}, {Name: certs.RoleWorker, Role: certs.RoleWorker},
				{Name: certs.RoleClient, Role: certs.RoleClient}}
			for _, node := range nodes {
				hosts := strings.Split(node, ",")
				parties = append(parties, certs.Party{Name: fileName(hosts[0]), Role: certs.RoleNode, Hosts: hosts})
			}
			if err := authority.Write(dir); err != nil {
				return err
			}
			for _, p := range parties {
				if err := issue(a, authority, dir, cluster, p, days); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "certs", "`directory` for the files")
	flags.StringVar(&cluster, "cluster-name", "fairlane", "`name` of the cluster, as fairlane server gets it")
	flags.StringArrayVar(&nodes, "node", nil, "`HOST[,IP...]` at which a node is reached; once for each node")
	flags.IntVar(&days, "days", 365, "how long the certificates are valid")
	return cmd
}

func newTLSAddCmd(a *app) *cobra.Command {
	var dir, cluster, role, name string
	var hosts []string
	var days int
	cmd := &cobra.Command{
		Use: "add", Short: "Make one more certificate, or the next of a party", Args: cobra.NoArgs,
		Example: `  fairlane tls add --dir certs --cluster-name prod --role node --host n4.example.org,10.0.0.14
  fairlane tls add --dir certs --cluster-name prod --role worker --name builders`,
		RunE: func(*cobra.Command, []string) error {
			if err := checkDays(days); err != nil {
				return err
			}
			authority, err := certs.ReadAuthority(dir)
			if err != nil {
				return err
			}
			if name == "" && len(hosts) > 0 {
				name = hosts[0]
			}
			if name == "" {
				name = role
			}
			return issue(a, authority, dir, cluster, certs.Party{Name: fileName(name), Role: role, Hosts: hosts}, days)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "certs", "`directory` with ca.pem and ca.key, and for the new files")
	flags.StringVar(&cluster, "cluster-name", "fairlane", "`name` of the cluster")
	flags.StringVar(&role, "role", certs.RoleNode, strings.Join(certs.Roles, ", "))
	flags.StringVar(&name, "name", "", "`name` of the files; default: the first host, else the role")
	flags.StringSliceVar(&hosts, "host", nil, "`names` and IP addresses at which a node is reached")
	flags.IntVar(&days, "days", 365, "how long it is valid")
	return cmd
}

func newTLSShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "What a certificate says", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cert, err := certs.Read(args[0])
			if err != nil {
				return err
			}
			shown := shownCertificate{
				Subject: cert.Subject.CommonName, Issuer: cert.Issuer.CommonName, Authority: cert.IsCA, Hosts: cert.DNSNames,
				NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), Expired: time.Now().After(cert.NotAfter),
			}
			for _, ip := range cert.IPAddresses {
				shown.Hosts = append(shown.Hosts, ip.String())
			}
			for _, uri := range cert.URIs {
				shown.Roles = append(shown.Roles, uri.String())
			}
			return a.printJSON(shown, shown.table)
		},
	}
}

type shownCertificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Authority bool      `json:"authority"`
	Roles     []string  `json:"roles"`
	Hosts     []string  `json:"hosts"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Expired   bool      `json:"expired"`
}

func (c shownCertificate) table(w io.Writer) {
	row(w, "subject", c.Subject)
	row(w, "issuer", c.Issuer)
	row(w, "authority", c.Authority)
	row(w, "roles", strings.Join(c.Roles, " "))
	row(w, "hosts", strings.Join(c.Hosts, " "))
	row(w, "not before", c.NotBefore.Format(time.RFC3339))
	left := fmt.Sprintf("%d days left", int(time.Until(c.NotAfter)/day))
	if c.Expired {
		left = "expired"
	}
	row(w, "not after", c.NotAfter.Format(time.RFC3339)+" ("+left+")")
}

func issue(a *app, authority *certs.Authority, dir, cluster string, p certs.Party, days int) error {
	p.For = time.Duration(days) * day
	if err := authority.Issue(dir, cluster, p); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "%s: %s of cluster %s, for %d days\n", filepath.Join(dir, p.Name+".pem"), p.Role, cluster, days)
	return err
}

func checkDays(days int) error {
	if days < 1 || days > 10*365 {
		return usagef("--days %d: want 1 to %d", days, 10*365)
	}
	return nil
}

// fileName of a host: an IPv6 address has colons.
func fileName(host string) string { return strings.ReplaceAll(host, ":", "-") }

func usageError(err error) error { return &exitError{exitUsage, err} }

// loadCerts of this node; nil without TLS.
func (a *app) loadCerts(cluster string) (*certs.Bundle, error) {
	if a.tls == (certs.Files{}) {
		return nil, nil
	}
	if a.tls.CA == "" || a.tls.Cert == "" || a.tls.Key == "" {
		return nil, usagef("--tls-ca %q, --tls-cert %q, --tls-key %q: a node needs all three, or none", a.tls.CA, a.tls.Cert, a.tls.Key)
	}
	bundle, err := certs.Load(a.tls, cluster)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return bundle, nil
}
