package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// machine are the packages of the data path's core: state machines without I/O, which the
// simulator runs exactly repeatable. noGo may not start goroutines, read a clock or roll dice.
var machine = []string{"proxy/core", "proxy/h1", "proxy/h2", "proxy/h2/hpack", "proxy/balance", "proxy/resilience", "proxy/detect", "proxy/overload", "decide"}

// values are packages of plain values, which may do none of that either.
var values = []string{"model", "message"}

// allowed are names of banned packages that are values only.
var allowed = map[string][]string{
	"crypto/tls": {"AlertError", "CertificateVerificationError"}, // types of errors, to tell why a link failed
}

// banned imports of the machine, with what is lost.
var banned = map[string]string{
	"os": "I/O", "os/signal": "I/O", "os/exec": "I/O", "io/fs": "I/O", "io/ioutil": "I/O", "net": "I/O (net/netip is fine)", "net/http": "I/O", "syscall": "I/O",
	"golang.org/x/sys/unix": "I/O", "crypto/tls": "the driver's", "crypto/rand": "chance", "log": "I/O", "runtime": "the scheduler", "unsafe": "safety",
	"context": "the driver's", "os/user": "I/O", "embed": "files", "plugin": "I/O", "net/url": "a second reading of a URL", "bufio": "I/O", "reflect": "speed",
}

// clocks are functions of package time that look at the clock or wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// sources are functions of math/rand that make a generator from a given source; all others of
// the package use a global one.
var sources = []string{"New", "NewPCG", "NewChaCha8", "NewZipf"}

// TestTheMachineIsPure reads the code of the core.
func TestTheMachineIsPure(t *testing.T) {
	for _, name := range append(slices.Clone(machine), values...) {
		found := list(t, "./"+name)
		if len(found) != 1 || len(found[0].GoFiles) == 0 {
			t.Errorf("%s: no such package", name)
			continue
		}
		for _, file := range found[0].GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(found[0].Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, why := range impure(f) {
				p := fset.Position(why.at)
				t.Errorf("%s/%s:%d: %s", name, file, p.Line, why.what)
			}
		}
	}
}

// TestImpurityIsFound shows that the reading finds what it is for.
func TestImpurityIsFound(t *testing.T) {
	for _, tc := range []struct{ name, code, want string }{
		{"a goroutine", `package p; func f() { go f() }`, "starts a goroutine"},
		{"the clock", `package p; import "time"; var x = time.Now()`, "time.Now"},
		{"the clock under another name", `package p; import clock "time"; func f() { g(clock.Since) }`, "time.Since"},
		{"a timer", `package p; import "time"; func f() { <-time.After(1) }`, "time.After"},
		{"global chance", `package p; import "math/rand/v2"; var x = rand.IntN(3)`, "rand.IntN"},
		{"global chance of old", `package p; import r "math/rand"; var x = r.Float64()`, "rand.Float64"},
		{"files", `package p; import _ "os"`, `imports "os"`},
		{"sockets", `package p; import "net"; var x net.Conn`, `imports "net"`},
		{"a channel", `package p; func f(c chan int) { c <- 1 }`, "sends on a channel"},
		{"a select", `package p; func f() { select {} }`, "selects"},
		{"a lock", `package p; import "sync"; var mu sync.Mutex`, "sync.Mutex"},
		{"TLS, but for its errors", `package p; import "crypto/tls"; var e tls.AlertError; var c tls.Config`, "uses crypto/tls.Config"},
		{"dots", `package p; import . "time"`, "imports everything of"},
		{"none", `package p; import ("time"; "net/netip"; "math/rand/v2"); var x time.Duration; var a netip.Addr; var r = rand.New(rand.NewPCG(1, 2))`, ""},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", tc.code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, why := range impure(f) {
			all = append(all, why.what)
		}
		got := strings.Join(all, "; ")
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%s: found %q, want %q", tc.name, got, tc.want)
		}
	}
}

// finding is one impurity.
type finding struct {
	at   token.Pos
	what string
}

// impure lists what a file does that a machine must not.
func impure(f *ast.File) (out []finding) {
	add := func(n ast.Node, what string) { out = append(out, finding{n.Pos(), what}) }
	names := map[string]string{} // of imports in this file
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		if why, bad := banned[p]; bad && allowed[p] == nil {
			add(i, "imports "+i.Path.Value+": "+why)
		}
		name := strings.TrimSuffix(p, "/v2")
		name = name[strings.LastIndexByte(name, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		if name == "." {
			add(i, "imports everything of "+i.Path.Value)
		}
		names[name] = p
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n, "starts a goroutine")
		case *ast.SelectStmt:
			add(n, "selects")
		case *ast.SendStmt:
			add(n, "sends on a channel")
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok {
				if what := impureName(names[id.Name], n.Sel.Name); what != "" {
					add(n, "uses "+what)
				}
			}
		}
		return true
	})
	return out
}

// impureName tells what is wrong with a name of an imported package; empty: nothing.
func impureName(pkg, name string) string {
	if may := allowed[pkg]; may != nil && !slices.Contains(may, name) {
		return pkg + "." + name
	}
	switch pkg {
	case "time":
		if slices.Contains(clocks, name) {
			return "time." + name
		}
	case "math/rand", "math/rand/v2":
		if ast.IsExported(name) && !slices.Contains(sources, name) && name != "Rand" && name != "Source" && name != "PCG" && name != "ChaCha8" && name != "Zipf" {
			return "rand." + name
		}
	case "sync":
		if name == "Mutex" || name == "RWMutex" || name == "WaitGroup" || name == "Cond" {
			return "sync." + name
		}
	}
	return ""
}
