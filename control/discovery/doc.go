// Package discovery serves snapshots to proxies: to each only what it asked for and does not hold
// yet, at most one update unanswered, always the latest state.
//
// A session's state is pure (session.go: what it wants, what it was told, what it acknowledged);
// the server around it moves messages. A slow proxy costs its own stream and nothing else: there
// is no queue, the difference is computed when it can be sent.
package discovery
