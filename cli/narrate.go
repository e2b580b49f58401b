package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control"
)

// narrator tells the person who started a control plane what it does. The control plane calls
// it, one call at a time.
type narrator struct {
	out   io.Writer
	style render.Style
	dir   string

	problems string // as told last
}

// started tells what was loaded, where it serves, how to stop it, and what to do next.
func (n *narrator) started(s control.Started) {
	n.line("%s: %s and %s from %s in %s", n.style.Paint(render.Strong, "weft is up"), render.Count(s.Services, "service"),
		render.Count(s.Routes, "route"), render.Count(s.Files, "file"), n.dir)
	n.line("  socket  %s", s.Socket)
	if s.Listen != "" {
		n.line("  listens %s with mTLS; tokens for other machines:  weft token create --help", s.Listen)
	}
	if s.RootCreated {
		n.line("  mesh    %s, new: a root certificate was made", s.TrustDomain)
	} else {
		n.line("  mesh    %s", s.TrustDomain)
	}
	n.line("  stop    Ctrl-C; proxies go on with what they have")
	n.line("  next    weft run --name NAME --port PORT -- ./command")
	n.tell(s.Problems)
}

// reloaded tells what a change of the files did, on one line, and its problems. A change that is
// all mistakes, or mends one that changes nothing else, has no such line: the problems tell it.
func (n *narrator) reloaded(r control.Reloaded) {
	var what []string
	if r.Routes > 0 {
		what = append(what, render.Count(r.Routes, "route")+" changed")
	}
	if r.Services > 0 {
		what = append(what, render.Count(r.Services, "service")+" changed")
	}
	if r.Endpoints > 0 {
		what = append(what, "the endpoints of "+render.Count(r.Endpoints, "service")+" changed")
	}
	took := render.Latency(r.Took)
	switch {
	case len(what) == 0:
		if n.describe(r.Problems) == n.problems {
			n.line("reloaded: nothing changed")
		}
	case r.Live < r.Connected:
		n.line("%s: %s, live at %d of %s after %s; see  weft status", n.style.Paint(render.Warn, "reloaded"), strings.Join(what, ", "),
			r.Live, proxies(r.Connected), took)
	default:
		n.line("reloaded: %s, live at %s in %s", strings.Join(what, ", "), proxies(r.Live), took)
	}
	n.tell(r.Problems)
}

// describe gives the text about problems.
func (n *narrator) describe(problems []*codes.Error) string {
	var b strings.Builder
	for _, p := range problems {
		word, tone := "error", render.Bad
		if codes.IsWarning(p.Code) {
			word, tone = "warning", render.Warn
		}
		fmt.Fprintf(&b, "%s: %s\n", n.style.Paint(tone, word+" "+p.Code), render.Clean(p.What))
		if p.Why != "" {
			fmt.Fprintf(&b, "  why   %s\n", render.Clean(p.Why))
		}
		if p.Where != "" {
			fmt.Fprintf(&b, "  where %s\n", render.Clean(p.Where))
		}
		if len(p.Next) > 0 {
			fmt.Fprintf(&b, "  next  %s\n", render.Clean(p.Next[0]))
		}
	}
	return b.String()
}

// tell prints the problems when they differ from those told last.
func (n *narrator) tell(problems []*codes.Error) {
	s := n.describe(problems)
	switch s {
	case n.problems:
	case "":
		n.line("all problems are mended")
	default:
		n.line("%s", strings.TrimSuffix(s, "\n"))
	}
	n.problems = s
}

func (n *narrator) line(format string, args ...any) {
	fmt.Fprintf(n.out, format+"\n", args...) // a closed terminal must not end the control plane
}

func proxies(n int) string { return render.Count(n, "proxy") }
