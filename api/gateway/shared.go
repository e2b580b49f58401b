package gateway

// ParentReference names what a route is attached to. For a mesh it is a Service: group "" and
// kind Service.
type ParentReference struct {
	// Group of the parent; "" for a Service.
	Group string `json:"group" rule:"format=group,default=gateway.networking.k8s.io"`
	// Kind of the parent; Service for a mesh.
	Kind string `json:"kind,omitempty" rule:"format=kind,default=Gateway"`
	// Namespace of the parent; the route's own if not given. A route in another namespace than its
	// parent's is a consumer route: it applies to clients in the route's namespace only.
	Namespace string `json:"namespace,omitempty" rule:"format=dns-label"`
	// Name of the parent.
	Name string `json:"name" rule:"required,minLen=1,maxLen=253"`
	// SectionName is the name of the Service's port to attach to; all ports if neither it nor port
	// is given.
	SectionName string `json:"sectionName,omitempty" rule:"format=section-name"`
	// Port is the number of the Service's port to attach to.
	Port *int32 `json:"port,omitempty" rule:"min=1,max=65535"`
}

// CommonRouteSpec is what the specs of all routes begin with.
type CommonRouteSpec struct {
	// ParentRefs are what the route is attached to.
	ParentRefs []ParentReference `json:"parentRefs,omitempty" rule:"maxItems=32"`
	// UseDefaultGateways belongs to gateways and has no meaning in a mesh.
	UseDefaultGateways string `json:"useDefaultGateways,omitempty" rule:"enum=All|None"`
}

// BackendObjectReference names a Service and its port.
type BackendObjectReference struct {
	// Group of the backend; "" for a Service.
	Group string `json:"group,omitempty" rule:"format=group"`
	// Kind of the backend.
	Kind string `json:"kind,omitempty" rule:"format=kind,default=Service"`
	// Name of the backend.
	Name string `json:"name" rule:"required,minLen=1,maxLen=253"`
	// Namespace of the backend; the route's own if not given. Another namespace must permit it by
	// a ReferenceGrant.
	Namespace string `json:"namespace,omitempty" rule:"format=dns-label"`
	// Port is the Service's port.
	Port *int32 `json:"port,omitempty" rule:"min=1,max=65535"`
}

// BackendRef is a backend with its share of the traffic.
type BackendRef struct {
	BackendObjectReference
	// Weight is the share relative to the sum of all weights of the rule; 0 gets nothing.
	Weight int32 `json:"weight" rule:"min=0,max=1000000,default=1"`
}

// LocalObjectReference names an object in the route's namespace.
type LocalObjectReference struct {
	// Group of the object.
	Group string `json:"group" rule:"required,format=group"`
	// Kind of the object.
	Kind string `json:"kind" rule:"required,format=kind"`
	// Name of the object.
	Name string `json:"name" rule:"required,minLen=1,maxLen=253"`
}

// Fraction is a part of a whole.
type Fraction struct {
	// Numerator of Denominator.
	Numerator int32 `json:"numerator" rule:"required,min=0"`
	// Denominator is 100 if not given.
	Denominator int32 `json:"denominator,omitempty" rule:"min=1,default=100"`
}

// HeaderMatch compares a header field.
type HeaderMatch struct {
	// Type is how the value is compared.
	Type string `json:"type,omitempty" rule:"enum=Exact|RegularExpression,default=Exact"`
	// Name of the field; case does not matter.
	Name string `json:"name" rule:"required,format=header-name"`
	// Value to compare with.
	Value string `json:"value" rule:"required,minLen=1,maxLen=4096"`
}

// SessionPersistence keeps a client's requests with one endpoint (GEP-1619).
type SessionPersistence struct {
	// SessionName is the name of the cookie or header field. Not given: weft-session for a cookie,
	// x-weft-session for a header field.
	SessionName string `json:"sessionName,omitempty" rule:"maxLen=128"`
	// AbsoluteTimeout ends the session after this time. It is required for a cookie of lifetimeType
	// Permanent. Not given: no limit.
	AbsoluteTimeout string `json:"absoluteTimeout,omitempty" rule:"format=duration"`
	// Type is where the session is kept.
	Type string `json:"type,omitempty" rule:"enum=Cookie|Header,default=Cookie"`
	// CookieConfig refines cookies.
	CookieConfig *CookieConfig `json:"cookieConfig,omitempty"`
}

// CookieConfig refines the cookie of a session.
type CookieConfig struct {
	// LifetimeType is how long the cookie lives: Session until the client ends, Permanent for
	// absoluteTimeout.
	LifetimeType string `json:"lifetimeType,omitempty" rule:"enum=Permanent|Session,default=Session"`
}
