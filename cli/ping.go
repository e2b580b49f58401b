package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/cli/probe"
	"github.com/weft-mesh/weft/cli/render"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/join"
)

// pingReport is what weft ping answers.
type pingReport struct {
	Service   string          `json:"service"` // "ns/name"
	Port      uint32          `json:"port"`
	Protocol  string          `json:"protocol"`
	From      string          `json:"from"` // service account that asked, "ns/name"
	Endpoints uint32          `json:"endpoints"`
	Meshed    uint32          `json:"meshed"` // of these, reached over mTLS
	Sent      int             `json:"sent"`
	Answered  int             `json:"answered"`
	Attempts  []probe.Attempt `json:"attempts"`
}

// pingAccount is the service account of a ping that speaks for nobody else.
const pingAccount = "weft-ping"

func (a *app) pingVerb() *cobra.Command {
	var count int
	var port uint16
	var from, namespace, path, proxyBinary string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "ping SERVICE",
		Short: "Ask a service through the mesh, and say how far that got",
		Long: `Starts a short-lived workload with a proxy of its own, and asks the service through it: HTTP services
with OPTIONS, gRPC services with a request that they refuse themselves, TCP services by connecting.

Any answer of the application, an error too, proves the whole way: the name resolves, both proxies are up, they let
each other in over mTLS, and the application answers. --from asks with the identity of another
service account. The first attempt includes the connection between the proxies. weft stat does not
count the questions.`,
		Example: "  weft ping cart\n  weft ping stock --count 1 -o json\n  weft ping shop/cart --from web --path /items",
		Args:    exactly(1, "one service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.outputFormat()
			if err != nil {
				return err
			}
			if count < 1 || count > 1000 {
				return usage(fmt.Sprintf("--count %d is outside of 1 to 1000", count), "weft ping "+args[0])
			}
			at, err := a.target(cmd.Context())
			if err != nil {
				return err
			}
			svc, err := a.resolve(cmd.Context(), ref(args[0], namespace))
			if err != nil {
				return err
			}
			chosen, err := choosePort(svc, port)
			if err != nil {
				return err
			}
			who := mesh.Ref{Namespace: svc.Namespace, Name: pingAccount}
			if from != "" {
				if who, err = a.accountOf(cmd.Context(), ref(from, svc.Namespace)); err != nil {
					return err
				}
			}
			r := &pingReport{Service: svc.Namespace + "/" + svc.Name, Port: chosen.Port, Protocol: chosen.Protocol,
				From: who.Namespace + "/" + who.Name, Endpoints: svc.Endpoints, Meshed: svc.Meshed, Attempts: []probe.Attempt{}}
			if err := a.pingThrough(cmd.Context(), at, who, svc, chosen, path, count, wait, proxyBinary, r); err != nil {
				return err
			}
			if err := a.show(f, pingDoc(r)); err != nil {
				return err
			}
			if r.Answered < count {
				return findings()
			}
			return nil
		},
		ValidArgsFunction: a.completeServices,
	}
	f := cmd.Flags()
	f.IntVarP(&count, "count", "c", 4, "how often to ask, 1 to 1000")
	f.Uint16Var(&port, "port", 0, "port of the service (default: its first)")
	f.StringVar(&from, "from", "", "ask with the identity of this workload or service account, NAME or NAMESPACE/NAME (default weft-ping)")
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the service (default: where the name is found)")
	f.StringVar(&path, "path", "/", "path of HTTP requests")
	f.DurationVar(&wait, "wait", 3*time.Second, "how long one answer may take")
	f.StringVar(&proxyBinary, "proxy-binary", "", "path of weft-proxy (default: beside weft, else in $PATH)")
	a.completeFlag(cmd, "from", a.completeWorkloads)
	return exits(a.reads(cmd), ExitOK, ExitFailed, ExitUsage, ExitFindings, ExitUnreachable, ExitTimeout, ExitForbidden)
}

// resolve finds a service by name; one that exists in several namespaces must be qualified.
func (a *app) resolve(ctx context.Context, want mesh.Ref) (svc mesh.Service, err error) {
	err = a.ask(ctx, func(ctx context.Context, c mesh.Client) error {
		all, err := c.Services(ctx)
		if err != nil {
			return err
		}
		var found []mesh.Service
		for _, s := range all {
			if s.Name == want.Name && (want.Namespace == "" || s.Namespace == want.Namespace) {
				found = append(found, s)
			}
		}
		switch len(found) {
		case 0:
			return a.knownService(ctx, c, "ping", want)
		case 1:
			svc = found[0]
			return nil
		}
		var next []string
		for _, s := range found {
			next = append(next, "weft ping "+s.Namespace+"/"+s.Name)
		}
		return usage(fmt.Sprintf("%q is a service in %d namespaces", want.Name, len(found)), next...)
	})
	return svc, err
}

// accountOf gives the service account that a name stands for: that of a workload with this name,
// or the name itself, of which nobody need live.
func (a *app) accountOf(ctx context.Context, want mesh.Ref) (mesh.Ref, error) {
	out := want
	err := a.ask(ctx, func(ctx context.Context, c mesh.Client) error {
		w, err := c.Whois(ctx, want.Namespace+"/"+want.Name)
		var coded *codes.Error
		if errors.As(err, &coded) && coded.Code == "W2402" {
			return nil
		}
		if err != nil {
			return err
		}
		for i, x := range w.Workloads {
			id, err := identity.Parse(x.Identity)
			if err != nil {
				continue
			}
			account := mesh.Ref{Namespace: id.Namespace, Name: id.ServiceAccount}
			if account == want {
				out = want
				break
			}
			if i == 0 {
				out = account
			}
		}
		return nil
	})
	return out, err
}

func choosePort(svc mesh.Service, wish uint16) (mesh.Port, error) {
	for _, p := range svc.Ports {
		if wish == 0 || p.Port == uint32(wish) {
			return p, nil
		}
	}
	return mesh.Port{}, usage(fmt.Sprintf("service %s/%s has no port %d; it has %s", svc.Namespace, svc.Name, wish, portList(svc.Ports)),
		"weft ping "+svc.Namespace+"/"+svc.Name)
}

// pingThrough joins a workload that runs this program's ping-probe, and collects its attempts.
func (a *app) pingThrough(ctx context.Context, at place.Target, who mesh.Ref, svc mesh.Service, port mesh.Port, path string, count int, wait time.Duration, proxyBinary string, r *pingReport) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	collect := &attempts{}
	log := &lastLine{}
	o := join.Options{
		Name: pingAccount, Namespace: who.Namespace, ServiceAccount: who.Name, Service: pingAccount,
		Command: []string{self, probeVerb, "--host", svc.Name + "." + svc.Namespace, "--port", fmt.Sprint(port.Port),
			"--protocol", port.Protocol, "--path", path, "--count", fmt.Sprint(count), "--wait", wait.String()},
		Unreported: true, // a question is no traffic of the mesh
		RuntimeDir: a.env.Dirs.Runtime(), ProxyBinary: proxyBinary,
		Stdout: collect, Stderr: log, ProxyLog: a.logOutput(), Log: slog.New(slog.NewTextHandler(a.logOutput(), nil)),
	}
	code, err := a.env.Join(ctx, at, a.env.Getenv("WEFT_TOKEN"), o)
	if err != nil {
		return err
	}
	r.Attempts = append(r.Attempts, collect.all()...)
	r.Sent = len(r.Attempts)
	for _, x := range r.Attempts {
		if x.Answered {
			r.Answered++
		}
	}
	if code != 0 || r.Sent == 0 {
		e := codes.New("W4030", "the ping could not be made")
		e.Why = fmt.Sprintf("its process ended with %d: %s", code, log.text())
		e.Next = []string{"weft ping " + r.Service + " -v", "weft check"}
		return &exitError{code: ExitFailed, err: e}
	}
	return nil
}

func pingDoc(r *pingReport) render.Doc {
	return render.Doc{Kind: "Ping", Body: r, Names: []string{"service/" + r.Service}, Table: func(t *render.Table, _ bool) {
		t.Line(fmt.Sprintf("%s:%d (%s) as %s: %s, %d of them over mTLS", r.Service, r.Port, r.Protocol, r.From,
			render.Count(int(r.Endpoints), "endpoint"), r.Meshed))
		t.Header()
		var low, high, sum float64
		for _, x := range r.Attempts {
			if !x.Answered {
				t.Row(render.Text(fmt.Sprintf("  %d", x.Seq)), render.Toned(render.Bad, "no answer"), render.Text(latency(x.TotalMS)), render.Text(render.Clean(x.Error+" "+x.Refusal)))
				continue
			}
			t.Row(render.Text(fmt.Sprintf("  %d", x.Seq)), render.Toned(render.Good, "answer"), render.Text(latency(x.TotalMS)), render.Text(render.Clean(x.Evidence)))
			if low == 0 || x.TotalMS < low {
				low = x.TotalMS
			}
			high, sum = max(high, x.TotalMS), sum+x.TotalMS
		}
		t.Line(fmt.Sprintf("%d of %d answered by the application", r.Answered, r.Sent))
		if r.Answered > 0 {
			t.Line(fmt.Sprintf("least %s, mean %s, most %s (application included)", latency(low), latency(sum/float64(r.Answered)), latency(high)))
		}
		if r.Answered < r.Sent {
			t.Line("")
			t.Line("next: see what is decided        " + explainHint(mesh.Edge{From: r.From, To: r.Service, Protocol: r.Protocol}, !strings.HasSuffix(r.From, "/"+pingAccount)))
		}
	}}
}

// probeVerb is the hidden verb that runs inside the mesh.
const probeVerb = "ping-probe"

func (a *app) pingProbeVerb() *cobra.Command {
	var t probe.Target
	var count int
	var wait time.Duration
	cmd := &cobra.Command{
		Use: probeVerb, Hidden: true, Args: exactly(0, "no arguments"),
		Short:   "Ask a service through the proxy in http_proxy (used by weft ping)",
		Long:    "Asks a service through the proxy in http_proxy and writes one line of JSON an attempt. weft ping runs it inside the mesh.",
		Example: "  weft run --name client -- weft ping-probe --host cart.shop --port 80 --protocol http --count 1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := url.Parse(a.env.Getenv("http_proxy"))
			if err != nil || u.Host == "" {
				return usage("http_proxy names no proxy: this verb is run by weft ping", "weft ping cart")
			}
			t.Proxy = u.Host
			enc := json.NewEncoder(a.env.Stdout)
			for i := range count {
				ctx, cancel := context.WithTimeout(cmd.Context(), wait)
				x := probe.Once(ctx, t, i+1)
				cancel()
				if err := enc.Encode(x); err != nil {
					return err
				}
				if cmd.Context().Err() != nil {
					return context.Cause(cmd.Context())
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.Host, "host", "", "SERVICE.NAMESPACE")
	f.Uint32Var(&t.Port, "port", 80, "port of the service")
	f.StringVar(&t.Protocol, "protocol", "http", "what the port speaks")
	f.StringVar(&t.Path, "path", "/", "path of HTTP requests")
	f.IntVar(&count, "count", 1, "how often to ask")
	f.DurationVar(&wait, "wait", 3*time.Second, "how long one answer may take")
	return exits(cmd, ExitOK, ExitFailed, ExitUsage)
}

// attempts decodes what ping-probe writes. mu guards buf.
type attempts struct {
	mu  sync.Mutex
	buf strings.Builder
}

// maxAttempts bounds what is kept of the probe's output: 1000 attempts of about 300 bytes.
const maxAttempts = 1 << 20

// Write implements io.Writer.
func (w *attempts) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf.Len()+len(b) > maxAttempts {
		return 0, io.ErrShortWrite
	}
	return w.buf.Write(b)
}

func (w *attempts) all() (out []probe.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dec := json.NewDecoder(strings.NewReader(w.buf.String()))
	for {
		var x probe.Attempt
		if dec.Decode(&x) != nil {
			return out
		}
		out = append(out, x)
	}
}

// lastLine keeps the end of what a process wrote, for an error message. mu guards s.
type lastLine struct {
	mu sync.Mutex
	s  string
}

// Write implements io.Writer. It never fails.
func (w *lastLine) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s += string(b)
	w.s = w.s[max(0, len(w.s)-500):]
	return len(b), nil
}

func (w *lastLine) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(strings.Fields(w.s), " ")
}
