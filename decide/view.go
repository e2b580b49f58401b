package decide

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/weft-mesh/weft/model"
)

// View is what a proxy knows of the mesh: the input of Compile. It and everything that it points
// to are immutable once given.
type View struct {
	TrustDomain string
	Services    map[model.Name]*model.Service
	Endpoints   map[model.Name]*model.Endpoints
	Absent      map[model.Name]bool // asked for; the control plane says that no such service exists
}

// Problem is something in a View that cannot be honoured. The rest of the view stays in force.
type Problem struct {
	Service model.Name
	Object  string // e.g. "HTTPRoute shop/cart rule 0"
	Source  string // file:line, if known
	What    string // the observed value and what is wrong with it
	Effect  string // what is done meanwhile
}

// Error gives one line.
func (p *Problem) Error() string {
	s := p.Object
	if s == "" {
		s = "Service " + p.Service.String()
	}
	s += ": " + p.What
	if p.Effect != "" {
		s += "; " + p.Effect
	}
	if p.Source != "" {
		s += " (" + p.Source + ")"
	}
	return s
}

// Table is a compiled View. It is immutable and safe for concurrent use.
type Table struct {
	trustDomain string
	services    map[model.Name]*Service // nil value: absent
	byIP        map[netip.Addr]*Service
	sets        map[setKey]*EndpointSet
	version     uint64 // of the newest endpoint set
}

// setKey identifies an endpoint set: one port of one service.
type setKey struct {
	service model.Name
	port    uint16
}

// EndpointSet is who answers for one port of one service. The pointer stays the same from table
// to table as long as nothing in the set changes, so balancer state can hang on it.
type EndpointSet struct {
	Service   model.Name
	Port      uint16
	Protocol  model.Protocol
	Endpoints []model.Endpoint // in the order of the view
	Version   uint64           // differs whenever the set differs; grows along a chain of tables
	Known     bool             // false: the view has no endpoints object of the service yet
	Policy    *model.Policy    // of the service's port; never nil

	from *model.Endpoints
}

// Compile makes a Table. prev, if not nil, is the table in force; services and endpoint sets that
// did not change are taken over from it, with their pointers.
//
// It never fails as a whole. What cannot be compiled denies (its requests are answered 500) and
// is listed in problems, each a *Problem.
func Compile(prev *Table, v *View) (t *Table, problems []error) {
	c := &compiler{view: v, prev: prev}
	c.table = &Table{
		trustDomain: v.TrustDomain,
		services:    make(map[model.Name]*Service, len(v.Services)+len(v.Absent)),
		byIP:        make(map[netip.Addr]*Service),
		sets:        make(map[setKey]*EndpointSet),
	}
	if prev != nil {
		c.table.version = prev.version
	}
	for n, absent := range v.Absent {
		if absent {
			c.table.services[n] = nil
		}
	}
	names := make([]model.Name, 0, len(v.Services))
	for n, s := range v.Services {
		if s != nil {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, compareNames)
	for _, n := range names {
		s := c.service(n, v.Services[n])
		c.table.services[n] = s
		problems = append(problems, s.problems...)
		for _, ip := range s.Model.IPs {
			ip = ip.Unmap()
			if other, taken := c.table.byIP[ip]; taken {
				problems = append(problems, &Problem{
					Service: n, What: "address " + ip.String() + " is also that of Service " + other.Name().String(),
					Effect: "connections to it go to " + other.Name().String(),
				})
				continue
			}
			c.table.byIP[ip] = s
		}
	}
	return c.table, problems
}

// compareNames orders by namespace, then name.
func compareNames(a, b model.Name) int {
	if c := cmp.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return cmp.Compare(a.Name, b.Name)
}

// TrustDomain returns the trust domain of the view.
func (t *Table) TrustDomain() string { return t.trustDomain }

// Service returns the compiled service called n. known && s == nil: the control plane says that
// there is none. !known: subscribe and wait.
func (t *Table) Service(n model.Name) (s *Service, known bool) {
	s, known = t.services[n]
	return s, known
}

// ServiceByIP returns the service that has a as a virtual address, or nil.
func (t *Table) ServiceByIP(a netip.Addr) *Service { return t.byIP[a.Unmap()] }

// Sets yields every endpoint set in use, in no particular order.
func (t *Table) Sets(yield func(*EndpointSet) bool) {
	for _, s := range t.sets {
		if !yield(s) {
			return
		}
	}
}
