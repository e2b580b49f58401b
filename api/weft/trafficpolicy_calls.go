package weft

import "github.com/weft-mesh/weft/api/gateway"

// Retry is when a request is tried again. What provably was not processed (no connection, a refused
// stream, a server that is going away, an overloaded one that turned it away) is always tried
// again, within the budget. Anything else only if the request may be repeated: its method is
// idempotent (RFC 9110), or idempotent says so, and its body was held.
type Retry struct {
	// Causes beyond those: Reset, the connection broke before the response; Timeout, the time of one try
	// (timeouts.backendRequest) passed.
	Causes []string `json:"causes,omitempty" rule:"maxItems=2,unique,enum=Reset|Timeout"`
	// Codes are response statuses that cause another try.
	Codes []int32 `json:"codes,omitempty" rule:"min=400,max=599,maxItems=100,unique"`
	// GRPCCodes are gRPC statuses that cause another try.
	GRPCCodes []string `json:"grpcCodes,omitempty" rule:"maxItems=16,unique,enum=CANCELLED|UNKNOWN|INVALID_ARGUMENT|DEADLINE_EXCEEDED|NOT_FOUND|ALREADY_EXISTS|PERMISSION_DENIED|RESOURCE_EXHAUSTED|FAILED_PRECONDITION|ABORTED|OUT_OF_RANGE|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS|UNAUTHENTICATED"`
	// Attempts is how many tries may follow the first (HAProxy makes 3 by default; each one more
	// multiplies an outage). 0: none.
	Attempts *int32 `json:"attempts,omitempty" rule:"min=0,max=10,assume=2"`
	// Backoff is the first wait between tries, doubled each time up to maxBackoff, of which a random part
	// is taken (full jitter; Envoy's 25 ms and ten times as much).
	Backoff string `json:"backoff,omitempty" rule:"format=duration,maxDuration=1m,assume=25ms"`
	// MaxBackoff is the longest wait; not below backoff.
	MaxBackoff string `json:"maxBackoff,omitempty" rule:"format=duration,maxDuration=10m,assume=250ms"`
	// Idempotent declares that every request may be repeated, whatever its method.
	Idempotent *bool `json:"idempotent,omitempty" rule:"assume=false"`
	// MaxBodyBytes is how much of a request's body is held for another try (linkerd2-proxy's 64 KiB). A
	// request with a larger body is not repeated.
	MaxBodyBytes *int32 `json:"maxBodyBytes,omitempty" rule:"min=0,max=1048576,assume=65536"`
	// Budget bounds what retries and hedges may add to the load.
	Budget *RetryBudget `json:"budget,omitempty"`
}

// RetryBudget bounds what retries and hedges of one client to one service may add to its load
// (Finagle's RetryBudget; the values of GEP-3388).
type RetryBudget struct {
	// Percent of the requests of the interval.
	Percent *int32 `json:"percent,omitempty" rule:"min=0,max=100,assume=20"`
	// MinPerSecond may be added beside that, each second.
	MinPerSecond *int32 `json:"minPerSecond,omitempty" rule:"min=0,max=10000,assume=10"`
	// Interval is how long a request counts.
	Interval string `json:"interval,omitempty" rule:"format=duration,minDuration=1s,maxDuration=1m,assume=10s"`
}

// Hedging sends a second request to another endpoint if the first has no answer after a time that
// most have; the first answer wins. Only requests that may be repeated are hedged, within retry's
// budget.
type Hedging struct {
	// Enabled is false to take away the hedging of a policy below.
	Enabled *bool `json:"enabled,omitempty" rule:"assume=true"`
	// Percentile of the latencies seen so far after which the second is sent ("The Tail at Scale" has 95).
	Percentile *int32 `json:"percentile,omitempty" rule:"min=50,max=99,assume=95"`
	// MinDelay is the shortest wait, so that what is fast anyway is not sent twice.
	MinDelay string `json:"minDelay,omitempty" rule:"format=duration,maxDuration=1m,assume=1ms"`
}

// Fault is a failure made on purpose: a delay, and then at most one of status, grpcStatus and reset;
// or a slow response.
type Fault struct {
	// Headers all must match; not given: every request.
	Headers []gateway.HeaderMatch `json:"headers,omitempty" rule:"maxItems=16,uniqueKey=name"`
	// Percent of those requests get the fault; all if neither it nor fraction is given.
	Percent *int32 `json:"percent,omitempty" rule:"min=0,max=100"`
	// Fraction of those requests get the fault.
	Fraction *gateway.Fraction `json:"fraction,omitempty"`
	// Delay before anything else is done with the request.
	Delay string `json:"delay,omitempty" rule:"format=duration,maxDuration=10m"`
	// Status is answered in place of a backend.
	Status *int32 `json:"status,omitempty" rule:"min=200,max=599"`
	// GRPCStatus is answered in place of a backend, as grpc-status.
	GRPCStatus *int32 `json:"grpcStatus,omitempty" rule:"min=1,max=16"`
	// Reset ends the stream or connection without an answer.
	Reset bool `json:"reset,omitempty"`
	// BytesPerSecond is how fast the response comes.
	BytesPerSecond *int32 `json:"bytesPerSecond,omitempty" rule:"min=1,max=1073741824"`
}

// MirrorComparison looks at the answers to mirrored requests. The candidate is the backend of the
// rule's RequestMirror filter; a second copy goes to the baseline, which runs the version that
// answers the original: where that one differs too, the difference is noise.
type MirrorComparison struct {
	// Baseline is a Service in the policy's namespace, and neither a backend of the rule nor the candidate.
	Baseline ServicePortRef `json:"baseline" rule:"required"`
	// Headers are response fields that are compared beside status and body.
	Headers []string `json:"headers,omitempty" rule:"maxItems=32,unique,format=header-name"`
}

// ServicePortRef names a port of a Service in the same namespace.
type ServicePortRef struct {
	// Name of the Service.
	Name string `json:"name" rule:"required,minLen=1,maxLen=253"`
	// Port is the Service's port.
	Port int32 `json:"port" rule:"required,min=1,max=65535"`
}

// Override lets requests with a signed token name their backend: staging on production.
type Override struct {
	// PublicKey of whoever may sign: Ed25519, 32 bytes in base64.
	PublicKey string `json:"publicKey" rule:"required,format=ed25519-key"`
}
