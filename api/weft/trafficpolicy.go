package weft

import (
	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/k8s"
)

// TrafficPolicy says how requests to a Service are balanced, tried, watched and bounded: what
// Gateway API has no fields for (a direct policy, GEP-713). A field that is not written keeps the
// value of the policy or default below: a policy on a rule of a route goes before one on the route,
// that before one on the Service's port, that before one on the Service. Of two policies on one
// target the older is in force.
type TrafficPolicy struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec says what for whom.
	Spec   TrafficPolicySpec `json:"spec" rule:"required"`
	Status k8s.Unused        `json:"status,omitzero"`
}

// TrafficPolicySpec says what for whom. The sections loadBalancing, outlierDetection, healthCheck,
// overload and rateLimits are for Services only, mirrorComparison is for routes only.
type TrafficPolicySpec struct {
	// TargetRefs are what the policy is for, in its own namespace.
	TargetRefs []PolicyTarget `json:"targetRefs" rule:"required,minItems=1,maxItems=16"`
	// LoadBalancing is how an endpoint is chosen.
	LoadBalancing *LoadBalancing `json:"loadBalancing,omitempty"`
	// OutlierDetection is when an endpoint that fails is left alone for a while.
	OutlierDetection *OutlierDetection `json:"outlierDetection,omitempty"`
	// HealthCheck asks endpoints for their health. Not given: they are judged by their answers only.
	HealthCheck *HealthCheck `json:"healthCheck,omitempty"`
	// Retry is when a request is tried again.
	Retry *Retry `json:"retry,omitempty"`
	// Hedging sends a second request if the first is slower than most. Not given: never.
	Hedging *Hedging `json:"hedging,omitempty"`
	// Timeouts bound requests in time. Not given: no limit.
	Timeouts *gateway.HTTPRouteTimeouts `json:"timeouts,omitempty"`
	// Faults are failures made on purpose, for tests; those that match apply, in order. An empty list
	// takes away those of a policy below.
	Faults []Fault `json:"faults,omitempty" rule:"maxItems=16"`
	// SessionPersistence keeps a client's requests with one endpoint.
	SessionPersistence *gateway.SessionPersistence `json:"sessionPersistence,omitempty"`
	// MirrorComparison looks at the answers to the requests that the rule's RequestMirror filter copies.
	MirrorComparison *MirrorComparison `json:"mirrorComparison,omitempty"`
	// Override lets requests with a signed token name their backend. Not given: none may.
	Override *Override `json:"override,omitempty"`
	// Priority of requests that name none themselves; the lowest are turned away first under overload.
	Priority string `json:"priority,omitempty" rule:"enum=sheddable|default|critical|critical_plus,assume=default"`
	// Overload protects the application from more than it can do. It acts at the application's own proxy.
	Overload *Overload `json:"overload,omitempty"`
	// RateLimits bound the rate of requests, at the application's own proxy. All that match must allow
	// a request.
	RateLimits []RateLimit `json:"rateLimits,omitempty" rule:"maxItems=16,uniqueKey=name"`
}

// PolicyTarget names what a policy is for: a Service (group "", kind Service), one of its ports, an
// HTTPRoute or GRPCRoute (group gateway.networking.k8s.io), or one of its rules.
type PolicyTarget struct {
	// Group of the target: "" for a Service, gateway.networking.k8s.io for a route.
	Group string `json:"group" rule:"enum=|gateway.networking.k8s.io"`
	// Kind of the target.
	Kind string `json:"kind" rule:"required,enum=Service|HTTPRoute|GRPCRoute"`
	// Name of the target.
	Name string `json:"name" rule:"required,minLen=1,maxLen=253"`
	// SectionName is the name of the Service's port, or of the route's rule; all of it if not given.
	SectionName string `json:"sectionName,omitempty" rule:"format=section-name"`
}

// LoadBalancing is how an endpoint is chosen.
type LoadBalancing struct {
	// Algorithm: PeakEWMA takes the cheaper of two random endpoints by latency and requests in flight
	// (Finagle; the default), LeastRequest the one with fewer requests in flight, RoundRobin goes in
	// turn and Random at random, both by weight, Prequal asks endpoints for their load in advance (NSDI
	// 2024), RingHash and Maglev send equal hashes to one endpoint.
	Algorithm string `json:"algorithm,omitempty" rule:"enum=PeakEWMA|LeastRequest|RoundRobin|Random|Prequal|RingHash|Maglev,assume=PeakEWMA"`
	// Hash is what of a request RingHash and Maglev go by. Not given: the client's workload.
	Hash *Hash `json:"hash,omitempty"`
	// LoadBoundPercent of the mean number of requests in flight is what one endpoint may have with
	// RingHash and Maglev before requests go to the next ("Consistent Hashing with Bounded Loads").
	LoadBoundPercent *int32 `json:"loadBoundPercent,omitempty" rule:"min=105,max=1000,assume=125"`
	// SlowStart is how long the share of a new endpoint grows (10 s to 30 s are usual); 0s: not at all.
	SlowStart string `json:"slowStart,omitempty" rule:"format=duration,maxDuration=15m,assume=10s"`
	// PanicPercent: if fewer endpoints than this share are healthy, health is ignored, since the load
	// would only break the rest (Envoy's panic threshold). 0: never ignored.
	PanicPercent *int32 `json:"panicPercent,omitempty" rule:"min=0,max=100,assume=50"`
	// Locality keeps requests in the client's zone as far as its endpoints can take them.
	Locality *bool `json:"locality,omitempty" rule:"assume=true"`
	// ApertureMin is with how many endpoints a client keeps connections at least if there are many
	// (Finagle's deterministic aperture). 0: with all.
	ApertureMin *int32 `json:"apertureMin,omitempty" rule:"min=0,max=1000,assume=24"`
	// ApertureAbove is above how many endpoints a client keeps connections with a part of them only.
	ApertureAbove *int32 `json:"apertureAbove,omitempty" rule:"min=0,max=100000,assume=24"`
	// LoadReports lets the load that endpoints report in responses (ORCA, gRFC A51 and A58) make weights.
	LoadReports *bool `json:"loadReports,omitempty" rule:"assume=true"`
}

// Hash is what of a request decides its endpoint; exactly one field is set.
type Hash struct {
	// Header is a request field whose value is hashed.
	Header string `json:"header,omitempty" rule:"format=header-name"`
	// Cookie is a cookie whose value is hashed.
	Cookie string `json:"cookie,omitempty" rule:"format=header-name"`
	// Source hashes the client: its workload, or its address if it is not in the mesh.
	Source bool `json:"source,omitempty"`
}

// OutlierDetection is when an endpoint that fails while others do not is left alone for a while.
type OutlierDetection struct {
	// Consecutive failures eject an endpoint (5 to 7 are usual; Envoy and Finagle have 5). 0: not looked at.
	Consecutive *int32 `json:"consecutive,omitempty" rule:"min=0,max=1000,assume=5"`
	// SuccessRatePercent is the share of successes, as a moving average over successRateWindow, below
	// which an endpoint is ejected if the others are above it (Finagle). 0: not looked at.
	SuccessRatePercent *int32 `json:"successRatePercent,omitempty" rule:"min=0,max=99,assume=80"`
	// SuccessRateWindow is the time of that average (Finagle's).
	SuccessRateWindow string `json:"successRateWindow,omitempty" rule:"format=duration,minDuration=1s,maxDuration=10m,assume=30s"`
	// SlowFactor ejects an endpoint whose latency is that many times the median of all, from 2. 0: not
	// looked at, since the balancer avoids it anyway.
	SlowFactor *int32 `json:"slowFactor,omitempty" rule:"min=0,max=1000,assume=0"`
	// BaseEjection is how long the first ejection lasts; each further one in a row lasts twice as long,
	// with jitter (Finagle's backoff).
	BaseEjection string `json:"baseEjection,omitempty" rule:"format=duration,minDuration=100ms,maxDuration=1h,assume=5s"`
	// MaxEjection is the longest; not below baseEjection.
	MaxEjection string `json:"maxEjection,omitempty" rule:"format=duration,minDuration=100ms,maxDuration=24h,assume=5m"`
	// MaxEjectedPercent of the endpoints are ejected at once (10 to 50 are usual). 0: none.
	MaxEjectedPercent *int32 `json:"maxEjectedPercent,omitempty" rule:"min=0,max=100,assume=50"`
}

// HealthCheck asks endpoints for their health.
type HealthCheck struct {
	// Enabled is false to take away the check of a policy below.
	Enabled *bool `json:"enabled,omitempty" rule:"assume=true"`
	// Type: HTTP asks for path and wants a status from 200 to 399, GRPC calls grpc.health.v1.Health/Check,
	// TCP makes a connection.
	Type string `json:"type,omitempty" rule:"enum=HTTP|GRPC|TCP,assume=HTTP"`
	// Path of HTTP.
	Path string `json:"path,omitempty" rule:"maxLen=1024,assume=/"`
	// Service of GRPC; not given: the whole server.
	Service string `json:"service,omitempty" rule:"maxLen=1024"`
	// Interval between checks of an endpoint by a client's proxy, with jitter (HAProxy has 2 s).
	Interval string `json:"interval,omitempty" rule:"format=duration,minDuration=100ms,maxDuration=1h,assume=5s"`
	// Timeout of one check; not longer than interval.
	Timeout string `json:"timeout,omitempty" rule:"format=duration,minDuration=1ms,maxDuration=1h,assume=1s"`
	// Unhealthy is how many failures in a row make an endpoint unhealthy (HAProxy's fall).
	Unhealthy *int32 `json:"unhealthy,omitempty" rule:"min=1,max=100,assume=3"`
	// Healthy is how many successes in a row make it healthy again (HAProxy's rise).
	Healthy *int32 `json:"healthy,omitempty" rule:"min=1,max=100,assume=2"`
}
