package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

func (a *app) explainVerb() *cobra.Command {
	var from, namespace string
	var headers []string
	cmd := &cobra.Command{
		Use:   "explain METHOD URL --from WORKLOAD",
		Short: "Explain step by step what would happen to a request, and why",
		Long: `Runs the decision code of the proxies on the configuration that the caller's proxy acknowledged,
and shows each step in the order of the data path: the rules that were considered with the one
field that missed, the rule that won with its file and line, the backends with their shares, and
the endpoints: how the caller's proxy sees them at present, and how likely it would take each.
No request is sent.

URL is http://SERVICE/path, grpc://SERVICE/package.Service/Method or tcp://SERVICE:PORT.`,
		Example: "  weft explain GET http://ratings/ratings/tea --from web\n" +
			"  weft explain GET http://cart/items -H x-user:beta --from shop/web\n" +
			"  weft explain POST grpc://catalog/weft.demo.Catalog/List --from web -o json",
		Args: exactly(2, "a method and a URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			q := mesh.ExplainQuery{Method: args[0], URL: args[1], From: from, Namespace: namespace}
			if q.Headers, err = parseHeaders(headers); err != nil {
				return err
			}
			if from == "" && namespace == "" {
				return usage("the answer depends on who calls: give --from WORKLOAD (or -n NAMESPACE for any caller of it)",
					fmt.Sprintf("weft explain %s %s --from WORKLOAD", args[0], args[1]), "weft status -o wide")
			}
			if err := checkURL(args[1]); err != nil {
				return err
			}
			var through bool
			err = a.ask(cmd.Context(), func(ctx context.Context, c mesh.Client) error {
				x, err := c.Explain(ctx, q)
				if err != nil {
					return err
				}
				through = x.Through || x.Action == "redirect" || x.Action == "respond" && x.Status < 400
				return a.show(f, explainDoc(x, q))
			})
			if err == nil && !through {
				return findings()
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&from, "from", "", "workload that calls, NAME or NAMESPACE/NAME")
	fl.StringVarP(&namespace, "namespace", "n", "", "namespace of names without one")
	fl.StringArrayVarP(&headers, "header", "H", nil, "header field NAME:VALUE of the request; may be repeated")
	a.completeFlag(cmd, "from", a.completeWorkloads)
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitFindings, ExitUnreachable, ExitTimeout, ExitForbidden)
}

// checkURL refuses what cannot be a request to a service, before anybody is asked.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return usage(fmt.Sprintf("%q is not a URL: %v", s, err), "weft explain GET http://cart/items --from web")
	}
	switch u.Scheme {
	case "http", "https", "grpc", "tcp", "tls":
	default:
		return usage(fmt.Sprintf("%q does not begin with http://, grpc:// or tcp://", s), "weft explain GET http://"+strings.TrimPrefix(s, "//")+" --from web")
	}
	if u.Host == "" {
		return usage(fmt.Sprintf("%q names no service", s), "weft explain GET http://cart/items --from web")
	}
	return nil
}

// parseHeaders reads NAME:VALUE.
func parseHeaders(in []string) ([]mesh.Header, error) {
	var out []mesh.Header
	for _, h := range in {
		k, v, ok := strings.Cut(h, ":")
		k, v = strings.ToLower(strings.TrimSpace(k)), strings.TrimSpace(v)
		if !ok || k == "" || strings.ContainsAny(k, " \t\r\n") || strings.ContainsAny(v, "\r\n") {
			return nil, usage(fmt.Sprintf("-H %q is not NAME:VALUE", h), "weft explain GET http://cart/items -H x-user:beta --from web")
		}
		out = append(out, mesh.Header{Name: k, Value: v})
	}
	return out, nil
}

func explainDoc(x *mesh.Explanation, q mesh.ExplainQuery) render.Doc {
	d := render.Doc{Kind: "Explanation", Body: x}
	if x.Backend != "" {
		d.Names = append(d.Names, "service/"+x.Backend)
	}
	d.Table = func(t *render.Table, wide bool) {
		t.Line(fmt.Sprintf("%s %s from %s", render.Clean(q.Method), render.Clean(q.URL), dash(render.Clean(q.From))))
		switch x.Basis {
		case "acknowledged":
			t.Line(t.Paint(render.Dim, fmt.Sprintf("decided by the configuration that proxy %s has in force (snapshot %d)", render.Clean(x.Proxy), x.Snapshot)))
		default:
			t.Line(t.Paint(render.Dim, fmt.Sprintf("decided by what a proxy would be given now (snapshot %d); none acknowledged it yet", x.Snapshot)))
		}
		t.Header()
		last, number := "", 0
		for _, s := range x.Steps {
			label := ""
			if s.Step != last {
				number++
				label, last = fmt.Sprintf("%2d %s", number, s.Step), s.Step
			}
			t.Row(render.Text(label), render.Text(render.Clean(s.Object)), outcome(s.Outcome), render.Text(render.Clean(s.Detail)), render.Toned(render.Dim, render.Clean(s.Source)))
		}
		sharesTable(t, x.Shares)
		endpointsTable(t, x, wide)
		t.Line("")
		t.Line(verdict(t, x))
		if x.Fault != nil {
			faultLines(t, []mesh.Fault{*x.Fault})
		}
	}
	return d
}

// outcome marks what decided and what missed; the words carry the meaning.
func outcome(s string) render.Cell {
	switch {
	case strings.HasPrefix(s, "chosen"), s == "ok", s == "found", s == "match":
		return render.Toned(render.Good, s)
	case strings.HasPrefix(s, "refuse"), s == "absent", s == "invalid":
		return render.Toned(render.Bad, s)
	}
	return render.Text(render.Clean(s))
}

func sharesTable(t *render.Table, shares []mesh.Share) {
	if len(shares) < 2 {
		return
	}
	t.Line("")
	t.Header("BACKEND", ">WEIGHT", ">SHARE", "")
	for _, s := range shares {
		t.Row(render.Text(render.Clean(fmt.Sprintf("%s:%d", s.Backend, s.Port))), render.Text(fmt.Sprint(s.Weight)),
			render.Text(render.Percent(s.Share)), render.Toned(render.Bad, render.Clean(s.Invalid)))
	}
}

// shownEndpoints bounds the table form; -o wide and json have all.
const shownEndpoints = 8

// endpointsTable shows who could answer: of several backends, for the one with the largest share.
func endpointsTable(t *render.Table, x *mesh.Explanation, wide bool) {
	endpoints := x.Endpoints
	if len(endpoints) == 0 {
		return
	}
	t.Line("")
	if len(x.Shares) > 1 {
		t.Line("of " + render.Clean(x.Backend) + ":")
	}
	told := slices.ContainsFunc(endpoints, func(e mesh.Endpoint) bool { return e.Balance != nil })
	if told {
		endpoints = slices.Clone(endpoints)
		slices.SortStableFunc(endpoints, func(a, b mesh.Endpoint) int { return cmp.Compare(b.Chance, a.Chance) })
	}
	head := []string{"ENDPOINT", "ADDRESS", "SECURITY"}
	if told {
		head = append(head, "STATE", ">LATENCY", ">IN FLIGHT", ">CHANCE")
	} else {
		head = append(head, "")
	}
	t.Header(head...)
	for i, e := range endpoints {
		if i == shownEndpoints && !wide {
			t.Line(fmt.Sprintf("and %d more (-o wide)", len(endpoints)-i))
			break
		}
		security := render.Toned(render.Warn, "plain text: not in the mesh")
		if e.Link != "" {
			security = render.Text("mTLS as " + render.Clean(e.Identity))
		}
		row := []render.Cell{render.Text(render.Clean(e.Workload)), render.Text(e.Address), security}
		if told {
			row = append(row, balanceCells(e)...)
		} else {
			row = append(row, render.Text(stateOf(e)))
		}
		t.Row(row...)
	}
	if x.Choice != "" {
		t.Line("picked " + render.Clean(x.Choice))
	}
}

// stateOf is what the control plane itself knows of an endpoint's state.
func stateOf(e mesh.Endpoint) string {
	if e.Draining {
		return "draining"
	}
	return ""
}

// balanceCells show how the caller's proxy sees an endpoint.
func balanceCells(e mesh.Endpoint) []render.Cell {
	b := e.Balance
	if b == nil { // it is new
		return render.Texts(stateOf(e), "-", "-", "-")
	}
	tone := render.Plain
	if badness(b.State) == 2 {
		tone = render.Bad
	}
	chance := "-"
	if e.Chance > 0 {
		chance = render.Percent(e.Chance)
	}
	state := render.Clean(b.State) + " " + render.Age(time.Duration(b.StateMS)*time.Millisecond)
	return []render.Cell{render.Toned(tone, state), render.Text(latency(b.LatencyMS)), render.Text(fmt.Sprint(b.InFlight)), render.Text(chance)}
}

// reached names the backend, or all that a request may be sent to, with their shares.
func reached(x *mesh.Explanation) string {
	var names []string
	for _, s := range x.Shares {
		switch {
		case s.Share == 0:
		case s.Invalid != "":
			names = append(names, "nobody ("+render.Percent(s.Share)+": "+render.Clean(s.Invalid)+")")
		default:
			names = append(names, render.Clean(s.Backend)+" ("+render.Percent(s.Share)+")")
		}
	}
	if len(names) < 2 {
		return render.Clean(x.Backend)
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

func verdict(t *render.Table, x *mesh.Explanation) string {
	switch x.Action {
	case "forward":
		if x.Through {
			return t.Paint(render.Good, "→ would reach ") + reached(x) + "; no request was sent"
		}
		return t.Paint(render.Bad, "→ would not get through: ") + render.Clean(x.Backend) + " has no endpoint; the proxy would answer 503"
	case "redirect":
		return fmt.Sprintf("→ the proxy would redirect: %d to %s", x.Status, render.Clean(x.Location))
	case "respond":
		return fmt.Sprintf("→ the proxy would answer %d itself", x.Status)
	}
	return t.Paint(render.Bad, "→ would be refused") + fmt.Sprintf(": the proxy would answer %d", x.Status)
}
