package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

func newGossipCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "gossip", Short: "Keys of the gossip between nodes"}
	keygen := &cobra.Command{
		Use: "keygen", Short: "Make a key for gossip", Args: cobra.NoArgs,
		Long: `Make a key for gossip: a line for the file that --gossip-keys names, the same on every node. The first key of the file encrypts, every one
decrypts. To change keys without a break: add the new one as the last line on every node, then make it the first line on every node, then remove the
old one on every node. A node reads the file again by itself within 5 s, and at once on SIGHUP.`,
		Example: "  (umask 077; fairlane gossip keygen > /etc/fairlane/gossip.keys)",
		RunE: func(*cobra.Command, []string) error {
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails
			_, err := fmt.Fprintln(a.out, base64.StdEncoding.EncodeToString(key))
			return err
		},
	}
	cmd.AddCommand(keygen)
	return cmd
}

// completeGossip makes an address of what was left out. Keys protect gossip as TLS does the other ports.
func completeGossip(c *cluster.Config, raft address, insecure bool) error {
	if c.Gossip.Listen == "off" {
		c.Gossip.Listen = ""
		if c.Gossip.KeyFile != "" {
			return usagef("--gossip-keys is set and --gossip is off: without gossip there is nothing to encrypt")
		}
		return nil
	}
	if c.Gossip.Listen == "" {
		host, port, err := net.SplitHostPort(raft.listen)
		number, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			return nil // said of --raft
		}
		if number != 0 {
			number = number%65535 + 1
		}
		c.Gossip.Listen = net.JoinHostPort(host, strconv.FormatUint(number, 10))
		if host, _, err := net.SplitHostPort(raft.advertise); err == nil && c.Gossip.Advertise == "" && number != 0 {
			c.Gossip.Advertise = net.JoinHostPort(host, strconv.FormatUint(number, 10))
		}
	}
	return address{"gossip", c.Gossip.Listen, "gossip-advertise", c.Gossip.Advertise}.check(insecure || c.Gossip.KeyFile != "")
}

// mostExpected is an odd number of voters beyond which every one costs more than it gives.
const mostExpected = 15

func checkForming(o nodeOptions) error {
	expect := o.machine.BootstrapExpect
	var problems []error
	if expect < 0 || expect > mostExpected {
		problems = append(problems, usagef("--bootstrap-expect %d: want 1 to %d nodes, best 3 or 5", expect, mostExpected))
	}
	if expect > 0 && o.bootstrap {
		problems = append(problems, usagef("--bootstrap and --bootstrap-expect are both set: the first begins a cluster of this node alone, the second one of several; say one"))
	}
	if expect > 1 && o.machine.Gossip.Listen == "" {
		problems = append(problems, usagef("--bootstrap-expect %d needs gossip, which is off: the nodes find each other by it", expect))
	}
	return errors.Join(problems...)
}
