package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fairlane-scheduler/fairlane"

const (
	publicGen  = "proto/gen/fairlane/v1"
	connectGen = "proto/gen/fairlane/v1/fairlanev1connect"
	logGen     = "proto/gen/fairlane/log/v1"
)

// room is one top-level folder: what of ours it may import, and what of others only it may.
type room struct {
	ours []string // prefixes of paths inside the module
	pure bool     // holds decisions only: no clock, no machine, no goroutine, no float
	all  bool     // may import every room
}

// rooms is the table of docs/design.md §2. A folder with Go code that is not in it fails the test.
var rooms = map[string]room{
	"scheduler": {pure: true},
	"fsm":       {pure: true, ours: []string{"scheduler", logGen}},
	"cluster":   {ours: []string{"fsm", "scheduler", logGen}},
	"rpc":       {ours: []string{"fsm", "cluster", "scheduler", logGen, publicGen}},
	"client":    {ours: []string{publicGen}},
	"proto":     {ours: []string{"proto/gen"}},
	"cmd":       {all: true},
	"e2e":       {ours: []string{"client", publicGen}},
	"bench":     {},
	"examples":  {ours: []string{"client"}},
}

// owned modules are imported by the rooms named only; a prefix of the import path decides.
var owned = map[string][]string{
	"github.com/hashicorp/raft":       {"cluster", "bench"}, // bench measures it alone
	"github.com/hashicorp/memberlist": {"cluster"},
	"go.etcd.io/bbolt":                {"cluster", "bench"},
	"connectrpc.com/connect":          {"rpc", "client", "cmd", "e2e", "proto", "bench"},
}

// impure packages would let a node's surroundings into a decision.
var impure = []string{"time", "os", "net", "sync", "context", "math/rand", "log", "runtime", "crypto/rand"}

// pureModules are the foreign modules that the pure rooms may use.
var pureModules = []string{"github.com/tidwall/btree", "google.golang.org/protobuf"}

// TestImportRules: imports point one way (docs/design.md §2), and the pure rooms stay pure.
func TestImportRules(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, complaint := range checkFile(filepath.ToSlash(rel), f, set) {
			t.Error(complaint)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("only %d Go files found below %s: the walk is broken", files, root)
	}
}

// checkFile gives one sentence for every rule that the file breaks. rel is its path inside the module.
func checkFile(rel string, f *ast.File, set *token.FileSet) []string {
	name, _, nested := strings.Cut(rel, "/")
	if !nested {
		return []string{rel + ": Go code at the top level; put it into a room"}
	}
	r, known := rooms[name]
	if !known {
		return []string{fmt.Sprintf("%s: %q is not a room of docs/design.md §2", rel, name)}
	}
	test := strings.HasSuffix(rel, "_test.go")
	var complaints []string
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{rel + ": " + err.Error()}
		}
		if why := checkImport(name, r, imported, test); why != "" {
			complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", rel, imported, why))
		}
	}
	if r.pure && !test {
		complaints = append(complaints, checkPurity(rel, f, set)...)
	}
	return complaints
}

// checkImport says why the room may not import the package; empty: it may. Tests of a room may reach into other rooms,
// except those of e2e, which see what a user sees.
func checkImport(name string, r room, imported string, test bool) string {
	if imported == "C" {
		return "no cgo"
	}
	for prefix, owners := range owned {
		if under(imported, prefix) && !slices.Contains(owners, name) && !test {
			return fmt.Sprintf("only %s may", strings.Join(owners, ", "))
		}
	}
	if inside, ok := strings.CutPrefix(imported, module+"/"); ok {
		if r.all || under(inside, name) || (test && name != "e2e") {
			return ""
		}
		for _, prefix := range r.ours {
			if under(inside, prefix) {
				return ""
			}
		}
		return fmt.Sprintf("%s may import of ours only %v", name, r.ours)
	}
	if !r.pure || test {
		return ""
	}
	for _, prefix := range impure {
		if under(imported, prefix) {
			return name + " is pure"
		}
	}
	standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
	if !standard && !slices.ContainsFunc(pureModules, func(m string) bool { return under(imported, m) }) {
		return fmt.Sprintf("%s is pure and uses of others only %v", name, pureModules)
	}
	return ""
}

// under reports whether the import path is prefix, below it, or a version or sibling of it (raft-boltdb of raft).
func under(imported, prefix string) bool {
	if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
		return true
	}
	return strings.HasPrefix(imported, prefix+"-")
}

// checkPurity finds what an import list does not show: goroutines, channels and floats.
func checkPurity(rel string, f *ast.File, set *token.FileSet) []string {
	var complaints []string
	complain := func(at token.Pos, what string) {
		complaints = append(complaints, fmt.Sprintf("%s:%d: %s in a pure room", rel, set.Position(at).Line, what))
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			complain(n.Pos(), "go statement")
		case *ast.ChanType:
			complain(n.Pos(), "channel")
		case *ast.SelectStmt:
			complain(n.Pos(), "select")
		case *ast.Ident:
			if n.Name == "float64" || n.Name == "float32" {
				complain(n.Pos(), n.Name)
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT {
				complain(n.Pos(), "float constant")
			}
		}
		return true
	})
	return complaints
}

// TestImportRulesCatch: each planted violation is found, so that the test above can fail.
func TestImportRulesCatch(t *testing.T) {
	cases := []struct{ rel, body, want string }{
		{"fsm/a.go", `import "time"`, "fsm is pure"},
		{"fsm/a.go", `import "log/slog"`, "fsm is pure"},
		{"scheduler/a.go", `import "math/rand/v2"`, "scheduler is pure"},
		{"scheduler/a.go", `import "` + module + `/fsm"`, "scheduler may import of ours only"},
		{"scheduler/a.go", "func f() { go f() }", "go statement"},
		{"fsm/a.go", "var x float64", "float64"},
		{"fsm/a.go", `import "github.com/google/uuid"`, "uses of others only"},
		{"fsm/a.go", `import "` + module + `/` + publicGen + `"`, "fsm may import of ours only"},
		{"rpc/a.go", `import "github.com/hashicorp/raft"`, "only cluster, bench may"},
		{"cmd/fairlane/a.go", `import "github.com/hashicorp/raft-boltdb/v2"`, "only cluster, bench may"},
		{"cluster/a.go", `import "connectrpc.com/connect"`, "only rpc"},
		{"cluster/a.go", `import "` + module + `/rpc"`, "cluster may import of ours only"},
		{"client/a.go", `import "` + module + `/cluster"`, "client may import of ours only"},
		{"e2e/a_test.go", `import "` + module + `/rpc"`, "e2e may import of ours only"},
		{"util/a.go", "", "not a room"},
		{"a.go", "", "top level"},
	}
	for _, c := range cases {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, c.rel, "package p\n"+c.body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		got := checkFile(c.rel, f, set)
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s with %q: got %q, want one complaint with %q", c.rel, c.body, got, c.want)
		}
	}
	good := []struct{ rel, body string }{
		{"fsm/a_test.go", `import "time"`},
		{"fsm/a.go", `import "github.com/tidwall/btree"`},
		{"cluster/a.go", `import "github.com/hashicorp/raft-wal"`},
		{"client/a.go", `import "` + module + `/` + connectGen + `"`},
		{"e2e/a.go", `import "` + module + `/e2e/harness"`},
		{"e2e/a.go", `import "` + module + `/client"`},
	}
	for _, c := range good {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, c.rel, "package p\n"+c.body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := checkFile(c.rel, f, set); len(got) != 0 {
			t.Errorf("%s with %q: refused: %q", c.rel, c.body, got)
		}
	}
}
