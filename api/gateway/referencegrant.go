package gateway

import "github.com/weft-mesh/weft/api/k8s"

// ReferenceGrant permits objects of other namespaces to refer to objects of its own namespace
// (v1, v1beta1).
type ReferenceGrant struct {
	k8s.TypeMeta
	Metadata k8s.ObjectMeta `json:"metadata" rule:"required"`
	// Spec says who may refer to what.
	Spec ReferenceGrantSpec `json:"spec" rule:"required"`
}

// ReferenceGrantSpec says who may refer to what.
type ReferenceGrantSpec struct {
	// From is who may refer.
	From []ReferenceGrantFrom `json:"from" rule:"required,minItems=1,maxItems=16"`
	// To is what they may refer to.
	To []ReferenceGrantTo `json:"to" rule:"required,minItems=1,maxItems=16"`
}

// ReferenceGrantFrom is who may refer.
type ReferenceGrantFrom struct {
	// Group of the referring objects.
	Group string `json:"group" rule:"required,format=group"`
	// Kind of the referring objects.
	Kind string `json:"kind" rule:"required,format=kind"`
	// Namespace of the referring objects.
	Namespace string `json:"namespace" rule:"required,format=dns-label"`
}

// ReferenceGrantTo is what they may refer to.
type ReferenceGrantTo struct {
	// Group of the object; "" for a Service.
	Group string `json:"group" rule:"required,format=group"`
	// Kind of the object.
	Kind string `json:"kind" rule:"required,format=kind"`
	// Name of the object; all of the kind if not given.
	Name string `json:"name,omitempty" rule:"minLen=1,maxLen=253"`
}
