package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/join"
)

func (a *app) runVerb() *cobra.Command {
	var o join.Options
	var ports, labels []string
	cmd := &cobra.Command{
		Use:   "run [--name NAME] [--port PORT] -- COMMAND [ARG...]",
		Short: "Run a process as a member of the mesh",
		Long: `Starts a proxy and then the command beside it, registers it as a workload with an identity of its
own, and passes signals, input, output and the exit code through. When the command ends, everything
that was started is removed.

The command finds other services in WEFT_<SERVICE>_URL and through http_proxy. With --transparent
(Linux, root) it gets a network namespace in which plain URLs such as http://cart/ go through the
mesh.

Without --name the workload is called after the command's file: ./web is web.

The workload has the label app=NAME, unless --label app=OTHER says otherwise, so that a Service with
the selector app: NAME finds it.

A port is NUMBER, NUMBER:PROTOCOL or NAME=NUMBER:PROTOCOL with http, http2, grpc, tcp or tls; without
a protocol the first bytes decide.`,
		Example: "  weft run --name web --port 8080 -- ./web\n" +
			"  weft run --name cart --port 8081 -n shop --label version=v2 -- python3 -m http.server 8081\n" +
			"  weft run --name client -- curl http://web/",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("say what to run, after --", "weft run --name web --port 8080 -- ./web")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			for _, p := range ports {
				port, perr := join.ParsePort(p)
				if perr != nil {
					return &exitError{code: ExitUsage, err: perr}
				}
				o.Ports = append(o.Ports, port)
			}
			if o.Labels, err = parseLabels(labels); err != nil {
				return err
			}
			at, err := a.target(cmd.Context())
			if err != nil {
				return err
			}
			o.Command = args
			if o.Name == "" {
				if o.Name, err = nameOf(args[0]); err != nil {
					return err
				}
				fmt.Fprintf(a.env.Stderr, "weft: the workload is named %s, after its command; --name NAME names it otherwise\n", o.Name)
			}
			o.RuntimeDir = a.env.Dirs.Runtime()
			if o.StateDir == "" {
				if base, err := a.env.Dirs.State("workloads"); err == nil { // without one, nothing is kept
					o.StateDir = base
				}
			}
			o.Stdin, o.Stdout, o.Stderr = a.env.Stdin, a.env.Stdout, a.env.Stderr
			level := slog.LevelWarn
			if a.verbose {
				level = slog.LevelDebug
			}
			o.Log = slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: level}))
			if !a.verbose {
				o.ProxyLog = &onlyTrouble{to: a.env.Stderr}
			}
			signal.Stop(a.signals) // from here on they are the command's
			code, err := a.env.Join(cmd.Context(), at, a.env.Getenv("WEFT_TOKEN"), o)
			if code != 0 && (err == nil || code != ExitFailed) {
				return &exitError{code: code, err: err} // 126 and 127 come with an error that says why
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // flags after the command's name are the command's
	f.StringVar(&o.Name, "name", "", "name of the workload, and of the service that it stands for (default: the file name of COMMAND)")
	f.StringArrayVar(&ports, "port", nil, "port on which the command listens; may be repeated, the first one is the main one")
	f.StringVarP(&o.Namespace, "namespace", "n", "default", "namespace of the workload")
	f.StringVar(&o.Service, "service", "", "service that it stands for (default: NAME)")
	f.StringVar(&o.ServiceAccount, "service-account", "", "name in its identity (default: the service)")
	f.StringArrayVar(&labels, "label", nil, "label KEY=VALUE for selectors; may be repeated")
	f.StringVar(&o.Zone, "zone", "", "zone, for display and locality")
	f.BoolVar(&o.Transparent, "transparent", false, "own network namespace in which unchanged URLs go through the mesh (Linux, root)")
	f.BoolVar(&o.Metrics, "metrics", false, "serve the proxy's metrics as Prometheus text on a port of 127.0.0.1")
	f.StringVar(&o.StateDir, "state", "", "where the proxy keeps its last good configuration (default: below the user's state directory)")
	f.StringVar(&o.ProxyBinary, "proxy-binary", "", "path of weft-proxy (default: beside weft, else in $PATH)")
	f.StringVar(&o.Link, "link", "", "address where the proxy takes connections of other proxies (default 127.0.0.1:0)")
	f.StringVar(&o.LinkAdvertise, "link-advertise", "", "address that other proxies dial, if not --link")
	exits(cmd, ExitOK, ExitFailed, ExitUsage, ExitUnreachable)
	cmd.Long += "\n\nIts exit code is the command's own (128 and the number of the signal that ended it); the codes below\nare of weft itself, when the command could not be run."
	return cmd
}

// nameOf gives the name of a workload that has none: that of the command's file.
func nameOf(command string) (string, error) {
	name := strings.TrimSuffix(filepath.Base(command), ".exe")
	err := join.CheckName("the command's name", name)
	if e := (*codes.Error)(nil); errors.As(err, &e) {
		e.Next = []string{"weft run --name NAME -- " + command}
	}
	return name, err
}

// parseLabels reads KEY=VALUE.
func parseLabels(in []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range in {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" || strings.ContainsAny(s, " \t\n") {
			return nil, usage(fmt.Sprintf("--label %q is not KEY=VALUE", s), "weft run --name cart --label version=v2 -- ./cart")
		}
		out[k] = v
	}
	return out, nil
}
