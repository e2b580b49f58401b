// Package generate makes JSON Schemas from the structs that users' objects are decoded into. It is
// used by the test in api/schema only, and is no part of any binary.
package generate

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/k8s"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// schema is a JSON Schema. encoding/json writes maps in the order of keys, so output is stable.
type schema = map[string]any

// Kind makes the schema of a kind.
func Kind(k decode.Kind, docs Docs) map[string]any {
	t := reflect.TypeOf(k.New()).Elem()
	g := &generator{docs: docs, defs: schema{}}
	out := g.object(t)
	props := out["properties"].(schema)
	props["apiVersion"] = schema{"enum": k.Versions, "description": docs.Of(reflect.TypeFor[k8s.TypeMeta](), "APIVersion")}
	props["kind"] = schema{"const": k.Name, "description": docs.Of(reflect.TypeFor[k8s.TypeMeta](), "Kind")}
	out["$schema"] = dialect
	out["title"] = k.Name
	out["$defs"] = g.defs
	return out
}

// All makes the schema that accepts any kind and says which one is violated.
func All(kinds []decode.Kind) map[string]any {
	var names []string
	var cases []any
	for _, k := range kinds {
		names = append(names, k.Name)
		cases = append(cases, schema{
			"if":   schema{"required": []string{"kind"}, "properties": schema{"kind": schema{"const": k.Name}}},
			"then": schema{"$ref": strings.ToLower(k.Name) + ".json"},
		})
	}
	return schema{
		"$schema": dialect, "title": "weft configuration", "description": "An object that weft reads, chosen by kind.",
		"type": "object", "required": []string{"apiVersion", "kind", "metadata"},
		"properties": schema{"kind": schema{"enum": names}}, "allOf": cases,
	}
}

type generator struct {
	docs Docs
	defs schema
}

// object describes a struct in place.
func (g *generator) object(t reflect.Type) schema {
	props, required := schema{}, []string{}
	for _, f := range decode.FieldsOf(t) {
		p := g.value(f.Type, f.Rule)
		if doc := g.docs.Of(f.Owner, f.Go); doc != "" {
			p["description"] = doc
		} else if f.Type == reflect.TypeFor[k8s.Unused]() {
			p["description"] = "Accepted, and not used by weft."
		}
		if f.Rule.Default != nil {
			p["default"] = literal(f.Type, *f.Rule.Default)
		}
		if f.Rule.Assume != nil {
			p["default"] = literal(f.Type, *f.Rule.Assume)
		}
		if f.Rule.Required {
			required = append(required, f.Name)
		}
		props[f.Name] = p
	}
	out := schema{"type": "object", "properties": props, "additionalProperties": false}
	if doc := g.docs.Of(t, ""); doc != "" {
		out["description"] = doc
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// value describes a field's type and rule.
func (g *generator) value(t reflect.Type, r decode.Rule) schema {
	switch t {
	case reflect.TypeFor[k8s.Unused]():
		return schema{}
	case reflect.TypeFor[k8s.IntOrString]():
		return schema{"anyOf": []any{schema{"type": "integer", "minimum": 1, "maximum": 65535}, schema{"type": "string", "pattern": decode.Formats[r.Format].Pattern}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem(), r)
	case reflect.Struct:
		if _, known := g.defs[t.Name()]; !known {
			g.defs[t.Name()] = nil // ends recursion
			g.defs[t.Name()] = g.object(t)
		}
		return schema{"$ref": "#/$defs/" + t.Name()}
	case reflect.Slice:
		out := schema{"type": "array", "items": g.value(t.Elem(), item(r))}
		number(out, "minItems", r.MinItems)
		number(out, "maxItems", r.MaxItems)
		if r.Unique {
			out["uniqueItems"] = true
		}
		return out
	case reflect.Map:
		out := schema{"type": "object", "additionalProperties": g.value(t.Elem(), item(r))}
		if r.KeyFormat != "" {
			out["propertyNames"] = schema{"pattern": decode.Formats[r.KeyFormat].Pattern}
		}
		return out
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return str(r)
	}
	out := schema{"type": "integer"}
	if r.Min != nil {
		out["minimum"] = *r.Min
	}
	if r.Max != nil {
		out["maximum"] = *r.Max
	}
	enum(out, t, r)
	return out
}

// item is the part of a list's or map's rule that speaks of what it holds.
func item(r decode.Rule) decode.Rule {
	return decode.Rule{Enum: r.Enum, Min: r.Min, Max: r.Max, MinLen: r.MinLen, MaxLen: r.MaxLen, Format: r.Format}
}

func str(r decode.Rule) schema {
	out := schema{"type": "string"}
	number(out, "minLength", r.MinLen)
	number(out, "maxLength", r.MaxLen)
	if f, ok := decode.Formats[r.Format]; ok {
		if f.Pattern != "" {
			out["pattern"] = f.Pattern
		}
		number(out, "maxLength", f.MaxLen)
	}
	enum(out, reflect.TypeFor[string](), r)
	return out
}

func number(s schema, key string, n int) {
	if n > 0 {
		s[key] = n
	}
}

func enum(s schema, t reflect.Type, r decode.Rule) {
	var values []any
	for _, v := range r.Enum {
		values = append(values, literal(t, v))
	}
	if values != nil {
		s["enum"] = values
	}
}

func literal(t reflect.Type, s string) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n, err := strconv.Atoi(s); err == nil && t.Kind() == reflect.Int32 {
		return n
	}
	if b, err := strconv.ParseBool(s); err == nil && t.Kind() == reflect.Bool {
		return b
	}
	return s
}
