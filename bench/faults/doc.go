// Command faults breaks servers behind real proxies and tells what their clients noticed.
//
// Ten or eleven small servers stand in a network namespace of their own, each at its own address;
// in another one is a client that sends at a constant rate, whatever becomes of its requests (an
// open loop). Between them are two proxies of one kind: weft, HAProxy or Envoy, one at the client,
// which chooses the server, and one at the servers, with mutual TLS between the two. After some
// seconds a fault begins: a server becomes slow, fails, or is swallowed by the network, or all are
// gone; later it ends. What is told, second by second, is the share of requests that were answered
// with 200 within one second of the moment at which they were due, the 99th percentile, and how
// many requests the servers were given for each that was sent.
//
// The three take turns, scenario by scenario, in one run; absolute figures of different machines
// must not be compared. Each is configured as its handbook advises for such faults, with the same
// time for a try and the same number of tries (peers.go, haproxy.go, envoy.go, weft.go).
//
// It needs root on Linux (for the namespaces) and nft. Everything it makes is gone when it ends.
package main
