package compile

import (
	"github.com/weft-mesh/weft/model"
)

// RouteStatus says what became of a route, in the words of Gateway API.
type RouteStatus struct {
	Kind    model.RouteKind
	Name    model.Name
	Source  string // file:line
	Parents []ParentStatus
	// ResolvedRefs is true if every backend of the route could be resolved.
	ResolvedRefs Condition
}

// Accepted reports whether the route is in force at one of its parents at least.
func (s *RouteStatus) Accepted() bool {
	for _, p := range s.Parents {
		if p.Accepted.Status {
			return true
		}
	}
	return false
}

// ParentStatus says what became of a route at one of its parents.
type ParentStatus struct {
	Service     model.Name
	SectionName string
	Port        uint16 // 0: not given
	Consumer    bool   // the route is in another namespace and applies to clients there only
	Accepted    Condition
}

// Condition is one statement about a route.
type Condition struct {
	Status  bool
	Reason  string // "Accepted", "NoMatchingParent", "ResolvedRefs", "BackendNotFound", ...
	Message string // for people; empty if all is well
}

// The reasons of conditions, as Gateway API names them.
const (
	ReasonAccepted             = "Accepted"
	ReasonNoMatchingParent     = "NoMatchingParent"
	ReasonNotAllowed           = "NotAllowedByListeners"
	ReasonResolvedRefs         = "ResolvedRefs"
	ReasonBackendNotFound      = "BackendNotFound"
	ReasonRefNotPermitted      = "RefNotPermitted"
	ReasonInvalidKind          = "InvalidKind"
	ReasonParentNotInMesh      = "ParentNotInMesh"      // the parent is a Gateway or another kind that weft does not serve
	ReasonParentDoesNotExist   = "ParentDoesNotExist"   // the Service is not there (yet)
	ReasonIncompatibleProtocol = "IncompatibleProtocol" // the port declares a protocol that the route cannot look into
)
