package gateway

import (
	"fmt"

	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
)

// ExperimentalGroup is the API group of Gateway API's experimental kinds.
const ExperimentalGroup = "gateway.networking.x-k8s.io"

// XBackendTrafficPolicy bounds retries to a Service and keeps sessions (GEP-3388, GEP-1619;
// gateway.networking.x-k8s.io/v1alpha1). A TrafficPolicy on the same Service goes before it.
type XBackendTrafficPolicy struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec is the wish.
	Spec   BackendTrafficPolicySpec `json:"spec" rule:"required"`
	Status k8s.Unused               `json:"status,omitzero"`
}

// BackendTrafficPolicySpec is the wish of an XBackendTrafficPolicy.
type BackendTrafficPolicySpec struct {
	// TargetRefs are the Services that the policy is for.
	TargetRefs []LocalPolicyTargetReference `json:"targetRefs" rule:"required,minItems=1,maxItems=16"`
	// RetryConstraint bounds what retries may add to the load.
	RetryConstraint *RetryConstraint `json:"retryConstraint,omitempty"`
	// SessionPersistence keeps a client's requests with one endpoint.
	SessionPersistence *SessionPersistence `json:"sessionPersistence,omitempty"`
}

// LocalPolicyTargetReference names what a policy is for, in its own namespace.
type LocalPolicyTargetReference struct {
	// Group of the target; "" for a Service.
	Group string `json:"group" rule:"format=group"`
	// Kind of the target.
	Kind string `json:"kind" rule:"required,format=kind"`
	// Name of the target.
	Name string `json:"name" rule:"required,minLen=1,maxLen=253"`
}

// RetryConstraint bounds what retries may add to the load.
type RetryConstraint struct {
	// Budget is a share of the requests.
	Budget BudgetDetails `json:"budget,omitzero"`
	// MinRetryRate may be added beside the budget.
	MinRetryRate RequestRate `json:"minRetryRate,omitzero"`
}

// BudgetDetails is a share of the requests.
type BudgetDetails struct {
	// Percent of the requests of an interval.
	Percent int32 `json:"percent,omitempty" rule:"min=0,max=100,default=20"`
	// Interval is how long a request counts, from 1s to 1h. weft counts for at most a minute.
	Interval string `json:"interval,omitempty" rule:"format=duration,minDuration=1s,maxDuration=1h,default=10s"`
}

// RequestRate is a rate of requests.
type RequestRate struct {
	// Count of requests in an interval.
	Count int32 `json:"count,omitempty" rule:"min=1,max=1000000,default=10"`
	// Interval of count, more than 0s and at most 1h. weft rounds the rate up to whole requests a second.
	Interval string `json:"interval,omitempty" rule:"format=duration,minDuration=1ms,maxDuration=1h,default=1s"`
}

// Validate implements object.Validator.
func (x *XBackendTrafficPolicy) Validate(to func(object.Fault)) {
	r := report(to)
	seen := map[LocalPolicyTargetReference]int{}
	for i, t := range x.Spec.TargetRefs {
		if first, twice := seen[t]; twice {
			r.fault("W1012", fmt.Sprintf("spec.targetRefs[%d]", i), fmt.Sprintf("%s %s occurs twice in spec.targetRefs", t.Kind, t.Name), fmt.Sprintf("items %d and %d name it", first, i), "remove one of them")
			continue
		}
		seen[t] = i
	}
	r.session(x.Spec.SessionPersistence, "spec.sessionPersistence")
}
