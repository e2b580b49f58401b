// Package object is what decoding gives: a typed object together with where it and each of its
// fields stand in which file, so that whatever is later found wrong with it can be pointed at.
package object

import (
	"fmt"
	"strings"
)

// Position is a place in a file. Lines and columns count from 1; 0 means unknown.
type Position struct {
	File         string
	Line, Column int
}

// String gives "file:line", the form in reasons and messages.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Exact gives "file:line:column", the form that editors jump to.
func (p Position) Exact() string {
	if p.Line == 0 || p.Column == 0 {
		return p.String()
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Key identifies an object. The version of its kind is no part of it.
type Key struct{ Kind, Namespace, Name string }

// String gives "Kind namespace/name".
func (k Key) String() string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Kind, o.Kind); c != 0 {
		return c
	}
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Object is one decoded and valid object. It is immutable once made.
type Object struct {
	Key
	APIVersion string
	Value      any // a pointer to a struct of api/k8s, api/gateway or api/weft
	Position   Position
	Fields     Fields
}

// Fields are the positions of an object's fields by path, such as
// "spec.rules[0].backendRefs[1].port".
type Fields map[string]Place

// Place is a position inside the object's file.
type Place struct{ Line, Column int32 }

// At gives the position of a field; if the field is not written, that of the nearest field
// around it, and at last the object's own.
func (o *Object) At(path string) Position {
	for path != "" {
		if p, ok := o.Fields[path]; ok {
			return Position{File: o.Position.File, Line: int(p.Line), Column: int(p.Column)}
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return o.Position
}

// Fault is a rule that an object breaks. Whoever decodes adds the object's name and position.
type Fault struct {
	Code string
	Path string   // of the field, for the position
	What string   // without the object's name
	Why  string   // the observed value
	Next []string // suggestions
}

// Validator is an object with rules that span fields. Validate must report every fault, and runs
// only on objects whose fields are each right.
type Validator interface{ Validate(report func(Fault)) }
