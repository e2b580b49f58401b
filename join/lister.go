package join

import (
	"context"
	"fmt"

	discoverypb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

// Registry is a Lister that asks the control plane's registry.
type Registry struct{ Client discoverypb.RegistryClient }

// Services implements Lister.
func (r Registry) Services(ctx context.Context, namespace string) ([]model.Service, error) {
	reply, err := r.Client.ListServices(ctx, &discoverypb.ListServicesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	var out []model.Service
	for _, s := range reply.GetServices() {
		ports, err := wire.ToPorts(s.GetPorts())
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.GetName().GetName(), err)
		}
		out = append(out, model.Service{Name: wire.ToName(s.GetName()), Ports: ports})
	}
	return out, nil
}
