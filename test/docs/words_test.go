package docs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

var (
	helpVerb  = regexp.MustCompile(`(?m)^  ([a-z-]+) +[A-Z]`)
	helpFlag  = regexp.MustCompile(`(?m)^ +(?:(-[a-zA-Z]), )?(--[a-z-]+)\b`)
	codeWord  = regexp.MustCompile(`\bW[1-4]\d{3}\b`)
	metric    = regexp.MustCompile(`\bweft_[a-z_]+\b`)
	inline    = regexp.MustCompile("`([^`]+)`")
	makeCall  = regexp.MustCompile(`^make ([a-z-]+)`)
	makeRule  = regexp.MustCompile(`(?m)^([a-z-]+):`)
	published = regexp.MustCompile(`(?m)^# TYPE (\S+) `)
)

// verbs gives the flags of each verb, as the program itself tells them.
func verbs(t *testing.T, program string) map[string]map[string]bool {
	t.Helper()
	help := func(args ...string) string {
		var out bytes.Buffer
		c := exec.Command(program, append(args, "--help")...)
		c.Stdout, c.Stderr = &out, &out
		if err := c.Run(); err != nil {
			t.Fatalf("weft %s --help: %v\n%s", strings.Join(args, " "), err, out.String())
		}
		return out.String()
	}
	found := map[string]map[string]bool{}
	var walk func(path []string)
	walk = func(path []string) {
		text := help(path...)
		_, flags, _ := strings.Cut(text, "Flags")
		have := map[string]bool{}
		for _, m := range helpFlag.FindAllStringSubmatch(flags, -1) {
			have[m[1]], have[m[2]] = true, true
		}
		found[strings.Join(path, " ")] = have
		if len(path) == 2 {
			return
		}
		list, _, _ := strings.Cut(text, "Flags")
		if _, after, ok := strings.Cut(list, "Examples:"); ok { // verbs are listed behind them
			list = after
		}
		for _, m := range helpVerb.FindAllStringSubmatch(list, -1) {
			if m[1] != "weft" && m[1] != "help" {
				walk(append(append([]string{}, path...), m[1]))
			}
		}
	}
	walk(nil)
	return found
}

// commandLines gives everything on a page that is a call of a program.
func commandLines(p *page) []line {
	var out []line
	for _, b := range p.blocks {
		for i, l := range b.lines {
			n := b.first + 1 + i
			if b.lang == "console" || b.lang == "text" {
				cmd, ok := strings.CutPrefix(l, "$ ")
				if !ok {
					continue
				}
				l = cmd
			}
			if b.lang == "console" || b.lang == "text" || b.lang == "sh" || b.lang == "" {
				out = append(out, line{n, l})
			}
		}
	}
	for _, l := range p.prose {
		for _, m := range inline.FindAllStringSubmatch(l.text, -1) {
			out = append(out, line{l.number, m[1]})
		}
	}
	return out
}

// TestEveryVerbAndFlagExists looks up each `weft VERB --flag` in what the program says of itself.
func TestEveryVerbAndFlagExists(t *testing.T) {
	known := verbs(t, filepath.Join(build(t), "weft"))
	if len(known) < 12 || !known["run"]["--transparent"] {
		t.Fatalf("the help was not understood: %v", known)
	}
	for _, p := range pages(t) {
		for _, l := range commandLines(p) {
			if why := unknown(known, l.text); why != "" {
				t.Errorf("%s:%d: %s: %q", p.path, l.number, why, l.text)
			}
		}
	}
}

// unknown tells what in a line of shell is not a verb or flag of weft.
func unknown(known map[string]map[string]bool, text string) string {
	text, _, _ = strings.Cut(text, " # ")
	for _, part := range regexp.MustCompile(`[;|&()$]+`).Split(text, -1) {
		words := strings.Fields(part)
		for len(words) > 0 && (strings.Contains(words[0], "=") || words[0] == "timeout" || words[0] == "sudo") {
			words = words[1:]
		}
		if len(words) == 0 || words[0] != "weft" && words[0] != "bin/weft" {
			continue
		}
		verb := ""
		for _, w := range words[1:] {
			if w == "--" || strings.HasPrefix(w, "#") || strings.HasPrefix(w, "<") || strings.HasPrefix(w, ">") {
				break
			}
			if strings.HasPrefix(w, "-") {
				name, _, _ := strings.Cut(w, "=")
				if name != "--help" && !known[verb][name] && !known[""][name] {
					return "weft " + verb + " has no flag " + name
				}
				continue
			}
			if next := strings.TrimSpace(verb + " " + w); known[next] != nil {
				verb = next
			} else if verb == "" && w == strings.ToLower(w) && w != "help" && w != "…" {
				return "weft has no verb " + w
			}
		}
	}
	return ""
}

func TestAWrongVerbOrFlagIsFound(t *testing.T) {
	known := map[string]map[string]bool{"": {"-v": true}, "run": {"--name": true}, "token": {}, "token create": {"--for": true}}
	for text, good := range map[string]bool{
		"weft run --name x -- ls --all":          true,
		"weft run --nome x -- ls":                false,
		"bin/weft frob":                          false,
		"weft -v run --name x -- ls":             true,
		"weft token create --for x":              true,
		"weft token create --name x":             false,
		"curl -s x | weft frob":                  false,
		"weft VERB --help":                       true,
		"WEFT_TOKEN=$(weft token create --no x)": false,
	} {
		if why := unknown(known, text); (why == "") != good {
			t.Errorf("%q: %q", text, why)
		}
	}
}

// TestEveryCodeExists looks up each code that a page names, and that the index has them all.
func TestEveryCodeExists(t *testing.T) {
	index := ""
	for _, p := range pages(t) {
		if p.path == "docs/codes/README.md" {
			index = p.text
		}
		for i, l := range strings.Split(p.text, "\n") {
			for _, c := range codeWord.FindAllString(l, -1) {
				if _, ok := codes.Lookup(c); !ok {
					t.Errorf("%s:%d: there is no code %s", p.path, i+1, c)
				}
			}
		}
	}
	for _, e := range codes.All() {
		if !strings.Contains(index, "]("+e.Code+".md)") {
			t.Errorf("docs/codes/README.md does not list %s", e.Code)
		}
	}
}

// TestTheMetricsAreThoseThatProxiesPublish compares the names on all pages with the metrics page of a proxy, both ways.
func TestTheMetricsAreThoseThatProxiesPublish(t *testing.T) {
	var page bytes.Buffer
	if err := telemetry.NewRegistry(1).WritePrometheus(&page); err != nil {
		t.Fatal(err)
	}
	if err := telemetry.WriteSets(&page, nil); err != nil {
		t.Fatal(err)
	}
	real := map[string]bool{}
	for _, m := range published.FindAllStringSubmatch(page.String(), -1) {
		real[m[1]] = true
	}
	if len(real) == 0 {
		t.Fatal("a proxy publishes no metrics")
	}
	named := map[string]bool{}
	for _, p := range pages(t) {
		for i, l := range strings.Split(p.text, "\n") {
			for _, name := range metric.FindAllString(l, -1) {
				base := regexp.MustCompile(`_(?:bucket|sum|count)$`).ReplaceAllString(name, "")
				if !real[name] && !real[base] {
					t.Errorf("%s:%d: no proxy publishes %s", p.path, i+1, name)
				}
				if p.path == "docs/proxy.md" {
					named[name] = true
				}
			}
		}
	}
	var missing []string
	for name := range real {
		if !named[name] {
			missing = append(missing, name)
		}
	}
	sort.Strings(missing)
	if len(missing) > 0 {
		t.Errorf("docs/proxy.md does not tell of %v", missing)
	}
}

// TestEveryMakeTargetExists looks up each `make TARGET` in the Makefile.
func TestEveryMakeTargetExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range makeRule.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	for _, p := range pages(t) {
		for _, l := range commandLines(p) {
			if m := makeCall.FindStringSubmatch(l.text); m != nil && !targets[m[1]] {
				t.Errorf("%s:%d: the Makefile has no target %s", p.path, l.number, m[1])
			}
		}
	}
}
