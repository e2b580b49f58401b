package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"google.golang.org/grpc/credentials"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control"
	"github.com/weft-mesh/weft/control/compile/check"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/join"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
)

// dial connects to a control plane: over its socket as it is, over TCP as an administrator, with
// a certificate got for the token.
func dial(ctx context.Context, at place.Target, token string) (mesh.Client, error) {
	if at.Socket != "" {
		return mesh.DialSocket(at.Socket)
	}
	if token == "" {
		return nil, needToken(at)
	}
	keeper, err := agent.NewKeeper(agent.KeeperOptions{
		Control:   config.Control{Addr: at.Addr, Token: token},
		Namespace: identity.SystemNamespace, ServiceAccount: identity.AdminAccount,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := obtain(ctx, keeper, at); err != nil {
		return nil, err
	}
	control := identity.ID{TrustDomain: keeper.Store().Load().Bundle.TrustDomain, Namespace: identity.SystemNamespace, ServiceAccount: identity.ControlAccount}
	return mesh.DialTCP(at.Addr, credentials.NewTLS(keeper.Store().ClientConfig(control.String(), "h2")))
}

// needToken is the error for a control plane on another machine without a token for it.
func needToken(at place.Target) error {
	e := codes.New("W4004", "a control plane on another machine needs a token")
	e.Why, e.Where = "$WEFT_TOKEN is not set", at.Addr
	e.Next = []string{"weft token create --admin          (there)", "WEFT_TOKEN=… weft status --control " + at.Addr}
	return e
}

// obtain runs the keeper until it has a certificate.
func obtain(ctx context.Context, k *agent.Keeper, at place.Target) error {
	inner, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- k.Run(inner) }() // ends with inner; awaited below
	defer func() {
		cancel()
		<-ended //nolint:errcheck // it ended because it was told to
	}()
	select {
	case <-k.Ready():
		return nil
	case <-k.Refused():
		return k.Refusal()
	case <-ctx.Done():
		e := codes.New("W4002", "no identity could be got from the control plane")
		e.Why, e.Where, e.Err = "no certificate within the timeout: it is not reachable there, or the token is not good", at.Addr, ctx.Err()
		e.Next = []string{"weft token create --admin          (there)", "weft status --control " + at.Addr + " --timeout 30s -v"}
		return e
	}
}

// joinMesh runs a process in the mesh whose control plane is at a target.
func joinMesh(ctx context.Context, at place.Target, token string, o join.Options) (int, error) {
	o.Control = config.Control{Socket: at.Socket, Addr: at.Addr}
	if at.Addr != "" {
		if token == "" {
			return ExitFailed, needToken(at)
		}
		o.Control.Token = token
	}
	if err := o.Normalize(); err != nil { // what is wrong is told in the words of the flags
		return ExitFailed, err
	}
	keeper, err := agent.NewKeeper(agent.KeeperOptions{Control: o.Control, Namespace: o.Namespace, ServiceAccount: o.ServiceAccount, Log: o.Log})
	if err != nil {
		return ExitFailed, err
	}
	o.Identity = keeper
	lister := &lister{at: at, keeper: keeper}
	defer lister.close()
	o.Lister = lister
	return join.Run(ctx, o)
}

// selectsNobody is the warning about a Service whose selector matches no workload.
const selectsNobody = "W1212"

// checkConfig compiles a directory, or a file of one, with the control plane's code.
func checkConfig(path string, isDir bool) ([]*codes.Error, string, error) {
	find := check.File
	if isDir {
		find = check.Dir
	}
	r, err := find(path)
	if err != nil {
		return nil, "", err
	}
	problems := inFiles(r.Problems)
	if !isDir {
		return problems, fmt.Sprintf("%s, checked with the files beside it", render.Count(len(r.Set.Objects), "object")), nil
	}
	return problems, summary(r), nil
}

// lintConfig compiles a directory and adds what is advised.
func lintConfig(dir string) ([]*codes.Error, string, error) {
	r, err := check.Dir(dir)
	if err != nil {
		return nil, "", err
	}
	return append(inFiles(r.Problems), r.Advice...), summary(r), nil
}

// inFiles leaves out what is known only where workloads run: whether a selector finds any.
func inFiles(problems []*codes.Error) []*codes.Error {
	return slices.DeleteFunc(problems, func(p *codes.Error) bool { return p.Code == selectsNobody })
}

func summary(r *check.Result) string {
	routes := 0
	for _, s := range r.Snapshot.Services {
		routes += len(s.Routes)
	}
	return fmt.Sprintf("%s, %s", render.Count(len(r.Snapshot.Services), "service"), render.Count(routes, "route attachment"))
}

// up runs a control plane until ctx ends.
func up(ctx context.Context, o UpOptions) error {
	return control.Run(ctx, control.Options{
		Dir: o.Dir, StateDir: o.StateDir, Socket: o.Socket, Listen: o.Listen, TrustDomain: o.TrustDomain,
		Build: buildInfo().Version, Started: o.Started, Reloaded: o.Reloaded, Log: o.Log,
	})
}
