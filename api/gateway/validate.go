package gateway

import (
	"fmt"
	"strings"

	"github.com/weft-mesh/weft/api/object"
)

// maxMatches is how many matches the rules of a route may have together ("less than 128" in the
// CRD's message, "<= 128" in its rule; the rule is what a cluster enforces).
const maxMatches = 128

type report func(object.Fault)

func (r report) fault(code, path, what, why string, next ...string) {
	r(object.Fault{Code: code, Path: path, What: what, Why: why, Next: next})
}

// Validate implements object.Validator.
func (x *HTTPRoute) Validate(to func(object.Fault)) {
	r := report(to)
	r.common(&x.Spec.CommonRouteSpec)
	names, total := map[string]int{}, 0
	for i := range x.Spec.Rules {
		rule := &x.Spec.Rules[i]
		path := fmt.Sprintf("spec.rules[%d]", i)
		r.ruleName(names, rule.Name, i, path)
		total += len(rule.Matches)
		for j := range rule.Matches {
			r.httpMatch(&rule.Matches[j], fmt.Sprintf("%s.matches[%d]", path, j))
		}
		r.httpFilters(rule.Filters, rule, path)
		for j := range rule.BackendRefs {
			b := &rule.BackendRefs[j]
			at := fmt.Sprintf("%s.backendRefs[%d]", path, j)
			r.backend(&b.BackendObjectReference, at)
			r.httpFilters(b.Filters, rule, at)
		}
		for j := range rule.Filters {
			if rule.Filters[j].RequestRedirect != nil && len(rule.BackendRefs) > 0 {
				r.fault("W1104", fmt.Sprintf("%s.filters[%d]", path, j), "RequestRedirect together with backendRefs in "+path,
					fmt.Sprintf("the rule redirects and has %d backendRefs", len(rule.BackendRefs)), "remove the backendRefs: a redirected request reaches none", "or remove the filter")
			}
		}
		r.timeouts(rule.Timeouts, path+".timeouts")
		r.session(rule.SessionPersistence, path+".sessionPersistence")
	}
	r.total(total)
}

// Validate implements object.Validator.
func (x *GRPCRoute) Validate(to func(object.Fault)) {
	r := report(to)
	r.common(&x.Spec.CommonRouteSpec)
	names, total := map[string]int{}, 0
	for i := range x.Spec.Rules {
		rule := &x.Spec.Rules[i]
		path := fmt.Sprintf("spec.rules[%d]", i)
		r.ruleName(names, rule.Name, i, path)
		total += len(rule.Matches)
		for j := range rule.Matches {
			r.grpcMatch(&rule.Matches[j], fmt.Sprintf("%s.matches[%d]", path, j))
		}
		r.grpcFilters(rule.Filters, path)
		for j := range rule.BackendRefs {
			at := fmt.Sprintf("%s.backendRefs[%d]", path, j)
			r.backend(&rule.BackendRefs[j].BackendObjectReference, at)
			r.grpcFilters(rule.BackendRefs[j].Filters, at)
		}
		r.session(rule.SessionPersistence, path+".sessionPersistence")
	}
	r.total(total)
}

// Validate implements object.Validator.
func (x *TCPRoute) Validate(to func(object.Fault)) {
	r := report(to)
	r.common(&x.Spec.CommonRouteSpec)
	r.stream(x.Spec.Rules)
}

// Validate implements object.Validator.
func (x *TLSRoute) Validate(to func(object.Fault)) {
	r := report(to)
	r.common(&x.Spec.CommonRouteSpec)
	if len(x.Spec.Hostnames) == 0 && x.APIVersion != Group+"/v1alpha2" {
		r.fault("W1009", "spec", `field "hostnames" is missing in spec`, "a TLSRoute of version "+x.APIVersion+" must name its hosts", "add hostnames: a list of host names")
	}
	r.stream(x.Spec.Rules)
}

func (r report) stream(rules []StreamRouteRule) {
	for i := range rules {
		for j := range rules[i].BackendRefs {
			r.backend(&rules[i].BackendRefs[j].BackendObjectReference, fmt.Sprintf("spec.rules[%d].backendRefs[%d]", i, j))
		}
	}
}

// common checks what all routes share: several references to one parent must differ in port or
// sectionName, and each must have one then.
func (r report) common(s *CommonRouteSpec) {
	type parent struct{ group, kind, ns, name string }
	type section struct {
		parent
		section string
		port    int32
	}
	count, seen := map[parent]int{}, map[section]int{}
	for _, p := range s.ParentRefs {
		count[parent{p.Group, p.Kind, p.Namespace, p.Name}]++
	}
	for i, p := range s.ParentRefs {
		who := parent{p.Group, p.Kind, p.Namespace, p.Name}
		path := fmt.Sprintf("spec.parentRefs[%d]", i)
		if count[who] < 2 {
			continue
		}
		if p.SectionName == "" && p.Port == nil {
			r.fault("W1110", path, fmt.Sprintf("%s repeats parent %s %s", path, p.Kind, p.Name),
				fmt.Sprintf("%d parentRefs name it, and this one has neither sectionName nor port", count[who]), "give each of them a port, or remove all but one")
			continue
		}
		key := section{who, p.SectionName, 0}
		if p.Port != nil {
			key.port = *p.Port
		}
		if first, twice := seen[key]; twice {
			r.fault("W1110", path, fmt.Sprintf("%s repeats parent %s %s", path, p.Kind, p.Name),
				fmt.Sprintf("spec.parentRefs[%d] has the same port and sectionName", first), "remove one of them")
			continue
		}
		seen[key] = i
	}
	if s.UseDefaultGateways == "All" {
		r.unsupported("spec.useDefaultGateways", "useDefaultGateways", "it attaches the route to gateways; routes of a mesh name a Service in parentRefs")
	}
}

func (r report) ruleName(names map[string]int, name string, i int, path string) {
	if name == "" {
		return
	}
	if first, twice := names[name]; twice {
		r.fault("W1109", path+".name", fmt.Sprintf("two rules are named %q", name), fmt.Sprintf("rules %d and %d", first, i), "give each rule a name of its own")
		return
	}
	names[name] = i
}

func (r report) total(n int) {
	if n > maxMatches {
		r.fault("W1108", "spec.rules", "too many matches in one route", fmt.Sprintf("%d; at most %d are allowed in all rules together", n, maxMatches), "split the route in two with the same parentRefs")
	}
}

// backend: a Service is named with its port.
func (r report) backend(b *BackendObjectReference, path string) {
	if b.Group == "" && b.Kind == "Service" && b.Port == nil {
		r.fault("W1009", path, fmt.Sprintf("field \"port\" is missing in %s", path), "a reference to Service "+b.Name+" needs the Service's port", "add port: 80, or whichever port the Service has")
	}
}

func (r report) unsupported(path, field, why string) {
	r.fault("W1114", path, field+" is not carried out by weft", why, "remove "+field+": the rest of the route works without it")
}

// quoted shortens a value for messages.
func quoted(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
