package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/codes"
)

// TestTheCommandPageIsUpToDate writes or compares docs/cli.md, which is made from the verbs.
func TestTheCommandPageIsUpToDate(t *testing.T) {
	root, _ := tree(t)
	var b bytes.Buffer
	b.WriteString("# weft: the command line\n\nThis page is made from the program: `go test ./cli -update`.\n\n")
	b.WriteString("## Exit codes\n\nThe same for all verbs.\n\n| code | meaning |\n|---|---|\n")
	for _, c := range []int{ExitOK, ExitFailed, ExitUsage, ExitFindings, ExitUnreachable, ExitTimeout, ExitForbidden, ExitPartly, ExitInterrupted} {
		fmt.Fprintf(&b, "| %d | %s |\n", c, exitTexts[c])
	}
	b.WriteString("\n## Output\n\nEvery verb that reads takes `-o table|wide|json|yaml|name`. JSON and YAML carry `apiVersion` and `kind`; fields are only ever\nadded within an `apiVersion`. Errors go to stderr, with `-o json` as JSON.\n")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```sh\n%s\n```\n", c.CommandPath(), c.Long, unindent(c.Example))
		if c.Runnable() {
			fmt.Fprintf(&b, "\n    %s\n", c.UseLine())
		}
		if f := c.LocalNonPersistentFlags().FlagUsages(); f != "" {
			fmt.Fprintf(&b, "\n```text\n%s```\n", f)
		}
		if c == root {
			fmt.Fprintf(&b, "\nFlags of all verbs:\n\n```text\n%s```\n", c.PersistentFlags().FlagUsages())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	golden(t, filepath.Join("..", "docs", "cli.md"), b.Bytes())
}

func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

// TestEveryCodeHasAPage writes or compares docs/codes, which is made from the catalogue.
func TestEveryCodeHasAPage(t *testing.T) {
	dir := filepath.Join("..", "docs", "codes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var index bytes.Buffer
	index.WriteString("# Codes\n\nThese pages are made from the program: `go test ./cli -update`. Without them: `weft explain-code CODE`.\n\n| code | |\n|---|---|\n")
	wanted := map[string]bool{"README.md": true}
	for _, e := range codes.All() {
		page := e.Code + ".md"
		wanted[page] = true
		fmt.Fprintf(&index, "| [%s](%s) | %s |\n", e.Code, page, e.Title)
		golden(t, filepath.Join(dir, page), fmt.Appendf(nil, "# %s: %s\n\n%s\n\n## What to do\n\n%s\n", e.Code, e.Title, e.Means, strings.TrimRight(e.Fix, "\n")))
	}
	golden(t, filepath.Join(dir, "README.md"), index.Bytes())
	have, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range have {
		if wanted[f.Name()] {
			continue
		}
		if !*update {
			t.Errorf("docs/codes/%s is of no code", f.Name())
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			t.Error(err)
		}
	}
}

// TestEveryCodeSaysWhatToDo holds the catalogue to what a person needs of it.
func TestEveryCodeSaysWhatToDo(t *testing.T) {
	for _, e := range codes.All() {
		if e.Title == "" || strings.HasSuffix(e.Title, ".") || strings.Contains(e.Title, "\n") {
			t.Errorf("%s: the title is %q: wanted one line without a full stop", e.Code, e.Title)
		}
		if len(e.Means) < 20 || len(e.Fix) < 20 {
			t.Errorf("%s: wanted what it means and what to do, got %q and %q", e.Code, e.Means, e.Fix)
		}
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // documentation is for all
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: run  go test ./cli -update", err)
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run  go test ./cli -update", path)
	}
}
