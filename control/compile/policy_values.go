package compile

import (
	"math"
	"strings"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/weft"
	"github.com/weft-mesh/weft/model"
)

// applyPolicy writes what a policy on a Service or its port says over what lies below it. Of two
// settings that bound one another, one that is not written gives way.
func (c *compiler) applyPolicy(p *model.Policy, l *placed) {
	s := &l.v.Spec
	p.Source = l.At("metadata.name").String()
	if s.LoadBalancing != nil && l.says("loadBalancing") {
		applyBalance(&p.Balance, s.LoadBalancing)
	}
	if s.OutlierDetection != nil && l.says("outlierDetection") {
		applyOutlier(&p.Outlier, s.OutlierDetection)
	}
	if s.HealthCheck != nil && l.says("healthCheck") {
		p.Health = applyHealth(p.Health, s.HealthCheck)
	}
	c.applyCalls(&p.Calls, l)
	if s.Overload != nil && l.says("overload") {
		applyOverload(&p.Guard, s.Overload)
	}
	if l.says("rateLimits") {
		p.Guard.RateLimits = rateLimits(s.RateLimits)
	}
}

func setInt(to *int, v *int32) {
	if v != nil {
		*to = int(*v)
	}
}

func setBool(to *bool, v *bool) {
	if v != nil {
		*to = *v
	}
}

// setShare takes a percentage as a fraction.
func setShare(to *float64, percent *int32) {
	if percent != nil {
		*to = float64(*percent) / 100
	}
}

func setDuration(to *time.Duration, s string) {
	if s != "" {
		*to = gateway.Duration(s)
	}
}

// atLeast raises a bound that is not written to what it bounds.
func atLeast(to *time.Duration, written string, low time.Duration) {
	if written == "" {
		*to = max(*to, low)
	}
}

// atMost lowers what is not written to its bound.
func atMost(to *time.Duration, written string, high time.Duration) {
	if written == "" {
		*to = min(*to, high)
	}
}

var algorithms = named(model.PeakEWMA, model.LeastRequest, model.RoundRobin, model.Random, model.Prequal, model.RingHash, model.Maglev)

var healthKinds = named(model.HealthHTTP, model.HealthGRPC, model.HealthTCP)

var priorities = named(model.PrioritySheddable, model.PriorityDefault, model.PriorityCritical, model.PriorityCriticalPlus)

// named finds values by the names that they have in YAML.
func named[T interface{ String() string }](values ...T) map[string]T {
	out := map[string]T{}
	for _, v := range values {
		out[v.String()] = v
	}
	return out
}

func applyBalance(b *model.Balance, in *weft.LoadBalancing) {
	if in.Algorithm != "" {
		b.Algorithm = algorithms[in.Algorithm]
	}
	if h := in.Hash; h != nil {
		b.Hash = &model.Hash{Header: strings.ToLower(h.Header), Cookie: h.Cookie, Source: h.Source}
	}
	setShare(&b.LoadBound, in.LoadBoundPercent)
	setDuration(&b.SlowStart, in.SlowStart)
	setInt(&b.PanicPercent, in.PanicPercent)
	setBool(&b.Locality, in.Locality)
	setInt(&b.ApertureMin, in.ApertureMin)
	setInt(&b.ApertureAbove, in.ApertureAbove)
	setBool(&b.LoadReports, in.LoadReports)
}

func applyOutlier(o *model.Outlier, in *weft.OutlierDetection) {
	setInt(&o.Consecutive, in.Consecutive)
	setShare(&o.SuccessRate, in.SuccessRatePercent)
	setDuration(&o.SuccessWindow, in.SuccessRateWindow)
	if in.SlowFactor != nil {
		o.SlowFactor = float64(*in.SlowFactor)
	}
	setDuration(&o.Eject, in.BaseEjection)
	setDuration(&o.EjectMax, in.MaxEjection)
	atLeast(&o.EjectMax, in.MaxEjection, o.Eject)
	atMost(&o.Eject, in.BaseEjection, o.EjectMax)
	setInt(&o.MaxPercent, in.MaxEjectedPercent)
}

// defaultHealth is what a health check is of which nothing is written.
var defaultHealth = model.HealthCheck{Path: "/", Interval: 5 * time.Second, Timeout: time.Second, Unhealthy: 3, Healthy: 2}

func applyHealth(below *model.HealthCheck, in *weft.HealthCheck) *model.HealthCheck {
	if in.Enabled != nil && !*in.Enabled {
		return nil
	}
	h := defaultHealth
	if below != nil {
		h = *below
	}
	if in.Type != "" {
		h.Kind = healthKinds[in.Type]
	}
	if in.Path != "" {
		h.Path = in.Path
	}
	if in.Service != "" {
		h.Service = in.Service
	}
	setDuration(&h.Interval, in.Interval)
	setDuration(&h.Timeout, in.Timeout)
	atMost(&h.Timeout, in.Timeout, h.Interval)
	setInt(&h.Unhealthy, in.Unhealthy)
	setInt(&h.Healthy, in.Healthy)
	return &h
}

func applyOverload(g *model.Guard, in *weft.Overload) {
	if l := in.Concurrency; l != nil {
		to := &g.Concurrency
		setBool(&to.Adaptive, l.Adaptive)
		setInt(&to.Min, l.Min)
		setInt(&to.Max, l.Max)
		if l.Max == nil {
			to.Max = max(to.Max, to.Min)
		} else if l.Min == nil {
			to.Min = min(to.Min, to.Max)
		}
		setShare(&to.Tolerance, l.TolerancePercent)
	}
	if q := in.Queue; q != nil {
		to := &g.Queue
		setDuration(&to.Target, q.Target)
		setDuration(&to.Interval, q.Interval)
		atLeast(&to.Interval, q.Interval, to.Target)
		atMost(&to.Target, q.Target, to.Interval)
		setInt(&to.Max, q.Max)
	}
	if in.Priorities != nil {
		g.Priorities = nil
	}
	for _, p := range in.Priorities {
		g.Priorities = append(g.Priorities, model.PriorityRule{Identity: p.Identity, Max: priorities[p.Max], Default: priorities[p.Default]})
	}
}

var limitKinds = map[string]model.LimitBy{"All": model.LimitAll, "Identity": model.LimitIdentity, "Header": model.LimitHeader}

func rateLimits(in []weft.RateLimit) (out []model.RateLimit) {
	for i := range in {
		l := &in[i]
		m := model.RateLimit{Name: l.Name, Headers: headers(l.Headers), By: limitKinds[l.By], Header: strings.ToLower(l.Header)}
		if l.Path != nil {
			m.Path = &model.PathMatch{Kind: pathKinds[l.Path.Type], Value: l.Path.Value}
		}
		if g := l.Global; g != nil {
			m.Global = &model.GlobalLimit{Address: g.Address, Domain: g.Domain, Timeout: 20 * time.Millisecond}
			setDuration(&m.Global.Timeout, g.Timeout)
			setBool(&m.Global.Deny, g.FailClosed)
		} else {
			m.Rate, m.Burst = perSecond(*l.Count, l.Interval), int(*l.Count)
			setInt(&m.Burst, l.Burst)
		}
		out = append(out, m)
	}
	return out
}

// perSecond is a rate; an interval that is not written is a second.
func perSecond(count int32, interval string) float64 {
	d := gateway.Duration(interval)
	if d <= 0 {
		d = time.Second
	}
	return float64(count) / d.Seconds()
}

// applyBackendPolicy reads an XBackendTrafficPolicy, the lowest layer.
func applyBackendPolicy(p *model.Policy, o *typed[gateway.XBackendTrafficPolicy]) {
	p.Source = o.At("metadata.name").String()
	if r := o.v.Spec.RetryConstraint; r != nil {
		p.Calls.Retry.Budget = model.RetryBudget{
			Percent:      int(r.Budget.Percent),
			MinPerSecond: min(int(math.Ceil(perSecond(r.MinRetryRate.Count, r.MinRetryRate.Interval))), 10_000),
			Window:       min(gateway.Duration(r.Budget.Interval), time.Minute),
		}
		p.Calls.Sources.Budget = o.At("spec.retryConstraint").String()
	}
	if s := o.v.Spec.SessionPersistence; s != nil {
		p.Calls.Session, p.Calls.Sources.Session = session(s), o.At("spec.sessionPersistence").String()
	}
}
