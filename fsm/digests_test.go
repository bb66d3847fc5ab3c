package fsm_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// digestsFiles by rules: the lists of former rules never change.
var digestsFiles = []string{1: "testdata/digests.list", 2: "testdata/digests_rules_2.list", 3: "testdata/digests_rules_3.list",
	4: "testdata/digests_rules_4.list", 5: "testdata/digests_rules_5.list"}

// TestDigests compares the digests of fixed random histories with a list in the repository. The list is the same for every
// architecture, operating system and run: GOARCH=386 go test ./fsm -run TestDigests, or GOOS=wasip1 GOARCH=wasm, must pass with it, and
// each run has other map seeds. A change of the state's meaning or encoding changes the list (-rewrite) and deserves a look.
func TestDigests(t *testing.T) {
	for rules := uint32(1); rules <= fsm.Rules; rules++ {
		t.Run(fmt.Sprintf("rules=%d", rules), func(t *testing.T) { compareDigests(t, rules) })
	}
}

func compareDigests(t *testing.T, rules uint32) {
	var got []string
	for seed := uint64(1); seed <= 40; seed++ {
		got = append(got, fmt.Sprintf("%d %x", seed, digest(t, runHistoryOf(seed, rules, 60))))
	}
	if *rewrite && rules == fsm.Rules {
		if err := os.WriteFile(digestsFiles[rules], []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(digestsFiles[rules])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for _, line := range got {
		if !lines.Scan() || lines.Text() != line {
			t.Fatalf("want %q, got %q", lines.Text(), line)
		}
	}
}
