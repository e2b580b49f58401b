package join

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/config"
)

// Lister tells which services there are.
type Lister interface {
	// Services gives the services of a namespace, with their ports.
	Services(ctx context.Context, namespace string) ([]model.Service, error)
}

// Identity keeps the workload's certificate; an agent.Keeper is one.
type Identity interface {
	// Run gets and renews it until ctx ends.
	Run(ctx context.Context) error
	// Handover writes it to the pipe of a proxy that is being started. It fails if there is
	// none yet.
	Handover(w io.Writer) error
}

// Options say what is run, and as what. Name and Command are needed.
type Options struct {
	Name           string            // the service that the process stands for, unless Service names another
	Namespace      string            // default "default"
	Instance       string            // of this process, unique in the namespace; default Name-PID
	Ports          []Port            // what the application listens on, the main one first; none: it only calls others
	Service        string            // default Name
	ServiceAccount string            // the name in its identity; default Service
	Labels         map[string]string // for selectors of Service objects; app=Name is added if "app" is not given
	Zone           string

	Command []string // the application and its arguments
	Dir     string   // working directory; empty: the present one
	Env     []string // "key=value"; nil: os.Environ()

	Transparent bool // a network namespace of its own; Linux, root

	Control       config.Control // where the proxy finds the control plane
	Lister        Lister         // nil: no WEFT_<SERVICE>_URL variables
	Identity      Identity       // nil: a restarted proxy asks the control plane itself
	ProxyBinary   string         // default: weft-proxy beside this program, else in PATH
	Link          string         // where the proxy takes links; default "127.0.0.1:0"
	LinkAdvertise string         // what peers dial, if not that
	Metrics       bool           // Prometheus text on a port of 127.0.0.1, told on Stderr
	Unreported    bool           // the traffic is a probe's and not to be counted in the mesh
	Driver        string         // of the proxy; empty: its default
	Loops         int            // of the proxy; 0: its default

	RuntimeDir string // for sockets; default: see DefaultRuntimeDir
	// StateDir is where the proxy's last good view is kept, in a directory of this run, for a
	// proxy that is started again while the control plane is away. Empty: not kept.
	StateDir string

	// Signals are passed to the application. Nil: Run listens for them itself.
	Signals <-chan os.Signal

	Stdin  io.Reader // files are inherited as they are; nil: the null device
	Stdout io.Writer
	Stderr io.Writer
	// ProxyLog takes the proxy's log lines, each with a prefix. Nil: Stderr.
	ProxyLog io.Writer
	Log      *slog.Logger

	ReadyTimeout time.Duration // how long a proxy may take to start; default 10 s
	StopTimeout  time.Duration // how long the application may take to end after ctx did; default 10 s
	DrainTimeout time.Duration // how long the proxy may take to end after the application did; default 5 s
}

// Limits on what is given from outside.
const (
	maxPorts            = 64
	maxServiceListeners = 512
)

// Normalize sets defaults and checks everything; all findings, which are coded, are told at once.
// Run does it too, and twice is as once: it is for callers that need a default.
func (o *Options) Normalize() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.Namespace, "default")
	setDefault(&o.Service, o.Name)
	setDefault(&o.ServiceAccount, o.Service)
	setDefault(&o.Instance, shorten(o.Name, os.Getpid()))
	setDefault(&o.Link, "127.0.0.1:0")
	setDefault(&o.RuntimeDir, DefaultRuntimeDir())
	if o.Env == nil {
		o.Env = os.Environ()
	}
	o.setAppLabel()
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.ReadyTimeout, 10 * time.Second}, {&o.StopTimeout, 10 * time.Second}, {&o.DrainTimeout, 5 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.ProxyLog == nil {
		o.ProxyLog = o.Stderr
	}
	return errors.Join(o.check()...)
}

// setAppLabel adds the label app=Name, which most Services select by: a file written for
// Kubernetes then finds the process that is run under its name.
func (o *Options) setAppLabel() {
	if _, given := o.Labels[appLabel]; given || o.Name == "" {
		return
	}
	labels := map[string]string{appLabel: o.Name}
	maps.Copy(labels, o.Labels) // the caller's own is left as it is
	o.Labels = labels
}

const appLabel = "app"

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// shorten makes the name of an instance, which is a label and so at most 63 bytes.
func shorten(name string, pid int) string {
	tail := fmt.Sprintf("-%d", pid)
	if len(name)+len(tail) > 63 {
		name = strings.TrimRight(name[:63-len(tail)], "-")
	}
	return name + tail
}

// check gives every finding.
func (o *Options) check() (found []error) {
	for _, l := range []struct{ flag, value string }{
		{"--name", o.Name}, {"--namespace", o.Namespace}, {"--service", o.Service},
		{"--service-account", o.ServiceAccount}, {"the instance", o.Instance},
	} {
		if err := CheckName(l.flag, l.value); err != nil {
			found = append(found, err)
			if l.value == "" {
				break // what follows was derived from it
			}
		}
	}
	if len(o.Command) == 0 || o.Command[0] == "" {
		e := codes.New("W4103", "there is no command to run")
		e.Why = "nothing follows --"
		e.Next = []string{"weft run --name cart --port 8081 -- ./cart"}
		found = append(found, e)
	}
	if len(o.Ports) > maxPorts {
		found = append(found, portError("…", fmt.Sprintf("%d ports were given; at most %d can be", len(o.Ports), maxPorts)))
	}
	seen := map[uint16]bool{}
	for _, p := range o.Ports {
		if seen[p.Number] {
			found = append(found, portError(fmt.Sprint(p.Number), "the port was given twice"))
		}
		seen[p.Number] = true
	}
	return found
}

// CheckName refuses what can be no name of a workload, service or namespace, as W4102. what tells
// where it came from, such as "--name".
func CheckName(what, name string) error {
	if isLabel(name) {
		return nil
	}
	e := codes.New("W4102", fmt.Sprintf("%s %q is not a usable name", what, name))
	e.Why = "names are lower-case letters, digits and hyphens, 1 to 63 of them, a letter or digit at both ends"
	e.Next = []string{"weft run --name cart --port 8081 -- ./cart"}
	return e
}

// findProxy gives the path of the proxy program.
func findProxy(given string) (string, error) {
	name := "weft-proxy"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	var tried []string
	try := func(path string) bool {
		tried = append(tried, path)
		st, err := os.Stat(path)
		return err == nil && st.Mode().IsRegular() && (runtime.GOOS == "windows" || st.Mode()&0o111 != 0)
	}
	if given != "" {
		if try(given) {
			return filepath.Abs(given)
		}
	} else {
		if self, err := os.Executable(); err == nil {
			if real, err := filepath.EvalSymlinks(self); err == nil {
				self = real
			}
			if beside := filepath.Join(filepath.Dir(self), name); try(beside) {
				return beside, nil
			}
		}
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
		tried = append(tried, "PATH")
	}
	e := codes.New("W4110", "the weft-proxy program was not found")
	e.Why = "no program at " + strings.Join(tried, ", nor in ")
	e.Next = []string{"make build", "weft run --proxy-binary /path/to/weft-proxy --name cart --port 8081 -- ./cart"}
	return "", e
}
