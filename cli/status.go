package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

func (a *app) statusVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the control plane, proxies, workloads, certificates and problems",
		Long: `Shows the whole mesh on one page: the control plane, each proxy with the configuration that it
acknowledged and how long its certificate lasts, and what is wrong in the configuration.

A proxy whose workload ended is not listed; one that vanished is, with !.

-o wide adds services and workloads with their labels and identities, and where proxies serve
metrics.`,
		Example: "  weft status\n  weft status -o wide\n  weft status -o json",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c mesh.Client) error {
				st, err := c.Status(ctx)
				if err != nil {
					return err
				}
				return a.show(f, statusDoc(st, a.env.Now()))
			})
		},
	}
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitUnreachable, ExitTimeout, ExitForbidden)
}

func statusDoc(st *mesh.Status, now time.Time) render.Doc {
	d := render.Doc{Kind: "Status", Body: st}
	d.Names = append(d.Names, "control/"+st.Control.Target)
	for _, p := range st.Proxies {
		d.Names = append(d.Names, "proxy/"+p.Name)
	}
	for _, w := range st.Workloads {
		d.Names = append(d.Names, "workload/"+w.Namespace+"/"+w.Name)
	}
	for _, s := range st.Services {
		d.Names = append(d.Names, "service/"+s.Namespace+"/"+s.Name)
	}
	d.Table = func(t *render.Table, wide bool) {
		controlTable(t, st, now, wide)
		t.Line("")
		proxyTable(t, st.Proxies, now, wide)
		if wide {
			t.Line("")
			serviceTable(t, st.Services)
			t.Line("")
			workloadTable(t, st.Workloads)
		}
		faultLines(t, st.Problems)
	}
	return d
}

func controlTable(t *render.Table, st *mesh.Status, now time.Time, wide bool) {
	c := st.Control
	t.Line(t.Paint(render.Strong, "control plane") + "  " + c.Target)
	t.Header("", "")
	t.Row(render.Texts("  up", fmt.Sprintf("%s, pid %d, %s", render.Age(now.Sub(c.Started)), c.PID, c.Version))...)
	t.Row(render.Texts("  mesh", fmt.Sprintf("trust domain %s, root certificate ends in %s", c.TrustDomain, render.Age(c.RootExpires.Sub(now))))...)
	from := c.ConfigDir
	if from == "" {
		from = "no directory"
	}
	t.Row(render.Texts("  configuration", fmt.Sprintf("%s: %s, %s, %s", from, render.Count(int(c.Services), "service"),
		render.Count(int(c.Routes), "route"), render.Count(len(st.Problems), "problem")))...)
	if wide {
		t.Row(render.Texts("  snapshot", fmt.Sprint(c.Snapshot))...)
		t.Row(render.Texts("  state", c.StateDir)...)
		listen := c.Listen
		if listen == "" {
			listen = "this machine only"
		}
		t.Row(render.Texts("  listens", listen)...)
	}
}

func proxyTable(t *render.Table, proxies []mesh.Proxy, now time.Time, wide bool) {
	if len(proxies) == 0 {
		t.Line("no proxies. Start one:  weft run --name NAME --port PORT -- ./command")
		return
	}
	head := []string{"", "PROXY", "STATE", "CONFIGURATION", "CERTIFICATE"}
	if wide {
		head = append(head, ">SNAPSHOT", ">SERVICES", "VERSION", "METRICS")
	}
	t.Header(head...)
	for _, p := range proxies {
		mark, tone, state := "", render.Plain, "connected "+render.Age(now.Sub(p.Since))
		if !p.Connected {
			mark, tone, state = "!", render.Bad, "gone for "+render.Age(now.Sub(p.Since))
		}
		config := render.Text("in force")
		switch {
		case len(p.Rejected) > 0:
			mark, config = "!", render.Toned(render.Bad, "refused: "+render.Clean(p.Rejected[0]))
		case !p.Connected:
			config = render.Text(fmt.Sprintf("snapshot %d when last seen", p.Acknowledged))
		case !p.Current:
			config = render.Toned(render.Warn, "behind by "+render.Latency(time.Duration(p.BehindMS)*time.Millisecond))
		}
		cert := render.Text("none")
		if !p.CertExpires.IsZero() {
			cert.Text = "ends in " + render.Age(p.CertExpires.Sub(now))
			if !p.CertExpires.After(now) {
				mark, cert = "!", render.Toned(render.Bad, "ended "+render.Age(now.Sub(p.CertExpires))+" ago")
			}
		}
		row := []render.Cell{render.Toned(render.Bad, mark), render.Text(render.Clean(p.Name)), render.Toned(tone, state), config, cert}
		if wide {
			metrics := ""
			if p.Metrics != "" {
				metrics = "http://" + render.Clean(p.Metrics) + "/metrics"
			}
			row = append(row, render.Texts(fmt.Sprint(p.Acknowledged), fmt.Sprint(p.Services), render.Clean(p.Version), dash(metrics))...)
		}
		t.Row(row...)
	}
}

func serviceTable(t *render.Table, services []mesh.Service) {
	if len(services) == 0 {
		t.Line("no services")
		return
	}
	t.Header("SERVICE", "PORTS", ">ENDPOINTS", ">MESHED", ">ROUTES")
	for _, s := range services {
		t.Row(render.Text(render.Clean(s.Namespace+"/"+s.Name)), render.Text(portList(s.Ports)), render.Text(fmt.Sprint(s.Endpoints)),
			render.Text(fmt.Sprint(s.Meshed)), render.Text(fmt.Sprint(s.Routes)))
	}
}

func workloadTable(t *render.Table, workloads []mesh.Workload) {
	if len(workloads) == 0 {
		t.Line("no workloads")
		return
	}
	t.Header("WORKLOAD", "STATE", "SERVICES", "ADDRESSES", "LABELS", "IDENTITY")
	for _, w := range workloads {
		t.Row(render.Texts(render.Clean(w.Namespace+"/"+w.Name), w.State, dash(strings.Join(w.Services, ",")),
			dash(strings.Join(w.Addresses, ",")), dash(labelList(w.Labels)), render.Clean(w.Identity))...)
	}
}

// faultLines shows problems in the form of errors, with their commands.
func faultLines(t *render.Table, faults []mesh.Fault) {
	for _, f := range faults {
		t.Line("")
		t.Line(t.Paint(render.Bad, "! "+f.Code) + ": " + render.Clean(f.What))
		if f.Why != "" {
			t.Line("    why   " + render.Clean(f.Why))
		}
		if f.Where != "" {
			t.Line("    where " + render.Clean(f.Where))
		}
		label := "next "
		for _, n := range f.Next {
			t.Line("    " + label + " " + render.Clean(n))
			label = "     "
		}
	}
}

func portList(ports []mesh.Port) string {
	var out []string
	for _, p := range ports {
		out = append(out, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return dash(strings.Join(out, ","))
}

// dash stands for nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
