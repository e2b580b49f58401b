package wire

import (
	"math"
	"reflect"
	"slices"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
)

// policy decodes a policy; nil stays nil. What is out of range is an error: a proxy that went on
// with half of a policy would guard an application by other rules than those that were written.
func (d *decoder) policy(p *pb.Policy) *model.Policy {
	if p == nil {
		return nil
	}
	out := &model.Policy{
		Balance: d.balance(p.GetBalance()), Outlier: d.outlier(p.GetOutlier()), Health: d.health(p.GetHealth()),
		Calls: d.callsValue(p.GetCalls()), Guard: d.guard(p.GetGuard()), Source: p.GetSource(),
	}
	if err := out.Check(); err != nil {
		d.fail("a policy (%s): %w", out.Source, err)
	}
	return out
}

// KeepPolicies gives the ports of a service that was decoded anew the policies of its earlier version
// where they are equal, and equal policies of several ports one pointer: by the pointer a proxy
// knows that what it has learnt under a policy still holds. prev may be nil.
func KeepPolicies(prev, now *model.Service) {
	var known []*model.Policy
	if prev != nil {
		for i := range prev.Ports {
			known = append(known, prev.Ports[i].Policy)
		}
	}
	for i := range now.Ports {
		p := &now.Ports[i].Policy
		if *p == nil {
			continue
		}
		same := slices.IndexFunc(known, func(k *model.Policy) bool { return reflect.DeepEqual(k, *p) })
		if same < 0 {
			known = append(known, *p)
			continue
		}
		*p = known[same]
	}
}

// calls decodes how the requests of a rule are tried; nil stays nil.
func (d *decoder) calls(c *pb.Calls) *model.Calls {
	if c == nil {
		return nil
	}
	out := d.callsValue(c)
	if err := out.Check(); err != nil {
		d.fail("how requests are tried: %w", err)
	}
	return &out
}

// number decodes an unsigned number as an int. What is too large for one stays out of every range.
func number(n uint32) int { return int(min(n, math.MaxInt32)) }

// octet decodes an enumeration: what is not known stays out of every range.
func octet[E ~int32 | ~uint32](n E) uint8 {
	if n < 0 || n > math.MaxUint8 {
		return math.MaxUint8
	}
	return uint8(n)
}

func priority(n int32) model.Priority {
	return model.Priority(max(math.MinInt8, min(n, math.MaxInt8)))
}

func (d *decoder) balance(b *pb.Balance) model.Balance {
	out := model.Balance{
		Algorithm: model.Algorithm(octet(b.GetAlgorithm())), LoadBound: b.GetLoadBound(), SlowStart: d.duration(b.GetSlowStart()),
		PanicPercent: number(b.GetPanicPercent()), Locality: b.GetLocality(), ApertureMin: number(b.GetApertureMin()),
		ApertureAbove: number(b.GetApertureAbove()), LoadReports: b.GetLoadReports(),
	}
	if h := b.GetHash(); h != nil {
		out.Hash = &model.Hash{Header: h.GetHeader(), Cookie: h.GetCookie(), Source: h.GetSource()}
	}
	return out
}

func (d *decoder) outlier(o *pb.Outlier) model.Outlier {
	return model.Outlier{
		Consecutive: number(o.GetConsecutive()), SuccessRate: o.GetSuccessRate(), SuccessWindow: d.duration(o.GetSuccessWindow()),
		SlowFactor: o.GetSlowFactor(), Eject: d.duration(o.GetEject()), EjectMax: d.duration(o.GetEjectMax()), MaxPercent: number(o.GetMaxPercent()),
	}
}

func (d *decoder) health(h *pb.HealthCheck) *model.HealthCheck {
	if h == nil {
		return nil
	}
	return &model.HealthCheck{
		Kind: model.HealthKind(octet(h.GetKind())), Path: h.GetPath(), Service: h.GetService(), Interval: d.duration(h.GetInterval()),
		Timeout: d.duration(h.GetTimeout()), Unhealthy: number(h.GetUnhealthy()), Healthy: number(h.GetHealthy()),
	}
}

func (d *decoder) callsValue(c *pb.Calls) model.Calls {
	r, s := c.GetRetry(), c.GetSources()
	b := r.GetBudget()
	out := model.Calls{
		Timeouts: model.Timeouts{Request: d.duration(c.GetTimeouts().GetRequest()), BackendRequest: d.duration(c.GetTimeouts().GetBackendRequest())},
		Retry: model.Retry{
			On: model.RetryOn(octet(r.GetOn())), Codes: each(r.GetCodes(), number), GRPC: each(r.GetGrpc(), number), Attempts: number(r.GetAttempts()),
			Backoff: d.duration(r.GetBackoff()), BackoffMax: d.duration(r.GetBackoffMax()), Idempotent: r.GetIdempotent(), Body: number(r.GetBody()),
			Budget: model.RetryBudget{Percent: number(b.GetPercent()), MinPerSecond: number(b.GetMinPerSecond()), Window: d.duration(b.GetWindow())},
		},
		Faults: each(c.GetFaults(), func(f *pb.FaultInjection) model.Fault {
			return model.Fault{
				Headers: each(f.GetHeaders(), toValueMatch), PerMillion: number(f.GetPerMillion()), Delay: d.duration(f.GetDelay()), Status: number(f.GetStatus()),
				GRPC: number(f.GetGrpc()), Reset: f.GetReset_(), BytesPS: number(f.GetBytesPs()),
			}
		}),
		Priority: priority(c.GetPriority()),
		Sources: model.CallSources{
			Timeouts: s.GetTimeouts(), Retry: s.GetRetry(), Budget: s.GetBudget(), Hedge: s.GetHedge(), Faults: s.GetFaults(),
			Session: s.GetSession(), Compare: s.GetCompare(), Override: s.GetOverride(), Priority: s.GetPriority(),
		},
	}
	if h := c.GetHedge(); h != nil {
		out.Hedge = &model.Hedge{Percentile: h.GetPercentile(), Min: d.duration(h.GetMin())}
	}
	if s := c.GetSession(); s != nil {
		out.Session = &model.Session{Name: s.GetName(), Header: s.GetHeader(), Absolute: d.duration(s.GetAbsolute()), Permanent: s.GetPermanent()}
	}
	if m := c.GetCompare(); m != nil {
		out.Compare = &model.Compare{Baseline: d.backend(m.GetBaseline()), Headers: m.GetHeaders()}
	}
	if o := c.GetOverride(); o != nil {
		out.Override = &model.Override{Key: o.GetKey()}
	}
	return out
}

func (d *decoder) guard(g *pb.Guard) model.Guard {
	c, q := g.GetConcurrency(), g.GetQueue()
	return model.Guard{
		Concurrency: model.Concurrency{Adaptive: c.GetAdaptive(), Min: number(c.GetMin()), Max: number(c.GetMax()), Tolerance: c.GetTolerance()},
		Queue:       model.Queue{Target: d.duration(q.GetTarget()), Interval: d.duration(q.GetInterval()), Max: number(q.GetMax())},
		Priorities: each(g.GetPriorities(), func(r *pb.PriorityRule) model.PriorityRule {
			return model.PriorityRule{Identity: r.GetIdentity(), Max: priority(r.GetMax()), Default: priority(r.GetDefault())}
		}),
		RateLimits: each(g.GetRateLimits(), d.rateLimit),
	}
}

func (d *decoder) rateLimit(l *pb.RateLimit) model.RateLimit {
	out := model.RateLimit{
		Name: l.GetName(), Headers: each(l.GetHeaders(), toValueMatch), By: model.LimitBy(octet(l.GetBy())), Header: l.GetHeader(),
		Rate: l.GetRate(), Burst: number(l.GetBurst()),
	}
	if p := l.GetPath(); p != nil {
		out.Path = &model.PathMatch{Kind: model.PathKind(octet(p.GetKind())), Value: p.GetValue()}
	}
	if g := l.GetGlobal(); g != nil {
		out.Global = &model.GlobalLimit{Address: g.GetAddress(), Domain: g.GetDomain(), Timeout: d.duration(g.GetTimeout()), Deny: g.GetDeny()}
	}
	return out
}
