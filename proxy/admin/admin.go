// Package admin serves what a proxy tells of itself: counters in Prometheus text on a TCP port,
// read-only, and the state on a Unix socket that only the proxy's user may open. There, and only
// there, one thing can be asked for: that one of its workloads leaves. It knows no secret.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/net/netutil"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// Server is the pages of one proxy. State and Ready are called from many goroutines.
type Server struct {
	Registry *telemetry.Registry
	// State gives what /state shows; it is marshalled as JSON.
	State func() any
	// Sets gives how the balancers see the endpoints of the services in use, for /balance and
	// /metrics; nil: nobody knows. It is called from many goroutines.
	Sets func() []report.Set
	// Ready tells whether the proxy serves.
	Ready func() bool
	// Drain makes a workload, "namespace/name", take nothing new from peers, and waits until they
	// know or cannot be told in time. known is false if there is no such workload. It is bounded in
	// time.
	Drain func(ctx context.Context, workload string) (known bool)
}

// ServeMetrics serves /metrics and /ready on ln until ctx ends; it closes ln.
func (s *Server) ServeMetrics(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /ready", s.ready)
	return serve(ctx, ln, mux)
}

// ServeState serves /state, /balance, /metrics, /ready and /drain on a Unix socket until ctx ends; it closes
// ln.
func (s *Server) ServeState(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /ready", s.ready)
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.State()) })
	mux.HandleFunc("GET /balance", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, balance(s.Sets())) })
	mux.HandleFunc("POST /drain", s.drain)
	return serve(ctx, ln, mux)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("content-type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(v) //nolint:errcheck // the client went away
}

// drain makes the workload of the query leave.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("workload")
	if !s.Drain(r.Context(), name) {
		http.Error(w, fmt.Sprintf("no workload %q here", name), http.StatusNotFound)
		return
	}
	fmt.Fprintln(w, "drained")
}

// ListenUnix makes the socket at path, mode 0600, over a dead one. Anything else at path is left
// alone and an error.
func ListenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, errors.New("something that is not a socket is there")
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, errors.New("another process answers there")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	lc := net.ListenConfig{Control: private}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil { // for systems on which private does nothing
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", telemetry.ContentType)
	if s.Registry.WritePrometheus(w) == nil && s.Sets != nil {
		telemetry.WriteSets(w, s.Sets()) //nolint:errcheck // the client went away
	}
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.Ready() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// maxConns bounds the connections of one listener; more wait in the kernel.
const maxConns = 64

func serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), // a client's mistakes are not news
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() }) //nolint:errcheck // ends Serve, which tells
	defer stop()
	if err := srv.Serve(netutil.LimitListener(ln, maxConns)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
