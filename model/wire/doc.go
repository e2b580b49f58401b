// Package wire turns the values of package model into the messages of api/discovery and back,
// and coded errors into gRPC status and back.
//
// Encoding is deterministic: equal values give equal bytes, in any process, so that a hash of
// the bytes is a version. Decoding never panics and never trusts: addresses, ports and enums out
// of range are errors.
package wire
