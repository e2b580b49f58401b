// Package join puts one process into the mesh: it is what `weft run` does.
//
// Run starts a proxy beside the application, gives the application an environment (or, with
// Transparent, a network namespace) in which its calls go through that proxy, passes signals,
// streams and the exit code through, keeps the proxy alive, and removes everything at the end.
// It holds the workload's identity in memory, so that a proxy started again while the control
// plane is away can serve. It never carries a byte of traffic itself.
package join
