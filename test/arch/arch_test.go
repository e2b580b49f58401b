// Package arch holds the rules of ARCHITECTURE.md that a compiler does not: which way imports
// point, what the data plane links, and that its core is pure.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weft-mesh/weft"

var update = flag.Bool("update", false, "write the golden files anew")

// pkg is what `go list` tells of a package.
type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// list runs go list. CGO_ENABLED=0 is how the programs are built.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Standard,GoFiles,Imports,Deps"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// short cuts the module off.
func short(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

// within reports whether a package is one of some trees.
func within(p string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return p == tree || strings.HasPrefix(p, tree+"/") })
}

// planted is the package of switches for planted bugs, which are constants in programs; any may have
// one.
const planted = "planted"

// arrow is a rule: packages of the trees `of` import nothing of ours but `may`.
type arrow struct {
	of  []string
	may []string
	why string
}

// arrows, from the bottom of the house to its top. A package may always import its own tree.
var arrows = []arrow{
	{[]string{"codes"}, nil, "the catalogue of errors is below all"},
	{[]string{"message"}, nil, "messages are below all"},
	{[]string{"version"}, nil, "the version is below all"},
	{[]string{planted}, nil, "switches are below all"},
	{[]string{"model/wire"}, []string{"api/discovery", "api/report", "codes", "model"}, "the model's form on the wire"},
	{[]string{"model"}, nil, "the model imports nothing of ours"},
	{[]string{"decide"}, []string{"codes", "message", "model"}, "the decision is pure"},
	{[]string{"identity"}, []string{"codes"}, "identities know nothing of the mesh"},
	{[]string{"api"}, []string{"codes", "model", "message", "identity"}, "what users write knows nothing of who reads it"},
	{[]string{"source"}, []string{"api", "codes", "model"}, "a source gives objects and knows nothing of what is made of them"},
	{[]string{"observe"}, []string{"api", "codes", "model"}, "state flows right, telemetry left"},
	{[]string{"node"}, []string{"codes"}, "what needs privilege is small and alone"},
	{[]string{"proxy/h1", "proxy/h2"}, []string{"codes", "message"}, "codecs know bytes only"},
	{[]string{"proxy/detect", "proxy/balance", "proxy/resilience"}, []string{"codes", "message", "model"}, "parts of the machine"},
	{[]string{"proxy/overload"}, []string{"message", "model"}, "a part of the machine"},
	{[]string{"proxy/ratelimit"}, []string{"decide", "message", "model"}, "a part of the machine"},
	{[]string{"proxy/core"}, []string{"api/report", "codes", "message", "model", "decide", "proxy"}, "the machine"},
	{[]string{"proxy"}, []string{"api/discovery", "api/report", "codes", "message", "model", "decide", "identity", "version"}, "the data plane knows nothing of the control plane, of files or of people"},
	{[]string{"control"}, []string{"api", "codes", "decide", "identity", "message", "model", "observe", "source", "version"}, "the control plane knows nothing of proxies but the wire"},
	{[]string{"join"}, []string{"api", "codes", "identity", "model", "node", "proxy/config", "proxy/capture"}, "a run starts a proxy as a process; it does not contain one"},
	{[]string{"demo"}, []string{"api", "cli/mesh", "cli/place", "codes", "model", "node", "proxy/config"}, "the demo is a user"},
	{[]string{"cmd/weft-proxy"}, []string{"codes", "proxy", "version"}, "the data plane"},
	{[]string{"cmd/weft"}, []string{"cli"}, "a program only parses and calls"},
}

// TestImportsPointDown: what would be wrong is a data plane that cannot be built, tested or
// reasoned about without the rest.
func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t, "./...") {
		name := short(p.ImportPath)
		if within(name, "test", "bench", "scripts", "sim") {
			continue // they look at everything; nothing looks at them
		}
		for _, imp := range p.Imports {
			if within(short(imp), "test", "bench", "scripts") && strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s: tests are above all", name, short(imp))
			}
		}
		for _, a := range arrows {
			if !within(name, a.of...) || strings.HasSuffix(name, "test") {
				continue // meshtest and the like serve tests only
			}
			for _, imp := range p.Imports {
				if !strings.HasPrefix(imp, module+"/") {
					continue
				}
				if to := short(imp); to != planted && !within(to, a.of...) && !within(to, a.may...) {
					t.Errorf("%s imports %s, which points up (%s)", name, to, a.why)
				}
			}
			break // the first rule that fits is the nearest
		}
	}
}

// forbidden must never be part of the data plane, wherever it comes from.
var forbidden = []string{
	"k8s.io/client-go", "k8s.io/apimachinery", "k8s.io/api", "sigs.k8s.io", "go.opentelemetry.io", "github.com/envoyproxy", "github.com/cncf/xds",
	"github.com/spf13", "go.yaml.in", "gopkg.in/yaml.v2", "gopkg.in/yaml.v3", "sigs.k8s.io/yaml", "github.com/fsnotify", "github.com/prometheus",
	"github.com/google/nftables", "github.com/vishvananda", "github.com/coder", "github.com/santhosh-tekuri",
	"testing", "encoding/xml", "database/sql", "os/exec", "plugin",
}

// TestTheProxyStaysLean: each package that weft-proxy links is in the golden list, so that a new
// one is seen in review. `go test ./test/arch -update` writes it.
func TestTheProxyStaysLean(t *testing.T) {
	var names []string
	for _, p := range list(t, "-deps", "./cmd/weft-proxy") {
		names = append(names, p.ImportPath)
		for _, f := range forbidden {
			if within(p.ImportPath, f) {
				t.Errorf("weft-proxy links %s, which is forbidden (%s)", p.ImportPath, f)
			}
		}
	}
	slices.Sort(names)
	got := strings.Join(keep(names), "\n") + "\n"
	golden := filepath.Join("testdata", "weft-proxy.deps")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	added, gone := difference(strings.Fields(string(want)), strings.Fields(got))
	if len(added)+len(gone) > 0 {
		t.Errorf("what weft-proxy links has changed: new %q, gone %q; if that is meant: go test ./test/arch -update", added, gone)
	}
}

// keep leaves the standard library's inner packages out: they change with each toolchain and are
// nobody's choice.
func keep(names []string) []string {
	return slices.DeleteFunc(names, func(n string) bool {
		first, _, _ := strings.Cut(n, "/")
		return !strings.Contains(first, ".") && (within(n, "runtime", "internal", "vendor", "unsafe") || strings.Contains(n, "/internal"))
	})
}

func difference(a, b []string) (added, gone []string) {
	for _, x := range b {
		if !slices.Contains(a, x) {
			added = append(added, x)
		}
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			gone = append(gone, x)
		}
	}
	return added, gone
}

// TestPackagesAreNamedAfterWhatTheyDo: a package that is called util is where code goes to be forgotten.
func TestPackagesAreNamedAfterWhatTheyDo(t *testing.T) {
	bad := []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "base", "shared", "lib", "pkg", "internal"}
	for _, p := range list(t, "./...") {
		for part := range strings.SplitSeq(short(p.ImportPath), "/") {
			if slices.Contains(bad, part) {
				t.Errorf("%s: %q says nothing; name it after what it does", short(p.ImportPath), part)
			}
		}
		if base := path.Base(p.ImportPath); strings.ToLower(base) != base && base != path.Base(module) {
			t.Errorf("%s: package names are lower-case", short(p.ImportPath))
		}
	}
}
