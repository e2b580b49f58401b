package decode

import (
	"slices"
	"sort"
	"strings"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/suggest"
	"github.com/weft-mesh/weft/api/weft"
)

// Kind is a kind that weft reads.
type Kind struct {
	Name     string
	Versions []string // as in apiVersion, the preferred one first
	New      func() any
}

var kinds = []Kind{
	{"Service", []string{"v1"}, func() any { return new(k8s.Service) }},
	{"EndpointSlice", []string{"discovery.k8s.io/v1"}, func() any { return new(k8s.EndpointSlice) }},
	{"HTTPRoute", versions("v1", "v1beta1"), func() any { return new(gateway.HTTPRoute) }},
	{"GRPCRoute", versions("v1"), func() any { return new(gateway.GRPCRoute) }},
	{"TCPRoute", versions("v1", "v1alpha2"), func() any { return new(gateway.TCPRoute) }},
	{"TLSRoute", versions("v1", "v1alpha2", "v1alpha3"), func() any { return new(gateway.TLSRoute) }},
	{"ReferenceGrant", versions("v1", "v1beta1"), func() any { return new(gateway.ReferenceGrant) }},
	{"XBackendTrafficPolicy", []string{gateway.ExperimentalGroup + "/v1alpha1"}, func() any { return new(gateway.XBackendTrafficPolicy) }},
	{"TrafficPolicy", []string{weft.APIVersion}, func() any { return new(weft.TrafficPolicy) }},
	{"Workload", []string{weft.APIVersion}, func() any { return new(weft.Workload) }},
}

func versions(vs ...string) []string {
	for i, v := range vs {
		vs[i] = gateway.Group + "/" + v
	}
	return vs
}

// Kinds lists the kinds that weft reads.
func Kinds() []Kind { return slices.Clone(kinds) }

func kindByName(name string) (Kind, bool) {
	for _, k := range kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// passed are Kubernetes' own groups and kinds that stand beside ours in many directories. weft
// has no use for them and passes over them in silence.
var passed = map[string][]string{ // group -> kinds; nil: all
	"":                             strings.Fields("Namespace Pod ConfigMap Secret ServiceAccount PersistentVolumeClaim PersistentVolume Endpoints LimitRange ResourceQuota ReplicationController Event Node PodTemplate"),
	"apps":                         nil,
	"batch":                        nil,
	"autoscaling":                  nil,
	"policy":                       nil,
	"rbac.authorization.k8s.io":    nil,
	"networking.k8s.io":            nil,
	"storage.k8s.io":               nil,
	"scheduling.k8s.io":            nil,
	"apiextensions.k8s.io":         nil,
	"admissionregistration.k8s.io": nil,
	"apiregistration.k8s.io":       nil,
	"coordination.k8s.io":          nil,
	"certificates.k8s.io":          nil,
	"kustomize.config.k8s.io":      nil,
}

type verdict uint8

const (
	known   verdict = iota // ours, and the version is right
	passOn                 // Kubernetes' own; nothing to say
	foreign                // somebody else's; worth a line
	wrong                  // probably meant to be ours
)

// classify decides what to do with an object by its two first fields, and says what may have
// been meant.
func classify(apiVersion, kind string) (k Kind, v verdict, hint string) {
	group := ""
	if g, _, ok := strings.Cut(apiVersion, "/"); ok {
		group = g
	}
	if k, ok := kindByName(kind); ok {
		switch {
		case slices.Contains(k.Versions, apiVersion):
			return k, known, ""
		case group == groupOf(k) || suggest.Closest(apiVersion, k.Versions) != "" || apiVersion == "":
			hint = suggest.Closest(apiVersion, k.Versions)
			if hint == "" {
				hint = k.Versions[0]
			}
			return k, wrong, "apiVersion: " + hint
		}
		// The same word in another group, such as Knative's Service, is another kind.
	}
	if list, ok := passed[group]; ok && apiVersion != "" && (list == nil || slices.Contains(list, kind)) {
		return Kind{}, passOn, ""
	}
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	sort.Strings(names)
	if near := suggest.Closest(kind, names); near != "" {
		k, _ := kindByName(near)
		if g := groupOf(k); group == g || suggest.Closest(group, []string{g}) != "" || apiVersion == "" {
			return k, wrong, "kind: " + near
		}
	}
	if group == groupOf(Kind{Versions: []string{weft.APIVersion}}) || group == "" || kind == "" {
		return Kind{}, wrong, ""
	}
	return Kind{}, foreign, ""
}

func groupOf(k Kind) string {
	if g, _, ok := strings.Cut(k.Versions[0], "/"); ok {
		return g
	}
	return ""
}
