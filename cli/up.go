package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/codes"
)

func (a *app) upVerb() *cobra.Command {
	var o UpOptions
	name := place.DefaultMesh
	cmd := &cobra.Command{
		Use:   "up DIR",
		Short: "Run the control plane of a mesh from a directory of YAML files",
		Long: `Reads the YAML files in DIR (Gateway API routes, Services, EndpointSlices, ReferenceGrants,
weft.dev TrafficPolicies and Workloads), serves them to the proxies on this machine, and watches DIR: what you save is
live at the proxies within 200 ms. A file that becomes invalid is told with file and line, and its
last good version stays in force.

It runs in the foreground until it is interrupted. Proxies keep serving without it.`,
		Example: "  weft up mesh/\n  weft up mesh/ --listen :9443",
		Args:    exactly(1, "one directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := checkConfigDir(args[0])
			if err != nil {
				return err
			}
			o.Dir, o.Socket = dir, a.env.Dirs.Socket(name)
			if place.Alive(cmd.Context(), o.Socket) {
				e := codes.New("W4010", fmt.Sprintf("mesh %q runs here already", name))
				e.Where = o.Socket
				e.Next = []string{"weft status --control " + name, "weft up " + args[0] + " --mesh OTHER"}
				return e
			}
			if o.StateDir == "" {
				if o.StateDir, err = a.env.Dirs.State(name); err != nil {
					return err
				}
			}
			if _, err := a.env.Dirs.EnsureRuntime(); err != nil {
				return err
			}
			level := slog.LevelError // problems of the configuration are told by the narrator
			if a.verbose {
				level = slog.LevelDebug
			}
			o.Log = slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: level}))
			return a.serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "mesh", name, "name of the mesh; its socket and state are called so")
	f.StringVar(&o.StateDir, "state", "", "directory of the CA and the join secret (default: $XDG_STATE_HOME/weft/MESH, root: /var/lib/weft/MESH)")
	f.StringVar(&o.Listen, "listen", "", "also serve other machines, with mTLS, on this TCP address (HOST:PORT)")
	f.StringVar(&o.TrustDomain, "trust-domain", "", "trust domain of identities, for a new mesh (default weft.local)")
	return exits(cmd, ExitOK, ExitFailed, ExitUsage)
}

// checkConfigDir refuses what cannot be a configuration directory, before anything is started.
func checkConfigDir(dir string) (string, error) {
	fi, err := os.Stat(dir)
	if err == nil && fi.IsDir() {
		return filepath.Abs(dir)
	}
	e := codes.New("W4011", fmt.Sprintf("the configuration directory %q cannot be read", dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Why, e.Next = "it does not exist", []string{"mkdir -p " + dir, "weft up " + dir}
	case err != nil:
		e.Why, e.Err, e.Next = err.Error(), err, []string{"ls -ld " + dir}
	default:
		e.Why, e.Next = "it is a file, wanted a directory", []string{"weft up " + filepath.Dir(dir)}
	}
	return "", e
}

// serve runs the control plane and tells about it until it ends.
func (a *app) serve(ctx context.Context, o UpOptions) error {
	n := &narrator{out: a.env.Stdout, style: a.env.Style, dir: o.Dir}
	o.Started, o.Reloaded = n.started, n.reloaded
	err := a.env.Up(ctx, o)
	if ctx.Err() == nil {
		return err
	}
	n.line("stopped; proxies go on with what they have")
	if errors.Is(context.Cause(ctx), errTerminated) {
		return nil // the ordinary stop of a supervisor
	}
	return context.Cause(ctx)
}
