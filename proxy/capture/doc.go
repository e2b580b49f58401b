// Package capture asks the kernel where a redirected connection wanted to go.
//
// The proxy's drivers call it once for each connection accepted on a transparent listener; it
// never installs a rule (package node does that) and never blocks.
package capture
