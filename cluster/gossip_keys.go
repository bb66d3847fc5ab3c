package cluster

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// keysKept bounds the keys of one file: every packet may be tried with each.
	keysKept = 16
	// maxKeyFile bytes are read of a file of keys.
	maxKeyFile = 64 << 10
	// keyLook is how often the file of keys is looked at.
	keyLook = 5 * time.Second
)

// keyring is memberlist's, filled from a file that may change while the node runs.
type keyring struct {
	path string
	ring *memberlist.Keyring

	mu      sync.Mutex
	changed time.Time // of the file, when it was read
	keys    [][]byte
}

// openKeys reads the file; empty path: gossip has no keys, and the keyring is nil.
func openKeys(path string) (*keyring, error) {
	if path == "" {
		return nil, nil
	}
	k := &keyring{path: path}
	keys, err := k.read()
	if err != nil {
		return nil, err
	}
	k.keys = keys
	k.ring, err = memberlist.NewKeyring(keys, keys[0])
	return k, err
}

func (k *keyring) read() ([][]byte, error) {
	info, err := os.Stat(k.path)
	if err != nil {
		return nil, fmt.Errorf("gossip keys: %w", err)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("gossip keys: %s has %d bytes, at most %d are read", k.path, info.Size(), maxKeyFile)
	}
	text, err := os.ReadFile(k.path)
	if err != nil {
		return nil, fmt.Errorf("gossip keys: %w", err)
	}
	k.changed = info.ModTime()
	return parseKeys(k.path, text)
}

// parseKeys never repeats what a line holds: it may be a key with a fault.
func parseKeys(path string, text []byte) ([][]byte, error) {
	var keys [][]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || memberlist.ValidateKey(key) != nil {
			return nil, fmt.Errorf("gossip keys: %s line %d is no key: want base64 of 16, 24 or 32 bytes; fairlane gossip keygen makes one", path, number)
		}
		if !slices.ContainsFunc(keys, func(other []byte) bool { return bytes.Equal(other, key) }) {
			keys = append(keys, key)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("gossip keys: %s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("gossip keys: %s holds none; fairlane gossip keygen makes one", path)
	}
	if len(keys) > keysKept {
		return nil, fmt.Errorf("gossip keys: %s holds %d, at most %d; remove those that no node encrypts with", path, len(keys), keysKept)
	}
	return keys, nil
}

// reload the file, if it changed or if that is forced. On an error the former keys stay.
func (k *keyring) reload(force bool) (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if info, err := os.Stat(k.path); err == nil && info.ModTime().Equal(k.changed) && !force {
		return false, nil
	}
	keys, err := k.read()
	if err != nil {
		return false, err
	}
	if slices.EqualFunc(keys, k.keys, bytes.Equal) {
		return false, nil
	}
	if err := k.install(keys); err != nil {
		return false, err
	}
	k.keys = keys
	return true, nil
}

// install keys in an order that no reader sees half of. memberlist removes a key by moving those behind it, in a slice that others may be reading;
// only the last one can be removed without that. So those that go are moved to the end first. For an instant a key that stays encrypts, one
// that the others had already.
func (k *keyring) install(keys [][]byte) error {
	first := keys[0]
	if err := errors.Join(k.ring.AddKey(first), k.ring.UseKey(first)); err != nil {
		return err
	}
	stays := func(key []byte) bool {
		return slices.ContainsFunc(keys, func(other []byte) bool { return bytes.Equal(other, key) })
	}
	for _, key := range slices.Backward(slices.Clone(k.ring.GetKeys())) {
		if stays(key) {
			if err := k.ring.UseKey(key); err != nil {
				return err
			}
		}
	}
	for {
		last := k.ring.GetKeys()
		if stays(last[len(last)-1]) {
			break
		}
		if err := k.ring.RemoveKey(last[len(last)-1]); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := k.ring.AddKey(key); err != nil {
			return err
		}
	}
	return k.ring.UseKey(first)
}

// fingerprints of the keys, the one that encrypts first.
func (k *keyring) fingerprints() []string {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, key := range k.keys {
		sum := sha256.Sum256(key)
		out = append(out, hex.EncodeToString(sum[:4]))
	}
	return out
}
