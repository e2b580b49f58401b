package model

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"
)

// Bounds on the lists of a policy: what a proxy walks for each request stays short.
const (
	MaxCodes       = 100 // of Retry.Codes and Retry.GRPC
	MaxFaults      = 16
	MaxConditions  = 16 // header conditions of a fault or rate limit
	MaxPriorities  = 64
	MaxRateLimits  = 16
	MaxCompared    = 32      // header fields
	MaxRetryBody   = 1 << 20 // bytes
	maxPolicyText  = 4096    // of any string, bytes
	maxGRPCStatus  = 16
	maxBytesPS     = 1 << 30
	maxConcurrency = 1_000_000

	overrideKeySize = 32 // bytes of an Ed25519 public key
)

// Check says what in the policy is out of range, or nil. The control plane makes no policy and a
// proxy takes none that fails it, so whoever acts on one need not look again.
func (p *Policy) Check() error {
	var c checker
	c.balance(&p.Balance)
	c.outlier(&p.Outlier)
	if p.Health != nil {
		c.health(p.Health)
	}
	c.calls(&p.Calls)
	c.guard(&p.Guard)
	c.text("source", p.Source)
	return errors.Join(c.faults...)
}

// Check says what is out of range, or nil, as Policy.Check does.
func (x *Calls) Check() error {
	var c checker
	c.calls(x)
	return errors.Join(c.faults...)
}

// checker collects what is wrong.
type checker struct{ faults []error }

func (c *checker) fail(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

func (c *checker) number(name string, n, lo, hi int) {
	if n < lo || n > hi {
		c.fail("%s is %d, want %d to %d", name, n, lo, hi)
	}
}

// share refuses NaN too: it is in no range.
func (c *checker) share(name string, x, lo, hi float64) {
	if !(x >= lo && x <= hi) {
		c.fail("%s is %v, want %v to %v", name, x, lo, hi)
	}
}

func (c *checker) span(name string, d, lo, hi time.Duration) {
	if d < lo || d > hi {
		c.fail("%s is %v, want %v to %v", name, d, lo, hi)
	}
}

func (c *checker) text(name, s string) {
	if len(s) > maxPolicyText {
		c.fail("%s has %d bytes, want at most %d", name, len(s), maxPolicyText)
	}
}

func (c *checker) balance(b *Balance) {
	c.number("algorithm", int(b.Algorithm), 0, int(Maglev))
	if h := b.Hash; h != nil {
		set := 0
		for _, is := range []bool{h.Header != "", h.Cookie != "", h.Source} {
			if is {
				set++
			}
		}
		if set != 1 {
			c.fail("a hash is of %d things, want one", set)
		}
		c.text("the hashed header", h.Header)
		c.text("the hashed cookie", h.Cookie)
	}
	c.share("the load bound", b.LoadBound, 1.05, 10)
	c.span("slow start", b.SlowStart, 0, 15*time.Minute)
	c.number("the panic threshold", b.PanicPercent, 0, 100)
	c.number("the aperture", b.ApertureMin, 0, 1000)
	c.number("the aperture's threshold", b.ApertureAbove, 0, 100_000)
}

func (c *checker) outlier(o *Outlier) {
	c.number("consecutive failures", o.Consecutive, 0, 1000)
	c.share("the success rate", o.SuccessRate, 0, 0.99)
	c.span("the success rate's window", o.SuccessWindow, time.Second, 10*time.Minute)
	if o.SlowFactor != 0 {
		c.share("the slow factor", o.SlowFactor, 2, 1000)
	}
	c.span("ejection", o.Eject, 100*time.Millisecond, time.Hour)
	c.span("the longest ejection", o.EjectMax, o.Eject, 24*time.Hour)
	c.number("the ejected share", o.MaxPercent, 0, 100)
}

func (c *checker) health(h *HealthCheck) {
	c.number("the kind of health check", int(h.Kind), 0, int(HealthTCP))
	c.text("the health check's path", h.Path)
	c.text("the health check's service", h.Service)
	if h.Kind == HealthHTTP && (h.Path == "" || h.Path[0] != '/') {
		c.fail("the health check's path %q does not begin with /", h.Path)
	}
	c.span("the health check's interval", h.Interval, 100*time.Millisecond, time.Hour)
	c.span("the health check's timeout", h.Timeout, time.Millisecond, h.Interval)
	c.number("failures that make unhealthy", h.Unhealthy, 1, 100)
	c.number("successes that make healthy", h.Healthy, 1, 100)
}

func (c *checker) calls(x *Calls) {
	c.span("the request's timeout", x.Timeouts.Request, 0, math.MaxInt64)
	c.span("the timeout of one try", x.Timeouts.BackendRequest, 0, math.MaxInt64)
	r := &x.Retry
	if r.On > RetryReset|RetryTimeout|RetryCodes|RetryGRPC {
		c.fail("a cause of retries is not known: %b", r.On)
	}
	c.statuses("HTTP statuses", r.Codes, 400, 599)
	c.statuses("gRPC statuses", r.GRPC, 1, maxGRPCStatus)
	c.number("attempts", r.Attempts, 0, 10)
	c.span("the backoff", r.Backoff, 0, time.Minute)
	c.span("the longest backoff", r.BackoffMax, r.Backoff, 10*time.Minute)
	c.number("the held body", r.Body, 0, MaxRetryBody)
	c.number("the budget's share", r.Budget.Percent, 0, 100)
	c.number("the budget's minimum", r.Budget.MinPerSecond, 0, 10_000)
	c.span("the budget's window", r.Budget.Window, time.Second, time.Minute)
	if h := x.Hedge; h != nil {
		c.share("the hedge's percentile", h.Percentile, 50, 99.9)
		c.span("the hedge's shortest wait", h.Min, 0, time.Minute)
	}
	if len(x.Faults) > MaxFaults {
		c.fail("%d faults, want at most %d", len(x.Faults), MaxFaults)
	}
	for i := range x.Faults {
		c.fault(&x.Faults[i])
	}
	if s := x.Session; s != nil {
		if s.Name == "" || len(s.Name) > 128 {
			c.fail("the session's name has %d bytes, want 1 to 128", len(s.Name))
		}
		c.span("the session's timeout", s.Absolute, 0, math.MaxInt64)
	}
	if m := x.Compare; m != nil {
		if len(m.Headers) > MaxCompared {
			c.fail("%d compared header fields, want at most %d", len(m.Headers), MaxCompared)
		}
		for _, h := range m.Headers {
			c.text("a compared header", h)
		}
	}
	if o := x.Override; o != nil && len(o.Key) != overrideKeySize {
		c.fail("the override's key has %d bytes, want %d", len(o.Key), overrideKeySize)
	}
	c.priority("the priority", x.Priority)
	s := &x.Sources
	for _, at := range []string{s.Timeouts, s.Retry, s.Budget, s.Hedge, s.Faults, s.Session, s.Compare, s.Override, s.Priority} {
		c.text("a source", at)
	}
}

func (c *checker) statuses(name string, list []int, lo, hi int) {
	if len(list) > MaxCodes {
		c.fail("%d %s, want at most %d", len(list), name, MaxCodes)
	}
	if slices.ContainsFunc(list, func(n int) bool { return n < lo || n > hi }) {
		c.fail("%s %v, want %d to %d", name, list, lo, hi)
	}
}

func (c *checker) fault(f *Fault) {
	c.conditions(f.Headers)
	c.number("the fault's share of a million", f.PerMillion, 0, 1_000_000)
	c.span("the fault's delay", f.Delay, 0, 10*time.Minute)
	if f.Status != 0 {
		c.number("the fault's status", f.Status, 200, 599)
	}
	c.number("the fault's grpc-status", f.GRPC, 0, maxGRPCStatus)
	c.number("the fault's bandwidth", f.BytesPS, 0, maxBytesPS)
}

func (c *checker) conditions(hs []ValueMatch) {
	if len(hs) > MaxConditions {
		c.fail("%d header conditions, want at most %d", len(hs), MaxConditions)
	}
	for i := range hs {
		c.text("a condition's name", hs[i].Name)
		c.text("a condition's value", hs[i].Value)
		if hs[i].Regex {
			c.regex(hs[i].Value)
		}
	}
}

func (c *checker) regex(expr string) {
	if _, err := regexp.Compile(expr); err != nil {
		c.fail("%v", err)
	}
}

func (c *checker) priority(name string, p Priority) {
	c.number(name, int(p), int(PrioritySheddable), int(PriorityCriticalPlus))
}

func (c *checker) guard(g *Guard) {
	l := &g.Concurrency
	c.number("the smallest concurrency", l.Min, 1, maxConcurrency)
	c.number("the largest concurrency", l.Max, l.Min, maxConcurrency)
	c.share("the tolerance", l.Tolerance, 1, 10)
	c.span("the queue's target", g.Queue.Target, 0, time.Minute)
	c.span("the queue's interval", g.Queue.Interval, g.Queue.Target, time.Minute)
	c.number("the queue", g.Queue.Max, 0, 100_000)
	if len(g.Priorities) > MaxPriorities {
		c.fail("%d priority rules, want at most %d", len(g.Priorities), MaxPriorities)
	}
	for i := range g.Priorities {
		c.text("an identity", g.Priorities[i].Identity)
		c.priority("the highest priority", g.Priorities[i].Max)
		c.priority("the default priority", g.Priorities[i].Default)
	}
	if len(g.RateLimits) > MaxRateLimits {
		c.fail("%d rate limits, want at most %d", len(g.RateLimits), MaxRateLimits)
	}
	for i := range g.RateLimits {
		c.rateLimit(&g.RateLimits[i])
	}
}

func (c *checker) rateLimit(l *RateLimit) {
	c.text("a rate limit's name", l.Name)
	c.conditions(l.Headers)
	if p := l.Path; p != nil {
		c.number("the kind of path", int(p.Kind), 0, int(PathRegex))
		c.text("a rate limit's path", p.Value)
		if p.Kind == PathRegex {
			c.regex(p.Value)
		}
	}
	c.number("what a rate limit counts by", int(l.By), 0, int(LimitHeader))
	c.text("a rate limit's header", l.Header)
	if l.By == LimitHeader && l.Header == "" {
		c.fail("a rate limit by header names none")
	}
	if g := l.Global; g != nil {
		c.text("the rate limit service's address", g.Address)
		c.text("the rate limit's domain", g.Domain)
		c.span("the rate limit service's timeout", g.Timeout, time.Millisecond, time.Second)
		return
	}
	c.share("a rate", l.Rate, 1e-6, 1e9)
	c.number("a burst", l.Burst, 1, 1_000_000_000)
}
