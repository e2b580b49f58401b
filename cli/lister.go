package cli

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	discoverypb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/place"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/agent"
)

// lister tells package join which services there are, asking the registry with the identity of
// the workload that is joined. mu guards conn.
type lister struct {
	at     place.Target
	keeper *agent.Keeper

	mu   sync.Mutex
	conn *grpc.ClientConn
}

// Services implements join.Lister.
func (l *lister) Services(ctx context.Context, namespace string) ([]model.Service, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := discoverypb.NewRegistryClient(conn).ListServices(ctx, &discoverypb.ListServicesRequest{Namespace: namespace})
	if err != nil {
		return nil, mesh.CallError(ctx, l.at.String(), err)
	}
	var out []model.Service
	for _, s := range reply.GetServices() {
		m := model.Service{Name: model.Name{Namespace: s.GetName().GetNamespace(), Name: s.GetName().GetName()}}
		for _, p := range s.GetPorts() {
			if n := p.GetPort(); n > 0 && n <= 65535 {
				m.Ports = append(m.Ports, model.Port{Name: p.GetName(), Port: uint16(n), Protocol: protocols[p.GetProtocol()]})
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// protocols translates the wire's.
var protocols = map[discoverypb.Protocol]model.Protocol{
	discoverypb.Protocol_PROTOCOL_HTTP:  model.ProtocolHTTP,
	discoverypb.Protocol_PROTOCOL_HTTP2: model.ProtocolHTTP2,
	discoverypb.Protocol_PROTOCOL_GRPC:  model.ProtocolGRPC,
	discoverypb.Protocol_PROTOCOL_TCP:   model.ProtocolTCP,
	discoverypb.Protocol_PROTOCOL_TLS:   model.ProtocolTLS,
}

// connect opens the connection at the first question; over TCP the certificate must be there.
func (l *lister) connect(ctx context.Context) (*grpc.ClientConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		return l.conn, nil
	}
	var err error
	if l.at.Socket != "" {
		l.conn, err = mesh.ConnectSocket(l.at.Socket)
		return l.conn, err
	}
	select {
	case <-l.keeper.Ready():
	case <-l.keeper.Refused():
		return nil, l.keeper.Refusal()
	case <-ctx.Done():
		return nil, errors.Join(errors.New("no certificate yet"), ctx.Err())
	}
	control := identity.ID{TrustDomain: l.keeper.Store().Load().Bundle.TrustDomain, Namespace: identity.SystemNamespace, ServiceAccount: identity.ControlAccount}
	l.conn, err = mesh.Connect(l.at.Addr, credentials.NewTLS(l.keeper.Store().ClientConfig(control.String(), "h2")))
	return l.conn, err
}

func (l *lister) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close() // nothing is buffered in it
	}
}
