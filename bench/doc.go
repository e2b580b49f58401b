// Command bench puts the same load through several proxies, side by side in one run, and tells what
// each of them costs.
//
// It builds a small laboratory: two network namespaces joined by a veth pair, a client on the one
// side, a backend on the other, and between them nothing (direct), one proxy (one hop, plain), or
// two proxies with mTLS between them (two hops). One weft-proxy for the workloads of both ends (node)
// is put beside one hop of the others. The peers take turns, round after round, because a machine is
// never quiet; what is reported are medians, and the headline is a ratio of weft to a peer in the same
// run. Absolute figures from two runs, or two machines, must not be compared.
//
// It needs root on Linux (for the namespaces), nginx, wrk and h2load. HAProxy, Envoy and weft are
// measured if they are there. Everything it makes is gone when it ends: the namespaces have no
// name, the processes die with it, the files live in one temporary directory.
//
// It never reads or changes the network of the machine it runs on, and ends only processes that
// it started. docs/performance.md says how to read its output.
package main
