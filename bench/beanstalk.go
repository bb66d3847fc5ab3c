package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	beanstalkName  = "beanstalkd (1 node)"
	beanstalkLease = 60 // seconds
)

// findBeanstalk looks for the server; apt-get install beanstalkd brings it.
func findBeanstalk(ctx context.Context, _ options, _ string) (system, error) {
	binary, err := exec.LookPath("beanstalkd")
	if err != nil {
		return system{}, fmt.Errorf("it is not installed here")
	}
	version, err := exec.CommandContext(ctx, binary, "-v").Output()
	if err != nil {
		return system{}, err
	}
	return system{
		version: strings.TrimSpace(string(version)) + "; one server, binlog with fsync of every write (-f 0); claims are not written",
		measure: func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error) {
			address, err := freeAddresses(1)
			if err != nil {
				return outcome{}, err
			}
			dirs, err := nodeDirs(dir, 1)
			if err != nil {
				return outcome{}, err
			}
			host, port, _ := net.SplitHostPort(address[0])
			sync := []string{"-f", "0"}
			if s.waiting > 0 {
				sync = []string{"-F"} // never: only its memory is measured, and filling would take minutes
			}
			args := append([]string{"-l", host, "-p", port, "-b", dirs[0]}, sync...)
			p, err := startProcess(filepath.Join(dir, "output"), exec.Command(binary, args...))
			if err != nil {
				return outcome{}, err
			}
			defer p.stop()
			if err := p.await(ctx, accepts(address[0])); err != nil {
				return outcome{}, err
			}
			return measureQueue(ctx, &beanstalkQueue{address: address[0], process: p}, s, length)
		},
	}, nil
}

// beanstalkQueue is one server.
type beanstalkQueue struct {
	address string
	process *process
}

func (q *beanstalkQueue) servers() []int { return []int{q.process.pid()} }

// beanstalkConn speaks the protocol: lines, and bodies of a told length. Commands of one call are sent in one write.
type beanstalkConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

func (q *beanstalkQueue) dial(ctx context.Context) (*beanstalkConn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", q.address)
	if err != nil {
		return nil, err
	}
	return &beanstalkConn{conn: conn, in: bufio.NewReader(conn), out: bufio.NewWriterSize(conn, 64<<10)}, nil
}

// expect a line that begins with word, and give its fields after it.
func (c *beanstalkConn) expect(word string) ([]string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != word {
		return nil, fmt.Errorf("beanstalkd answered %q, want %s", strings.TrimSpace(line), word)
	}
	return fields[1:], nil
}

func (c *beanstalkConn) put(payloads [][]byte) error {
	for _, p := range payloads {
		fmt.Fprintf(c.out, "put 0 0 %d %d\r\n%s\r\n", beanstalkLease, len(p), p)
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	for range payloads {
		if _, err := c.expect("INSERTED"); err != nil {
			return err
		}
	}
	return nil
}

// reserve so many jobs; each waits until one is there.
func (c *beanstalkConn) reserve(count int, started func([]byte)) (ids []string, err error) {
	c.out.WriteString(strings.Repeat("reserve\r\n", count)) //nolint:errcheck // Flush tells
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	for range count {
		fields, err := c.expect("RESERVED")
		if err != nil {
			return nil, err
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("beanstalkd reserved %q, want an id and a length", fields)
		}
		length, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		body := make([]byte, length+2)
		if _, err := io.ReadFull(c.in, body); err != nil {
			return nil, err
		}
		started(body[:length])
		ids = append(ids, fields[0])
	}
	return ids, nil
}

func (c *beanstalkConn) remove(ids []string) error {
	for _, id := range ids {
		fmt.Fprintf(c.out, "delete %s\r\n", id)
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	for range ids {
		if _, err := c.expect("DELETED"); err != nil {
			return err
		}
	}
	return nil
}

func (q *beanstalkQueue) produce(ctx context.Context) (func(context.Context, [][]byte) error, func(), error) {
	c, err := q.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	cut := context.AfterFunc(ctx, func() { c.conn.Close() })
	put := func(_ context.Context, payloads [][]byte) error { return c.put(payloads) }
	return put, func() { cut(); c.conn.Close() }, nil
}

func (q *beanstalkQueue) work(ctx context.Context, workers, batch int, started func([]byte), finished func(int)) error {
	all := newCrew(ctx)
	for range workers {
		all.run(func(ctx context.Context) error {
			c, err := q.dial(ctx)
			if err != nil {
				return err
			}
			defer c.conn.Close()
			defer context.AfterFunc(ctx, func() { c.conn.Close() })()
			for {
				ids, err := c.reserve(batch, started)
				if err != nil {
					return err
				}
				if err := c.remove(ids); err != nil {
					return err
				}
				finished(len(ids))
			}
		})
	}
	all.all.Wait()
	return all.end()
}
