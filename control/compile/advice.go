package compile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/model"
)

// dangerous advises on a policy at one of its targets.
func (c *compiler) dangerous(p *placed, at spot) {
	if p.target == "spec.targetRefs[0]" && p.empty() {
		c.advise(p.Object, "spec", "W1235", p.String()+" says nothing", "it has targets and no section", "write a section, such as timeouts or retry", "or remove the policy")
	}
	if at.Kind != "Service" {
		return
	}
	if r := p.v.Spec.Retry; p.says("retry") && repeatable(r) {
		c.advise(p.Object, "spec.retry.idempotent", "W1236", fmt.Sprintf("%s: every request to %s may be executed twice", p.Key, at), "idempotent is true, so that requests with any method are repeated", "declare it for the rule of a route whose requests may be, with targetRefs to the route")
	}
	if !p.says("faults") {
		return
	}
	for i := range p.v.Spec.Faults {
		f := &p.v.Spec.Faults[i]
		if len(f.Headers) > 0 || perMillion(f.Percent, f.Fraction) < 1_000_000 || f.Status == nil && f.GRPCStatus == nil && !f.Reset && gateway.Duration(f.Delay) < time.Second {
			continue
		}
		c.advise(p.Object, fmt.Sprintf("spec.faults[%d]", i), "W1228", fmt.Sprintf("%s: a fault for every request to %s", p.Key, at), "it has neither headers nor a share below 100 %", "add headers that mark the requests of a test, or percent: 1")
	}
}

// empty reports whether a policy has no section.
func (p *placed) empty() bool {
	for field := range p.Fields {
		if section, ok := strings.CutPrefix(field, "spec."); ok && !strings.HasPrefix(section, "targetRefs") {
			return false
		}
	}
	return true
}

// exposed advises on a policy that can take every endpoint away.
func (c *compiler) exposed(p *model.Policy, layers []*placed) {
	if p.Balance.PanicPercent != 0 || p.Outlier.MaxPercent != 100 {
		return
	}
	layers = slices.DeleteFunc(layers, func(l *placed) bool { return !l.says("loadBalancing") && !l.says("outlierDetection") })
	l := layers[len(layers)-1] // neither is the default
	c.adviseOnce(l.Object, "spec", "W1231", l.String()+": all endpoints may be ejected at once", "panicPercent is 0 and maxEjectedPercent is 100, so a fault that all have in common leaves none", "write maxEjectedPercent: 50, or panicPercent: 50")
}

// longer advises on a rule that waits longer than the service's policy wants, and on a try that may
// take longer than the whole request.
func (c *compiler) longer(o *object.Object, m *model.Calls, w *wish, port *model.Policy) {
	if w.timeouts == nil {
		return
	}
	path := w.path + ".timeouts"
	mine, theirs := m.Timeouts.Request, model.PolicyOf(port).Calls.Timeouts.Request
	switch {
	case w.timeouts.Request != "" && theirs > 0 && (mine == 0 || mine > theirs):
		c.adviseOnce(o, path+".request", "W1237", o.String()+": a rule waits longer than its Service's policy", fmt.Sprintf("request is %s, the policy (%s) has %s; the rule's is in force", w.timeouts.Request, model.PolicyOf(port).Calls.Sources.Timeouts, theirs), "shorten it, or raise the policy's")
	case mine > 0 && m.Timeouts.BackendRequest > mine:
		c.adviseOnce(o, path, "W1237", o.String()+": one try may take longer than the whole request", fmt.Sprintf("request is %s, backendRequest is %s by the policy (%s)", mine, m.Timeouts.BackendRequest, model.PolicyOf(port).Calls.Sources.Timeouts), "write backendRequest too")
	}
}

func (c *compiler) adviseOnce(o *object.Object, path, code, what, why string, next ...string) {
	p := c.advised(o, path, code, what, why, next)
	if !slices.ContainsFunc(c.advice, func(q problem) bool { return q.at == p.at && q.err.Code == code && q.err.Why == why }) {
		c.advice = append(c.advice, p)
	}
}

// findCircles advises on mirrors that double a service's own load, or that may go round: if the
// applications call one another, a copy makes copies.
func (c *compiler) findCircles() {
	type edge struct{ from, to model.Name }
	at := map[edge]attached{}
	paths := map[edge]string{}
	next := map[model.Name][]model.Name{}
	for _, a := range c.attached {
		for i := range a.route.Rules {
			for j := range a.route.Rules[i].Filters {
				m := a.route.Rules[i].Filters[j].Mirror
				if m == nil || m.Backend.Invalid != "" {
					continue
				}
				path := fmt.Sprintf("spec.rules[%d].filters[%d]", i, j)
				to := m.Backend.Service
				if slices.ContainsFunc(a.route.Rules[i].Backends, func(b model.Backend) bool { return b.Service == to && b.Port == m.Backend.Port }) {
					c.adviseOnce(a.obj, path, "W1230", a.obj.String()+": a mirror leads to a backend of the same rule", fmt.Sprintf("Service %s answers the requests and gets the copies too", to), "mirror to a Service of its own")
					continue
				}
				e := edge{a.svc.model.Name, to}
				if _, seen := at[e]; !seen {
					at[e], paths[e] = a, path
					next[e.from] = append(next[e.from], to)
				}
			}
		}
	}
	for _, s := range c.orderedServices() {
		from := s.model.Name
		for _, to := range next[from] {
			if to == from || leads(next, to, from) {
				e := edge{from, to}
				c.adviseOnce(at[e].obj, paths[e], "W1230", at[e].obj.String()+": mirrors go in a circle", fmt.Sprintf("copies of requests to %s go to %s, and copies of those may come back", from, to), "remove one of the mirrors")
			}
		}
	}
}

// leads reports whether one service's copies reach another.
func leads(next map[model.Name][]model.Name, from, to model.Name) bool {
	seen := map[model.Name]bool{}
	todo := []model.Name{from}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		if n == to {
			return true
		}
		todo = append(todo, next[n]...)
	}
	return false
}
