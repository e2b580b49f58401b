package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// notRun are pages whose blocks are for reading, and why. Their verbs, flags, codes, links and make targets
// are held to the program like everybody's.
var notRun = map[string]string{
	"docs/cli.md":          "its examples are of many situations; test/ and cli run the verbs",
	"docs/performance.md":  "it takes minutes and the whole machine: make bench",
	"docs/codes/README.md": "it has no commands",
	"api/schema/README.md": "it has no commands",
	"README.md":            "its blocks are of a clone: the targets and verbs in them are looked up instead",
	"CONTRIBUTING.md":      "its commands are those that run this test",
}

// TestEveryCommandBlockDoesWhatThePageShows runs the blocks of each page in their order, in one shell.
func TestEveryCommandBlockDoesWhatThePageShows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	if runtime.GOOS != "linux" {
		t.Skip("pages show what Linux prints")
	}
	needed := []string{"bash", "curl", "python3", "openssl"}
	if os.Geteuid() == 0 {
		needed = append(needed, "ip") // for networks of the pages' own
	}
	for _, program := range needed {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("not installed: %s", program)
		}
	}
	programs := build(t)
	for _, p := range pages(t) {
		if why, ok := notRun[p.path]; ok {
			t.Logf("%s: not run: %s", p.path, why)
			continue
		}
		if !runnable(p) {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(p.path), ".md"), func(t *testing.T) { runPage(t, p, programs) })
	}
}

func runnable(p *page) bool {
	for _, b := range p.blocks {
		if b.lang == "console" || b.lang == "sh" {
			return true
		}
	}
	return false
}

func runPage(t *testing.T, p *page, programs string) {
	s := newSession(t, programs)
	for _, b := range p.blocks {
		if t.Failed() {
			return // what follows builds on it
		}
		switch {
		case b.wish == "skip":
			t.Logf("%s:%d: skipped: %s", b.page, b.first, b.about)
		case b.wish == "root" && os.Geteuid() != 0:
			t.Logf("%s:%d: skipped: only root can do this", b.page, b.first)
		case b.lang == "yaml":
			save(t, s, b)
		case b.lang == "sh":
			runCommands(t, s, b)
		case b.lang == "console":
			runConsole(t, s, b)
		}
	}
}

// save writes a YAML block to the file that its first line names.
func save(t *testing.T, s *session, b block) {
	t.Helper()
	name := fileOf(b)
	if name == "" || b.wish == "wrong" && !strings.Contains(b.about, "saved") {
		return
	}
	path := filepath.Join(s.dir, "home/shop", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(b.lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fileOf is the file that a block's first line names: "# mesh/cart.yaml".
func fileOf(b block) string {
	if len(b.lines) == 0 {
		return ""
	}
	name, ok := strings.CutPrefix(b.lines[0], "# ")
	if !ok || strings.ContainsAny(name, " :") || !strings.HasSuffix(name, ".yaml") {
		return ""
	}
	return name
}

// runCommands runs a block of commands, all of which must succeed.
func runCommands(t *testing.T, s *session, b block) {
	t.Helper()
	command := strings.Join(b.lines, "\n")
	if b.wish == "background" {
		s.background(b.about, command)
		return
	}
	if out, code := s.run(command); code != 0 {
		t.Errorf("%s:%d: exit code %d of\n%s\n--- it printed\n%s", b.page, b.first, code, command, strings.Join(out, "\n"))
	}
}

// call is a command of a console block and what the page shows of its output.
type call struct {
	command string
	line    int
	want    []string
}

func calls(b block) (out []call, before []string) {
	for i, l := range b.lines {
		switch cmd, ok := strings.CutPrefix(l, "$ "); {
		case ok:
			out = append(out, call{command: cmd, line: b.first + 1 + i})
		case len(out) == 0:
			before = append(before, l)
		case strings.HasPrefix(l, "> ") && len(out[len(out)-1].want) == 0: // what the shell asks for more with
			out[len(out)-1].command += "\n" + l[2:]
		default:
			out[len(out)-1].want = append(out[len(out)-1].want, l)
		}
	}
	return out, before
}

func runConsole(t *testing.T, s *session, b block) {
	t.Helper()
	list, before := calls(b)
	if b.wish == "more of" {
		if got, ok := s.await(b.about, before); !ok {
			differ(t, b.page, b.first, "more of "+b.about, before, got)
		}
		return
	}
	if len(before) > 0 {
		t.Errorf("%s:%d: output without a command", b.page, b.first)
	}
	for _, c := range list {
		switch b.wish {
		case "background":
			s.background(b.about, c.command)
			if got, ok := s.await(b.about, c.want); !ok {
				differ(t, b.page, c.line, c.command, c.want, got)
			}
		case "until":
			got, _ := s.run(c.command)
			for end := time.Now().Add(waitLimit); !matches(c.want, got) && time.Now().Before(end); time.Sleep(10 * poll) {
				got, _ = s.run(c.command)
			}
			if !matches(c.want, got) {
				differ(t, b.page, c.line, c.command, c.want, got)
			}
		default:
			if got, _ := s.run(c.command); !matches(c.want, got) {
				differ(t, b.page, c.line, c.command, c.want, got)
			}
		}
	}
}

func differ(t *testing.T, page string, line int, command string, want, got []string) {
	t.Helper()
	if n := len(got) - 60; n > 0 {
		got = append([]string{fmt.Sprintf("(%d lines)", n)}, got[n:]...)
	}
	t.Errorf("%s:%d: %s\n--- the page shows\n%s\n--- it printed\n%s", page, line, command, strings.Join(trim(want), "\n"), strings.Join(trim(got), "\n"))
}

func TestAConsoleBlockIsSplitIntoCallsAndTheirOutput(t *testing.T) {
	got, before := calls(block{first: 7, lines: []string{"$ a \\", "> -b", "x", "$ c", "y", "z"}})
	if len(got) != 2 || len(before) != 0 {
		t.Fatalf("got %d calls and %q before them", len(got), before)
	}
	if got[0].command != "a \\\n-b" || len(got[0].want) != 1 || got[0].line != 8 {
		t.Errorf("got %+v", got[0])
	}
	if got[1].command != "c" || len(got[1].want) != 2 || got[1].line != 11 {
		t.Errorf("got %+v", got[1])
	}
}
