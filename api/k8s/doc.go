// Package k8s holds the Kubernetes kinds that weft reads, Service and EndpointSlice, in exactly
// the form in which people write them for a cluster, so that a file applies to both unchanged.
//
// The structs carry two tags: json names the field, rule states what it must satisfy. The
// grammar of rule is described in package decode, which enforces it; package schema turns the
// same tags and the doc comments into JSON Schemas. Fields that Kubernetes knows and weft has no
// use for are of type Unused: accepted, not kept.
package k8s
