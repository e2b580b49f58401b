package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryYAMLExampleIsValid gives the examples of each page, all in one directory, to weft check.
// One that is wrong on purpose must be refused with the code that the page says.
func TestEveryYAMLExampleIsValid(t *testing.T) {
	weft := filepath.Join(build(t), "weft")
	check := func(dir string) (string, error) {
		out, err := exec.Command(weft, "check", dir).CombinedOutput()
		return string(out), err
	}
	for _, p := range pages(t) {
		dir := t.TempDir()
		write := func(dir string, n int, b block) {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)+".yaml"), []byte(strings.Join(b.lines, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]int{} // a later version of a file takes the place of an earlier one
		good := 0
		for i, b := range p.blocks {
			if b.lang != "yaml" || b.wish == "skip" || p.path == "api/schema/README.md" {
				continue
			}
			if b.wish == "wrong" {
				alone := t.TempDir()
				write(alone, i, b)
				c, _, _ := strings.Cut(b.about, " ")
				if out, err := check(alone); err == nil || !strings.Contains(out, c) {
					t.Errorf("%s:%d: should be refused with %s:\n%s", p.path, b.first, c, out)
				}
				continue
			}
			n := i
			if name := fileOf(b); name != "" {
				if earlier, ok := files[name]; ok {
					n = earlier
				}
				files[name] = n
			}
			write(dir, n, b)
			good++
		}
		if good == 0 {
			continue
		}
		if out, err := check(dir); err != nil {
			t.Errorf("%s: weft check of its YAML: %v\n%s", p.path, err, out)
		}
	}
}
