// Package sim runs the data path without sockets, goroutines or real time: the third driver of
// proxy/core, for tests. A Network holds hosts, the connections between them and any number of
// proxies; one seed decides everything that happens, so that a failure is repeated by its seed.
//
// What is simulated is what a driver and a kernel show to the core: streams that arrive in pieces
// of any size, late, stalled or never; half-closed and reset connections; readers that are slow;
// dials that are refused, time out, or meet somebody else; a control plane that is late. TLS is
// not: a link stands if the identities at its ends are the expected ones.
//
// The rules that make a history repeatable: each direction of each connection has a random source
// of its own, keyed by a name that does not depend on what else happens; no two events have the
// same instant; nothing is ever chosen by the order of a map. Nothing here is safe for concurrent
// use.
package sim
