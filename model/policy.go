package model

import "time"

// Policy is how the endpoints of a service port are chosen and watched, how calls to it are tried,
// and how its applications are guarded against too much of them. Values are whole: whoever makes one
// starts from DefaultPolicy, so no field means "not set". A nil *Policy is DefaultPolicy.
type Policy struct {
	Balance Balance
	Outlier Outlier
	Health  *HealthCheck // nil: none
	Calls   Calls
	Guard   Guard
	Source  string // file:line of what set it; empty: the defaults
}

// Algorithm is how an endpoint is chosen among those that may be.
type Algorithm uint8

// The algorithms. The zero value is the default.
const (
	PeakEWMA     Algorithm = iota // the cheaper of two random ones, by peak EWMA latency times requests in flight (Finagle)
	LeastRequest                  // the one of two random ones with fewer requests in flight
	RoundRobin                    // in turn, by weight
	Random                        // by weight
	Prequal                       // by the endpoints' own load, asked for in advance (Wydrowski et al., NSDI 2024)
	RingHash                      // by a hash of the request on a ring (Karger et al. 1997)
	Maglev                        // by a hash of the request in a table (Eisenbud et al., NSDI 2016)
)

// String gives the name used in YAML.
func (a Algorithm) String() string {
	return [...]string{"PeakEWMA", "LeastRequest", "RoundRobin", "Random", "Prequal", "RingHash", "Maglev"}[a]
}

// Balance says how an endpoint is chosen.
type Balance struct {
	Algorithm Algorithm
	Hash      *Hash // of RingHash and Maglev; nil: the client's workload
	// LoadBound is how much more than the mean number of requests in flight an endpoint may have with
	// RingHash and Maglev before its requests go to the next (Mirrokni et al., "Consistent Hashing with
	// Bounded Loads", 2017). 1.25; from 1.05 to 10.
	LoadBound float64
	// SlowStart is how long the weight of a new endpoint grows. 10 s; 0: not at all; at most 15 min.
	SlowStart time.Duration
	// PanicPercent: if fewer endpoints than this share are healthy, health is ignored, since the load
	// would only break those that are left (Envoy's panic threshold). 50; 0: never; at most 100.
	PanicPercent int
	// Locality keeps requests in the client's zone as far as its endpoints can take them.
	Locality bool
	// ApertureMin is with how many endpoints a client keeps connections at least if there are many
	// clients (Finagle's deterministic aperture, whose minimum is 12). 24: see docs/reliability; 0: with all; at most 1000.
	ApertureMin int
	// ApertureAbove is above how many endpoints a client uses an aperture. 24.
	ApertureAbove int
	// LoadReports says that load reports in responses (ORCA, gRFC A51 and A58) make weights.
	LoadReports bool
}

// Hash is what of a request decides its endpoint. Exactly one is set.
type Hash struct {
	Header string // lower case
	Cookie string
	Source bool // the client's address, or its workload
}

// Outlier ejects endpoints that fail while the others do not.
type Outlier struct {
	// Consecutive failures eject an endpoint. 5; 0: not considered; at most 1000.
	Consecutive int
	// SuccessRate is the share of successes, as a moving average over SuccessWindow, below which an
	// endpoint is ejected, if the others are above it. 0.8 over 30 s (Finagle's success rate policy);
	// 0: not considered; below 1.
	SuccessRate   float64
	SuccessWindow time.Duration
	// SlowFactor: an endpoint whose latency is that many times the median of all is ejected.
	// 0, the default: not considered, since the balancer avoids it anyway; from 2 to 1000.
	SlowFactor float64
	// Eject is how long the first ejection lasts, doubled each time, with jitter, up to EjectMax. 5 s, 5 min.
	Eject, EjectMax time.Duration
	// MaxPercent of the endpoints are ejected at once. 50; 0: no ejection; at most 100.
	MaxPercent int
}

// HealthKind is how an endpoint is asked for its health.
type HealthKind uint8

// The kinds of health check.
const (
	HealthHTTP HealthKind = iota
	HealthGRPC            // grpc.health.v1.Health/Check
	HealthTCP             // a connection is made
)

// String gives the name used in YAML.
func (k HealthKind) String() string { return [...]string{"HTTP", "GRPC", "TCP"}[k] }

// HealthCheck asks endpoints for their health.
type HealthCheck struct {
	Kind      HealthKind
	Path      string        // of HTTP; "/" if not given
	Service   string        // of gRPC; may be empty
	Interval  time.Duration // 5 s, with jitter; from 100 ms to 1 h
	Timeout   time.Duration // 1 s; not longer than Interval
	Unhealthy int           // failures in a row that make an endpoint unhealthy. 3; 1 to 100
	Healthy   int           // successes in a row that make it healthy again. 2; 1 to 100
}

// Calls is how one request is tried. A rule of a route may have its own.
type Calls struct {
	Timeouts Timeouts
	Retry    Retry
	Hedge    *Hedge   // nil: none
	Faults   []Fault  // those that match apply, in order
	Session  *Session // nil: none
	Compare  *Compare // nil: mirrored answers are not looked at
	Override *Override
	Priority Priority // of requests that name none; PriorityDefault
	Sources  CallSources
}

// CallSources says where each part of a Calls was written, as file:line, for explanations. Empty
// means nowhere: the part is the default, or not there.
type CallSources struct {
	Timeouts, Retry, Budget, Hedge, Faults, Session, Compare, Override, Priority string
}

// RetryOn is what else, beyond what provably was not processed, causes another try.
type RetryOn uint8

// The causes. What provably was not processed (no connection, REFUSED_STREAM, a GOAWAY that the
// request crossed, a rejection by an overloaded proxy) is tried again always, within the budget.
const (
	RetryReset   RetryOn = 1 << iota // the connection or stream broke before the response
	RetryTimeout                     // the timeout of one try passed
	RetryCodes                       // the response's status is one of Codes
	RetryGRPC                        // the response's grpc-status is one of GRPC
)

// Retry says when a request is tried again. Beyond what provably was not processed, only what may
// be repeated is: a request whose method is idempotent (RFC 9110 section 9.2.2) or that is declared
// so, and whose body is held.
type Retry struct {
	On    RetryOn
	Codes []int // HTTP statuses (HTTPRouteRetry.codes)
	GRPC  []int // gRPC statuses
	// Attempts is how many tries may follow the first. 2; at most 10.
	Attempts int
	// Backoff is the first wait between tries, doubled each time up to BackoffMax, of which a random part
	// is taken (full jitter). 25 ms and 250 ms.
	Backoff, BackoffMax time.Duration
	// Idempotent declares that all requests may be repeated.
	Idempotent bool
	// Body bounds how much of a request's body is held for another try. 64 KiB; at most 1 MiB.
	Body   int
	Budget RetryBudget
}

// RetryBudget bounds what retries and hedges of one client to one service may add to its load
// (Finagle's RetryBudget; GEP-3388 for the fields of XBackendTrafficPolicy).
type RetryBudget struct {
	Percent      int           // of requests. 20; 0 to 100
	MinPerSecond int           // what may be repeated whatever the share is. 10; 0 to 10,000
	Window       time.Duration // how long a request counts. 10 s; 1 s to 1 min
}

// Hedge sends a second request if the first is slower than most.
type Hedge struct {
	// Percentile of the latencies seen so far, after which the second is sent. 95; from 50 to 99.9.
	Percentile float64
	// Min bounds the wait from below. 1 ms.
	Min time.Duration
}

// Priority is what is shed first under overload: the lowest (Google's criticality).
type Priority int8

// The priorities. The zero value is the default.
const (
	PrioritySheddable    Priority = -1
	PriorityDefault      Priority = 0
	PriorityCritical     Priority = 1
	PriorityCriticalPlus Priority = 2
)

// String gives the name used in YAML and header fields.
func (p Priority) String() string {
	switch p {
	case PrioritySheddable:
		return "sheddable"
	case PriorityCritical:
		return "critical"
	case PriorityCriticalPlus:
		return "critical_plus"
	}
	return "default"
}

// Fault is a failure made on purpose.
type Fault struct {
	Headers []ValueMatch // all must hold; empty: every request
	// PerMillion of the requests get the fault.
	PerMillion int
	Delay      time.Duration // before anything else
	Status     int           // answered instead of a backend; 0: not
	GRPC       int           // the same as grpc-status; 0: not
	Reset      bool          // the stream or connection is reset
	BytesPS    int           // bytes a second of the response; 0: as fast as it comes
}

// Session keeps a client's requests with one endpoint (GEP-1619).
type Session struct {
	Name     string // of the cookie or header field
	Header   bool   // a header field; otherwise a cookie
	Absolute time.Duration
	// Permanent makes the cookie live for Absolute; otherwise it lives as long as the client's session.
	Permanent bool
}

// Compare looks at the answers to mirrored requests. The candidate is the backend of the rule's
// mirror. A second copy goes to Baseline, which runs the same version as the primary: what differs
// between those two is noise.
type Compare struct {
	Baseline Backend
	Headers  []string // response fields that are compared beside status and body; lower case
}

// Override lets a signed request name its backend: staging on production (Linkerd 1's dtab, made
// safe).
type Override struct {
	Key []byte // Ed25519 public key, of whoever may sign
}

// Guard protects an application from more than it can do. It acts at the callee's proxy.
type Guard struct {
	Concurrency Concurrency
	Queue       Queue
	// Priorities say what callers may claim. The first that matches counts; a caller that none matches
	// may claim up to PriorityCritical.
	Priorities []PriorityRule
	RateLimits []RateLimit
}

// Concurrency is how many requests an application is given at a time: a limit that follows its
// latency (Netflix, concurrency-limits, Gradient2).
type Concurrency struct {
	Adaptive  bool    // off by default
	Min, Max  int     // of the limit, a proxy. 4 and 10,000
	Tolerance float64 // how much slower than usual is not yet overload. 1.5; from 1 to 10
}

// Queue is where requests wait for the application: by priority, the last first while overloaded,
// and not for long (CoDel and adaptive LIFO: Maurer, "Fail at Scale", ACM Queue 2015).
type Queue struct {
	Target   time.Duration // the longest wait once there was a queue for Interval. 5 ms
	Interval time.Duration // and the longest otherwise. 100 ms
	Max      int           // how many wait. 1000; at most 100,000
}

// PriorityRule says what a caller may claim.
type PriorityRule struct {
	Identity string   // SPIFFE ID, or a prefix of it that ends in "/*"
	Max      Priority // claims above it count as it
	Default  Priority // of requests that claim none
}

// LimitBy is what requests are counted by.
type LimitBy uint8

// What a rate limit counts by.
const (
	LimitAll      LimitBy = iota // all requests together
	LimitIdentity                // each caller's
	LimitHeader                  // each value of a header field
)

// RateLimit bounds the rate of requests.
type RateLimit struct {
	Name    string
	Headers []ValueMatch // all must hold; empty: every request
	Path    *PathMatch   // nil: any
	By      LimitBy
	Header  string // of LimitHeader, lower case
	// Rate a second and Burst of a token bucket, of each proxy.
	Rate  float64
	Burst int
	// Global asks a service that speaks Envoy's rate limit protocol instead; nil: this proxy decides.
	Global *GlobalLimit
}

// GlobalLimit is a rate limit that a service keeps for all proxies (envoy.service.ratelimit.v3).
type GlobalLimit struct {
	Address string // host:port
	Domain  string
	Timeout time.Duration // 20 ms; at most 1 s
	// Deny refuses requests if the service does not answer in time; otherwise they pass.
	Deny bool
}

// DefaultPolicy is what holds where nobody said otherwise. It must not be changed.
var DefaultPolicy = Policy{
	Balance: Balance{
		Algorithm: PeakEWMA, LoadBound: 1.25, SlowStart: 10 * time.Second, PanicPercent: 50,
		Locality: true, ApertureMin: 24, ApertureAbove: 24, LoadReports: true,
	},
	Outlier: Outlier{
		Consecutive: 5, SuccessRate: 0.8, SuccessWindow: 30 * time.Second,
		Eject: 5 * time.Second, EjectMax: 5 * time.Minute, MaxPercent: 50,
	},
	Calls: Calls{
		Retry: Retry{
			Attempts: 2, Backoff: 25 * time.Millisecond, BackoffMax: 250 * time.Millisecond, Body: 64 << 10,
			Budget: RetryBudget{Percent: 20, MinPerSecond: 10, Window: 10 * time.Second},
		},
	},
	Guard: Guard{
		Concurrency: Concurrency{Min: 4, Max: 10_000, Tolerance: 1.5},
		Queue:       Queue{Target: 5 * time.Millisecond, Interval: 100 * time.Millisecond, Max: 1000},
	},
}

// PolicyOf gives p, or the defaults if it is nil.
func PolicyOf(p *Policy) *Policy {
	if p == nil {
		return &DefaultPolicy
	}
	return p
}
