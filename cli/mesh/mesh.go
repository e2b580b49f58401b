// Package mesh is what the command line knows of a running mesh: questions to the control plane
// and the answers as they are shown and printed as JSON.
//
// Client is implemented over gRPC by Dial. The types are the published form of -o json: fields
// are only ever added, lists are sorted, durations are milliseconds and say so in their names.
package mesh

import (
	"context"
	"errors"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Client asks one control plane. Methods return *codes.Error for everything a person can see.
// It is safe for concurrent use.
type Client interface {
	Status(ctx context.Context) (*Status, error)
	Stat(ctx context.Context, q StatQuery) (*EdgeList, error)
	Services(ctx context.Context) ([]Service, error)
	Balance(ctx context.Context, q BalanceQuery) (*BalanceList, error)
	Explain(ctx context.Context, q ExplainQuery) (*Explanation, error)
	Whois(ctx context.Context, subject string) (*Whois, error)
	Problems(ctx context.Context) ([]Fault, error)
	Checks(ctx context.Context) ([]Check, error)
	CreateToken(ctx context.Context, q TokenQuery) (*Token, error)
	Close() error
}

// Status is the state of the mesh in one answer.
type Status struct {
	Control   Control    `json:"control"`
	Proxies   []Proxy    `json:"proxies"`
	Workloads []Workload `json:"workloads"`
	Services  []Service  `json:"services"`
	Problems  []Fault    `json:"problems"`
}

// Control is the control plane itself.
type Control struct {
	Target      string    `json:"target"` // socket or address that was asked
	Version     string    `json:"version"`
	PID         int64     `json:"pid"`
	TrustDomain string    `json:"trustDomain"`
	Listen      string    `json:"listen,omitempty"` // TCP address
	ConfigDir   string    `json:"configDir,omitempty"`
	StateDir    string    `json:"stateDir,omitempty"`
	Started     time.Time `json:"started,omitzero"`
	Now         time.Time `json:"now,omitzero"` // its clock
	Snapshot    uint64    `json:"snapshot"`     // number of the one in force
	Services    uint32    `json:"services"`
	Routes      uint32    `json:"routes"`
	RootExpires time.Time `json:"rootExpires,omitzero"`
	RootHash    string    `json:"rootHash,omitempty"` // SHA-256 of the root certificate, hex
}

// Proxy is one proxy.
type Proxy struct {
	Name         string    `json:"name"`
	Connected    bool      `json:"connected"`
	Since        time.Time `json:"since,omitzero"` // connected, or disconnected, since
	Acknowledged uint64    `json:"acknowledged"`   // snapshot that it serves
	Current      bool      `json:"current"`        // nothing is outstanding
	BehindMS     int64     `json:"behindMs"`       // how long the oldest unanswered update waits
	Rejected     []string  `json:"rejected,omitempty"`
	Version      string    `json:"version,omitempty"`
	Services     uint32    `json:"services"` // subscribed
	CertExpires  time.Time `json:"certExpires,omitzero"`
	Metrics      string    `json:"metrics,omitempty"` // "ip:port" of its Prometheus page; empty: it has none
}

// Service is a service as the control plane compiled it.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Ports     []Port `json:"ports"`
	Endpoints uint32 `json:"endpoints"`
	Meshed    uint32 `json:"meshed"` // endpoints that are reached over mTLS
	Routes    uint32 `json:"routes"`
}

// Port is one port of a service or workload.
type Port struct {
	Name     string `json:"name,omitempty"`
	Port     uint32 `json:"port"`
	Protocol string `json:"protocol"`
}

// Workload is one running instance.
type Workload struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	State     string            `json:"state"` // "live", "draining", "lost", "declared"
	Identity  string            `json:"identity"`
	Services  []string          `json:"services,omitempty"` // "ns/name", for which it answers
	Addresses []string          `json:"addresses,omitempty"`
	Ports     []Port            `json:"ports,omitempty"`
	Link      string            `json:"link,omitempty"` // where its proxy takes mTLS; empty: not meshed
	Proxy     string            `json:"proxy,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	PID       int64             `json:"pid,omitempty"`
}

// Fault is something wrong, with the fields of a coded error.
type Fault struct {
	Code  string   `json:"code"`
	What  string   `json:"what"`
	Why   string   `json:"why,omitempty"`
	Where string   `json:"where,omitempty"`
	Next  []string `json:"next,omitempty"`
}

// StatQuery chooses edges. A Ref with empty fields matches everything.
type StatQuery struct {
	To, From  Ref // From is a service account, a workload, or another name of a live one
	Window    time.Duration
	Instances bool // an edge for each instance of the caller, not one for each service account
}

// Ref names an object; an empty Namespace means all, an empty Name all of the namespace.
type Ref struct{ Namespace, Name string }

// EdgeList is traffic by edge in a window.
type EdgeList struct {
	WindowMS int64  `json:"windowMs"` // really covered
	Edges    []Edge `json:"edges"`
}

// Edge is the traffic from the workloads of one service account, or from one of them, to one
// backend of one route of a service, as seen by the callers' proxies.
type Edge struct {
	From        string  `json:"from"`               // service account, "ns/name"; "-" for a caller that is not known
	Workload    string  `json:"workload,omitempty"` // instance of it, "ns/name", if instances were asked for
	Identity    string  `json:"identity,omitempty"`
	To          string  `json:"to"`      // service, "ns/name"
	Route       string  `json:"route"`   // "HTTPRoute ns/name rule 0" or "default"
	Backend     string  `json:"backend"` // service, "ns/name"
	Protocol    string  `json:"protocol,omitempty"`
	Requests    uint64  `json:"requests"` // for opaque bytes: connections
	Failures    uint64  `json:"failures"`
	Success     float64 `json:"success"` // share of requests, 1 if there were none
	Actual      float64 `json:"actual"`  // share of tries: the success without retries and hedges
	RPS         float64 `json:"rps"`
	P50MS       float64 `json:"p50Ms"`
	P95MS       float64 `json:"p95Ms"`
	P99MS       float64 `json:"p99Ms"`
	MTLS        float64 `json:"mtls"`            // share of requests
	Local       float64 `json:"local,omitempty"` // share of requests that stayed within one proxy
	BytesIn     uint64  `json:"bytesIn"`
	BytesOut    uint64  `json:"bytesOut"`
	Connections uint64  `json:"connections"` // opened in the window
	Active      int64   `json:"active"`      // open now
	Retries     uint64  `json:"retries"`     // tries after the first, without hedges
	RetriesPS   float64 `json:"retriesPerSecond"`
	Hedges      uint64  `json:"hedges"`      // second tries beside a first that was slow
	HedgesWon   uint64  `json:"hedgesWon"`   // those whose answer came first
	TriesFailed uint64  `json:"triesFailed"` // the last of a request included
	// Shed is what the backend's proxies turned away to guard it: of all requests of From to it,
	// whatever their route and instance, so edges that differ in those only must not be added up.
	Shed   uint64            `json:"shed"`
	ShedBy map[string]uint64 `json:"shedBy,omitempty"` // by code
	// Refused is what the callers' proxies answered themselves, by code.
	Refused map[string]uint64 `json:"refused,omitempty"`
}

// ExplainQuery is a hypothetical request.
type ExplainQuery struct {
	Method    string
	URL       string
	From      string // workload, "name" or "ns/name"; empty with Namespace: any client of it
	Namespace string // of short names
	Headers   []Header
}

// Header is one header field of a hypothetical request.
type Header struct{ Name, Value string }

// Explanation is what would happen to a request, step by step, in the order of the data path.
type Explanation struct {
	Action    string     `json:"action"` // "forward", "redirect", "respond", "refuse"
	Status    uint32     `json:"status,omitempty"`
	Location  string     `json:"location,omitempty"`
	Through   bool       `json:"through"` // an application would see it
	Service   string     `json:"service,omitempty"`
	Port      uint32     `json:"port,omitempty"`
	Route     string     `json:"route,omitempty"`
	Source    string     `json:"source,omitempty"` // file:line of the rule
	Backend   string     `json:"backend,omitempty"`
	Basis     string     `json:"basis"` // "acknowledged" or "snapshot"
	Proxy     string     `json:"proxy,omitempty"`
	Snapshot  uint64     `json:"snapshot"`
	Steps     []Step     `json:"steps"`
	Shares    []Share    `json:"shares,omitempty"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Choice    string     `json:"choice,omitempty"` // how the caller's proxy picks among them at present
	Fault     *Fault     `json:"fault,omitempty"`
}

// Step is one step of the data path, or a losing alternative to one.
type Step struct {
	Step    string `json:"step"`
	Object  string `json:"object,omitempty"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
	Source  string `json:"source,omitempty"` // file:line
}

// Share is a weighted backend of the rule.
type Share struct {
	Backend string  `json:"backend"`
	Port    uint32  `json:"port"`
	Weight  uint32  `json:"weight"`
	Share   float64 `json:"share"`
	Invalid string  `json:"invalid,omitempty"`
}

// Endpoint is who could answer.
type Endpoint struct {
	Workload string `json:"workload"`
	Address  string `json:"address"`
	Link     string `json:"link,omitempty"` // empty: plain, not in the mesh
	Identity string `json:"identity,omitempty"`
	Draining bool   `json:"draining,omitempty"`
	// Balance is how the caller's proxy sees it; nil: it has not told.
	Balance *EndpointBalance `json:"balance,omitempty"`
	Chance  float64          `json:"chance,omitempty"` // that the next request goes there; 0 also: it depends on the request
}

// Whois says who an address or identity is.
type Whois struct {
	Subject   string     `json:"subject"`
	Workloads []Workload `json:"workloads"`
	Services  []Service  `json:"services"`
}

// Check is one thing that was looked at.
type Check struct {
	Area     string `json:"area"`
	Name     string `json:"name"`
	State    string `json:"state"` // "ok", "warning", "failed"
	Evidence string `json:"evidence,omitempty"`
	Fault    *Fault `json:"fault,omitempty"` // unless ok
}

// TokenQuery wishes a join token.
type TokenQuery struct {
	Namespace string
	Account   string        // service account that may join; "*": any of the namespace
	TTL       time.Duration // 0: the control plane's default
	Admin     bool          // for the command line on another machine instead of a workload
}

// Token is a join token. It is a secret.
type Token struct {
	Token    string    `json:"token"`
	Expires  time.Time `json:"expires"`
	RootHash string    `json:"rootHash"`
	Listen   string    `json:"listen,omitempty"` // where it can be used
}

// FaultOf gives the published form of an error; one without a code is W4005.
func FaultOf(err error) *Fault {
	var e *codes.Error
	if !errors.As(err, &e) {
		e = &codes.Error{Code: "W4005", What: "the command failed", Why: err.Error()}
	}
	return &Fault{Code: e.Code, What: e.What, Why: e.Why, Where: e.Where, Next: e.Next}
}
