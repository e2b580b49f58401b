// Package discoverypb is the wire between the control plane, its proxies and the command line,
// as protobuf messages and gRPC services. The .proto files beside it are the source; the Go code
// is generated. Package model/wire turns the resources into values of package model and back.
package discoverypb

//go:generate protoc --proto_path=. --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative discovery.proto identity.proto registry.proto report.proto mesh.proto
