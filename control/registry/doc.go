// Package registry holds the workloads that registered themselves, each for as long as its stream
// lives and a short grace longer.
//
// What is registered is kept on disk too: a restarted control plane goes on naming the endpoints
// that it knew until they had time to register again, so that its restart takes nobody away.
package registry
