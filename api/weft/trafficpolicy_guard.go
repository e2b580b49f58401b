package weft

import "github.com/weft-mesh/weft/api/gateway"

// Overload protects an application from more than it can do.
type Overload struct {
	// Concurrency is how many requests the application is given at a time.
	Concurrency *Concurrency `json:"concurrency,omitempty"`
	// Queue is where other requests wait.
	Queue *Queue `json:"queue,omitempty"`
	// Priorities say which priority a caller may claim for its requests. The first whose identity matches
	// counts; a caller that none matches may claim up to critical.
	Priorities []PriorityRule `json:"priorities,omitempty" rule:"maxItems=64"`
}

// Concurrency is how many requests an application is given at a time: a limit that follows its
// latency (Netflix's concurrency-limits, Gradient2).
type Concurrency struct {
	// Adaptive makes the limit follow the latency of the application; otherwise it is max.
	Adaptive *bool `json:"adaptive,omitempty" rule:"assume=false"`
	// Min is the lowest limit, of each proxy.
	Min *int32 `json:"min,omitempty" rule:"min=1,max=1000000,assume=4"`
	// Max is the highest; not below min.
	Max *int32 `json:"max,omitempty" rule:"min=1,max=1000000,assume=10000"`
	// TolerancePercent of the usual latency is not yet overload (Netflix's 1.5).
	TolerancePercent *int32 `json:"tolerancePercent,omitempty" rule:"min=100,max=1000,assume=150"`
}

// Queue is where requests wait for the application: by priority, the last first while there is too
// much, and not for long ("Fail at Scale", ACM Queue 2015, has 5 ms and 100 ms).
type Queue struct {
	// Target is the longest wait once requests have waited all through interval.
	Target string `json:"target,omitempty" rule:"format=duration,maxDuration=1m,assume=5ms"`
	// Interval is the longest wait otherwise; not below target.
	Interval string `json:"interval,omitempty" rule:"format=duration,maxDuration=1m,assume=100ms"`
	// Max is how many wait, at each proxy; 0: none.
	Max *int32 `json:"max,omitempty" rule:"min=0,max=100000,assume=1000"`
}

// PriorityRule says which priority a caller may claim.
type PriorityRule struct {
	// Identity is a SPIFFE ID, or the beginning of some with "/*" at the end.
	Identity string `json:"identity" rule:"required,format=spiffe-ids"`
	// Max: claims above it count as it.
	Max string `json:"max" rule:"required,enum=sheddable|default|critical|critical_plus"`
	// Default is the priority of requests that claim none; not above max.
	Default string `json:"default,omitempty" rule:"enum=sheddable|default|critical|critical_plus,assume=default"`
}

// RateLimit bounds the rate of requests.
type RateLimit struct {
	// Name of the limit, shown in refusals and metrics.
	Name string `json:"name" rule:"required,format=dns-label"`
	// Headers all must match; not given: every request counts.
	Headers []gateway.HeaderMatch `json:"headers,omitempty" rule:"maxItems=16,uniqueKey=name"`
	// Path must match; not given: every path counts.
	Path *gateway.HTTPPathMatch `json:"path,omitempty"`
	// By is what requests are counted by: All together, each caller's Identity, or each value of a Header.
	By string `json:"by,omitempty" rule:"enum=All|Identity|Header,default=All"`
	// Header is the request field of by: Header.
	Header string `json:"header,omitempty" rule:"format=header-name"`
	// Count of requests that each proxy of the application lets through in an interval. It is required
	// unless global is given.
	Count *int32 `json:"count,omitempty" rule:"min=1,max=1000000000"`
	// Interval of count.
	Interval string `json:"interval,omitempty" rule:"format=duration,minDuration=1ms,maxDuration=1h,assume=1s"`
	// Burst is how many may come at once (a token bucket's size). Not given: count.
	Burst *int32 `json:"burst,omitempty" rule:"min=1,max=1000000000"`
	// Global asks a service that counts for all proxies instead.
	Global *GlobalLimit `json:"global,omitempty"`
}

// GlobalLimit is a rate limit that a service keeps for all proxies, by Envoy's protocol
// (envoy.service.ratelimit.v3).
type GlobalLimit struct {
	// Address of the service, HOST:PORT.
	Address string `json:"address" rule:"required,format=host-port"`
	// Domain of the limit in the service's configuration.
	Domain string `json:"domain" rule:"required,minLen=1,maxLen=253"`
	// Timeout after which the request is decided without the service (Envoy's 20 ms).
	Timeout string `json:"timeout,omitempty" rule:"format=duration,minDuration=1ms,maxDuration=1s,assume=20ms"`
	// FailClosed turns requests away if the service does not answer in time; otherwise they pass.
	FailClosed *bool `json:"failClosed,omitempty" rule:"assume=false"`
}
