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
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
)

// healthyShare is the success share below which an edge is pointed out.
const healthyShare = 0.999

// maxWindow is how far back the control plane keeps traffic.
const maxWindow = 30 * time.Minute

func (a *app) statVerb() *cobra.Command {
	var from, to, namespace, by string
	var since, every time.Duration
	var watch bool
	cmd := &cobra.Command{
		Use:   "stat [SERVICE]",
		Short: "Show success rate, requests and latency by edge, route and backend",
		Long: `Shows the traffic of the last minute: who called whom, by which route, to which backend;
success rate, requests a second, latency percentiles, and the share over mTLS ("local" is
what went between two workloads of one proxy and never left it).

SUCCESS is what callers got. Where something was tried again or turned away, more columns appear:
ACTUAL, the share of tries that succeeded; RETRIES/S; HEDGES, second tries beside a slow first;
and SHED, what the backend's proxies turned away to guard it, of all requests of FROM to BACKEND.

A row is what the callers' proxies saw. All instances of a service account are one row; --by
instance and -o wide show each. Edges that lose requests come first and are marked with !. For
opaque TCP the requests are connections.`,
		Example: "  weft stat\n  weft stat ratings --since 5m\n  weft stat --from web -o json",
		Args:    atMost(1, "at most one service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if to != "" {
					return usage("SERVICE and --to say the same; give one of them", "weft stat "+args[0])
				}
				to = args[0]
			}
			if since < 10*time.Second || since > maxWindow {
				return usage(fmt.Sprintf("--since %s is outside of 10s to %s, for which traffic is kept", since, maxWindow), "weft stat --since 5m")
			}
			instances := by == byInstance || f == render.FormatWide && !cmd.Flags().Changed("by")
			if by != byInstance && by != byAccount {
				return usage(fmt.Sprintf("--by %q is neither %s nor %s", by, byAccount, byInstance), "weft stat --by "+byInstance)
			}
			q := mesh.StatQuery{To: ref(to, namespace), From: ref(from, namespace), Window: since, Instances: instances}
			once := func(ctx context.Context) error {
				return a.ask(ctx, func(ctx context.Context, c mesh.Client) error {
					edges, err := c.Stat(ctx, q)
					if err != nil {
						return err
					}
					if len(edges.Edges) == 0 && to != "" {
						if err := a.knownService(ctx, c, "stat", q.To); err != nil {
							return err
						}
					}
					callers, err := liveCallers(ctx, c, edges)
					if err != nil {
						return err
					}
					return a.show(f, statDoc(edges, instances, callers))
				})
			}
			if watch {
				return a.watch(cmd.Context(), "stat", every, once)
			}
			return once(cmd.Context())
		},
		ValidArgsFunction: a.completeServices,
	}
	fl := cmd.Flags()
	fl.StringVar(&from, "from", "", "only from this workload or service account, NAME or NAMESPACE/NAME")
	fl.StringVar(&to, "to", "", "only to this service, NAME or NAMESPACE/NAME")
	fl.StringVarP(&namespace, "namespace", "n", "", "namespace of names without one (default: any)")
	fl.DurationVar(&since, "since", time.Minute, "how far back to look, 10s to 30m")
	fl.StringVar(&by, "by", byAccount, "what a row of callers is: "+byAccount+", "+byInstance)
	fl.BoolVarP(&watch, "watch", "w", false, "show again and again until interrupted")
	fl.DurationVar(&every, "every", 2*time.Second, "how often --watch shows")
	a.completeFlag(cmd, "from", a.completeWorkloads)
	a.completeFlag(cmd, "to", a.completeServices)
	a.completeFlag(cmd, "by", cobra.FixedCompletions([]string{byAccount, byInstance}, cobra.ShellCompDirectiveNoFileComp))
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitUnreachable, ExitTimeout, ExitForbidden)
}

// What a row of callers is, for --by.
const (
	byAccount  = "account"
	byInstance = "instance"
)

// liveCallers gives the service accounts, "ns/name", of which a workload lives: only their names
// can be given to other verbs. It is asked for only if a hint will be given.
func liveCallers(ctx context.Context, c mesh.Client, edges *mesh.EdgeList) (map[string]bool, error) {
	if !slices.ContainsFunc(edges.Edges, failing) {
		return nil, nil
	}
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, w := range st.Workloads {
		if id, err := identity.Parse(w.Identity); err == nil {
			out[id.Namespace+"/"+id.ServiceAccount] = true
		}
	}
	return out, nil
}

// failing reports whether an edge is one to point out.
func failing(e mesh.Edge) bool { return e.Success < healthyShare }

// knownService explains the empty answer of a verb: no such service, or just no traffic (nil).
func (a *app) knownService(ctx context.Context, c mesh.Client, verb string, want mesh.Ref) error {
	all, err := c.Services(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range all {
		if s.Name == want.Name && (want.Namespace == "" || s.Namespace == want.Namespace) {
			return nil
		}
		names = append(names, s.Namespace+"/"+s.Name)
	}
	e := codes.New("W4007", "there is no service "+fmt.Sprintf("%q", strings.TrimPrefix(want.Namespace+"/"+want.Name, "/")))
	e.Why = fmt.Sprintf("none of the %s has this name", render.Count(len(all), "service"))
	for _, n := range nearest(want.Name, names) {
		e.Next = append(e.Next, "weft "+verb+" "+n)
	}
	e.Next = append(e.Next, "weft status -o wide")
	return e
}

// statDoc shows edges, the failing ones first. callers are the accounts that live.
func statDoc(edges *mesh.EdgeList, instances bool, callers map[string]bool) render.Doc {
	d := render.Doc{Kind: "EdgeList", Body: edges}
	for _, e := range edges.Edges {
		d.Names = append(d.Names, "edge/"+e.From+"->"+e.Backend)
	}
	d.Table = func(t *render.Table, wide bool) {
		if len(edges.Edges) == 0 {
			t.Line(fmt.Sprintf("no traffic in the last %s", render.Age(time.Duration(edges.WindowMS)*time.Millisecond)))
			return
		}
		head := []string{"", "FROM"}
		if instances {
			head = append(head, "INSTANCE")
		}
		tries := triesOf(edges.Edges)
		head = append(head, "TO", "ROUTE", "BACKEND", ">SUCCESS")
		head = append(head, tries.head()...)
		head = append(head, ">RPS", ">P50", ">P95", ">P99", ">MTLS")
		if wide {
			head = append(head, "PROTOCOL", ">REQUESTS", ">FAILED", ">IN", ">OUT", ">CONNS", ">ACTIVE")
		}
		t.Header(head...)
		bad := 0
		for _, pass := range []bool{true, false} {
			for _, e := range edges.Edges {
				if failing(e) != pass {
					continue
				}
				if pass {
					bad++
				}
				t.Row(edgeRow(e, tries, instances, wide)...)
			}
		}
		if bad > 0 {
			for _, e := range edges.Edges {
				if failing(e) {
					t.Line("")
					t.Line(fmt.Sprintf("! %s to %s lost %d of %s. Why this backend:  %s", render.Clean(e.From), render.Clean(e.Backend),
						e.Failures, render.Count(int(e.Requests), "request"), explainHint(e, callers[e.From])))
					break
				}
			}
		}
	}
	return d
}

// edgeRow shows an edge; instances names the caller's instance beside its account.
func edgeRow(e mesh.Edge, tries tryColumns, instances, wide bool) []render.Cell {
	mark, tone := render.Text(""), render.Plain
	if failing(e) {
		mark, tone = render.Toned(render.Bad, "!"), render.Bad
	}
	mtls := mtlsCell(e)
	row := []render.Cell{mark, render.Text(render.Clean(e.From))}
	if instances {
		row = append(row, render.Text(render.Clean(e.Workload)))
	}
	row = append(row,
		render.Text(render.Clean(e.To)), render.Text(render.Clean(e.Route)), render.Text(render.Clean(e.Backend)),
		render.Toned(tone, render.Percent(e.Success)))
	row = append(row, tries.cells(e)...)
	row = append(row, render.Text(render.Rate(e.RPS)),
		render.Text(latency(e.P50MS)), render.Text(latency(e.P95MS)), render.Text(latency(e.P99MS)), mtls,
	)
	if wide {
		row = append(row, render.Text(e.Protocol), render.Text(fmt.Sprint(e.Requests)), render.Text(fmt.Sprint(e.Failures)),
			render.Text(render.Bytes(e.BytesIn)), render.Text(render.Bytes(e.BytesOut)), render.Text(fmt.Sprint(e.Connections)), render.Text(fmt.Sprint(e.Active)))
	}
	return row
}

// mtlsCell shows how much was over mTLS, and how much needed none since it never left its proxy.
func mtlsCell(e mesh.Edge) render.Cell {
	text := render.Percent(e.MTLS)
	switch {
	case e.Local >= 1:
		text = "local"
	case e.Local > 0:
		text += "+" + render.Percent(e.Local) + " local"
	}
	if e.MTLS+e.Local < 1-1e-9 {
		return render.Toned(render.Warn, text)
	}
	return render.Text(text)
}

// explainHint is the command that explains an edge; live tells whether a workload of the caller's
// account lives. Else the question is that of anybody in its namespace.
func explainHint(e mesh.Edge, live bool) string {
	ns, svc, _ := strings.Cut(e.To, "/")
	host := svc
	fromNS, _, known := strings.Cut(e.From, "/")
	if fromNS != ns {
		host = svc + "." + ns
	}
	who := "--from " + render.Clean(e.From)
	switch {
	case !known: // a caller that is not known at all
		who = "-n " + render.Clean(ns)
	case !live:
		who = "-n " + render.Clean(fromNS)
	}
	method := "GET http://"
	switch e.Protocol {
	case "grpc":
		method = "POST grpc://"
	case "tcp", "tls":
		method = "CONNECT tcp://"
	}
	return fmt.Sprintf("weft explain %s%s/ %s", method, render.Clean(host), who)
}

func latency(ms float64) string { return render.Latency(time.Duration(ms * float64(time.Millisecond))) }
