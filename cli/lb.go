package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

func (a *app) lbVerb() *cobra.Command {
	var from, namespace string
	var every time.Duration
	var watch bool
	cmd := &cobra.Command{
		Use:   "lb SERVICE",
		Short: "Show how callers' proxies see the endpoints of a service",
		Long: `Shows, for each proxy that sends requests to the service, or to one that its routes lead to, what
its balancer thinks of each endpoint: the latency that it expects, requests in flight, weight, and the state with how long it
has lasted:

  ready        is chosen
  slow-start   is new; its weight grows
  returning    was ejected; its weight grows
  draining     is leaving; gets nothing new if there is any other
  trying       was ejected; one request is under way to it
  unhealthy    failed its health checks
  ejected      failed requests while the others did not; gets none for a while

Proxies judge for themselves, so they may differ; so may the event loops of one proxy ("1 of 2
loops"). A proxy tells a change of state within a second, numbers every few seconds, and nothing
while nothing changes. The budget is how many retries and hedges could be made at once.`,
		Example: "  weft lb ratings\n  weft lb shop/ratings --from web\n  weft lb ratings --watch\n  weft lb ratings -o json",
		Args:    exactly(1, "a service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			q := mesh.BalanceQuery{To: ref(args[0], namespace), From: from, Namespace: namespace}
			once := func(ctx context.Context) error {
				return a.ask(ctx, func(ctx context.Context, c mesh.Client) error {
					list, err := c.Balance(ctx, q)
					if err != nil {
						return err
					}
					if len(list.Sets) == 0 {
						if err := a.knownService(ctx, c, "lb", q.To); err != nil {
							return err
						}
					}
					return a.show(f, lbDoc(list, args[0], from))
				})
			}
			if watch {
				return a.watch(cmd.Context(), "lb "+args[0], every, once)
			}
			return once(cmd.Context())
		},
		ValidArgsFunction: a.completeServices,
	}
	fl := cmd.Flags()
	fl.StringVar(&from, "from", "", "only by proxies of this workload, NAME or NAMESPACE/NAME")
	fl.StringVarP(&namespace, "namespace", "n", "", "namespace of names without one (default: any)")
	fl.BoolVarP(&watch, "watch", "w", false, "show again and again until interrupted")
	fl.DurationVar(&every, "every", 2*time.Second, "how often --watch shows")
	a.completeFlag(cmd, "from", a.completeWorkloads)
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitUnreachable, ExitTimeout, ExitForbidden)
}

// lbDoc shows endpoint sets, in each the endpoints that are not chosen first.
func lbDoc(list *mesh.BalanceList, service, from string) render.Doc {
	d := render.Doc{Kind: "BalanceList", Body: list}
	for _, s := range list.Sets {
		for _, e := range s.Endpoints {
			d.Names = append(d.Names, "endpoint/"+s.Proxy+"->"+e.Workload)
		}
	}
	d.Table = func(t *render.Table, wide bool) {
		if len(list.Sets) == 0 {
			by := ""
			if from != "" {
				by = " of " + render.Clean(from)
			}
			t.Line(fmt.Sprintf("no proxy%s sends requests to %s", by, render.Clean(service)))
			return
		}
		for i := range list.Sets {
			if i > 0 {
				t.Line("")
			}
			setTable(t, &list.Sets[i], wide)
		}
	}
	return d
}

func setTable(t *render.Table, s *mesh.EndpointSet, wide bool) {
	about := []string{render.Clean(s.Algorithm)}
	if s.Budget != nil {
		about = append(about, "budget "+render.Rate(*s.Budget))
	}
	if s.Loops > 1 {
		about = append(about, render.Count(int(s.Loops), "loop"))
	}
	about = append(about, "told "+render.Age(time.Duration(s.AgeMS)*time.Millisecond)+" ago")
	t.Line(fmt.Sprintf("%s:%d by proxy %s", render.Clean(s.Service), s.Port, render.Clean(s.Proxy)) +
		t.Paint(render.Dim, "   "+strings.Join(about, ", ")))
	head := []string{"", "ENDPOINT", "STATE", "FOR", ">LATENCY", ">SUCCESS", ">IN FLIGHT", ">WEIGHT", ">EJECTIONS"}
	if wide {
		head = append(head, "ADDRESS")
	}
	t.Header(head...)
	rows := slices.Clone(s.Endpoints)
	slices.SortStableFunc(rows, func(a, b mesh.EndpointBalance) int { return badness(b.State) - badness(a.State) })
	for _, e := range rows {
		t.Row(lbRow(e, s.Loops, wide)...)
	}
	if s.Omitted > 0 {
		t.Line(fmt.Sprintf("and %d more, of which the proxy does not tell", s.Omitted))
	}
}

// badness orders endpoints: what is out of service first.
func badness(state string) int {
	switch state {
	case "ejected", "unhealthy", "trying":
		return 2
	case "ready":
		return 0
	}
	return 1
}

func lbRow(e mesh.EndpointBalance, loops uint32, wide bool) []render.Cell {
	mark, tone := "", render.Plain
	switch badness(e.State) {
	case 2:
		mark, tone = "!", render.Bad
	case 1:
		tone = render.Warn
	}
	state := render.Clean(e.State)
	if e.Loops < loops {
		state += fmt.Sprintf(" (%d of %d loops)", e.Loops, loops)
	}
	row := []render.Cell{
		render.Toned(tone, mark), render.Text(render.Clean(e.Workload)), render.Toned(tone, state), render.Text(render.Age(time.Duration(e.StateMS) * time.Millisecond)),
		render.Text(latency(e.LatencyMS)), render.Text(render.Percent(e.Success)), render.Text(fmt.Sprint(e.InFlight)), render.Text(fmt.Sprintf("%.3g", e.Weight)), render.Text(fmt.Sprint(e.Ejections)),
	}
	if wide {
		row = append(row, render.Text(render.Clean(e.Address)))
	}
	return row
}
