package model

import (
	"math"
	"strings"
	"testing"
	"time"
)

// usable is a policy that has everything, all of it in range.
func usable() Policy {
	p := DefaultPolicy
	p.Health = &HealthCheck{Path: "/", Interval: 5 * time.Second, Timeout: time.Second, Unhealthy: 3, Healthy: 2}
	p.Balance.Hash = &Hash{Header: "x-user"}
	p.Calls.Hedge = &Hedge{Percentile: 95, Min: time.Millisecond}
	p.Calls.Faults = []Fault{{PerMillion: 1, Status: 503}}
	p.Calls.Session = &Session{Name: "s"}
	p.Calls.Override = &Override{Key: make([]byte, 32)}
	p.Guard.RateLimits = []RateLimit{{Rate: 1, Burst: 1}}
	return p
}

func TestDefaultsAreInRange(t *testing.T) {
	if err := DefaultPolicy.Check(); err != nil {
		t.Error(err)
	}
	p := usable()
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	if err := p.Calls.Check(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsOutOfRangeIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*Policy){
		"algorithm":             func(p *Policy) { p.Balance.Algorithm = Maglev + 1 },
		"a hash is of 2 things": func(p *Policy) { p.Balance.Hash.Source = true },
		"a hash is of 0 things": func(p *Policy) { p.Balance.Hash = &Hash{} },
		"load bound is NaN":     func(p *Policy) { p.Balance.LoadBound = math.NaN() },
		"slow start":            func(p *Policy) { p.Balance.SlowStart = time.Hour },
		"panic":                 func(p *Policy) { p.Balance.PanicPercent = 101 },
		"success rate":          func(p *Policy) { p.Outlier.SuccessRate = 1 },
		"longest ejection":      func(p *Policy) { p.Outlier.EjectMax = time.Second },
		"does not begin with /": func(p *Policy) { p.Health.Path = "health" },
		"check's timeout":       func(p *Policy) { p.Health.Timeout = 6 * time.Second },
		"attempts":              func(p *Policy) { p.Calls.Retry.Attempts = 11 },
		"cause of retries":      func(p *Policy) { p.Calls.Retry.On = 1 << 7 },
		"HTTP statuses":         func(p *Policy) { p.Calls.Retry.Codes = []int{200} },
		"101 gRPC statuses":     func(p *Policy) { p.Calls.Retry.GRPC = make([]int, 101) },
		"gRPC statuses":         func(p *Policy) { p.Calls.Retry.GRPC = []int{0} },
		"longest backoff":       func(p *Policy) { p.Calls.Retry.BackoffMax = time.Millisecond },
		"held body":             func(p *Policy) { p.Calls.Retry.Body = 2 << 20 },
		"budget's window":       func(p *Policy) { p.Calls.Retry.Budget.Window = 0 },
		"percentile":            func(p *Policy) { p.Calls.Hedge.Percentile = 100 },
		"request's timeout":     func(p *Policy) { p.Calls.Timeouts.Request = -1 },
		"17 faults":             func(p *Policy) { p.Calls.Faults = make([]Fault, 17) },
		"fault's status":        func(p *Policy) { p.Calls.Faults[0].Status = 99 },
		"missing closing )":     func(p *Policy) { p.Calls.Faults[0].Headers = []ValueMatch{{Name: "a", Value: "(", Regex: true}} },
		"session's name":        func(p *Policy) { p.Calls.Session.Name = "" },
		"key has 31 bytes":      func(p *Policy) { p.Calls.Override.Key = make([]byte, 31) },
		"the priority":          func(p *Policy) { p.Calls.Priority = 3 },
		"a source":              func(p *Policy) { p.Calls.Sources.Retry = strings.Repeat("x", 5000) },
		"largest concurrency":   func(p *Policy) { p.Guard.Concurrency.Max = 1 },
		"tolerance":             func(p *Policy) { p.Guard.Concurrency.Tolerance = math.Inf(1) },
		"queue's interval":      func(p *Policy) { p.Guard.Queue.Interval = time.Millisecond },
		"65 priority rules":     func(p *Policy) { p.Guard.Priorities = make([]PriorityRule, 65) },
		"highest priority":      func(p *Policy) { p.Guard.Priorities = []PriorityRule{{Max: -2}} },
		"a rate is 0":           func(p *Policy) { p.Guard.RateLimits[0].Rate = 0 },
		"names none":            func(p *Policy) { p.Guard.RateLimits[0].By = LimitHeader },
		"service's timeout":     func(p *Policy) { p.Guard.RateLimits[0].Global = &GlobalLimit{Timeout: time.Minute} },
	} {
		p := usable()
		spoil(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
