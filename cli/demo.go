package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/demo"
	"github.com/weft-mesh/weft/demo/shop"
	"github.com/weft-mesh/weft/join"
)

func (a *app) demoVerb() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop in a mesh of its own, with load and one planted fault",
		Long: `Starts a control plane, five small services (HTTP, gRPC with streaming, TCP, one of them in two
versions behind a weighted route), each a process with a proxy of its own, and load. It needs no
root, no network and no Docker, and leaves nothing behind.

One edge fails on purpose: find it with weft stat, and understand it with weft explain.

With --for it ends by itself and prints a summary; it then exits 0 only if all edges but the planted
one were healthy, everything was over mTLS, and both versions were hit in their share.`,
		Example: "  weft demo\n  weft demo --for 20s -o json",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			if o.For < 0 || o.For > 0 && o.For < time.Second {
				return usage(fmt.Sprintf("--for %s is too short; at least 1s", o.For), "weft demo --for 20s")
			}
			if o.Rate < 1 || o.Rate > 2000 {
				return usage(fmt.Sprintf("--rate %v is outside of 1 to 2000", o.Rate), "weft demo --rate 50")
			}
			// Lines for people go to stderr when stdout is for a program.
			talk := a.env.Stdout
			if f.Machine() {
				talk = a.env.Stderr
			}
			o.Dirs = a.env.Dirs
			o.OnReady = func(i demo.Info) { a.welcome(talk, i, o) }
			if a.verbose {
				o.Log = func(name, line string) { fmt.Fprintf(a.env.Stderr, "%-12s %s\n", name, render.Clean(line)) }
			}
			parts, err := a.demoParts()
			if err != nil {
				return err
			}
			r, err := demo.Run(cmd.Context(), parts, o)
			if err != nil || r == nil {
				if cmd.Context().Err() != nil {
					fmt.Fprintln(talk, "stopped; nothing is left")
				}
				return err
			}
			if err := a.show(f, demoDoc(r)); err != nil {
				return err
			}
			if !r.Healthy {
				return findings()
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.For, "for", 0, "end after this long under load, with a summary (default: until interrupted)")
	f.Float64Var(&o.Rate, "rate", demo.DefaultRate, "load in requests a second, 1 to 2000")
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitFindings)
}

// demoParts puts the demo together from the same parts as up and run.
func (a *app) demoParts() (demo.Parts, error) {
	self, err := os.Executable()
	if err != nil {
		return demo.Parts{}, fmt.Errorf("finding this program: %w", err)
	}
	log := slog.New(slog.NewTextHandler(a.logOutput(), nil))
	return demo.Parts{
		App: []string{self, demoAppVerb},
		Up: func(ctx context.Context, o demo.UpOptions) error {
			return a.env.Up(ctx, UpOptions{Dir: o.Dir, StateDir: o.StateDir, Socket: o.Socket, Log: log})
		},
		Dial: func(socket string) (mesh.Client, error) {
			return a.env.Dial(context.Background(), place.Target{Socket: socket}, "")
		},
		Join: func(ctx context.Context, m demo.Member) (int, error) {
			o := join.Options{
				Name: m.Name, Namespace: m.Namespace, ServiceAccount: m.ServiceAccount, Labels: m.Labels, Command: m.Command,
				StateDir: m.StateDir, RuntimeDir: a.env.Dirs.Runtime(), Stdout: m.Stdout, Stderr: m.Stderr, Log: log,
				Signals: make(chan os.Signal), // the demo stops its processes in order
			}
			if m.Port != nil {
				o.Ports = []join.Port{{Name: m.Port.Name, Number: m.Port.Addr.Port(), Protocol: m.Port.Protocol}}
			}
			return a.env.Join(ctx, place.Target{Socket: m.Socket}, "", o)
		},
	}, nil
}

// welcome tells a visitor what runs and what to try.
func (a *app) welcome(w io.Writer, i demo.Info, o demo.Options) {
	p := func(tone render.Tone, s string) string { return a.env.Style.Paint(tone, s) }
	fmt.Fprintf(w, `%s: ready in %s, %d processes with a proxy each

  load ─► web ─► catalog           gRPC: unary and streaming
           ├───► ratings           HTTP: v1 90 %%, v2 10 %%
           └───► cart ─► stock     HTTP, then TCP

  shop           %s
  configuration  %s

`, p(render.Strong, "weft demo"), render.Latency(i.Ready), i.Workload, i.Shop, i.Dir)
	if o.For > 0 {
		fmt.Fprintf(w, "It ends by itself in %s.\n", o.For)
		return
	}
	fmt.Fprintf(w, `One edge fails on purpose. In another terminal:

  weft stat                                                  find it
  weft explain GET http://ratings/ratings/tea --from web     understand it
  weft status                                                see who is there

Mend it: set the weight of ratings-v2 to 0 in
  %s/ratings.yaml
and look at weft stat again; it is live as soon as it is saved.

Ctrl-C stops everything and leaves nothing behind.
`, i.Dir)
}

func demoDoc(r *demo.Report) render.Doc {
	d := render.Doc{Kind: "DemoReport", Body: r}
	for _, e := range r.Edges {
		d.Names = append(d.Names, "edge/"+e.From+"->"+e.Backend)
	}
	d.Table = func(t *render.Table, _ bool) {
		t.Line(fmt.Sprintf("%d requests in %s: %s succeeded as the visitors saw it, p50 %s, p99 %s; %s over mTLS", r.Requests,
			render.Age(time.Duration(r.Seconds*float64(time.Second))), render.Percent(share(r.Ledger.OK, r.Ledger.Sent)),
			latency(r.Ledger.P50MS), latency(r.Ledger.P99MS), render.Percent(r.MTLSShare)))
		t.Line("")
		t.Header("", "FROM", "TO", "BACKEND", ">REQUESTS", ">SUCCESS", ">P50", ">P99", ">MTLS", "")
		for _, e := range r.Edges {
			mark, note := render.Toned(render.Good, "ok"), ""
			switch {
			case e.Planted:
				mark, note = render.Toned(render.Warn, "!"), "the planted fault"
			case !e.Healthy:
				mark = render.Toned(render.Bad, "x")
			}
			t.Row(mark, render.Text(e.From), render.Text(e.To), render.Text(e.Backend), render.Text(fmt.Sprint(max(e.Requests, e.Connections))),
				render.Text(render.Percent(e.Success)), render.Text(latency(e.P50MS)), render.Text(latency(e.P99MS)), render.Text(render.Percent(e.MTLS)), render.Text(note))
		}
		t.Line("")
		t.Header("VERSION", ">REQUESTS", ">SHARE", ">WEIGHT")
		for _, v := range r.Versions {
			t.Row(render.Texts(v.Backend, fmt.Sprint(v.Requests), render.Percent(v.Share), render.Percent(v.Weight))...)
		}
		t.Line("")
		if r.Healthy {
			t.Line(t.Paint(render.Good, "healthy") + ": all edges but the planted one, all over mTLS, both versions in their share")
			return
		}
		t.Line(t.Paint(render.Bad, "not healthy"))
		for _, why := range r.Reasons {
			t.Line("  x " + render.Clean(why))
		}
	}
	return d
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// demoAppVerb is the hidden verb that is one service of the demo.
const demoAppVerb = "demo-app"

func (a *app) demoAppVerb() *cobra.Command {
	var o shop.Options
	var rate float64
	var span time.Duration
	cmd := &cobra.Command{
		Use: demoAppVerb + " NAME", Hidden: true, Args: exactly(1, "the name of a service"),
		Short:   "Be one service of the demo (used by weft demo)",
		Long:    "Runs one service of the demo's shop. weft demo runs each in a process of its own.",
		Example: "  weft demo-app stock --listen 127.0.0.1:7000",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Getenv = a.env.Getenv
			var err error
			if args[0] == "load" {
				err = demo.Generate(cmd.Context(), a.env.Getenv, rate, span, a.env.Stdout)
			} else {
				err = shop.Serve(cmd.Context(), args[0], o)
			}
			if cmd.Context().Err() != nil {
				err = nil // it was told to stop
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "where it serves")
	f.StringVar(&o.Version, "version", "v1", "of ratings: v1 or v2")
	f.Float64Var(&rate, "rate", demo.DefaultRate, "of load: requests a second")
	f.DurationVar(&span, "for", 0, "of load: how long")
	return exits(cmd, ExitOK, ExitFailed, ExitUsage)
}
