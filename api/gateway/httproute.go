package gateway

import "github.com/weft-mesh/weft/api/k8s"

// HTTPRoute sends HTTP requests to backends by what they ask for (v1, v1beta1).
type HTTPRoute struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec is the wish.
	Spec   HTTPRouteSpec `json:"spec" rule:"required"`
	Status k8s.Unused    `json:"status,omitzero"`
}

// HTTPRouteSpec is the wish of an HTTPRoute.
type HTTPRouteSpec struct {
	CommonRouteSpec
	// Hostnames restrict the route to requests for these hosts. "*." may stand for the first labels.
	Hostnames []string `json:"hostnames,omitempty" rule:"maxItems=16,format=hostname"`
	// Rules are tried by precedence: exact path, longest prefix, method, most headers, most query
	// parameters, oldest route. Not given means one rule that matches everything.
	Rules []HTTPRouteRule `json:"rules,omitempty" rule:"minItems=1,maxItems=16"`
}

// HTTPRouteRule is one rule.
type HTTPRouteRule struct {
	// Name of the rule, unique in the route; shown in reasons and metrics.
	Name string `json:"name,omitempty" rule:"format=section-name"`
	// Matches are alternatives: one of them must hold. Not given means every request.
	Matches []HTTPRouteMatch `json:"matches,omitempty" rule:"maxItems=64"`
	// Filters change requests and responses, in order.
	Filters []HTTPRouteFilter `json:"filters,omitempty" rule:"maxItems=16"`
	// BackendRefs are where requests go, by weight.
	BackendRefs []HTTPBackendRef `json:"backendRefs,omitempty" rule:"maxItems=16"`
	// Timeouts bound requests in time.
	Timeouts *HTTPRouteTimeouts `json:"timeouts,omitempty"`
	// Retry says when a request is tried again.
	Retry *HTTPRouteRetry `json:"retry,omitempty"`
	// SessionPersistence keeps a client's requests with one endpoint.
	SessionPersistence *SessionPersistence `json:"sessionPersistence,omitempty"`
}

// HTTPRouteTimeouts bound requests in time.
type HTTPRouteTimeouts struct {
	// Request is the time from the request's head to the response's end, all tries included; 0s
	// means no limit.
	Request string `json:"request,omitempty" rule:"format=duration"`
	// BackendRequest is the time of one try; not longer than request.
	BackendRequest string `json:"backendRequest,omitempty" rule:"format=duration"`
}

// HTTPRouteRetry says when a request is tried again.
type HTTPRouteRetry struct {
	// Codes are the response statuses that cause another try, beside a connection that breaks and a try
	// that takes too long.
	Codes []int32 `json:"codes,omitempty" rule:"min=400,max=599,unique"`
	// Attempts is how many tries may follow the first; not given: what the Service's policy says, 2 by
	// default. weft makes at most 10: more only multiply an outage.
	Attempts *int32 `json:"attempts,omitempty" rule:"min=1,max=100"`
	// Backoff is the first wait between tries, of which a random part is taken; not given: what the
	// Service's policy says, 25ms by default.
	Backoff string `json:"backoff,omitempty" rule:"format=duration"`
}

// HTTPRouteMatch holds if all its parts hold.
type HTTPRouteMatch struct {
	// Path compares the path; not given means the prefix "/".
	Path *HTTPPathMatch `json:"path,omitempty"`
	// Headers compare header fields; all must hold.
	Headers []HeaderMatch `json:"headers,omitempty" rule:"maxItems=16,uniqueKey=name"`
	// QueryParams compare query parameters; all must hold.
	QueryParams []HTTPQueryParamMatch `json:"queryParams,omitempty" rule:"maxItems=16,uniqueKey=name"`
	// Method compares the method.
	Method string `json:"method,omitempty" rule:"enum=GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH"`
}

// HTTPPathMatch compares a path.
type HTTPPathMatch struct {
	// Type is how the path is compared; PathPrefix compares whole segments.
	Type string `json:"type,omitempty" rule:"enum=Exact|PathPrefix|RegularExpression,default=PathPrefix"`
	// Value is what it is compared with.
	Value string `json:"value,omitempty" rule:"maxLen=1024,default=/"`
}

// HTTPQueryParamMatch compares a query parameter.
type HTTPQueryParamMatch struct {
	// Type is how the value is compared.
	Type string `json:"type,omitempty" rule:"enum=Exact|RegularExpression,default=Exact"`
	// Name of the parameter; case matters.
	Name string `json:"name" rule:"required,format=header-name"`
	// Value to compare with.
	Value string `json:"value" rule:"required,minLen=1,maxLen=1024"`
}

// HTTPBackendRef is a backend with filters of its own.
type HTTPBackendRef struct {
	BackendRef
	// Filters apply to requests for this backend only.
	Filters []HTTPRouteFilter `json:"filters,omitempty" rule:"maxItems=16"`
}
