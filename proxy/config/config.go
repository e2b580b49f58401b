// Package config is what one proxy process is told at its start, and what it answers when it is
// ready. It is plain data: `weft run`, tests and the benchmark write it, cmd/weft-proxy reads it.
// Everything that changes while the proxy runs comes over discovery instead.
package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Config is the start-up configuration of a proxy, as one JSON document. Unknown fields are
// refused. Addresses are "ip:port"; port 0 lets the kernel choose, the choice is told in Ready.
type Config struct {
	Name      string     `json:"name"`      // of the proxy; unique in the mesh, e.g. "shop/cart-4711"
	Control   Control    `json:"control"`   // where discovery is
	Workloads []Workload `json:"workloads"` // whom this proxy serves: 1 to MaxWorkloads

	Metrics string `json:"metrics,omitempty"` // Prometheus text, read-only; empty: none
	Admin   string `json:"admin,omitempty"`   // path of the admin Unix socket (0600); empty: none

	// Unreported keeps the control plane from hearing of the traffic: the workloads are probes, and
	// what they send is nobody's.
	Unreported bool `json:"unreported,omitempty"`

	StateDir string `json:"stateDir,omitempty"` // last good view is kept here; empty: not kept
	Driver   string `json:"driver,omitempty"`   // "epoll" (default on Linux) or "net"
	Loops    int    `json:"loops,omitempty"`    // event loops; 0: chosen from the cores

	DrainTimeout Duration `json:"drainTimeout,omitempty"` // how long SIGTERM waits for work in flight; 0: 30 s

	// ReadyFD, if above 0, is an inherited descriptor to which Ready is written as one line of
	// JSON. It stays open: see Ready.Leaves.
	ReadyFD int `json:"readyFD,omitempty"`
}

// MaxWorkloads bounds the workloads of one proxy: about twice the pods that a node usually has.
const MaxWorkloads = 256

// Control says how the control plane is reached: Socket (a Unix socket, authenticated by the
// peer's uid) or Addr (TCP with mTLS, authenticated by Token at first contact).
type Control struct {
	Socket string `json:"socket,omitempty"`
	Addr   string `json:"addr,omitempty"`
	Token  string `json:"token,omitempty"`
	// RootHash pins the CA root for first contact over TCP (SHA-256 of the DER, hex).
	RootHash string `json:"rootHash,omitempty"`
}

// Workload is one application instance behind this proxy. Nothing in it is shared with another
// workload of the proxy: each has an identity, listeners and a link address of its own.
type Workload struct {
	Name           string            `json:"name"` // instance name, unique in its namespace
	Namespace      string            `json:"namespace"`
	ServiceAccount string            `json:"serviceAccount,omitempty"` // default: Service, else Name
	Service        string            `json:"service,omitempty"`        // service that `weft run --name` stands for
	Labels         map[string]string `json:"labels,omitempty"`
	Zone           string            `json:"zone,omitempty"`
	Ports          []Port            `json:"ports,omitempty"` // none: the workload only calls others

	// Link is where peers' links to this workload are taken; empty: nowhere. LinkAdvertise is what
	// peers are told to dial; it defaults to what Link was bound to.
	Link          string `json:"link,omitempty"`
	LinkAdvertise string `json:"linkAdvertise,omitempty"`

	Outbound Outbound `json:"outbound"`

	// Token is a join token for this workload, if it is not Control's; over TCP only.
	Token string `json:"token,omitempty"`

	// IdentityFD, if above 0, is an inherited descriptor from which an initial identity is read
	// (see proxy/agent), so that a restarted proxy can serve while the control plane is away.
	IdentityFD int `json:"identityFD,omitempty"`
}

// Port is one port of the application.
type Port struct {
	Name     string         `json:"name,omitempty"`
	Addr     netip.AddrPort `json:"addr"`               // where the proxy reaches it
	Protocol string         `json:"protocol,omitempty"` // as in model.Protocol.String; empty: detect
}

// Outbound is how the workload's outgoing bytes are captured. All may be used at once.
type Outbound struct {
	// Proxy takes absolute-form and CONNECT requests (http_proxy), and requests in origin form
	// whose Host is a mesh name.
	Proxy string `json:"proxy,omitempty"`
	// Services are listeners that stand for one port of one service each.
	Services []ServiceListener `json:"services,omitempty"`
	// TransparentFDs are inherited listening sockets to which connections were redirected by the
	// kernel; the original destination is asked from the kernel.
	TransparentFDs []int `json:"transparentFDs,omitempty"`
	// DNSFDs are inherited UDP sockets on which names of services are answered.
	DNSFDs []int `json:"dnsFDs,omitempty"`
	// Upstream resolvers for names that are not of the mesh, "ip:port".
	DNSUpstreams []string `json:"dnsUpstreams,omitempty"`
}

// ServiceListener is an address that stands for a service port.
type ServiceListener struct {
	Listen    string `json:"listen"` // "127.0.0.1:0"
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Port      uint16 `json:"port"`
}

// Ready is written once all listeners are bound, the identity is there and discovery (or the
// last good view) is in force.
type Ready struct {
	PID       int             `json:"pid"`
	Workloads []ReadyWorkload `json:"workloads,omitempty"` // in the order of Config.Workloads
	Metrics   string          `json:"metrics,omitempty"`
	Error     string          `json:"error,omitempty"` // set instead of everything else if the proxy could not start

	// Leaves says that the proxy can announce its leaving: on SIGUSR1 it tells the mesh that its
	// workloads take no new requests, goes on serving, and writes LeftLine when the other
	// proxies know, or can not be told in time.
	Leaves bool `json:"leaves,omitempty"`
}

// ReadyWorkload is where one workload is served.
type ReadyWorkload struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Link      string            `json:"link,omitempty"`
	Proxy     string            `json:"proxy,omitempty"`
	Services  []ServiceListener `json:"services,omitempty"` // with Listen as bound
}

// LeftLine is the second line on ReadyFD.
const LeftLine = "left\n"

// Duration is a time.Duration written as "1.5s".
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration: want a string such as \"5s\": %w", err)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// maxSize bounds the document that Read takes.
const maxSize = 4 << 20

// Read decodes one Config, refusing unknown fields and trailing data. Errors are coded W3021.
func Read(r io.Reader) (*Config, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	switch {
	case err != nil:
		return nil, unreadable("it could not be read", err)
	case len(b) > maxSize:
		return nil, unreadable(fmt.Sprintf("it has more than %d bytes", maxSize), nil)
	case len(bytes.TrimSpace(b)) == 0:
		return nil, unreadable("it is empty", nil)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var c Config
	if err := dec.Decode(&c); err != nil {
		return nil, unreadable(fmt.Sprintf("before byte %d: %v", dec.InputOffset(), err), err)
	}
	if _, err := dec.Token(); err != io.EOF { //nolint:errorlint // Token gives it as it is
		return nil, unreadable(fmt.Sprintf("after the document, at byte %d, there is more", dec.InputOffset()), nil)
	}
	return &c, nil
}

func unreadable(why string, err error) error {
	e := codes.New("W3021", "the proxy's configuration is not one JSON document of known fields")
	e.Why, e.Err = why, err
	e.Next = []string{"weft-proxy is started by `weft run`; see docs/proxy.md for its configuration"}
	return e
}
