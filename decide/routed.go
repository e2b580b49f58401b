package decide

// HTTPRouted reports whether requests of a client in namespace ns to this port pass HTTPRoutes
// or GRPCRoutes. If so its connections must be seen request by request: taking one for opaque
// would bypass the rules.
func (p *ServicePort) HTTPRouted(ns string) bool {
	g := p.group(ns)
	return g != nil && (g.http != nil || g.grpc != nil)
}
