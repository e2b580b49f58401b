package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link     = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	code     = regexp.MustCompile("`[^`]*`")
	heading  = regexp.MustCompile(`^#{1,6} +(.*)$`)
	external = regexp.MustCompile(`^[a-z]+:`)
)

// TestEveryLinkResolves follows the links between pages, to files and to headings.
func TestEveryLinkResolves(t *testing.T) {
	anchors := map[string]map[string]bool{}
	list := pages(t)
	for _, p := range list {
		anchors[p.path] = anchorsOf(p)
	}
	for _, p := range list {
		for _, l := range p.prose {
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(l.text, ""), -1) {
				if external.MatchString(m[1]) {
					continue
				}
				file, anchor, _ := strings.Cut(m[1], "#")
				to := p.path
				if file != "" {
					to = path.Join(path.Dir(p.path), file)
				}
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
					t.Errorf("%s:%d: the link %s leads nowhere", p.path, l.number, m[1])
					continue
				}
				if have, read := anchors[to]; anchor != "" && read && !have[anchor] {
					t.Errorf("%s:%d: there is no heading %q in %s", p.path, l.number, anchor, to)
				}
			}
		}
	}
}

// anchorsOf gives the anchors that forges make of headings.
func anchorsOf(p *page) map[string]bool {
	out := map[string]bool{}
	for _, l := range p.prose {
		if m := heading.FindStringSubmatch(l.text); m != nil {
			out[slug(m[1])] = true
		}
	}
	return out
}

func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

// TestEveryPageIsReachable holds that a reader who starts at the README finds each page.
func TestEveryPageIsReachable(t *testing.T) {
	byPath := map[string]*page{}
	for _, p := range pages(t) {
		byPath[p.path] = p
	}
	reached := map[string]bool{}
	var visit func(string)
	visit = func(at string) {
		if byPath[at] == nil || reached[at] {
			return
		}
		reached[at] = true
		for _, l := range byPath[at].prose {
			for _, m := range link.FindAllStringSubmatch(l.text, -1) {
				file, _, _ := strings.Cut(m[1], "#")
				to := path.Join(path.Dir(at), file)
				visit(to)
				visit(path.Join(to, "README.md"))
			}
		}
	}
	visit("README.md")
	for at := range byPath {
		if !reached[at] {
			t.Errorf("no way leads from README.md to %s", at)
		}
	}
}
