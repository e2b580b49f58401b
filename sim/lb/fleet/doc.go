// Package fleet is a discrete-event model of clients that call servers through balancers, in one
// tier or several, for studies of load balancing with thousands of each.
//
// What is real: the code that chooses (proxy/balance), called as the data path calls it. What is a
// model: a server is a processor that its requests share, the network is a delay, and a client's
// rules for timeouts, further tries and hedges are those of the data path without its bytes.
//
// A World is single-threaded and takes all randomness from its seed: the same configuration gives
// the same history, to the nanosecond. Worlds share nothing, so several may run at once.
package fleet
