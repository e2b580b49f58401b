package weft

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/object"
)

// report tells what is wrong with a policy.
type report func(object.Fault)

func (r report) fault(code, path, what, why string, next ...string) {
	r(object.Fault{Code: code, Path: path, What: what, Why: why, Next: next})
}

// contradicts reports two settings that exclude each other.
func (r report) contradicts(path, what, why string, next ...string) {
	r.fault("W1232", path, what, why, next...)
}

// Validate implements object.Validator. What only shows together with other objects is found when
// the mesh is compiled.
func (x *TrafficPolicy) Validate(to func(object.Fault)) {
	r, s := report(to), &x.Spec
	r.targets(s.TargetRefs)
	r.loadBalancing(s.LoadBalancing)
	r.outlierDetection(s.OutlierDetection)
	r.healthCheck(s.HealthCheck)
	r.retry(s.Retry, "spec.retry")
	gateway.CheckTimeouts(to, s.Timeouts, "spec.timeouts")
	for i := range s.Faults {
		r.failure(&s.Faults[i], fmt.Sprintf("spec.faults[%d]", i))
	}
	gateway.CheckSession(to, s.SessionPersistence, "spec.sessionPersistence")
	if s.Override != nil {
		r.key(s.Override.PublicKey, "spec.override.publicKey")
	}
	r.overload(s.Overload)
	for i := range s.RateLimits {
		r.rateLimit(&s.RateLimits[i], fmt.Sprintf("spec.rateLimits[%d]", i))
	}
}

// groups of the kinds that a policy may target.
var groups = map[string]string{"Service": "", "HTTPRoute": gateway.Group, "GRPCRoute": gateway.Group}

func (r report) targets(refs []PolicyTarget) {
	seen := map[PolicyTarget]int{}
	for i, t := range refs {
		path := fmt.Sprintf("spec.targetRefs[%d]", i)
		if want := groups[t.Kind]; t.Group != want {
			r.fault("W1223", path+".group", "the group and kind of a target do not belong together", fmt.Sprintf("group %q, kind %s", t.Group, t.Kind), fmt.Sprintf("write group: %q for kind: %s", want, t.Kind))
			continue
		}
		if first, twice := seen[t]; twice {
			r.fault("W1012", path, fmt.Sprintf("%s %s occurs twice in spec.targetRefs", t.Kind, t.Name), fmt.Sprintf("items %d and %d name it", first, i), "remove one of them")
			continue
		}
		seen[t] = i
	}
}

func (r report) loadBalancing(b *LoadBalancing) {
	if b == nil || b.Hash == nil {
		return
	}
	const path = "spec.loadBalancing.hash"
	n := 0
	for _, set := range []bool{b.Hash.Header != "", b.Hash.Cookie != "", b.Hash.Source} {
		if set {
			n++
		}
	}
	if n != 1 {
		r.contradicts(path, fmt.Sprintf("a hash is of %d things", n), "exactly one of header, cookie and source must be written in "+path, "write hash: {header: x-user}, for example")
	}
	if b.Algorithm != "" && b.Algorithm != "RingHash" && b.Algorithm != "Maglev" {
		r.contradicts(path, "a hash without an algorithm that goes by it", "algorithm is "+b.Algorithm, "write algorithm: Maglev, or remove hash")
	}
}

func (r report) outlierDetection(o *OutlierDetection) {
	if o == nil {
		return
	}
	const path = "spec.outlierDetection"
	r.ordered(path, "baseEjection", o.BaseEjection, "maxEjection", o.MaxEjection)
	if f := o.SlowFactor; f != nil && *f == 1 {
		r.contradicts(path+".slowFactor", "a slow factor of 1", "about half of all endpoints are slower than the median", "write 0, or a number from 2")
	}
}

// ordered reports two durations of which the first must not be longer. One that is not written is
// compared when the mesh is compiled.
func (r report) ordered(path, low, lowValue, high, highValue string) {
	if lowValue == "" || highValue == "" || gateway.Duration(lowValue) <= gateway.Duration(highValue) {
		return
	}
	r.contradicts(path+"."+low, fmt.Sprintf("%s is longer than %s", low, high), fmt.Sprintf("%s is %s, %s is %s", low, lowValue, high, highValue), fmt.Sprintf("make %s at most %s", low, highValue))
}

func (r report) healthCheck(h *HealthCheck) {
	if h == nil {
		return
	}
	const path = "spec.healthCheck"
	r.ordered(path, "timeout", h.Timeout, "interval", h.Interval)
	if h.Path != "" && (h.Path[0] != '/' || strings.ContainsAny(h.Path, " \t\r\n#") || strings.ContainsFunc(h.Path, func(c rune) bool { return c < 0x20 || c > 0x7e })) {
		r.fault("W1014", path+".path", "spec.healthCheck.path does not have the right form", fmt.Sprintf("found %q", h.Path), "begin it with \"/\" and percent-encode special characters")
	}
	if h.Path != "" && h.Type != "" && h.Type != "HTTP" {
		r.contradicts(path+".path", "a path in a health check that asks for none", "type is "+h.Type, "write type: HTTP, or remove path")
	}
	if h.Service != "" && h.Type != "GRPC" {
		r.contradicts(path+".service", "a gRPC service in a health check of another type", "type is "+orElse(h.Type, "HTTP"), "write type: GRPC, or remove service")
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (r report) retry(t *Retry, path string) {
	if t == nil {
		return
	}
	r.ordered(path, "backoff", t.Backoff, "maxBackoff", t.MaxBackoff)
	b := t.Budget
	if b == nil || b.Percent == nil || *b.Percent != 0 || b.MinPerSecond == nil || *b.MinPerSecond != 0 {
		return
	}
	if t.Attempts != nil && *t.Attempts > 0 {
		r.fault("W1224", path+".budget", "retries without a budget", fmt.Sprintf("attempts is %d, and the budget allows none: percent and minPerSecond are 0", *t.Attempts), "write attempts: 0 for no retries", "or leave the budget out, for 20 % and 10 a second")
	}
}

func (r report) failure(f *Fault, path string) {
	gateway.CheckHeaders(r, f.Headers, path)
	gateway.CheckFraction(r, f.Percent, f.Fraction, path)
	var ends []string
	for _, e := range []struct {
		name string
		set  bool
	}{{"status", f.Status != nil}, {"grpcStatus", f.GRPCStatus != nil}, {"reset", f.Reset}} {
		if e.set {
			ends = append(ends, e.name)
		}
	}
	switch {
	case len(ends) > 1:
		r.contradicts(path+"."+ends[1], "a fault ends a request in two ways", strings.Join(ends, " and ")+" are written in "+path, "keep one of them, or make two faults")
	case len(ends) == 1 && f.BytesPerSecond != nil:
		r.contradicts(path+".bytesPerSecond", "a slow response of a request that gets none", ends[0]+" is written in "+path+", so no backend answers", "remove one of the two")
	case len(ends) == 0 && f.BytesPerSecond == nil && gateway.Duration(f.Delay) == 0:
		r.contradicts(path, "a fault that does nothing", "none of delay, status, grpcStatus, reset and bytesPerSecond is written in "+path, "write one of them, or remove the fault")
	}
}

// weak are the Ed25519 points of small order, without the bit of the sign: signatures for them can
// be made without a key.
var weak = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func (r report) key(text, path string) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	var why string
	switch {
	case err != nil:
		why = "it is not base64: " + err.Error()
	case len(key) != ed25519.PublicKeySize:
		why = fmt.Sprintf("it has %d bytes, an Ed25519 public key has %d", len(key), ed25519.PublicKeySize)
	default:
		plain := slices.Clone(key)
		plain[len(plain)-1] &= 0x7f
		if !slices.Contains(weak, hex.EncodeToString(plain)) {
			return
		}
		why = "anybody can sign for this key"
	}
	r.fault("W1229", path, "the key of an override is not usable", why, "write the public key of a pair that was made at random")
}

func (r report) overload(o *Overload) {
	if o == nil {
		return
	}
	if c := o.Concurrency; c != nil && c.Min != nil && c.Max != nil && *c.Min > *c.Max {
		r.contradicts("spec.overload.concurrency.min", "the lowest limit is above the highest", fmt.Sprintf("min is %d, max is %d", *c.Min, *c.Max), fmt.Sprintf("make min at most %d", *c.Max))
	}
	if q := o.Queue; q != nil {
		r.ordered("spec.overload.queue", "target", q.Target, "interval", q.Interval)
	}
	for i, p := range o.Priorities {
		path := fmt.Sprintf("spec.overload.priorities[%d]", i)
		if p.Default != "" && rank(p.Default) > rank(p.Max) || p.Default == "" && rank("default") > rank(p.Max) {
			r.contradicts(path+".max", "the default priority is above the highest", fmt.Sprintf("default is %s, max is %s", orElse(p.Default, "default"), p.Max), "write default: "+p.Max)
		}
		for j, first := range o.Priorities[:i] {
			if covers(first.Identity, p.Identity) {
				r.contradicts(path+".identity", "a priority rule that is never reached", fmt.Sprintf("spec.overload.priorities[%d] (%s) goes first and matches the same callers", j, first.Identity), "put the more specific one first, or remove one of them")
				break
			}
		}
	}
}

// rank orders priorities.
func rank(p string) int {
	return slices.Index([]string{"sheddable", "default", "critical", "critical_plus"}, p)
}

// covers reports whether an identity pattern matches all that another one does.
func covers(a, b string) bool {
	if prefix, ok := strings.CutSuffix(a, "*"); ok {
		return strings.HasPrefix(b, prefix)
	}
	return a == b
}

func (r report) rateLimit(l *RateLimit, path string) {
	gateway.CheckHeaders(r, l.Headers, path)
	gateway.CheckPath(r, l.Path, path+".path")
	switch {
	case l.By == "Header" && l.Header == "":
		r.contradicts(path+".by", "a rate limit by header that names none", "by is Header, and header is not written", "add header: x-api-key, for example")
	case l.By != "Header" && l.Header != "":
		r.contradicts(path+".header", "a header in a rate limit that does not count by it", "by is "+l.By, "write by: Header, or remove header")
	}
	local := l.Count != nil || l.Burst != nil || l.Interval != ""
	switch {
	case l.Global != nil && local:
		r.contradicts(path+".global", "a rate limit both here and elsewhere", "global asks a service, which has rates of its own; count, interval and burst are for the proxy", "keep one of the two, or make two limits")
	case l.Global == nil && l.Count == nil:
		r.fault("W1009", path, fmt.Sprintf("field \"count\" is missing in %s", path), "neither count nor global is written, so there is no limit", "add count: 100")
	case l.Count != nil && l.Interval != "" && rate(*l.Count, l.Interval) < slowest:
		r.contradicts(path+".interval", "a rate limit that lets almost nothing through", fmt.Sprintf("%d in %s", *l.Count, l.Interval), "write a shorter interval")
	}
}

// slowest is the lowest rate that a proxy keeps.
const slowest = 1e-6

func rate(count int32, interval string) float64 {
	d := gateway.Duration(interval)
	if d <= 0 {
		d = time.Second
	}
	return float64(count) / d.Seconds()
}
