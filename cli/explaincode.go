package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
)

// codeDoc is the published form of a catalogue entry.
type codeDoc struct {
	Code  string `json:"code"`
	Title string `json:"title"`
	Means string `json:"means"`
	Fix   string `json:"fix"`
}

func (a *app) explainCodeVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "explain-code [CODE]",
		Short:   "Explain an error code; without one, list them all",
		Long:    "Explains what a code means, what weft does meanwhile, and how to mend it. It needs no control plane and no network.",
		Example: "  weft explain-code W4002\n  weft explain-code -o name",
		Args:    atMost(1, "at most one code"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.show(f, codeListDoc(codes.All()))
			}
			entry, ok := codes.Lookup(args[0])
			if !ok {
				return noSuchCode(args[0])
			}
			return a.show(f, codeEntryDoc(entry))
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, e := range codes.All() {
				if len(args) == 0 && strings.HasPrefix(e.Code, strings.ToUpper(word)) {
					out = append(out, e.Code+"\t"+e.Title)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage)
}

func noSuchCode(s string) error {
	var all []string
	for _, e := range codes.All() {
		all = append(all, e.Code)
	}
	e := codes.New("W4009", fmt.Sprintf("there is no code %q", render.Clean(s)))
	e.Why = fmt.Sprintf("this version knows %s", render.Count(len(all), "code"))
	for _, n := range nearest(strings.ToUpper(s), all) {
		e.Next = append(e.Next, "weft explain-code "+n)
	}
	e.Next = append(e.Next, "weft explain-code          (lists them)")
	return e
}

func codeListDoc(entries []codes.Entry) render.Doc {
	list := make([]codeDoc, 0, len(entries))
	d := render.Doc{Kind: "CodeList"}
	for _, e := range entries {
		list = append(list, codeDoc(e))
		d.Names = append(d.Names, "code/"+e.Code)
	}
	d.Body = struct {
		Codes []codeDoc `json:"codes"`
	}{list}
	d.Table = func(t *render.Table, wide bool) {
		t.Header("CODE", "TITLE")
		for _, e := range entries {
			t.Row(render.Texts(e.Code, e.Title)...)
		}
	}
	return d
}

func codeEntryDoc(e codes.Entry) render.Doc {
	return render.Doc{Kind: "Code", Body: codeDoc(e), Names: []string{"code/" + e.Code}, Table: func(t *render.Table, _ bool) {
		t.Line(t.Paint(render.Strong, e.Code) + ": " + e.Title)
		t.Line("")
		for _, l := range wrap(e.Means, 96) {
			t.Line(l)
		}
		t.Line("")
		t.Line("What to do")
		for _, l := range wrap(e.Fix, 96) {
			t.Line(l)
		}
	}}
}

// wrap folds prose at a width; indented lines are commands and stay whole.
func wrap(s string, width int) []string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		if strings.HasPrefix(line, "    ") || len(line) <= width {
			out = append(out, line)
			continue
		}
		current := ""
		for _, word := range strings.Fields(line) {
			if current != "" && len(current)+1+len(word) > width {
				out = append(out, current)
				current = ""
			}
			if current != "" {
				current += " "
			}
			current += word
		}
		out = append(out, current)
	}
	return out
}
