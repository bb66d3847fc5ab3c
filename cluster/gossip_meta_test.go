package cluster

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The longest addresses that are taken fit into gossip's packets; longer ones are refused with the numbers.
func TestGossipMetaFits(t *testing.T) {
	longest := gossipMeta{
		id: uuid.NewString(), cluster: uuid.NewString(), process: 1 << 63, fresh: true, expect: 1<<31 - 1, rules: 1<<31 - 1,
		raft: strings.Repeat("r", 70), api: strings.Repeat("a", maxMeta-metaHead-6-70),
	}
	bytes, err := longest.encode()
	if err != nil || len(bytes) > maxMeta || maxMeta >= 200 {
		t.Fatalf("%d bytes of at most %d: %v", len(bytes), maxMeta, err)
	}
	if got, err := decodeMeta(bytes); err != nil || got != longest {
		t.Errorf("decoded %+v (%v), want %+v", got, err, longest)
	}
	if got, err := decodeMeta(append(bytes, "what a later version adds"...)); err != nil || got != longest {
		t.Errorf("a later version is not understood: %v", err)
	}
	for n := range bytes {
		if got, err := decodeMeta(bytes[:n]); err == nil {
			t.Errorf("%d bytes of %d are taken for %+v", n, len(bytes), got)
		}
	}
	longest.api += "a"
	if _, err := longest.encode(); err == nil || !strings.Contains(err.Error(), "advertise shorter") {
		t.Errorf("too long addresses: %v", err)
	}
}

func FuzzGossipMeta(f *testing.F) {
	good, _ := gossipMeta{id: uuid.NewString(), raft: "r:1", api: "a:1"}.encode()
	f.Add(good)
	f.Fuzz(func(t *testing.T, in []byte) {
		meta, err := decodeMeta(in)
		if err != nil {
			return
		}
		if len(meta.raft)+len(meta.api) > len(in) {
			t.Errorf("more came out than went in: %+v", meta)
		}
	})
}

func keyLine(fill byte, size int) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, size))
}

func TestGossipKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	for text, want := range map[string]string{
		"":                                   "holds none",
		"secretsecret":                       "line 1 is no key",
		"\n# note\n" + keyLine(1, 31):        "line 3 is no key",
		strings.Repeat("x", maxKeyFile+1):    "at most",
		manyKeys(keysKept + 1):               "at most 16",
		keyLine(1, 16) + "\nsecretsecret!\n": "line 2 is no key",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openKeys(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: %v, want %q and nothing of the line", text, err, want)
		}
	}
	if _, err := openKeys(path + "-none"); err == nil {
		t.Error("a missing file is taken")
	}
}

func manyKeys(n int) string {
	var lines []string
	for i := range n {
		lines = append(lines, keyLine(byte(i+1), 32))
	}
	return strings.Join(lines, "\n")
}

// After any change of the file the first key encrypts, all of the file decrypt, and no other; a slice that a packet is being tried with stays as it
// was. A file with a fault changes nothing.
func TestGossipKeysChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(fills ...byte) {
		t.Helper()
		var lines []string
		for _, fill := range fills {
			lines = append(lines, keyLine(fill, 32))
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	k, err := openKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, fills := range [][]byte{{1, 2}, {2, 1}, {2}, {2, 3, 4, 5}, {5, 2}, {6, 5}, {7, 8, 9}, {9, 8}, {8, 9, 1}, {1}} {
		held := k.ring.GetKeys()
		before := slices.Clone(held)
		write(fills...)
		if changed, err := k.reload(true); err != nil || !changed {
			t.Fatalf("%v: changed %v, %v", fills, changed, err)
		}
		if !slices.EqualFunc(held, before, bytes.Equal) {
			t.Errorf("%v: the keys that a packet is tried with changed under it", fills)
		}
		var now []byte
		for _, key := range k.ring.GetKeys() {
			now = append(now, key[0])
		}
		if now[0] != fills[0] || !slices.Equal(slices.Sorted(slices.Values(now)), slices.Sorted(slices.Values(fills))) {
			t.Errorf("keys %v in force, file %v", now, fills)
		}
		if prints := k.fingerprints(); len(prints) != len(fills) || len(prints[0]) != 8 {
			t.Errorf("fingerprints %v", prints)
		}
	}
	if err := os.WriteFile(path, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.reload(true); err == nil || len(k.ring.GetKeys()) != 1 {
		t.Errorf("a file with a fault: %v, %d keys", err, len(k.ring.GetKeys()))
	}
	write(3)
	if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if changed, err := k.reload(false); err != nil || !changed {
		t.Errorf("a file that changed was not read: %v", err)
	}
	if changed, _ := k.reload(false); changed {
		t.Error("a file that did not change was read again")
	}
}
