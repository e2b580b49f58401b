// Package observe keeps what proxies reported, in windows of ten seconds for half an hour, and
// answers questions about it: requests, success, latency by edge, route and backend.
//
// Memory is bounded in two ways: each window takes a bounded number of series (the rest is
// counted under "other"), and all windows together a bounded number of bytes (the oldest windows
// give way). It does no I/O; time is passed in.
package observe
