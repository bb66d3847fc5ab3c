package main

import (
	"os"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
)

// TestConfigShowOrigin: each value with whoever gave it, the strongest first.
func TestConfigShowOrigin(t *testing.T) {
	path := file(t, "f.toml", "[node]\nlisten = '127.0.0.1:1'\nraft = '127.0.0.1:2'\n[client]\nendpoints = ['a:1', 'b:2']\n[worker]\nlanes = 'x:3'\n")
	env := map[string]string{"FAIRLANE_RAFT": "127.0.0.1:3", "FAIRLANE_CONFIG": path, "FAIRLANE_LANES": ""}
	code, out, errs := cli{env: env}.run(t, "config", "show", "--origin", "--data", "/d", "--log-level", "debug")
	if code != 0 {
		t.Fatal(code, errs)
	}
	for _, want := range [][]string{
		{"node.data", "/d", "--data"}, {"log.level", "debug", "--log-level"}, {"node.raft", "127.0.0.1:3", "FAIRLANE_RAFT"},
		{"node.listen", "127.0.0.1:1", path + ": node.listen"}, {"client.endpoints", "a:1,b:2", path + ": client.endpoints"},
		{"node.log_store", "raft-wal", "default"}, {"worker.lanes", "x:3", path + ": worker.lanes"}, {"gossip.keys", "-", "default"},
	} {
		if !hasRow(out, want) {
			t.Errorf("no row %q in\n%s", want, out)
		}
	}
	if code, out, _ := (cli{env: env}).run(t, "config", "show", "-o", "json"); code != 0 || !strings.Contains(out, `"origin": "FAIRLANE_RAFT"`) {
		t.Errorf("%d %s", code, out)
	}
}

func hasRow(table string, cells []string) bool {
	for line := range strings.Lines(table) {
		if strings.Join(strings.Fields(line), " ") == strings.Join(cells, " ") {
			return true
		}
	}
	return false
}

// TestConfigValidate: a file is refused by what a node, a worker or a verb would refuse, with code 2; a file for callers needs no node.
func TestConfigValidate(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"[client]\nendpoints = ['10.0.0.1:7171']\n", ""},
		{"[node]\ndata = '/d'\n", ""},
		{"[node]\ndata = '/d'\n[worker]\nlanes = 'fast:1 *:2'\n", ""},
		{"[node]\ndata = '/d'\nlisen = 'x'\n", `:3:1: unknown key "node.lisen"; did you mean "node.listen"?`},
		{"[node]\nlisten = '127.0.0.1:1'\n", "--data is not set"},
		{"[node]\ndata = '/d'\nlisten = '10.0.0.1:1'\n", "is not a loopback address"},
		{"[node]\ndata = '/d'\nlisten = 'nonsense'\n", "want host:port"},
		{"[node]\ndata = '/d'\nlog_store = 'disk'\n", "want raft-wal or raft-boltdb"},
		{"[node]\ndata = '/d'\npromote_after = 'soon'\n", "node.promote_after"},
		{"[node]\ndata = '/d'\noperator_listen = '10.0.0.1:9'\n", "is not a loopback address"},
		{"[node]\ndata = '/d'\nlisten = '10.0.0.1:1'\nraft = '10.0.0.1:2'\n[tls]\nca = '/a'\ncert = '/b'\nkey = '/c'\n", "--gossip 10.0.0.1:3 is not a loopback"},
		{"[node]\ndata = '/d'\n[tls]\nca = '/a'\n", "a node needs all three"},
		{"[log]\nlevel = 'loud'\n[node]\ndata = '/d'\n", `--log-level "loud"`},
		{"[client]\noutput = 'xml'\n", "want table or json"},
		{"[client]\ntimeout = 'long'\n", "client.timeout"},
		{"[worker]\nlanes = ''\n", "lanes"},
		{"[worker]\nlanes = 'a:1'\ncapacity = 3\n", "exclude each other"},
	} {
		path := file(t, "f.toml", c.text)
		env := map[string]string{"FAIRLANE_LISTEN": "10.0.0.9:1", "FAIRLANE_OUTPUT": "table"}
		code, out, errs := cli{env: env}.run(t, "config", "validate", path)
		if c.want == "" && (code != 0 || out != path+" is valid\n") || c.want != "" && (code != exitUsage || !strings.Contains(errs, c.want)) {
			t.Errorf("%q: %d %s%s", c.text, code, out, errs)
		}
	}
	if code, _, errs := (cli{}).run(t, "config", "validate", "/no/such/file"); code != exitUsage || !strings.Contains(errs, "no such file") {
		t.Errorf("%d %s", code, errs)
	}
}

// TestSettingsAreDocumented: the page of the command line has each setting with its three names.
func TestSettingsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(append([]config.Setting{}, settings...), workerSettings...) {
		for _, name := range []string{"`--" + s.Flag + "`", "`" + s.Env + "`", "`" + s.Key + "`"} {
			if !strings.Contains(string(page), name) {
				t.Errorf("docs/cli.md does not name %s", name)
			}
		}
	}
}
