// Package render writes what the read verbs answer, in the five forms that all of them share:
// table, wide, json, yaml and name.
//
// A verb hands over one Doc. The package owns formats and alignment; it never asks for data and
// never decides what is worth showing.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// APIVersion marks every JSON and YAML answer. Within it fields are only ever added.
const APIVersion = "weft.dev/v1alpha1"

// Format is a value of -o.
type Format string

// The formats.
const (
	FormatTable Format = "table"
	FormatWide  Format = "wide"
	FormatJSON  Format = "json"
	FormatYAML  Format = "yaml"
	FormatName  Format = "name"
)

// Formats lists all of them, the default first.
func Formats() []string {
	return []string{string(FormatTable), string(FormatWide), string(FormatJSON), string(FormatYAML), string(FormatName)}
}

// ParseFormat checks a value of -o.
func ParseFormat(s string) (Format, error) {
	for _, f := range Formats() {
		if s == f {
			return Format(f), nil
		}
	}
	return "", fmt.Errorf("%q is not a format; one of %s", s, strings.Join(Formats(), ", "))
}

// Machine reports whether the format is read by programs, so that notes belong on stderr.
func (f Format) Machine() bool { return f == FormatJSON || f == FormatYAML || f == FormatName }

// Doc is an answer that can be shown in every format.
type Doc struct {
	Kind string // of the JSON document, e.g. "EdgeList"
	// Body becomes the JSON document's other fields; it must marshal to an object, and its order
	// must be stable.
	Body any
	// Table writes the human form; wide asks for all columns.
	Table func(w *Table, wide bool)
	// Names are the lines of -o name, as "kind/name".
	Names []string
}

// Write renders d in format f.
func Write(w io.Writer, f Format, style Style, d Doc) error {
	switch f {
	case FormatJSON:
		b, err := d.json()
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	case FormatYAML:
		b, err := d.yaml()
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	case FormatName:
		var b strings.Builder
		for _, n := range d.Names {
			b.WriteString(n + "\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	t := &Table{style: style}
	d.Table(t, f == FormatWide)
	_, err := io.WriteString(w, t.String())
	return err
}

// json puts apiVersion and kind before the fields of the body.
func (d Doc) json() ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // "web -> cart" stays readable
	if err := enc.Encode(d.Body); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", d.Kind, err)
	}
	raw := bytes.TrimSpace(body.Bytes())
	if len(raw) < 2 || raw[0] != '{' {
		return nil, fmt.Errorf("rendering %s: the body is not an object", d.Kind)
	}
	head := fmt.Sprintf(`{"apiVersion":%q,"kind":%q`, APIVersion, d.Kind)
	if len(raw) > 2 {
		head += ","
	}
	var out bytes.Buffer
	if err := json.Indent(&out, append([]byte(head), raw[1:]...), "", "  "); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", d.Kind, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// yaml is the JSON form read as YAML, which it is, and written in block style: so that names,
// order and omissions are the same in both.
func (d Doc) yaml() ([]byte, error) {
	b, err := d.json()
	if err != nil {
		return nil, err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", d.Kind, err)
	}
	block(&n)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", d.Kind, err)
	}
	return out.Bytes(), nil
}

// block clears flow and quoting style of the whole tree. A string that would read as something
// else without its quotes gets them back from the encoder, which knows the node's tag.
func block(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode {
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle // "[]", "{}"
		}
	}
	for _, c := range n.Content {
		block(c)
	}
}
