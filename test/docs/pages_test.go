// Package docs_test holds the handbook to the program: every command block is executed, every
// link resolves, every verb, flag, code, metric and make target that a page names exists, and
// every YAML example is what weft check takes.
//
// What a page may say to this test, in HTML comments on a line of their own before a block:
//
//	<!-- test: background NAME -->  the block's command goes on running; what it prints is awaited
//	<!-- test: more of NAME -->     the block is what that command prints next
//	<!-- test: until -->            the command is repeated until it prints what the block says
//	<!-- test: root -->             only for root; otherwise skipped with a line
//	<!-- test: wrong CODE -->       the YAML block is wrong on purpose
//	<!-- test: skip REASON -->      cannot be run; the reason is printed
//
// A YAML block whose first line is "# PATH" is saved to that file for the commands that follow.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository.
const root = "../.."

// page is one Markdown file.
type page struct {
	path   string // from the repository's root, with slashes
	text   string
	blocks []block
	prose  []line // what is outside of blocks
}

type line struct {
	number int
	text   string
}

// block is one fenced block.
type block struct {
	page  string
	first int    // line of the fence
	lang  string // what follows the fence
	lines []string
	wish  string // what the comment before it says, without "test:"
	about string // the rest of the wish
}

var (
	directive = regexp.MustCompile(`^<!-- test: (background|more of|until|root|wrong|skip)(?: (.*?))? -->$`)
	comment   = regexp.MustCompile(`^<!-- *test:`)
)

// pages reads README and the like, docs and its folders. Pages about single codes are made from
// the catalogue and are left to the test that makes them.
func pages(t *testing.T) []*page {
	t.Helper()
	paths := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "api/schema/README.md", "docs/codes/README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, filepath.ToSlash(rel))
		}
	}
	var out []*page
	for _, p := range paths {
		text, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			t.Errorf("a page is missing: %v", err)
			continue
		}
		out = append(out, parse(t, p, string(text)))
	}
	return out
}

// parse splits a page into blocks and prose.
func parse(t *testing.T, path, text string) *page {
	t.Helper()
	p := &page{path: path, text: text}
	var open *block
	var wish, about string
	for i, l := range strings.Split(text, "\n") {
		n := i + 1
		switch {
		case open != nil && strings.TrimSpace(l) == "```":
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, l)
		case strings.HasPrefix(l, "```"):
			open = &block{page: path, first: n, lang: strings.TrimSpace(l[3:]), wish: wish, about: about}
			wish, about = "", ""
		default:
			if m := directive.FindStringSubmatch(l); m != nil {
				wish, about = m[1], m[2]
				continue
			}
			if comment.MatchString(l) {
				t.Errorf("%s:%d: a word to this test that it does not know: %s", path, n, l)
			}
			if wish != "" && strings.TrimSpace(l) != "" {
				t.Errorf("%s:%d: a word to this test (%s) without a block", path, n, wish)
				wish = ""
			}
			p.prose = append(p.prose, line{n, l})
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block does not end", path, open.first)
	}
	return p
}

func TestABlockKnowsItsWishAndItsPlace(t *testing.T) {
	p := parse(t, "x.md", "# T\n\n<!-- test: until -->\n```console\n$ a\nb\n```\n\n```yaml\nk: v\n```\n")
	if len(p.blocks) != 2 {
		t.Fatalf("got %d blocks, want 2", len(p.blocks))
	}
	if b := p.blocks[0]; b.wish != "until" || b.first != 4 || b.lang != "console" || len(b.lines) != 2 {
		t.Errorf("got %+v", b)
	}
	if b := p.blocks[1]; b.wish != "" || b.lang != "yaml" {
		t.Errorf("the wish of one block went to the next: %+v", b)
	}
}
