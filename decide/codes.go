package decide

// Codes of the refusals that this package decides. Their entries are in the catalogue (codes).
const (
	CodePath        = "W3101" // the path has no single meaning
	CodeHost        = "W3102" // the host has no single meaning
	CodeMisdirected = "W3103" // SNI, request target and Host disagree

	CodeNoPort      = "W3201" // the service has no such port
	CodeNoRoute     = "W3202" // routes are attached, none matches
	CodeBrokenRule  = "W3203" // the rule cannot be compiled
	CodeNoBackend   = "W3204" // the rule has no backend that may receive traffic
	CodeBadBackend  = "W3205" // the chosen backend cannot be resolved
	CodeCORSRefused = "W3206" // preflight from an origin that is not allowed

	CodeOverride = "W3335" // the route token leads to where no route could
)

// grpc-status values for refusals of gRPC requests
// (https://grpc.io/docs/guides/status-codes/).
const (
	grpcOK               = 0
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcInternal         = 13
	grpcUnavailable      = 14
)
