package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
)

// runHome is weft without a verb: the state, and the next useful command.
func (a *app) runHome(cmd *cobra.Command, _ []string) error {
	var st *mesh.Status
	var edges *mesh.EdgeList
	err := a.ask(cmd.Context(), func(ctx context.Context, c mesh.Client) error {
		var err error
		if st, err = c.Status(ctx); err != nil {
			return err
		}
		edges, err = c.Stat(ctx, mesh.StatQuery{})
		return err
	})
	var coded *codes.Error
	if errors.As(err, &coded) && coded.Code == "W4002" && a.control == "" && a.env.Getenv("WEFT_CONTROL") == "" {
		_, err := fmt.Fprint(a.env.Stdout, `No mesh runs here.

  weft demo                                        a working mesh to look at, in 5 seconds
  weft up DIR                                      your own: a control plane for the YAML files in DIR
  weft run --name web --port 8080 -- ./web         put a process into it

  weft help                                        all verbs
`)
		return err
	}
	if err != nil {
		return err
	}
	return a.show(render.FormatTable, homeDoc(st, edges))
}

func homeDoc(st *mesh.Status, edges *mesh.EdgeList) render.Doc {
	var requests, failures uint64
	var rps float64
	var worst *mesh.Edge
	for i, e := range edges.Edges {
		requests, failures, rps = requests+e.Requests, failures+e.Failures, rps+e.RPS
		if failing(e) && (worst == nil || e.Failures > worst.Failures) {
			worst = &edges.Edges[i]
		}
	}
	return render.Doc{Kind: "Summary", Body: struct{}{}, Table: func(t *render.Table, _ bool) {
		t.Line(fmt.Sprintf("%s, %s, %s, %s", render.Count(int(st.Control.Services), "service"), render.Count(len(st.Workloads), "workload"),
			render.Count(len(st.Proxies), "proxy"), render.Count(len(st.Problems), "problem")))
		if requests > 0 {
			t.Line(fmt.Sprintf("%s requests/s on %s, %s succeeded", render.Rate(rps), render.Count(len(edges.Edges), "edge"),
				render.Percent(1-float64(failures)/float64(requests))))
		}
		t.Line("")
		gone := 0
		for _, p := range st.Proxies {
			if !p.Connected || len(p.Rejected) > 0 {
				gone++
			}
		}
		switch {
		case len(st.Problems) > 0:
			t.Line("next: the configuration has problems        weft status")
		case gone > 0:
			t.Line(fmt.Sprintf("next: %s not in order        weft check", render.Count(gone, "proxy")))
		case worst != nil:
			t.Line(fmt.Sprintf("next: %s to %s loses requests        weft stat %s", worst.From, worst.Backend, worst.To))
		case len(st.Workloads) == 0:
			t.Line("next: put a process into the mesh        weft run --name web --port 8080 -- ./web")
		case requests == 0:
			t.Line("next: send traffic, then look at it        weft stat")
		default:
			t.Line("next: all is well; see it by edge        weft stat")
		}
	}}
}
