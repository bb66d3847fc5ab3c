package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// address is a place to listen at and the name under which others reach it.
type address struct {
	flag, listen             string // the flag that says where to listen, and what it says
	advertiseFlag, advertise string // empty advertise: others reach it where it listens
}

// check refuses, before anything is opened, what could not work or what would open the node to a network by mistake. Without
// TLS a node listens on loopback only, unless told otherwise in so many words; and an address that no other node can reach
// is never guessed around.
func (d address) check(insecure bool) error {
	host, _, err := net.SplitHostPort(d.listen)
	if err != nil {
		return usagef("--%s %q: want host:port (%v)", d.flag, d.listen, err)
	}
	var problems []error
	if !insecure && !isLoopback(host) {
		problems = append(problems, usagef("--%s %s is not a loopback address, and there is no TLS: whoever reaches it "+
			"controls the cluster. Give certificates (--tls-ca, --tls-cert, --tls-key; fairlane tls init makes them), or say --insecure-listen if "+
			"that is meant", d.flag, d.listen))
	}
	if d.advertise == "" && isUnspecified(host) {
		problems = append(problems, usagef("--%s is %s and --%s is not set: other nodes could not reach this one. Set --%s%s",
			d.flag, d.listen, d.advertiseFlag, d.advertiseFlag, examples()))
	}
	if d.advertise != "" {
		if host, _, err := net.SplitHostPort(d.advertise); err != nil {
			problems = append(problems, usagef("--%s %q: want host:port (%v)", d.advertiseFlag, d.advertise, err))
		} else if isUnspecified(host) {
			problems = append(problems, usagef("--%s %s: others cannot reach that; name an address of this machine%s",
				d.advertiseFlag, d.advertise, examples()))
		}
	}
	return errors.Join(problems...)
}

// public is the address to tell others, once it is known where the listener really is: a port 0 becomes the real one.
func (d address) public(real string) string {
	if d.advertise == "" {
		return real
	}
	host, port, err := net.SplitHostPort(d.advertise)
	if err != nil || port != "0" {
		return d.advertise
	}
	_, port, _ = net.SplitHostPort(real)
	return net.JoinHostPort(host, port)
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// isLoopback is sure of literal addresses and of localhost; any other name may lead anywhere.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// examples of what could be advertised, from this machine's own addresses.
func examples() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var found []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			found = append(found, n.IP.String())
		}
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf(" (addresses of this machine: %s)", strings.Join(found, ", "))
}
