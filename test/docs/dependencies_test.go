package docs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	required = regexp.MustCompile(`(?m)^\t(\S+) v\S+`)
	modWord  = regexp.MustCompile(`\b(?:github\.com/[\w.-]+/[\w.-]+(?:/v\d+)?|go(?:lang)?\.(?:org|uber\.org|yaml\.in)/[\w./-]+|google\.golang\.org/[\w./-]+)`)
)

// TestEveryImportedModuleHasAReason holds docs/dependencies.md to what is imported, both ways: each
// module in the section of the programs or of the tests, as it is used, and none that is not required.
func TestEveryImportedModuleHasAReason(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range required.FindAllStringSubmatch(string(mod), -1) {
		modules = append(modules, m[1])
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	programs, _, found := strings.Cut(string(text), "## In tests only")
	if !found {
		t.Fatal("docs/dependencies.md has no section for tests")
	}
	for m, inPrograms := range imported(t, modules) {
		section, name := string(text), "tests" // what the programs have, tests may use too
		if inPrograms {
			section, name = programs, "programs"
		}
		if !strings.Contains(section, m) {
			t.Errorf("docs/dependencies.md, %s: nothing about %s", name, m)
		}
	}
	for _, m := range modWord.FindAllString(string(text), -1) {
		if !strings.Contains(string(mod), m+" v") && !strings.Contains(m, "weft-mesh") {
			t.Errorf("docs/dependencies.md names %s, which go.mod does not", m)
		}
	}
}

// imported gives the modules that code of ours imports, and whether the programs do.
func imported(t *testing.T, modules []string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, im := range f.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			for _, m := range modules {
				if p == m || strings.HasPrefix(p, m+"/") {
					out[m] = out[m] || !strings.HasSuffix(path, "_test.go")
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
