package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
)

func (a *app) whoisVerb() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "whois IP|SPIFFE-ID|NAME",
		Short: "Say which workload or service an address or identity belongs to",
		Long: `Looks up an IP address (also as IP:PORT), a SPIFFE ID or a NAME (also as NAMESPACE/NAME), and shows
the workloads, their services, labels and proxies. A name is that of a workload or a service, the
one given to weft run, or a service account.`,
		Example: "  weft whois 127.0.0.1\n  weft whois cart\n  weft whois spiffe://weft.local/ns/shop/sa/web",
		Args:    exactly(1, "one address, identity or name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			subject, ok := subjectOf(args[0], namespace)
			if !ok {
				e := codes.New("W4012", "this is neither an IP address nor a SPIFFE ID nor a name")
				e.Why = fmt.Sprintf("got %q", render.Clean(args[0]))
				e.Next = []string{"weft whois 10.0.0.7", "weft whois cart", "weft whois spiffe://weft.local/ns/shop/sa/web"}
				return e
			}
			return a.ask(cmd.Context(), func(ctx context.Context, c mesh.Client) error {
				w, err := c.Whois(ctx, subject)
				if err != nil {
					return err
				}
				if len(w.Workloads) == 0 && len(w.Services) == 0 {
					e := codes.New("W4008", "nobody in the mesh is "+render.Clean(subject))
					e.Why = "no workload and no service has this address, identity or name"
					e.Next = []string{"weft status -o wide"}
					return e
				}
				return a.show(f, whoisDoc(w))
			})
		},
		ValidArgsFunction: a.completeWorkloads,
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of a name without one (default: any)")
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitUnreachable, ExitTimeout, ExitForbidden)
}

// subjectOf gives what to look up; ok is false if s has none of the forms that can be. A name
// without a namespace gets the given one, if any.
func subjectOf(s, namespace string) (subject string, ok bool) {
	if strings.HasPrefix(s, "spiffe://") {
		return s, true
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return s, true
	}
	if _, err := netip.ParseAddrPort(s); err == nil {
		return s, true
	}
	r := ref(s, namespace)
	qualified := strings.Contains(s, "/")
	if r.Name == "" || strings.ContainsAny(r.Name, "/ :\t") || qualified && r.Namespace == "" {
		return "", false
	}
	return strings.TrimPrefix(r.Namespace+"/"+r.Name, "/"), true
}

func whoisDoc(w *mesh.Whois) render.Doc {
	d := render.Doc{Kind: "Whois", Body: w}
	for _, x := range w.Workloads {
		d.Names = append(d.Names, "workload/"+x.Namespace+"/"+x.Name)
	}
	for _, x := range w.Services {
		d.Names = append(d.Names, "service/"+x.Namespace+"/"+x.Name)
	}
	d.Table = func(t *render.Table, wide bool) {
		for i, x := range w.Workloads {
			if i > 0 {
				t.Line("")
			}
			t.Header("workload", render.Clean(x.Namespace+"/"+x.Name))
			t.Row(render.Texts("identity", render.Clean(x.Identity))...)
			t.Row(render.Texts("state", x.State)...)
			t.Row(render.Texts("services", dash(strings.Join(x.Services, ", ")))...)
			t.Row(render.Texts("addresses", dash(strings.Join(x.Addresses, ", ")))...)
			link := "none: reached in plain text"
			if x.Link != "" {
				link = x.Link + " (mTLS)"
			}
			t.Row(render.Texts("link", link)...)
			t.Row(render.Texts("labels", dash(labelList(x.Labels)))...)
			if wide {
				t.Row(render.Texts("ports", portList(x.Ports))...)
				t.Row(render.Texts("proxy", dash(x.Proxy))...)
				t.Row(render.Texts("pid", fmt.Sprint(x.PID))...)
			}
		}
		if len(w.Services) > 0 {
			if len(w.Workloads) > 0 {
				t.Line("")
			}
			serviceTable(t, w.Services)
		}
	}
	return d
}

// labelList gives labels sorted, as "app=cart,version=v1".
func labelList(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, render.Clean(k+"="+v))
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}
