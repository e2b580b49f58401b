package reference

import (
	"math/big"
	"strings"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
)

// settle says what becomes of the query once its rule is known.
func settle(v *decide.View, o Outcome, c *candidate, q *decide.Query) Outcome {
	rule := &c.route.Rules[c.rule]
	if Broken(c.route, rule) {
		return refuse(o, 500, decide.CodeBrokenRule)
	}
	if done, out := answered(o, rule.Filters, q); done {
		return out
	}
	b := pick(rule.Backends, q.Rand)
	if b == nil {
		return refuse(o, 500, decide.CodeNoBackend)
	}
	if unresolved(v, b) {
		return forward(v, o, b)
	}
	if done, out := answered(o, b.Filters, q); done {
		out.Backend = backendName(b)
		return out
	}
	return forward(v, o, b)
}

func refuse(o Outcome, status int, code string) Outcome {
	o.Action, o.Status, o.Code = "refuse", status, code
	return o
}

// forward sends the query to b, or answers 500 if b cannot be resolved.
func forward(v *decide.View, o Outcome, b *model.Backend) Outcome {
	o.Backend = backendName(b)
	if unresolved(v, b) {
		return refuse(o, 500, decide.CodeBadBackend)
	}
	o.Action = "forward"
	return o
}

func backendName(b *model.Backend) string {
	return b.Service.String() + ":" + big.NewInt(int64(b.Port)).String()
}

func unresolved(v *decide.View, b *model.Backend) bool {
	if b.Invalid != "" {
		return true
	}
	s := v.Services[b.Service]
	if s == nil {
		return v.Absent[b.Service]
	}
	for _, p := range s.Ports {
		if p.Port == b.Port {
			return false
		}
	}
	return true
}

// pick chooses by weight: floor(rand * total / 2^64) falls into the share of one backend.
func pick(backends []model.Backend, rand uint64) *model.Backend {
	total := new(big.Int)
	for i := range backends {
		total.Add(total, big.NewInt(int64(backends[i].Weight)))
	}
	x := new(big.Int).Mul(new(big.Int).SetUint64(rand), total)
	x.Rsh(x, 64)
	for i := range backends {
		w := big.NewInt(int64(backends[i].Weight))
		if x.Cmp(w) < 0 {
			return &backends[i]
		}
		x.Sub(x, w)
	}
	return nil
}

// answered looks for the first filter that answers the query itself.
func answered(o Outcome, filters []model.Filter, q *decide.Query) (bool, Outcome) {
	if q.Opaque {
		return false, o
	}
	for i := range filters {
		f := &filters[i]
		if f.Redirect != nil {
			o.Action, o.Status = "redirect", f.Redirect.Status
			if o.Status == 0 {
				o.Status = 302
			}
			return true, o
		}
		if f.CORS != nil && isPreflight(q) {
			if !Allowed(f.CORS, fieldValue(q, "origin")) {
				return true, refuse(o, 403, decide.CodeCORSRefused)
			}
			o.Action, o.Status = "respond", 200
			return true, o
		}
	}
	return false, o
}

func isPreflight(q *decide.Query) bool {
	_, origin := header(q, "origin")
	_, method := header(q, "access-control-request-method")
	return string(q.Method) == "OPTIONS" && origin && method
}

// fieldValue is the value of a field that occurs exactly once.
func fieldValue(q *decide.Query, name string) string {
	var out []string
	for _, f := range q.Fields {
		if string(f.Name) == name {
			out = append(out, string(f.Value))
		}
	}
	if len(out) != 1 {
		return ""
	}
	return out[0]
}

// Allowed reports whether a CORS filter allows the origin.
func Allowed(c *model.CORS, origin string) bool {
	if origin == "" {
		return false
	}
	for _, o := range c.AllowOrigins {
		if o == "*" {
			return true
		}
		host, wild := strings.CutPrefix(withPort(o), "http://*")
		scheme := "http://"
		if !wild {
			host, wild = strings.CutPrefix(withPort(o), "https://*")
			scheme = "https://"
		}
		have := withPort(origin)
		if !wild {
			if have == withPort(o) {
				return true
			}
		} else if left, ok := strings.CutSuffix(have, host); ok && strings.HasPrefix(left, scheme) && len(left) > len(scheme) &&
			!strings.Contains(left[len(scheme):], ":") {
			return true
		}
	}
	return false
}

// withPort writes out the port that an origin implies.
func withPort(o string) string {
	scheme, host, _ := strings.Cut(o, "://")
	if !strings.Contains(host, ":") {
		o += map[string]string{"http": ":80", "https": ":443"}[scheme]
	}
	return o
}

// Broken reports whether the rule has something that cannot be honoured.
func Broken(r *model.Route, rule *model.Rule) bool {
	for _, m := range rule.Matches {
		if m.Path != nil && m.Path.Kind == model.PathRegex && r.Kind == model.RouteHTTP && !compilable(true, m.Path.Value) {
			return true
		}
		if r.Kind == model.RouteTCP || r.Kind == model.RouteTLS {
			continue
		}
		if g := m.GRPC; g != nil && r.Kind == model.RouteGRPC && (!compilable(g.Regex, g.Service) || !compilable(g.Regex, g.Method)) {
			return true
		}
		for _, v := range append(distinct(m.Headers), distinct(m.Query)...) {
			if !compilable(v.Regex, v.Value) {
				return true
			}
		}
	}
	lists := [][]model.Filter{rule.Filters}
	for i := range rule.Backends {
		if rule.Backends[i].Invalid == "" || len(rule.Backends[i].Filters) > 0 {
			lists = append(lists, rule.Backends[i].Filters)
		}
	}
	for _, filters := range lists {
		if brokenFilters(r, rule, filters) {
			return true
		}
	}
	return false
}

func brokenFilters(r *model.Route, rule *model.Rule, filters []model.Filter) bool {
	redirect, rewrite := false, false
	for i := range filters {
		var path *model.PathModifier
		switch f := &filters[i]; {
		case f.Redirect != nil:
			redirect, path = true, f.Redirect.Path
		case f.Rewrite != nil:
			rewrite, path = true, f.Rewrite.Path
		}
		if path == nil || path.PrefixMatch == nil {
			continue
		}
		if r.Kind != model.RouteHTTP {
			return true
		}
		for _, m := range rule.Matches {
			if m.Path != nil && m.Path.Kind != model.PathPrefix {
				return true
			}
		}
	}
	return redirect && rewrite
}
