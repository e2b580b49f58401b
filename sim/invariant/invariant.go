// Package invariant says what must hold of a mesh, whatever happens to it: what never happens (S1
// to S9), and what happens at the latest once all faults have ended (L1 to L4). Each is in the file
// of its name, with the harm to users that it stands for.
//
// A Watch is told what applications, callers, proxies and the control plane of a simulated mesh see,
// and judges by nothing else: it knows no secrets of the proxies. It is pure and not safe for
// concurrent use.
package invariant

import (
	"fmt"
	"time"
)

// Invariant is one thing that must hold.
type Invariant struct {
	Name string // S1 ... L4
	Says string
	Harm string // to users, if it does not hold
}

// All lists the invariants.
var All = []*Invariant{S1, S2, S3, S4, S5, S6, S7, S8, S9, L1, L2, L3, L4, P}

// P stands for a program that breaks off. It is found by whoever runs the mesh.
var P = &Invariant{
	Name: "P", Says: "nothing panics",
	Harm: "a proxy that dies takes all connections of its workloads along",
}

// Finding is one violation.
type Finding struct {
	*Invariant
	At   time.Duration
	Text string
}

// String is one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s at %s: %s (%s)", f.Name, f.At, f.Text, f.Says)
}

// maxFindings is how many a Watch keeps: the first ones tell.
const maxFindings = 10

// Watch judges one life of a mesh.
type Watch struct {
	Findings []Finding

	now      func() time.Duration
	tell     func(line string)
	requests []*Request
	services map[string]*history          // by service
	proxies  map[string]*proxy            // by name
	fine     time.Duration                // from then on nothing may fail; below 0: not yet
	settled  time.Duration                // from then on everybody must be current; below 0: not yet
	served   map[string]map[string]uint64 // by service and workload: requests since Forgiven
	counts   bool
}

// proxy is what the Watch knows of one.
type proxy struct {
	known   map[string]int // version of each service that is in force
	places  map[place]bool // where its table sends to
	left    map[place]time.Duration
	dials   int // of links
	asked   int // requests that it was given
	byPlace map[string][]place
}

// place is where a link goes, and whom it is for.
type place struct{ addr, peer string }

// history is what was published of a service.
type history struct {
	closed []bool // by version, whether the private part is closed
	at     []time.Duration
}

// New makes a Watch. now is the mesh's time; tell, if not nil, gets a line for each finding.
func New(now func() time.Duration, tell func(line string)) *Watch {
	return &Watch{
		now: now, tell: tell, services: map[string]*history{}, proxies: map[string]*proxy{}, fine: -1, settled: -1,
	}
}

func (w *Watch) violated(i *Invariant, format string, args ...any) {
	f := Finding{i, w.now(), fmt.Sprintf(format, args...)}
	if w.tell != nil {
		w.tell("VIOLATED " + f.String())
	}
	if len(w.Findings) < maxFindings {
		w.Findings = append(w.Findings, f)
	}
}

// Broken notes that something panicked.
func (w *Watch) Broken(what any) { w.violated(P, "%v", what) }

func (w *Watch) proxy(name string) *proxy {
	p := w.proxies[name]
	if p == nil {
		p = newProxy()
		w.proxies[name] = p
	}
	return p
}

func newProxy() *proxy {
	return &proxy{known: map[string]int{}, places: map[place]bool{}, left: map[place]time.Duration{}, byPlace: map[string][]place{}}
}

// ProxyStarted tells that a proxy begins anew, and knows nothing.
func (w *Watch) ProxyStarted(name string) { w.proxies[name] = newProxy() }
