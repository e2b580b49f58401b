package compile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/api/weft"
	"github.com/weft-mesh/weft/model"
)

// wish is what a rule of a route says itself about how its requests are tried.
type wish struct {
	timeouts *gateway.HTTPRouteTimeouts
	retry    *gateway.HTTPRouteRetry
	session  *gateway.SessionPersistence
	path     string
}

func (w *wish) empty() bool { return w.timeouts == nil && w.retry == nil && w.session == nil }

// applyCalls writes what a policy says of requests over what lies below it.
func (c *compiler) applyCalls(m *model.Calls, l *placed) {
	s := &l.v.Spec
	if s.Timeouts != nil && l.says("timeouts") {
		applyTimeouts(m, s.Timeouts, l.at("timeouts"))
	}
	if s.Retry != nil && l.says("retry") {
		c.applyRetry(m, l)
	}
	if h := s.Hedging; h != nil && l.says("hedging") {
		m.Hedge, m.Sources.Hedge = hedge(m.Hedge, h), l.at("hedging")
	}
	if l.says("faults") {
		m.Faults, m.Sources.Faults = faults(s.Faults), l.at("faults")
	}
	if s.SessionPersistence != nil && l.says("sessionPersistence") {
		m.Session, m.Sources.Session = session(s.SessionPersistence), l.at("sessionPersistence")
	}
	if s.Override != nil && l.says("override") {
		key, err := base64.StdEncoding.DecodeString(s.Override.PublicKey)
		if err == nil { // Validate looked at it
			m.Override, m.Sources.Override = &model.Override{Key: key}, l.at("override")
		}
	}
	if s.Priority != "" && l.says("priority") {
		m.Priority, m.Sources.Priority = priorities[s.Priority], l.at("priority")
	}
}

func applyTimeouts(m *model.Calls, t *gateway.HTTPRouteTimeouts, at string) {
	setDuration(&m.Timeouts.Request, t.Request)
	setDuration(&m.Timeouts.BackendRequest, t.BackendRequest)
	m.Sources.Timeouts = at
}

var grpcCodes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// flag sets or clears bits.
func flag(to *model.RetryOn, bit model.RetryOn, on bool) {
	*to &^= bit
	if on {
		*to |= bit
	}
}

func (c *compiler) applyRetry(m *model.Calls, l *placed) {
	r, in := &m.Retry, l.v.Spec.Retry
	if in.Causes != nil {
		flag(&r.On, model.RetryReset, slices.Contains(in.Causes, "Reset"))
		flag(&r.On, model.RetryTimeout, slices.Contains(in.Causes, "Timeout"))
	}
	if in.Codes != nil {
		r.Codes = statuses(in.Codes)
		flag(&r.On, model.RetryCodes, len(r.Codes) > 0)
	}
	if in.GRPCCodes != nil {
		r.GRPC = nil
		for _, name := range in.GRPCCodes {
			r.GRPC = append(r.GRPC, slices.Index(grpcCodes, name))
		}
		slices.Sort(r.GRPC)
		flag(&r.On, model.RetryGRPC, len(r.GRPC) > 0)
	}
	setInt(&r.Attempts, in.Attempts)
	setDuration(&r.Backoff, in.Backoff)
	setDuration(&r.BackoffMax, in.MaxBackoff)
	atLeast(&r.BackoffMax, in.MaxBackoff, r.Backoff)
	atMost(&r.Backoff, in.Backoff, r.BackoffMax)
	setBool(&r.Idempotent, in.Idempotent)
	setInt(&r.Body, in.MaxBodyBytes)
	m.Sources.Retry = l.at("retry")
	if b := in.Budget; b != nil {
		setInt(&r.Budget.Percent, b.Percent)
		setInt(&r.Budget.MinPerSecond, b.MinPerSecond)
		setDuration(&r.Budget.Window, b.Interval)
		m.Sources.Budget = l.at("retry.budget")
	}
	if r.Budget.Percent == 0 && r.Budget.MinPerSecond == 0 {
		if in.Attempts != nil && *in.Attempts > 0 {
			c.noBudget(l.Object, "spec.retry.attempts", r.Attempts, m.Sources.Budget)
		}
		r.Attempts = 0
	}
}

func (c *compiler) noBudget(o *object.Object, path string, attempts int, budget string) {
	c.once(o, path, "W1224", o.String()+": retries without a budget", fmt.Sprintf("attempts is %d, and the budget (%s) allows none", attempts, budget), "raise percent or minPerSecond of the budget", "or remove the retries")
}

func statuses(in []int32) (out []int) {
	for _, n := range in {
		out = append(out, int(n))
	}
	slices.Sort(out)
	return out
}

func hedge(below *model.Hedge, in *weft.Hedging) *model.Hedge {
	if in.Enabled != nil && !*in.Enabled {
		return nil
	}
	h := model.Hedge{Percentile: 95, Min: time.Millisecond}
	if below != nil {
		h = *below
	}
	if in.Percentile != nil {
		h.Percentile = float64(*in.Percentile)
	}
	setDuration(&h.Min, in.MinDelay)
	return &h
}

func faults(in []weft.Fault) (out []model.Fault) {
	for i := range in {
		f := &in[i]
		m := model.Fault{Headers: headers(f.Headers), PerMillion: perMillion(f.Percent, f.Fraction), Delay: gateway.Duration(f.Delay), Reset: f.Reset}
		setInt(&m.Status, f.Status)
		setInt(&m.GRPC, f.GRPCStatus)
		setInt(&m.BytesPS, f.BytesPerSecond)
		out = append(out, m)
	}
	return out
}

// perMillion is a share; what is not nothing stays at least one in a million.
func perMillion(percent *int32, f *gateway.Fraction) int {
	switch {
	case percent != nil:
		return int(*percent) * 10_000
	case f != nil && f.Numerator > 0:
		return int(max(int64(f.Numerator)*1_000_000/int64(f.Denominator), 1))
	case f != nil:
		return 0
	}
	return 1_000_000
}

func session(in *gateway.SessionPersistence) *model.Session {
	s := &model.Session{Name: in.SessionName, Header: in.Type == "Header", Absolute: gateway.Duration(in.AbsoluteTimeout)}
	if s.Name == "" {
		s.Name = "weft-session"
		if s.Header {
			s.Name = "x-weft-session"
		}
	}
	if s.Header {
		s.Name = strings.ToLower(s.Name)
	}
	s.Permanent = in.CookieConfig != nil && in.CookieConfig.LifetimeType == "Permanent"
	return s
}

// The most that a proxy does, whatever a route asks for.
const (
	maxAttempts = 10
	maxBackoff  = time.Minute
)

// applyRule writes what a rule says itself over what lies below it. A rule with retry asks for
// another try also when the connection breaks or a try takes too long (GEP-1731).
func (c *compiler) applyRule(m *model.Calls, o *object.Object, w *wish) {
	if w.timeouts != nil {
		applyTimeouts(m, w.timeouts, o.At(w.path+".timeouts").String())
	}
	if w.session != nil {
		m.Session, m.Sources.Session = session(w.session), o.At(w.path+".sessionPersistence").String()
	}
	in := w.retry
	if in == nil {
		return
	}
	r, path := &m.Retry, w.path+".retry"
	r.On |= model.RetryReset | model.RetryTimeout
	if in.Codes != nil {
		r.Codes = statuses(in.Codes)
		flag(&r.On, model.RetryCodes, len(r.Codes) > 0)
	}
	setInt(&r.Attempts, in.Attempts)
	if r.Attempts > maxAttempts {
		c.once(o, path+".attempts", "W1234", o.String()+": more tries than weft makes", fmt.Sprintf("attempts is %d; %d are made, since more only multiply an outage", r.Attempts, maxAttempts), fmt.Sprintf("write attempts: %d", maxAttempts))
		r.Attempts = maxAttempts
	}
	setDuration(&r.Backoff, in.Backoff)
	if r.Backoff > maxBackoff {
		c.once(o, path+".backoff", "W1234", o.String()+": a longer wait than weft makes", fmt.Sprintf("backoff is %s; at most %s is waited", in.Backoff, maxBackoff), "write backoff: 1m")
		r.Backoff = maxBackoff
	}
	r.BackoffMax = max(r.BackoffMax, r.Backoff)
	m.Sources.Retry = o.At(path).String()
	if r.Budget.Percent == 0 && r.Budget.MinPerSecond == 0 {
		c.noBudget(o, path, r.Attempts, m.Sources.Budget)
		r.Attempts = 0
	}
}

// ruleCalls gives the rules of a route how their requests are tried at ports that have a policy.
// Rules of which nothing is said keep nil: the port's policy.
func (c *compiler) ruleCalls(o *object.Object, kind model.RouteKind, rules []model.Rule, wishes []wish, port *model.Policy) []model.Rule {
	route := c.spots[spot{Key: o.Key}]
	out := rules
	for i := range rules {
		rule := &rules[i]
		w := &wish{}
		if i < len(wishes) {
			w = &wishes[i]
		}
		var layers []*placed
		if route != nil {
			layers = append(layers, route)
		}
		if p := c.spots[spot{o.Key, rule.Name}]; p != nil && rule.Name != "" {
			layers = append(layers, p)
		}
		if len(layers) == 0 && w.empty() {
			continue
		}
		m := model.PolicyOf(port).Calls
		for _, l := range layers {
			c.hedgeOfRule(l, kind, rule, rules, &m)
			next := m
			c.applyCalls(&next, l)
			c.compare(&next, l, rule, rules)
			if err := next.Check(); err != nil {
				c.once(l.Object, "spec", "W1232", fmt.Sprintf("%s: what it says does not fit what lies below it", l.Key), oneLine(err), "write both of the settings that are compared")
				continue
			}
			m = next
		}
		c.applyRule(&m, o, w)
		c.longer(o, &m, w, port)
		if &out[0] == &rules[0] {
			out = slices.Clone(rules) // they are those of other services and ports too
		}
		out[i].Calls = &m
	}
	return out
}

// hedgeOfRule refuses hedging by a policy on a route of whose requests none may be repeated.
func (c *compiler) hedgeOfRule(l *placed, kind model.RouteKind, rule *model.Rule, rules []model.Rule, below *model.Calls) {
	h := l.v.Spec.Hedging
	if h == nil || !l.says("hedging") || h.Enabled != nil && !*h.Enabled || below.Retry.Idempotent || repeatable(l.v.Spec.Retry) {
		return
	}
	if l.spot.section != "" {
		rules = []model.Rule{*rule}
	}
	switch {
	case kind == model.RouteGRPC:
		c.refuseHedging(l, "gRPC calls are not idempotent by themselves")
	case !slices.ContainsFunc(rules, func(r model.Rule) bool { return !onlyOnce(&r) }):
		c.refuseHedging(l, fmt.Sprintf("%s matches %s requests only, which are not idempotent", l.spot, rules[0].Matches[0].Method))
	}
}

// onlyOnce reports whether a rule matches no request that may be repeated (RFC 9110 section 9.2.2).
func onlyOnce(r *model.Rule) bool {
	return len(r.Matches) > 0 && !slices.ContainsFunc(r.Matches, func(m model.Match) bool {
		return m.Method != "POST" && m.Method != "PATCH" && m.Method != "CONNECT"
	})
}

// compare resolves the comparison of mirrored answers that a policy asks for. A policy on a whole
// route speaks of those of its rules that mirror.
func (c *compiler) compare(m *model.Calls, l *placed, rule *model.Rule, rules []model.Rule) {
	in := l.v.Spec.MirrorComparison
	if in == nil || !l.says("mirrorComparison") {
		return
	}
	const path = "spec.mirrorComparison"
	refuse := func(field, why string, next ...string) {
		c.once(l.Object, path+field, "W1227", fmt.Sprintf("%s: mirrored answers cannot be compared", l.Key), why, next...)
	}
	mirrors := func(r model.Rule) *model.Mirror {
		for i := range r.Filters {
			if r.Filters[i].Mirror != nil {
				return r.Filters[i].Mirror
			}
		}
		return nil
	}
	if l.spot.section != "" {
		rules = []model.Rule{*rule}
	}
	candidate := mirrors(*rule)
	if candidate == nil {
		if !slices.ContainsFunc(rules, func(r model.Rule) bool { return mirrors(r) != nil }) {
			refuse("", "no rule has a RequestMirror filter, so there is no candidate", "add the filter to the rule, with the candidate as its backendRef")
		}
		return
	}
	n := model.Name{Namespace: l.Namespace, Name: in.Baseline.Name}
	s := c.services[n]
	if s == nil {
		refuse(".baseline.name", fmt.Sprintf("the baseline, Service %s, does not exist", n), c.suggestService(n.Name, n.Namespace)...)
		return
	}
	if _, ok := s.port(uint16(in.Baseline.Port)); !ok {
		refuse(".baseline.port", fmt.Sprintf("the baseline, Service %s, has no port %d; its ports are %s", n, in.Baseline.Port, s.portList()), "write a port that the Service has")
		return
	}
	if candidate.Backend.Service == n {
		refuse(".baseline", fmt.Sprintf("the baseline is the candidate, Service %s, so every difference would pass for noise", n), "run a second copy of the present version as a Service of its own, and name that")
		return
	}
	if slices.ContainsFunc(rule.Backends, func(b model.Backend) bool { return b.Service == n }) {
		refuse(".baseline", fmt.Sprintf("the baseline is a backend of the rule, Service %s, which would get each request twice", n), "run a second copy of the present version as a Service of its own, and name that")
		return
	}
	m.Compare = &model.Compare{Baseline: model.Backend{Service: n, Port: uint16(in.Baseline.Port), Weight: 1}, Headers: lower(in.Headers)}
	m.Sources.Compare = l.at("mirrorComparison")
}

// oneLine joins errors for a message.
func oneLine(err error) string {
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		return err.Error()
	}
	var out []string
	for _, e := range many.Unwrap() {
		out = append(out, e.Error())
	}
	return strings.Join(out, "; ")
}
