package control

import (
	"reflect"

	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/model"
)

// changes is how many objects are new, gone or different from one snapshot to the next. Each is
// counted once, under what a person edited: an edit of a route is no change of the service that it
// belongs to, and one of a selector or an EndpointSlice is one of endpoints.
type changes struct {
	services  int // whose names, addresses or ports
	routes    int
	endpoints int // services that are else the same, whose endpoints
}

// routeKey names a route.
type routeKey struct {
	kind model.RouteKind
	name model.Name
}

// routesOf gives the routes of all services.
func routesOf(s *snapshot.Snapshot) map[routeKey]model.Route {
	out := map[routeKey]model.Route{}
	for _, svc := range s.Services {
		for _, r := range svc.Routes {
			out[routeKey{r.Kind, r.Name}] = r
		}
	}
	return out
}

// compare counts the changes from a to b; with a nil a everything is new. Values that the compiler
// took over from a are the same pointers, which makes this cheap.
func compare(a, b *snapshot.Snapshot) (c changes) {
	is := routesOf(b)
	if a == nil {
		return changes{services: len(b.Services), routes: len(is)}
	}
	for n, svc := range b.Services {
		switch old := a.Services[n]; {
		case old == nil || old != svc && !sameButRoutes(old, svc):
			c.services++
		case a.Endpoints[n] != b.Endpoints[n]:
			c.endpoints++
		}
	}
	for n := range a.Services {
		if b.Services[n] == nil {
			c.services++
		}
	}
	was := routesOf(a)
	for k, r := range is {
		if old, there := was[k]; !there || !reflect.DeepEqual(old, r) {
			c.routes++
		}
	}
	for k := range was {
		if _, still := is[k]; !still {
			c.routes++
		}
	}
	return c
}

func sameButRoutes(a, b *model.Service) bool {
	x, y := *a, *b
	x.Routes, y.Routes = nil, nil
	return reflect.DeepEqual(x, y)
}
