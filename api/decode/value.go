package decode

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/api/suggest"
)

// decoder fills one object.
type decoder struct {
	*file
	key    object.Key
	fields object.Fields
	failed int
}

var (
	unusedType      = reflect.TypeFor[k8s.Unused]()
	intOrStringType = reflect.TypeFor[k8s.IntOrString]()
)

func (d *decoder) fail(n *yaml.Node, code, what, why string, next ...string) {
	d.failAt(object.Position{File: d.name, Line: n.Line, Column: n.Column}, code, what, why, next...)
}

func (d *decoder) failAt(at object.Position, code, what, why string, next ...string) {
	d.failed++
	name := d.key.String()
	if d.key.Name == "" {
		name = d.key.Kind + " without a name"
	}
	d.addAt(d.key, at, code, name+": "+what, why, next...)
}

// at is object.Object.At before there is an object.
func (d *decoder) at(path string) object.Position {
	o := object.Object{Fields: d.fields, Position: object.Position{File: d.name}}
	if p, ok := d.fields[""]; ok {
		o.Position.Line, o.Position.Column = int(p.Line), int(p.Column)
	}
	return o.At(path)
}

func (d *decoder) object(n *yaml.Node, into any) {
	d.value(n, reflect.ValueOf(into).Elem(), Rule{}, "", 0)
}

// enter counts a visit and bounds depth and number, so that neither deep nesting nor aliases of
// aliases cost more than a bounded time.
func (d *decoder) enter(n *yaml.Node, depth int) bool {
	d.nodes++
	if d.nodes > MaxNodes {
		if !d.burst {
			d.burst = true
			d.fail(n, "W1003", "too much is said", fmt.Sprintf("more than %d values, aliases counted by use", MaxNodes), "write the values out, or split the file")
		} else {
			d.failed++
		}
		return false
	}
	if depth > MaxDepth {
		d.fail(n, "W1003", "nested too deeply", fmt.Sprintf("more than %d levels", MaxDepth))
		return false
	}
	return true
}

// value decodes n into v. path is "" for the object itself.
func (d *decoder) value(n *yaml.Node, v reflect.Value, r Rule, path string, depth int) {
	t := v.Type()
	if t == unusedType {
		return
	}
	d.fields[path] = object.Place{Line: int32(n.Line), Column: int32(n.Column)}
	if !d.enter(n, depth) {
		return
	}
	n = resolve(n)
	if t == intOrStringType {
		d.intOrString(n, v, r, path)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(n, v.Elem(), r, path, depth)
	case reflect.Struct:
		d.structure(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, r, path, depth)
	case reflect.Map:
		d.mapping(n, v, r, path, depth)
	case reflect.String:
		d.str(n, v, r, path)
	case reflect.Int32:
		d.number(n, v, r, path)
	case reflect.Bool:
		d.boolean(n, v, path)
	}
}

// pair is a field as written; merged ones come from "<<".
type pair struct{ key, value *yaml.Node }

// pairs lists a mapping's fields, its own before merged ones, and reports duplicates.
func (d *decoder) pairs(n *yaml.Node, path string, depth int) []pair {
	var out []pair
	seen := map[string]*yaml.Node{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		if k = resolve(k); k.Kind != yaml.ScalarNode {
			d.fail(k, "W1006", "a field's name must be a string"+in(path), "found "+describe(k))
			continue
		}
		if first, twice := seen[k.Value]; twice {
			d.fail(k, "W1008", fmt.Sprintf("field %q is written twice%s", k.Value, in(path)),
				fmt.Sprintf("the first is in line %d", first.Line), "remove one of them")
			continue
		}
		seen[k.Value] = k
		out = append(out, pair{k, v})
	}
	for _, m := range merges {
		sources := []*yaml.Node{m}
		if r := resolve(m); r.Kind == yaml.SequenceNode {
			sources = r.Content
		}
		for _, s := range sources {
			if s = resolve(s); s.Kind != yaml.MappingNode {
				d.fail(m, "W1006", "\"<<\" merges mappings only"+in(path), "found "+describe(s))
				continue
			}
			if !d.enter(s, depth+1) {
				return out
			}
			for _, p := range d.pairs(s, path, depth+1) {
				if _, has := seen[p.key.Value]; !has {
					seen[p.key.Value] = p.key
					out = append(out, p)
				}
			}
		}
	}
	return out
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, depth int) {
	fields := FieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		d.fail(n, "W1006", subject(path)+" must be a mapping of fields", "found "+describe(n), "fields: "+fieldNames(fields))
		return
	}
	written := map[string]bool{}
	for _, p := range d.pairs(n, path, depth) {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == p.key.Value })
		if i < 0 {
			d.unknownField(p.key, fields, path)
			continue
		}
		f := fields[i]
		if isNull(p.value) {
			continue // as if not written, as in Kubernetes
		}
		written[f.Name] = true
		d.value(p.value, v.FieldByIndex(f.Index), f.Rule, join(path, f.Name), depth+1)
	}
	for _, f := range fields {
		if written[f.Name] {
			continue
		}
		switch {
		case f.Rule.Required:
			next := "add " + f.Name + ":"
			if f.Rule.Enum != nil {
				next += " one of " + strings.Join(f.Rule.Enum, ", ")
			} else if f.Rule.Format != "" {
				next += " " + Formats[f.Rule.Format].Means
			}
			d.fail(n, "W1009", fmt.Sprintf("field %q is missing%s", f.Name, in(path)), "it is required; written are: "+writtenNames(n), next)
		case f.Rule.Default != nil:
			setDefault(v.FieldByIndex(f.Index), *f.Rule.Default)
		case hasDefaults(f.Type):
			d.defaults(v.FieldByIndex(f.Index))
		}
	}
}

// hasDefaults: a struct held by value may be left out whole and still have fields with defaults.
func hasDefaults(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != unusedType && t != intOrStringType
}

func (d *decoder) defaults(v reflect.Value) {
	for _, f := range FieldsOf(v.Type()) {
		switch {
		case f.Rule.Default != nil:
			setDefault(v.FieldByIndex(f.Index), *f.Rule.Default)
		case hasDefaults(f.Type):
			d.defaults(v.FieldByIndex(f.Index))
		}
	}
}

func setDefault(v reflect.Value, s string) {
	if v.Kind() == reflect.String {
		v.SetString(s)
		return
	}
	n, _ := strconv.ParseInt(s, 10, 32) // a test decodes every default
	v.SetInt(n)
}

func (d *decoder) unknownField(key *yaml.Node, fields []Field, path string) {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	what := fmt.Sprintf("unknown field %q%s", shorten(key.Value), in(path))
	near := suggest.Closest(key.Value, names)
	if near == "" {
		d.fail(key, "W1010", what, "no field has that name", "fields here: "+fieldNames(fields))
		return
	}
	d.fail(key, "W1010", what, "no field has that name; the nearest is "+near, fmt.Sprintf("did you mean %q?", near))
}

// writtenNames lists what a mapping does say.
func writtenNames(n *yaml.Node) string {
	var names []string
	for i := 0; i+1 < len(n.Content) && len(names) < 20; i += 2 {
		names = append(names, shorten(n.Content[i].Value))
	}
	if len(names) == 0 {
		return "no fields"
	}
	return strings.Join(names, ", ")
}

// fieldNames lists the fields that mean something to weft.
func fieldNames(fields []Field) string {
	var names []string
	for _, f := range fields {
		if f.Type != unusedType {
			names = append(names, f.Name)
		}
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, r Rule, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "W1006", subject(path)+" must be a list", "found "+describe(n), "begin each item with \"- \"")
		return
	}
	if c := len(n.Content); r.MinItems > 0 && c < r.MinItems || r.MaxItems > 0 && c > r.MaxItems {
		want := fmt.Sprintf("from %d to %d items are allowed", r.MinItems, r.MaxItems)
		if r.MinItems == r.MaxItems {
			want = fmt.Sprintf("exactly %d is allowed", r.MinItems)
		}
		d.fail(n, "W1011", fmt.Sprintf("%s has %d items", subject(path), c), want)
		if c > r.MaxItems {
			return
		}
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	item := r
	item.MinItems, item.MaxItems, item.Unique, item.UniqueKey, item.Required, item.Default, item.Assume = 0, 0, false, "", false, nil, nil
	for i, c := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if isNull(c) {
			d.fail(c, "W1006", subject(at)+" is empty", "found nothing", "remove the item, or write its value")
			continue
		}
		d.value(c, v.Index(i), item, at, depth+1)
	}
	if r.Unique || r.UniqueKey != "" {
		d.unique(n, v, r, path)
	}
}

func (d *decoder) unique(n *yaml.Node, v reflect.Value, r Rule, path string) {
	seen := map[string]int{}
	for i := range v.Len() {
		item, node := v.Index(i), resolve(n.Content[i])
		shown := ""
		if r.UniqueKey != "" {
			for _, f := range FieldsOf(item.Type()) {
				if f.Name == r.UniqueKey {
					shown = fmt.Sprint(item.FieldByIndex(f.Index).Interface())
				}
			}
			if c := child(node, r.UniqueKey); c != nil {
				node = c
			}
		} else {
			shown = fmt.Sprint(item.Interface())
		}
		if shown == "" {
			continue // missing; said already
		}
		// Header names are equal without case; no other unique list has two values that differ in case only.
		key := strings.ToLower(shown)
		if strings.HasSuffix(path, "queryParams") {
			key = shown
		}
		if first, twice := seen[key]; twice {
			d.fail(node, "W1012", fmt.Sprintf("%q occurs twice in %s", shorten(shown), path), fmt.Sprintf("items %d and %d have it", first, i), "remove one of them, or join them into one")
			continue
		}
		seen[key] = i
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, r Rule, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "W1006", subject(path)+" must be a mapping of names to strings", "found "+describe(n))
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, p := range d.pairs(n, path, depth) {
		if r.KeyFormat != "" {
			d.format(p.key, p.key.Value, r.KeyFormat, fmt.Sprintf("the key %q%s", shorten(p.key.Value), in(path)))
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if !isNull(p.value) {
			d.value(p.value, e, Rule{Format: r.Format, Enum: r.Enum, MinLen: r.MinLen, MaxLen: r.MaxLen}, join(path, p.key.Value), depth+1)
		}
		m.SetMapIndex(reflect.ValueOf(p.key.Value), e)
	}
	v.Set(m)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// in says where inside the object, for messages.
func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func subject(path string) string {
	if path == "" {
		return "the object"
	}
	return path
}
