// Package ratelimitpb is as much of the wire of envoy.service.ratelimit.v3 as is used: the same field
// numbers and the same method, so any service of that protocol understands it. The Go code is
// generated from the .proto file beside it.
package ratelimitpb

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative ratelimit.proto
