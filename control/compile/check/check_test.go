package check

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/codes"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestErrors holds the whole text that a person reads for each kind of mistake. Each directory of
// testdata is a configuration; NAME.golden is all that `weft check` says about it, then
// what `weft lint` adds.
func TestErrors(t *testing.T) {
	list, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join("testdata", e.Name())
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r, err := Dir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, p := range r.Problems {
				if _, ok := codes.Lookup(p.Code); !ok {
					t.Errorf("code %s is not in the catalogue", p.Code)
				}
				if p.What == "" || p.Why == "" || len(p.Next) == 0 {
					t.Errorf("%s lacks what, why or next: %#v", p.Code, p)
				}
				b.WriteString(p.Text())
			}
			for _, p := range r.Advice {
				if !codes.IsWarning(p.Code) {
					t.Errorf("advice %s is no warning", p.Code)
				}
				b.WriteString("lint: " + p.Text())
			}
			for _, s := range r.Snapshot.Routes {
				b.WriteString(s.Kind.String() + " " + s.Name.String() + " " + s.Source)
				for _, p := range s.Parents {
					b.WriteString("  " + p.Service.String() + "=" + p.Accepted.Reason)
				}
				b.WriteString("  refs=" + s.ResolvedRefs.Reason + "\n")
			}
			golden := filepath.Join("testdata", filepath.Base(dir)+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}

func TestDirThatIsMissing(t *testing.T) {
	_, err := Dir(filepath.Join(t.TempDir(), "nowhere"))
	if e := (*codes.Error)(nil); !errors.As(err, &e) || e.Code != "W1001" {
		t.Fatalf("got %v, want W1001", err)
	}
}

// TestAFileIsCheckedAsAPartOfItsDirectory: alone it would seem to name what does not exist, and
// others' mistakes are not its own.
func TestAFileIsCheckedAsAPartOfItsDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{port: 80}]}\n",
		"route.yaml": "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: cart}\n" +
			"spec: {parentRefs: [{group: '', kind: Service, name: cart}], rules: [{backendRefs: [{name: cart, port: 80}]}]}\n",
		"other.yaml":    "kind: [\n",
		".hidden.yaml":  "",
		"notes.txt":     "",
		"route.yaml.md": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := File(filepath.Join(dir, ".", "route.yaml"))
	if err != nil || len(r.Problems) != 0 || len(r.Set.Objects) != 1 {
		t.Errorf("the route: %+v, %v", r, err)
	}
	if r, err := File(filepath.Join(dir, "other.yaml")); err != nil || len(r.Problems) != 1 || len(r.Set.Objects) != 0 {
		t.Errorf("the broken file: %+v, %v", r, err)
	}
	for _, name := range []string{".hidden.yaml", "notes.txt", "route.yaml.md", "nowhere/x.yaml"} {
		_, err := File(filepath.Join(dir, name))
		if e := (*codes.Error)(nil); !errors.As(err, &e) || e.Code != "W1001" {
			t.Errorf("%s: %v, want W1001", name, err)
		}
	}
}
