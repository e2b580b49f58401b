package decode

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/suggest"
)

func (d *decoder) str(n *yaml.Node, v reflect.Value, r Rule, path string) {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode || tag != "!!str" && tag != "!!timestamp" {
		next := ""
		if n.Kind == yaml.ScalarNode {
			next = fmt.Sprintf("put it into quotes: %q", shorten(n.Value))
		}
		d.wrongType(n, path, "a string", next)
		return
	}
	if isLegacyBool(n) {
		d.fail(n, "W1006", subject(path)+" must be a string", fmt.Sprintf("Kubernetes reads %s without quotes as a boolean", n.Value), fmt.Sprintf("put it into quotes: %q", n.Value))
		return
	}
	s := n.Value
	switch {
	case r.Enum != nil:
		if !slices.Contains(r.Enum, s) {
			d.notOneOf(n, s, r.Enum, path)
		}
	case r.MinLen > 0 && len(s) < r.MinLen:
		d.fail(n, "W1011", subject(path)+" is too short", fmt.Sprintf("%d bytes; at least %d are needed", len(s), r.MinLen))
	case r.MaxLen > 0 && len(s) > r.MaxLen:
		d.fail(n, "W1011", subject(path)+" is too long", fmt.Sprintf("%d bytes; at most %d are allowed", len(s), r.MaxLen))
	case r.Format != "":
		d.format(n, s, r.Format, subject(path))
		d.span(n, s, r, path)
	}
	v.SetString(s)
}

// span checks the range of a duration; one of another form was reported before.
func (d *decoder) span(n *yaml.Node, s string, r Rule, path string) {
	if r.MinDuration == 0 && r.MaxDuration == 0 {
		return
	}
	got, err := time.ParseDuration(s)
	if err != nil || got >= r.MinDuration && (r.MaxDuration == 0 || got <= r.MaxDuration) {
		return
	}
	d.fail(n, "W1011", subject(path)+" is out of range", "found "+s, "write "+spanOf(r))
}

// spanOf says in words what a duration may be.
func spanOf(r Rule) string {
	if r.MaxDuration == 0 {
		return "a duration of at least " + short(r.MinDuration)
	}
	if r.MinDuration == 0 {
		return "a duration of at most " + short(r.MaxDuration)
	}
	return "a duration from " + short(r.MinDuration) + " to " + short(r.MaxDuration)
}

// short writes 1h0m0s as 1h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (d *decoder) wrongType(n *yaml.Node, path, want, next string) {
	var nexts []string
	if next != "" {
		nexts = append(nexts, next)
	}
	d.fail(n, "W1006", subject(path)+" must be "+want, "found "+describe(n), nexts...)
}

func (d *decoder) notOneOf(n *yaml.Node, got string, enum []string, path string) {
	next := "one of " + strings.Join(enum, ", ")
	why := fmt.Sprintf("%q is none of %s", shorten(got), strings.Join(enum, ", "))
	if near := suggest.Closest(got, enum); near != "" {
		next = fmt.Sprintf("did you mean %q?", near)
	}
	d.fail(n, "W1007", fmt.Sprintf("%s has an unknown value", subject(path)), why, next)
}

func (d *decoder) format(n *yaml.Node, s, format, what string) {
	f := Formats[format]
	if f.Valid(s) {
		return
	}
	why := fmt.Sprintf("found %q", shorten(s))
	if f.MaxLen > 0 && len(s) > f.MaxLen {
		why += fmt.Sprintf(", %d bytes of at most %d", len(s), f.MaxLen)
	}
	var next []string
	if lower := strings.ToLower(s); lower != s && f.Valid(lower) {
		next = append(next, fmt.Sprintf("did you mean %q?", lower))
	}
	d.fail(n, "W1014", what+" does not have the right form", why, append(next, "write "+f.Means)...)
}

// integer reads a whole number; ok is false if there is none, and that is said.
func (d *decoder) integer(n *yaml.Node, r Rule, path string) (int64, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" {
		next := ""
		if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil && n.Kind == yaml.ScalarNode {
			next = "remove the quotes: " + n.Value
		}
		d.wrongType(n, path, "a whole number", next)
		return 0, false
	}
	var i int64
	if err := n.Decode(&i); err != nil {
		d.fail(n, "W1011", subject(path)+" is out of range", "found "+shorten(n.Value))
		return 0, false
	}
	lo, hi := int64(-1<<31), int64(1<<31-1)
	if r.Min != nil {
		lo = *r.Min
	}
	if r.Max != nil {
		hi = *r.Max
	}
	if i < lo || i > hi {
		d.fail(n, "W1011", subject(path)+" is out of range", fmt.Sprintf("found %d", i), fmt.Sprintf("write a number from %d to %d", lo, hi))
		return 0, false
	}
	return i, true
}

func (d *decoder) number(n *yaml.Node, v reflect.Value, r Rule, path string) {
	i, ok := d.integer(n, r, path)
	if !ok {
		return
	}
	if s := strconv.FormatInt(i, 10); r.Enum != nil && !slices.Contains(r.Enum, s) {
		d.notOneOf(n, s, r.Enum, path)
		return
	}
	v.SetInt(i)
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		next := ""
		if b, ok := legacyBool[strings.ToLower(n.Value)]; ok {
			next = fmt.Sprintf("write %t", b)
		} else if n.Value == "true" || n.Value == "false" {
			next = "remove the quotes: " + n.Value
		}
		d.wrongType(n, path, "true or false", next)
		return
	}
	v.SetBool(strings.EqualFold(n.Value, "true"))
}

func (d *decoder) intOrString(n *yaml.Node, v reflect.Value, r Rule, path string) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		lo, hi := int64(1), int64(65535)
		if i, ok := d.integer(n, Rule{Min: &lo, Max: &hi}, path); ok {
			v.Set(reflect.ValueOf(k8s.IntOrString{Int: int32(i)}))
		}
		return
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		d.wrongType(n, path, "a port's number or name", "")
		return
	}
	if _, err := strconv.Atoi(n.Value); err == nil {
		d.fail(n, "W1006", subject(path)+" must be a number or a name", fmt.Sprintf("%q in quotes is a name", n.Value), "remove the quotes: "+n.Value)
		return
	}
	d.format(n, n.Value, r.Format, subject(path))
	v.Set(reflect.ValueOf(k8s.IntOrString{Str: n.Value}))
}
