package compile

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/api/weft"
	"github.com/weft-mesh/weft/model"
)

// spot is what a policy can be for: an object, or a section of it (a Service's port, a route's rule).
type spot struct {
	object.Key
	section string
}

// placed is a policy at one of its targets.
type placed struct {
	typed[weft.TrafficPolicy]
	spot   spot
	target string          // the path of the reference
	refuse map[string]bool // sections that are not in force here
}

// says reports whether a section is written and in force here.
func (p *placed) says(section string) bool {
	_, written := p.Fields["spec."+section]
	return written && !p.refuse[section]
}

// at is where a section stands, file:line.
func (p *placed) at(section string) string { return p.At("spec." + section).String() }

// older orders objects by age, as Gateway API does: one without a time counts as the oldest.
func older(a, b *k8s.ObjectMeta, an, bn model.Name) int {
	return cmp.Or(created(a).Compare(created(b)), compareNames(an, bn))
}

func created(m *k8s.ObjectMeta) time.Time {
	t, _ := time.Parse(time.RFC3339, m.CreationTimestamp) //nolint:errcheck // the decoder checked the form; none is the zero time
	return t
}

// placePolicies finds what each policy is for.
func (c *compiler) placePolicies() {
	c.spots, c.budgets = map[spot]*placed{}, map[model.Name]*typed[gateway.XBackendTrafficPolicy]{}
	slices.SortStableFunc(c.policies, func(a, b typed[weft.TrafficPolicy]) int {
		return older(&a.v.Metadata, &b.v.Metadata, nameOf(a.Object), nameOf(b.Object))
	})
	for _, p := range c.policies {
		for i, ref := range p.v.Spec.TargetRefs {
			path := fmt.Sprintf("spec.targetRefs[%d]", i)
			at := spot{object.Key{Kind: ref.Kind, Namespace: p.Namespace, Name: ref.Name}, ref.SectionName}
			if !c.targetExists(p.Object, at, path) {
				continue
			}
			if first := c.spots[at]; first != nil {
				c.second(p.Object, path, at, first.Object)
				continue
			}
			here := &placed{typed: p, spot: at, target: path, refuse: map[string]bool{}}
			c.spots[at] = here
			c.misplaced(here, at)
			c.dangerous(here, at)
		}
	}
	slices.SortStableFunc(c.backendPolicies, func(a, b typed[gateway.XBackendTrafficPolicy]) int {
		return older(&a.v.Metadata, &b.v.Metadata, nameOf(a.Object), nameOf(b.Object))
	})
	for i := range c.backendPolicies {
		p := &c.backendPolicies[i]
		for j, ref := range p.v.Spec.TargetRefs {
			path := fmt.Sprintf("spec.targetRefs[%d]", j)
			if ref.Group != "" || ref.Kind != "Service" {
				c.report(p.Object, path, "W1223", p.String()+": a target is not a Service", fmt.Sprintf("group %q, kind %q", ref.Group, ref.Kind), "write group: \"\" and kind: Service")
				continue
			}
			at := spot{Key: object.Key{Kind: "Service", Namespace: p.Namespace, Name: ref.Name}}
			if !c.targetExists(p.Object, at, path) {
				continue
			}
			n := model.Name{Namespace: p.Namespace, Name: ref.Name}
			if first := c.budgets[n]; first != nil {
				c.second(p.Object, path, at, first.Object)
				continue
			}
			c.budgets[n] = p
		}
	}
}

// second reports a policy on a target that has one.
func (c *compiler) second(o *object.Object, path string, at spot, first *object.Object) {
	c.report(o, path, "W1222", fmt.Sprintf("%s: %s has a policy already", o.Key, at), fmt.Sprintf("%s (%s) is older and in force there; this one is not", first.Key, first.Position), "join the two, or remove one")
}

// String names the target for messages.
func (s spot) String() string {
	switch {
	case s.section == "":
		return s.Key.String()
	case s.Kind == "Service":
		return fmt.Sprintf("port %s of %s", s.section, s.Key)
	}
	return fmt.Sprintf("rule %s of %s", s.section, s.Key)
}

// targetExists reports what is wrong with a target that is not there.
func (c *compiler) targetExists(o *object.Object, at spot, path string) bool {
	n := model.Name{Namespace: at.Namespace, Name: at.Name}
	var sections, near []string
	found := true
	switch at.Kind {
	case "Service":
		if s := c.services[n]; s == nil {
			found, near = false, c.suggestService(n.Name, n.Namespace)
		} else {
			for _, p := range s.model.Ports {
				sections = append(sections, p.Name)
			}
		}
	case "HTTPRoute":
		sections, near, found = sectionsOf(c.https, n, func(r *gateway.HTTPRoute) (names []string) {
			for i := range r.Spec.Rules {
				names = append(names, r.Spec.Rules[i].Name)
			}
			return names
		})
	default:
		sections, near, found = sectionsOf(c.grpcs, n, func(r *gateway.GRPCRoute) (names []string) {
			for i := range r.Spec.Rules {
				names = append(names, r.Spec.Rules[i].Name)
			}
			return names
		})
	}
	if !found {
		c.report(o, path+".name", "W1220", fmt.Sprintf("%s: its target does not exist", o.Key), fmt.Sprintf("there is no %s, so the policy has no effect there", at.Key), append(near, "weft status")...)
		return false
	}
	if at.section == "" || slices.Contains(sections, at.section) {
		return true
	}
	named := slices.DeleteFunc(sections, func(s string) bool { return s == "" })
	why := fmt.Sprintf("%s has none of that name", at.Key)
	if len(named) > 0 {
		why += fmt.Sprintf("; it has %s", sentence(named))
	}
	c.report(o, path+".sectionName", "W1220", fmt.Sprintf("%s: %s does not exist", o.Key, at), why, meant(at.section, named)...)
	return false
}

func sentence(words []string) string {
	out := ""
	for i, w := range words {
		if i > 0 {
			out += ", "
		}
		out += w
	}
	return out
}

// sectionsOf finds a route and the names of its rules, or the name that may have been meant.
func sectionsOf[T any](routes []typed[T], n model.Name, rules func(*T) []string) (sections, near []string, found bool) {
	var names []string
	for _, r := range routes {
		if r.Namespace != n.Namespace {
			continue
		}
		if r.Name == n.Name {
			return rules(r.v), nil, true
		}
		names = append(names, r.Name)
	}
	return nil, meant(n.Name, names), false
}

// onlyServices are the sections that speak of endpoints or of an application, not of requests.
var onlyServices = []string{"loadBalancing", "outlierDetection", "healthCheck", "overload", "rateLimits"}

// onlyRoutes are the sections that speak of a rule.
var onlyRoutes = []string{"mirrorComparison"}

// misplaced refuses the sections that mean nothing at a target.
func (c *compiler) misplaced(p *placed, at spot) {
	wrong, fit := onlyServices, "a Service"
	if at.Kind == "Service" {
		wrong, fit = onlyRoutes, "an HTTPRoute or GRPCRoute"
	}
	for _, section := range wrong {
		if p.says(section) {
			p.refuse[section] = true
			c.report(p.Object, "spec."+section, "W1221", fmt.Sprintf("%s: %s does not apply to %s", p.Key, section, at), "the section is for "+fit+" only; the policy's other sections are in force", "move it to a policy that targets "+fit)
		}
	}
	if at.Kind == "Service" {
		c.hedgeOfService(p, at)
	}
}

// hedgeOfService refuses hedging where no request may be repeated: gRPC calls are POST requests.
func (c *compiler) hedgeOfService(p *placed, at spot) {
	if !p.says("hedging") || repeatable(p.v.Spec.Retry) {
		return
	}
	s := c.services[model.Name{Namespace: at.Namespace, Name: at.Name}]
	ports := 0
	for _, port := range s.model.Ports {
		if at.section != "" && port.Name != at.section {
			continue
		}
		if port.Protocol != model.ProtocolGRPC {
			return
		}
		ports++
	}
	if ports > 0 {
		c.refuseHedging(p, at.String()+" speaks gRPC, whose calls are not idempotent by themselves")
	}
}

func (c *compiler) refuseHedging(p *placed, why string) {
	if p.refuse["hedging"] {
		return
	}
	p.refuse["hedging"] = true
	c.report(p.Object, "spec.hedging", "W1226", fmt.Sprintf("%s: hedging of what may not be repeated", p.Key), why, "if every call may be repeated, write retry: {idempotent: true}", "or remove hedging")
}

// repeatable reports whether a policy declares everything repeatable.
func repeatable(r *weft.Retry) bool { return r != nil && r.Idempotent != nil && *r.Idempotent }

// givePolicies gives each port of each service its policy.
func (c *compiler) givePolicies() {
	for _, s := range c.orderedServices() {
		for i := range s.model.Ports {
			s.model.Ports[i].Policy = c.portPolicy(s, s.model.Ports[i].Name)
		}
	}
}

// portPolicy makes the policy of a service's port from what lies on it, the farthest first; nil if
// nothing does.
func (c *compiler) portPolicy(s *service, port string) *model.Policy {
	var layers []*placed
	key := object.Key{Kind: "Service", Namespace: s.model.Namespace, Name: s.model.Name.Name}
	if p := c.spots[spot{Key: key}]; p != nil {
		layers = append(layers, p)
	}
	if p := c.spots[spot{key, port}]; p != nil && port != "" {
		layers = append(layers, p)
	}
	budget := c.budgets[s.model.Name]
	if budget == nil && len(layers) == 0 {
		return nil
	}
	p := model.DefaultPolicy
	if budget != nil {
		applyBackendPolicy(&p, budget)
	}
	for _, l := range layers {
		next := p
		c.applyPolicy(&next, l)
		if err := next.Check(); err != nil {
			c.once(l.Object, "spec", "W1232", fmt.Sprintf("%s: what it says does not fit what lies below it", l.Key), oneLine(err), "write both of the settings that are compared")
			continue
		}
		p = next
	}
	c.exposed(&p, layers)
	return c.intern(&p)
}

// intern gives equal policies one pointer.
func (c *compiler) intern(p *model.Policy) *model.Policy {
	for _, have := range c.made[p.Source] {
		if reflect.DeepEqual(have, p) {
			return have
		}
	}
	if c.made == nil {
		c.made = map[string][]*model.Policy{}
	}
	c.made[p.Source] = append(c.made[p.Source], p)
	return p
}

// once reports a problem that would be found again for each service or port.
func (c *compiler) once(o *object.Object, path, code, what, why string, next ...string) {
	key := o.String() + "\x00" + path + "\x00" + code + "\x00" + what
	if c.said[key] {
		return
	}
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[key] = true
	c.report(o, path, code, what, why, next...)
}
