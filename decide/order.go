package decide

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/model"
)

// outranks compares two matches of routes of one kind by Gateway API's precedence: negative if a
// comes first. why names the criterion that told them apart, as a phrase about the loser.
func outranks(a, b *Match) (order int, why string) {
	if a.Rule.Route.Model.Kind == model.RouteGRPC {
		order, why = outranksGRPC(a, b)
	} else {
		order, why = outranksHTTP(a, b)
	}
	if order != 0 {
		return order, why
	}
	return outranksByTie(a, b)
}

// outranksHTTP follows HTTPRouteRule.matches.
func outranksHTTP(a, b *Match) (int, string) {
	if c := cmp.Compare(a.path.kind, b.path.kind); c != 0 {
		return c, "its path type ranks lower"
	}
	if a.path.kind != pathExact {
		if c := cmp.Compare(len(b.path.value), len(a.path.value)); c != 0 {
			return c, "its path is shorter"
		}
	}
	if c := cmp.Compare(noMethod(a), noMethod(b)); c != 0 {
		return c, "it has no method match"
	}
	if c := cmp.Compare(len(b.headers), len(a.headers)); c != 0 {
		return c, "fewer header matches"
	}
	if c := cmp.Compare(len(b.query), len(a.query)); c != 0 {
		return c, "fewer query matches"
	}
	return 0, ""
}

func noMethod(m *Match) int {
	if m.method == "" {
		return 1
	}
	return 0
}

// outranksGRPC follows GRPCRouteRule.matches.
func outranksGRPC(a, b *Match) (int, string) {
	if c := cmp.Compare(a.grpc.serviceClass, b.grpc.serviceClass); c != 0 {
		return c, "its service match is less specific"
	}
	if c := cmp.Compare(len(b.grpc.service.value), len(a.grpc.service.value)); c != 0 {
		return c, "its service match is shorter"
	}
	if c := cmp.Compare(a.grpc.methodClass, b.grpc.methodClass); c != 0 {
		return c, "its method match is less specific"
	}
	if c := cmp.Compare(len(b.grpc.method.value), len(a.grpc.method.value)); c != 0 {
		return c, "its method match is shorter"
	}
	if c := cmp.Compare(len(b.headers), len(a.headers)); c != 0 {
		return c, "fewer header matches"
	}
	return 0, ""
}

// outranksByTie is what both kinds do when their own criteria tie.
func outranksByTie(a, b *Match) (int, string) {
	if c, why := olderRoute(a.Rule.Route.Model, b.Rule.Route.Model); c != 0 {
		return c, why
	}
	if c := cmp.Compare(a.Rule.Index, b.Rule.Index); c != 0 {
		return c, "it comes later in the route"
	}
	return cmp.Compare(a.Index, b.Index), "it comes later in the rule"
}

// olderRoute orders routes by creation, then by "namespace/name". Routes from files have no
// creation time and so all tie on it.
func olderRoute(a, b *model.Route) (int, string) {
	if c := a.Created.Compare(b.Created); c != 0 {
		return c, "its route is younger"
	}
	return strings.Compare(a.String(), b.String()), "its route comes later in the alphabet"
}

// makeGroup sorts the matches of the routes and builds the indexes.
func makeGroup(ns string, consumer bool, routes []*compiledRoute) *group {
	g := &group{namespace: ns, consumer: consumer}
	slices.SortStableFunc(routes, func(a, b *compiledRoute) int {
		c, _ := olderRoute(a.Model, b.Model)
		return c
	})
	var grpc, http []*Match
	for _, r := range routes {
		switch r.Model.Kind {
		case model.RouteGRPC:
			grpc = append(grpc, r.matches...)
			if g.grpc == nil {
				g.grpc = &grpcIndex{}
			}
		case model.RouteHTTP:
			http = append(http, r.matches...)
			if g.http == nil {
				g.http = &httpIndex{}
			}
		case model.RouteTLS:
			if g.tls == nil {
				g.tls = &tlsIndex{}
			}
			g.tls.add(r)
		case model.RouteTCP:
			if g.tcp == nil && len(r.rules) > 0 {
				g.tcp = r.rules[0]
			}
			g.hasTCP = true
		}
	}
	byRank := func(a, b *Match) int { c, _ := outranks(a, b); return c }
	slices.SortStableFunc(grpc, byRank)
	slices.SortStableFunc(http, byRank)
	for _, m := range grpc {
		g.grpc.add(m)
	}
	for _, m := range http {
		g.http.add(m)
	}
	if g.http != nil {
		g.http.prefixes.link(nil)
	}
	g.all = append(grpc, http...)
	return g
}
