package k8s

// LabelServiceName is the label by which an EndpointSlice says whose endpoints it lists.
const LabelServiceName = "kubernetes.io/service-name"

// EndpointSlice lists addresses that answer for a Service (discovery.k8s.io/v1). The label
// kubernetes.io/service-name names the Service.
type EndpointSlice struct {
	TypeMeta
	Metadata ObjectMeta `json:"metadata" rule:"required"`
	// AddressType is the kind of all addresses of the slice.
	AddressType string `json:"addressType" rule:"required,enum=IPv4|IPv6|FQDN"`
	// Endpoints are who answers.
	Endpoints []Endpoint `json:"endpoints" rule:"maxItems=1000"`
	// Ports are where they answer; the name joins a port to the Service's port of that name.
	Ports []EndpointPort `json:"ports,omitempty" rule:"maxItems=100"`
}

// Endpoint is one answerer of a slice.
type Endpoint struct {
	// Addresses all lead to the same instance; the first is used.
	Addresses []string `json:"addresses" rule:"required,minItems=1,maxItems=100"`
	// Conditions say whether it may be used.
	Conditions EndpointConditions `json:"conditions,omitzero"`
	// NodeName is the node it runs on.
	NodeName string `json:"nodeName,omitempty"`
	// Zone is the zone it runs in.
	Zone string `json:"zone,omitempty"`

	Hostname           Unused `json:"hostname,omitzero"`
	TargetRef          Unused `json:"targetRef,omitzero"`
	Hints              Unused `json:"hints,omitzero"`
	DeprecatedTopology Unused `json:"deprecatedTopology,omitzero"`
}

// EndpointConditions is the state of an endpoint.
type EndpointConditions struct {
	// Ready endpoints get traffic; not given means ready.
	Ready *bool `json:"ready,omitempty"`
	// Serving endpoints answer, though they may be terminating; not given means as ready.
	Serving *bool `json:"serving,omitempty"`
	// Terminating endpoints are going away: they get no new requests unless nothing else is left.
	Terminating *bool `json:"terminating,omitempty"`
}

// EndpointPort is one port of a slice.
type EndpointPort struct {
	// Name is the name of the Service's port.
	Name string `json:"name,omitempty" rule:"format=dns-label"`
	// Port is where the endpoints listen.
	Port int32 `json:"port" rule:"required,min=1,max=65535"`
	// Protocol is the transport.
	Protocol string `json:"protocol,omitempty" rule:"enum=TCP|UDP|SCTP,default=TCP"`
	// AppProtocol says what is spoken; the Service's own statement wins.
	AppProtocol string `json:"appProtocol,omitempty" rule:"format=app-protocol"`
}
