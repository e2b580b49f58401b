package k8s

import "strconv"

// DefaultNamespace is the namespace of an object that names none, as in Kubernetes.
const DefaultNamespace = "default"

// Unused marks a field that Kubernetes defines and weft does not use: any value is accepted and
// none is kept.
type Unused struct{}

// TypeMeta says what an object is.
type TypeMeta struct {
	// APIVersion is the group and version of the object's kind.
	APIVersion string `json:"apiVersion" rule:"required"`
	// Kind is the type of the object.
	Kind string `json:"kind" rule:"required"`
}

// ObjectMeta is what every object says about itself.
type ObjectMeta struct {
	// Name is unique among the objects of a kind in a namespace.
	Name string `json:"name" rule:"required,format=dns-subdomain"`
	// Namespace scopes the name; "default" if not given.
	Namespace string `json:"namespace,omitempty" rule:"format=dns-label,default=default"`
	// Labels are what selectors match.
	Labels map[string]string `json:"labels,omitempty" rule:"keyFormat=label-key,format=label-value"`
	// Annotations are free notes.
	Annotations map[string]string `json:"annotations,omitempty" rule:"keyFormat=label-key"`
	// CreationTimestamp orders routes of equal precedence: the older wins (RFC 3339). Files
	// usually have none; then the order is by namespace and name.
	CreationTimestamp string `json:"creationTimestamp,omitempty" rule:"format=time"`

	GenerateName               Unused `json:"generateName,omitzero"`
	SelfLink                   Unused `json:"selfLink,omitzero"`
	UID                        Unused `json:"uid,omitzero"`
	ResourceVersion            Unused `json:"resourceVersion,omitzero"`
	Generation                 Unused `json:"generation,omitzero"`
	DeletionTimestamp          Unused `json:"deletionTimestamp,omitzero"`
	DeletionGracePeriodSeconds Unused `json:"deletionGracePeriodSeconds,omitzero"`
	OwnerReferences            Unused `json:"ownerReferences,omitzero"`
	Finalizers                 Unused `json:"finalizers,omitzero"`
	ManagedFields              Unused `json:"managedFields,omitzero"`
}

// Meta gives access to the metadata of any object.
func (m *ObjectMeta) Meta() *ObjectMeta { return m }

// IntOrString is a number or a name, as in a Service's targetPort.
type IntOrString struct {
	Int int32  // used if Str is empty
	Str string // a port's name
}

// String gives the value as written.
func (v IntOrString) String() string {
	if v.Str != "" {
		return v.Str
	}
	return strconv.Itoa(int(v.Int))
}

// MarshalJSON writes a number or a string.
func (v IntOrString) MarshalJSON() ([]byte, error) {
	if v.Str != "" {
		return []byte(strconv.Quote(v.Str)), nil
	}
	return strconv.AppendInt(nil, int64(v.Int), 10), nil
}
