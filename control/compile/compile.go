package compile

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/api/weft"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
)

// Input is all that the mesh is made of.
type Input struct {
	Objects     []*object.Object // decoded and valid; in any order
	Registered  []Registered     // alive now; in any order
	TrustDomain string           // of the identities of Workload objects
	// Prev is an earlier result. Services and endpoints that are equal to those in it are the same
	// pointers, by which proxies' tables are reused. May be nil.
	Prev *Snapshot
	// Check is the command that messages advise, "weft check DIR" if empty.
	Check string
}

// Registered is a workload that runs now and has a proxy, as `weft run` makes it.
type Registered struct {
	// Workload has its address, link, identity, ports (with the declared protocol) and labels.
	Workload model.Workload
	// Service is the name of the service that it stands for, in its own namespace. If no Service
	// object has that name, the service is made of its workloads alone. Empty: it stands for none.
	Service string
	// Port is where it listens for that service.
	Port uint16
	// Draining workloads get no new requests unless nothing else is left.
	Draining bool
}

// Snapshot is the mesh at one moment. It is immutable.
type Snapshot struct {
	Services  map[model.Name]*model.Service
	Endpoints map[model.Name]*model.Endpoints // one for each service, though it may list none
	Workloads map[model.Name]*model.Workload
	Routes    []RouteStatus // of all routes, by kind, namespace and name
	// Advice is about what is in force and dangerous, or does nothing; for `weft lint`. All of it are
	// warnings, in the order of files and lines.
	Advice []*codes.Error
}

// Compile makes a Snapshot. Problems are in the order of files and lines; each is about one thing,
// and none keeps the rest from being in force.
func Compile(in Input) (*Snapshot, []*codes.Error) {
	c := &compiler{in: in, services: map[model.Name]*service{}, check: in.Check}
	if c.check == "" {
		c.check = "weft check DIR"
	}
	c.index()
	c.findWorkloads()
	c.findServices()
	c.implicitServices()
	c.findEndpoints()
	c.placePolicies()
	c.givePolicies()
	c.guardWorkloads()
	c.attachRoutes()
	c.findShadows()
	c.findCircles()
	return c.result(), sorted(c.problems)
}

type compiler struct {
	in    Input
	check string

	// by kind, each by namespace and name
	svcs      []typed[k8s.Service]
	slices    []typed[k8s.EndpointSlice]
	wls       []typed[weft.Workload]
	https     []typed[gateway.HTTPRoute]
	grpcs     []typed[gateway.GRPCRoute]
	tcps      []typed[gateway.TCPRoute]
	tlss      []typed[gateway.TLSRoute]
	grants    []typed[gateway.ReferenceGrant]
	policies  []typed[weft.TrafficPolicy]
	workloads []*workload
	services  map[model.Name]*service
	attached  []attached
	routes    []RouteStatus
	problems  []problem
	advice    []problem
	said      map[string]bool // by once

	backendPolicies []typed[gateway.XBackendTrafficPolicy]
	spots           map[spot]*placed
	budgets         map[model.Name]*typed[gateway.XBackendTrafficPolicy]
	made            map[string][]*model.Policy // by Source
}

// typed is an object with its value at hand.
type typed[T any] struct {
	*object.Object
	v *T
}

type problem struct {
	at  object.Position
	err *codes.Error
}

// report adds a problem at a field of an object; the object is nil for what nobody wrote.
func (c *compiler) report(o *object.Object, path, code, what, why string, next ...string) {
	c.problems = append(c.problems, c.problem(o, path, code, what, why, next))
}

// advise adds what is right and yet worth a second look.
func (c *compiler) advise(o *object.Object, path, code, what, why string, next ...string) {
	c.advice = append(c.advice, c.advised(o, path, code, what, why, next))
}

// advised is a problem that only `weft lint` tells of.
func (c *compiler) advised(o *object.Object, path, code, what, why string, next []string) problem {
	p := c.problem(o, path, code, what, why, next)
	last := &p.err.Next[len(p.err.Next)-1]
	*last = "weft lint" + strings.TrimPrefix(*last, "weft check")
	return p
}

func (c *compiler) problem(o *object.Object, path, code, what, why string, next []string) problem {
	var at object.Position
	if o != nil {
		at = o.At(path)
	}
	return problem{at, &codes.Error{Code: code, What: what, Why: why, Where: at.Exact(), Next: append(next, c.check)}}
}

func sorted(problems []problem) []*codes.Error {
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.File, b.at.File), cmp.Compare(a.at.Line, b.at.Line), cmp.Compare(a.at.Column, b.at.Column),
			cmp.Compare(a.err.Code, b.err.Code), cmp.Compare(a.err.What, b.err.What))
	})
	out := make([]*codes.Error, len(problems))
	for i, p := range problems {
		out[i] = p.err
	}
	return out
}

// index sorts the objects by kind and name. Of two with the same name the first by file and line
// stays.
func (c *compiler) index() {
	all := slices.Clone(c.in.Objects)
	slices.SortStableFunc(all, func(a, b *object.Object) int {
		return cmp.Or(a.Compare(b.Key), cmp.Compare(a.Position.File, b.Position.File), cmp.Compare(a.Position.Line, b.Position.Line))
	})
	var last *object.Object
	for _, o := range all {
		if last != nil && last.Key == o.Key {
			c.report(o, "metadata.name", "W1207", o.String()+" is written twice", fmt.Sprintf("%s, which comes first, is in force; this one is not", last.Position), "remove or rename one of them")
			continue
		}
		last = o
		switch v := o.Value.(type) {
		case *k8s.Service:
			c.svcs = append(c.svcs, typed[k8s.Service]{o, v})
		case *k8s.EndpointSlice:
			c.slices = append(c.slices, typed[k8s.EndpointSlice]{o, v})
		case *weft.Workload:
			c.wls = append(c.wls, typed[weft.Workload]{o, v})
		case *gateway.HTTPRoute:
			c.https = append(c.https, typed[gateway.HTTPRoute]{o, v})
		case *gateway.GRPCRoute:
			c.grpcs = append(c.grpcs, typed[gateway.GRPCRoute]{o, v})
		case *gateway.TCPRoute:
			c.tcps = append(c.tcps, typed[gateway.TCPRoute]{o, v})
		case *gateway.TLSRoute:
			c.tlss = append(c.tlss, typed[gateway.TLSRoute]{o, v})
		case *weft.TrafficPolicy:
			c.policies = append(c.policies, typed[weft.TrafficPolicy]{o, v})
		case *gateway.XBackendTrafficPolicy:
			c.backendPolicies = append(c.backendPolicies, typed[gateway.XBackendTrafficPolicy]{o, v})
		case *gateway.ReferenceGrant:
			c.grants = append(c.grants, typed[gateway.ReferenceGrant]{o, v})
		}
	}
}

func nameOf(o *object.Object) model.Name { return model.Name{Namespace: o.Namespace, Name: o.Name} }

// result collects the snapshot and takes over what did not change.
func (c *compiler) result() *Snapshot {
	s := &Snapshot{
		Services:  make(map[model.Name]*model.Service, len(c.services)),
		Endpoints: make(map[model.Name]*model.Endpoints, len(c.services)),
		Workloads: make(map[model.Name]*model.Workload, len(c.workloads)),
		Routes:    c.routes,
		Advice:    sorted(c.advice),
	}
	prev := c.in.Prev
	if prev == nil {
		prev = &Snapshot{}
	}
	for n, svc := range c.services {
		s.Services[n] = reuse(prev.Services[n], &svc.model)
		s.Endpoints[n] = reuse(prev.Endpoints[n], &svc.endpoints)
	}
	for _, w := range c.workloads {
		s.Workloads[w.model.Name] = reuse(prev.Workloads[w.model.Name], &w.model)
	}
	return s
}

func reuse[T any](old, now *T) *T {
	if old != nil && reflect.DeepEqual(old, now) {
		return old
	}
	return now
}
