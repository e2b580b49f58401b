package k8s

// Service is a name and ports that stand for workloads (v1).
type Service struct {
	TypeMeta
	Metadata ObjectMeta `json:"metadata" rule:"required"`
	// Spec says which ports the service has and which workloads answer on them.
	Spec   ServiceSpec `json:"spec,omitzero"`
	Status Unused      `json:"status,omitzero"`
}

// ServiceSpec is the wish of a Service.
type ServiceSpec struct {
	// Ports are the ports of the service.
	Ports []ServicePort `json:"ports,omitempty" rule:"maxItems=250"`
	// Selector picks the workloads by their labels; all must be equal. Without one, endpoints come
	// from EndpointSlices, or from workloads that ask for the service by name.
	Selector map[string]string `json:"selector,omitempty" rule:"keyFormat=label-key,format=label-value"`
	// ClusterIP is the virtual address, or None.
	ClusterIP string `json:"clusterIP,omitempty" rule:"format=ip-or-none"`
	// ClusterIPs are all virtual addresses of a dual-stack service.
	ClusterIPs []string `json:"clusterIPs,omitempty" rule:"maxItems=2,format=ip-or-none"`
	// Type is ClusterIP, NodePort, LoadBalancer or ExternalName. To weft only ExternalName differs:
	// such a service has no endpoints in the mesh.
	Type string `json:"type,omitempty" rule:"enum=ClusterIP|NodePort|LoadBalancer|ExternalName,default=ClusterIP"`

	ExternalName                  Unused `json:"externalName,omitzero"`
	SessionAffinity               Unused `json:"sessionAffinity,omitzero"`
	SessionAffinityConfig         Unused `json:"sessionAffinityConfig,omitzero"`
	ExternalIPs                   Unused `json:"externalIPs,omitzero"`
	LoadBalancerIP                Unused `json:"loadBalancerIP,omitzero"`
	LoadBalancerSourceRanges      Unused `json:"loadBalancerSourceRanges,omitzero"`
	LoadBalancerClass             Unused `json:"loadBalancerClass,omitzero"`
	AllocateLoadBalancerNodePorts Unused `json:"allocateLoadBalancerNodePorts,omitzero"`
	ExternalTrafficPolicy         Unused `json:"externalTrafficPolicy,omitzero"`
	InternalTrafficPolicy         Unused `json:"internalTrafficPolicy,omitzero"`
	TrafficDistribution           Unused `json:"trafficDistribution,omitzero"`
	HealthCheckNodePort           Unused `json:"healthCheckNodePort,omitzero"`
	PublishNotReadyAddresses      Unused `json:"publishNotReadyAddresses,omitzero"`
	IPFamilies                    Unused `json:"ipFamilies,omitzero"`
	IPFamilyPolicy                Unused `json:"ipFamilyPolicy,omitzero"`
}

// ServicePort is one port of a Service.
type ServicePort struct {
	// Name is needed if there are several ports.
	Name string `json:"name,omitempty" rule:"format=dns-label"`
	// Port is where clients call the service.
	Port int32 `json:"port" rule:"required,min=1,max=65535"`
	// TargetPort is where the workload listens, by number or by the name of a port of the workload;
	// equal to port if not given.
	TargetPort *IntOrString `json:"targetPort,omitempty" rule:"format=port-or-name"`
	// Protocol is the transport. weft carries TCP; ports of other transports are left alone.
	Protocol string `json:"protocol,omitempty" rule:"enum=TCP|UDP|SCTP,default=TCP"`
	// AppProtocol says what is spoken: http, http2, kubernetes.io/h2c, grpc, https, tls, tcp,
	// weft.dev/opaque, or a name registered with IANA such as mysql. If it is not given, the port's
	// name may tell (http, http-web), else the first bytes decide.
	AppProtocol string `json:"appProtocol,omitempty" rule:"format=app-protocol"`
	NodePort    Unused `json:"nodePort,omitzero"`
}
