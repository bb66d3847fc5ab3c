package fsm_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

var rewrite = flag.Bool("rewrite", false, "write what the machine answers into the golden scripts; then read the difference against docs/design.md")

// TestScripts runs every golden script of testdata. A script is a list of blocks: input lines, a line "----", the
// expected output, an empty line. Each script begins with a comment that names the rule of docs/design.md it proves.
//
// Besides the output, every batch of every script is applied to a twin and to a machine restored from the snapshot
// before it; all three must have equal digests and sound invariants. A script without a line "rules" runs once under each rules, and must
// print the same.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if strings.Contains(string(text), "\nrules ") { // it says itself under which
			t.Run(name, func(t *testing.T) { runScriptFile(t, path, text, fsm.Rules) })
			continue
		}
		for rules := uint32(1); rules <= fsm.Rules; rules++ {
			t.Run(fmt.Sprintf("%s/rules=%d", name, rules), func(t *testing.T) { runScriptFile(t, path, text, rules) })
		}
	}
}

func runScriptFile(t *testing.T, path string, text []byte, rules uint32) {
	blocks, err := splitScript(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(blocks) == 0 || !strings.HasPrefix(blocks[0].lead, "#") || !strings.Contains(blocks[0].lead, "§") {
		t.Fatalf("%s: the first line must be a comment that names the section of the design", path)
	}
	run := newScriptRun(t, rules)
	var rewritten strings.Builder
	for _, b := range blocks {
		rewritten.WriteString(b.lead)
		if len(b.input) == 0 {
			continue
		}
		got := run.block(b)
		for _, line := range b.input {
			rewritten.WriteString(line + "\n")
		}
		rewritten.WriteString("----\n" + got)
		if got != b.want && !*rewrite {
			t.Errorf("%s:%d:\n%s\n--- want\n%s--- got\n%s", path, b.line, strings.Join(b.input, "\n"), b.want, got)
		}
	}
	if *rewrite && rewritten.String() != string(text) {
		if err := os.WriteFile(path, []byte(rewritten.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// block is one step of a script.
type block struct {
	lead  string   // comments and empty lines before the input, as they stand in the file
	input []string // lines up to "----", comments included
	want  string   // lines after "----" up to an empty line
	line  int      // line number of the first input line
}

func splitScript(text string) ([]block, error) {
	var blocks []block
	var b block
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case len(b.input) == 0 && (line == "" || strings.HasPrefix(line, "#")):
			b.lead += line + "\n"
		case line == "----":
			for i++; i < len(lines) && lines[i] != ""; i++ {
				b.want += lines[i] + "\n"
			}
			blocks = append(blocks, b)
			b = block{}
			if i < len(lines) {
				b.lead = "\n"
			}
		default:
			if len(b.input) == 0 {
				b.line = i + 1
			}
			b.input = append(b.input, line)
		}
	}
	if len(b.input) > 0 {
		return nil, fmt.Errorf("line %d: a block without ----", b.line)
	}
	if b.lead != "" {
		blocks = append(blocks, b)
	}
	return blocks, nil
}
