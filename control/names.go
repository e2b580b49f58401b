package control

import (
	"slices"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/control/registry"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

// appLabel is the label that `weft run --name NAME` sets to NAME.
const appLabel = "app"

// relation is how a workload is meant by a name, the closest last.
type relation int

const (
	unrelated  relation = iota
	byAccount           // the service account in its identity
	byApp               // the name that it was run under
	byService           // a service for which it answers
	byInstance          // its own name
)

// related tells how a workload is meant by what a person wrote, NAME or NAMESPACE/NAME. A NAME
// alone is one in the given namespace, or in any if that is empty. Every question that takes a
// workload takes the same names, by this function.
func related(w *pb.WorkloadStatus, what, namespace string) relation {
	n := wire.ToName(w.GetName())
	is := func(ns, name string) bool {
		return name != "" && (what == ns+"/"+name || what == name && (namespace == "" || namespace == ns))
	}
	if is(n.Namespace, n.Name) {
		return byInstance
	}
	if slices.ContainsFunc(w.GetServices(), func(svc *pb.Name) bool { return is(svc.GetNamespace(), svc.GetName()) }) {
		return byService
	}
	if is(n.Namespace, w.GetLabels()[appLabel]) {
		return byApp
	}
	if account := accountOf(w.GetIdentity()); is(account.Namespace, account.Name) {
		return byAccount
	}
	return unrelated
}

// live reports whether a registered workload's stream is up and it takes requests.
func live(w *pb.WorkloadStatus) bool { return w.GetState() == registry.Live.String() }

// accountOf gives the service account of an identity; the zero Name if it has none.
func accountOf(spiffe string) model.Name {
	id, err := identity.Parse(spiffe)
	if err != nil {
		return model.Name{}
	}
	return model.Name{Namespace: id.Namespace, Name: id.ServiceAccount}
}

// meant gives the workloads that a name stands for, which is empty for the zero name.
func (s *meshService) meant(n model.Name, snap *snapshot.Snapshot) map[model.Name]bool {
	if n.Name == "" {
		return nil
	}
	out := map[model.Name]bool{}
	for _, w := range s.workloads(snap) {
		if related(w, n.Name, n.Namespace) != unrelated {
			out[wire.ToName(w.GetName())] = true
		}
	}
	return out
}
