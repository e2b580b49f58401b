// Package weft holds the few kinds of weft's own, for what neither Kubernetes nor Gateway API
// can say.
package weft

import "github.com/weft-mesh/weft/api/k8s"

// APIVersion of the kinds in this package.
const APIVersion = "weft.dev/v1alpha1"

// Workload is one running instance outside Kubernetes: a process, a host service, a virtual
// machine. Services select it by its labels as they select pods.
type Workload struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec says where the instance is and what it speaks.
	Spec WorkloadSpec `json:"spec" rule:"required"`
	// Status is written by weft.
	Status k8s.Unused `json:"status,omitzero"`
}

// WorkloadSpec is where an instance is and what it speaks.
type WorkloadSpec struct {
	// ServiceAccount is the last part of the workload's identity
	// spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT.
	ServiceAccount string `json:"serviceAccount,omitempty" rule:"format=dns-subdomain,default=default"`
	// Addresses are the instance's IP addresses; the first is used.
	Addresses []string `json:"addresses" rule:"required,minItems=1,maxItems=16,format=ip,unique"`
	// Ports are where it listens.
	Ports []WorkloadPort `json:"ports,omitempty" rule:"maxItems=100"`
	// Zone is where it runs, for locality.
	Zone string `json:"zone,omitempty" rule:"maxLen=253"`
}

// WorkloadPort is a port on which an instance listens.
type WorkloadPort struct {
	// Name lets a Service's targetPort refer to it.
	Name string `json:"name,omitempty" rule:"format=dns-label"`
	// Port is the number.
	Port int32 `json:"port" rule:"required,min=1,max=65535"`
	// AppProtocol says what is spoken, as in a Service's port.
	AppProtocol string `json:"appProtocol,omitempty" rule:"format=app-protocol"`
}
