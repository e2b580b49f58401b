package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/model"
)

// findShadows warns of matches that are never reached, because a rule that goes first has the same.
// Only equal matches count; one that is merely covered by a wider one has a higher precedence, and
// is reached.
func (c *compiler) findShadows() {
	order := slices.Clone(c.attached)
	slices.SortStableFunc(order, func(a, b attached) int {
		return cmp.Or(cmp.Compare(a.route.Kind, b.route.Kind), a.route.Created.Compare(b.route.Created), compareNames(a.route.Name, b.route.Name), compareNames(a.svc.model.Name, b.svc.model.Name))
	})
	type seat struct {
		svc   *service
		port  uint16
		kind  model.RouteKind
		ns    string // of consumer routes; producers share one
		match string
	}
	first := map[seat]string{}
	for _, a := range order {
		ports := a.route.Ports
		if len(ports) == 0 {
			for _, p := range a.svc.model.Ports {
				ports = append(ports, p.Port)
			}
		}
		ns := a.route.Namespace
		if ns == a.svc.model.Namespace {
			ns = ""
		}
		hosts := a.route.Hostnames
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for i, rule := range a.route.Rules {
			matches := rule.Matches
			if len(matches) == 0 {
				matches = []model.Match{{}}
			}
			for j, m := range matches {
				key, by, reached := matchKey(&m), "", false
				for _, p := range ports {
					for _, h := range hosts {
						at := seat{a.svc, p, a.route.Kind, ns, h + "\x00" + key}
						if have, taken := first[at]; taken {
							by = have
							continue
						}
						reached = true
						first[at] = fmt.Sprintf("rule %d of %s %s (%s)", i, a.route.Kind, a.route.Name, rule.Source)
					}
				}
				if !reached && by != "" {
					c.report(a.obj, fmt.Sprintf("spec.rules[%d].matches[%d]", i, j), "W1214", fmt.Sprintf("%s rule %d is never reached by match %d", a.obj.Key, i, j),
						fmt.Sprintf("%s has the same match for Service %s and goes first", by, a.svc.model.Name), "remove one of them, or make this one more specific")
				}
			}
		}
	}
}

// matchKey is equal for matches that hold for the same requests by the same words.
func matchKey(m *model.Match) string {
	var b strings.Builder
	if m.Path != nil {
		fmt.Fprintf(&b, "p%d%q", m.Path.Kind, m.Path.Value)
	}
	fmt.Fprintf(&b, "m%q", m.Method)
	for _, part := range [][]model.ValueMatch{m.Headers, m.Query} {
		sorted := slices.Clone(part)
		slices.SortFunc(sorted, func(x, y model.ValueMatch) int { return cmp.Compare(x.Name, y.Name) })
		b.WriteByte('v')
		for _, v := range sorted {
			fmt.Fprintf(&b, "%q%q%t", v.Name, v.Value, v.Regex)
		}
	}
	if m.GRPC != nil {
		fmt.Fprintf(&b, "g%t%q%q", m.GRPC.Regex, m.GRPC.Service, m.GRPC.Method)
	}
	return b.String()
}
