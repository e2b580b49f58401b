// Package plane simulates the control side of a mesh, unmodified: the control plane with its CA and
// registry, and agents with their identities and views, over gRPC and TLS, on a network in memory and
// in the fake time of testing/synctest. Days pass in a second; control planes die and come back,
// paths are cut, workloads come and go, clocks differ.
//
// Here goroutines and gRPC decide part of the order of things, so unlike in package mesh a seed
// repeats what happens to whom and when, and not each byte. The tests are all that there is: a
// bubble of synctest needs a test around it.
package plane
