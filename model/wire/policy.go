package wire

import (
	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
)

// Policy encodes a policy; nil, the defaults, stays nil.
func Policy(p *model.Policy) *pb.Policy {
	if p == nil {
		return nil
	}
	return &pb.Policy{Balance: balance(&p.Balance), Outlier: outlier(&p.Outlier), Health: health(p.Health), Calls: calls(&p.Calls), Guard: guard(&p.Guard), Source: p.Source}
}

func balance(b *model.Balance) *pb.Balance {
	out := &pb.Balance{
		Algorithm: pb.Algorithm(b.Algorithm), LoadBound: b.LoadBound, SlowStart: int64(b.SlowStart), PanicPercent: uint32(b.PanicPercent),
		Locality: b.Locality, ApertureMin: uint32(b.ApertureMin), ApertureAbove: uint32(b.ApertureAbove), LoadReports: b.LoadReports,
	}
	if h := b.Hash; h != nil {
		out.Hash = &pb.Hash{Header: h.Header, Cookie: h.Cookie, Source: h.Source}
	}
	return out
}

func outlier(o *model.Outlier) *pb.Outlier {
	return &pb.Outlier{
		Consecutive: uint32(o.Consecutive), SuccessRate: o.SuccessRate, SuccessWindow: int64(o.SuccessWindow), SlowFactor: o.SlowFactor,
		Eject: int64(o.Eject), EjectMax: int64(o.EjectMax), MaxPercent: uint32(o.MaxPercent),
	}
}

func health(h *model.HealthCheck) *pb.HealthCheck {
	if h == nil {
		return nil
	}
	return &pb.HealthCheck{
		Kind: pb.HealthKind(h.Kind), Path: h.Path, Service: h.Service, Interval: int64(h.Interval), Timeout: int64(h.Timeout),
		Unhealthy: uint32(h.Unhealthy), Healthy: uint32(h.Healthy),
	}
}

func calls(c *model.Calls) *pb.Calls {
	if c == nil {
		return nil
	}
	r, s := &c.Retry, &c.Sources
	out := &pb.Calls{
		Timeouts: &pb.Timeouts{Request: int64(c.Timeouts.Request), BackendRequest: int64(c.Timeouts.BackendRequest)},
		Retry: &pb.Retry{
			On: uint32(r.On), Codes: each(r.Codes, unsigned), Grpc: each(r.GRPC, unsigned), Attempts: uint32(r.Attempts), Backoff: int64(r.Backoff),
			BackoffMax: int64(r.BackoffMax), Idempotent: r.Idempotent, Body: uint32(r.Body),
			Budget: &pb.RetryBudget{Percent: uint32(r.Budget.Percent), MinPerSecond: uint32(r.Budget.MinPerSecond), Window: int64(r.Budget.Window)},
		},
		Faults: eachPtr(c.Faults, func(f *model.Fault) *pb.FaultInjection {
			return &pb.FaultInjection{
				Headers: each(f.Headers, valueMatch), PerMillion: uint32(f.PerMillion), Delay: int64(f.Delay), Status: uint32(f.Status),
				Grpc: uint32(f.GRPC), Reset_: f.Reset, BytesPs: uint32(f.BytesPS),
			}
		}),
		Priority: int32(c.Priority),
		Sources: &pb.CallSources{
			Timeouts: s.Timeouts, Retry: s.Retry, Budget: s.Budget, Hedge: s.Hedge, Faults: s.Faults, Session: s.Session,
			Compare: s.Compare, Override: s.Override, Priority: s.Priority,
		},
	}
	if h := c.Hedge; h != nil {
		out.Hedge = &pb.Hedge{Percentile: h.Percentile, Min: int64(h.Min)}
	}
	if s := c.Session; s != nil {
		out.Session = &pb.Session{Name: s.Name, Header: s.Header, Absolute: int64(s.Absolute), Permanent: s.Permanent}
	}
	if m := c.Compare; m != nil {
		out.Compare = &pb.Compare{Baseline: backend(&m.Baseline), Headers: m.Headers}
	}
	if o := c.Override; o != nil {
		out.Override = &pb.Override{Key: o.Key}
	}
	return out
}

func unsigned(n int) uint32 { return uint32(n) }

func guard(g *model.Guard) *pb.Guard {
	return &pb.Guard{
		Concurrency: &pb.Concurrency{Adaptive: g.Concurrency.Adaptive, Min: uint32(g.Concurrency.Min), Max: uint32(g.Concurrency.Max), Tolerance: g.Concurrency.Tolerance},
		Queue:       &pb.Queue{Target: int64(g.Queue.Target), Interval: int64(g.Queue.Interval), Max: uint32(g.Queue.Max)},
		Priorities: each(g.Priorities, func(r model.PriorityRule) *pb.PriorityRule {
			return &pb.PriorityRule{Identity: r.Identity, Max: int32(r.Max), Default: int32(r.Default)}
		}),
		RateLimits: eachPtr(g.RateLimits, rateLimit),
	}
}

func rateLimit(l *model.RateLimit) *pb.RateLimit {
	out := &pb.RateLimit{Name: l.Name, Headers: each(l.Headers, valueMatch), By: pb.LimitBy(l.By), Header: l.Header, Rate: l.Rate, Burst: uint32(l.Burst)}
	if p := l.Path; p != nil {
		out.Path = &pb.PathMatch{Kind: pb.PathKind(p.Kind), Value: p.Value}
	}
	if g := l.Global; g != nil {
		out.Global = &pb.GlobalLimit{Address: g.Address, Domain: g.Domain, Timeout: int64(g.Timeout), Deny: g.Deny}
	}
	return out
}
