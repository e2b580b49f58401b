// Package decode turns YAML as people write it for Kubernetes into typed objects, strictly: every
// field is known, of the right type, in range and in form, or there is a coded error that names
// file, line and column, says what stands there, and what was probably meant. All errors of a
// file are reported, not the first, and an object that is right is delivered though its
// neighbour is not.
//
// It is called by source/file and by whoever checks a text without applying it. It does no I/O,
// keeps no state and never panics on input; its work is bounded by Limits.
package decode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/codes"
)

// Limits on one file.
const (
	MaxBytes  = 1 << 20 // of the file
	MaxDepth  = 32      // of nesting in an object
	MaxNodes  = 200_000 // visited in a file, each use of an alias counted anew
	MaxErrors = 100     // reported of a file; a last one says how many more there are
)

// Options say how to speak of a file.
type Options struct {
	// Check is the command that a person runs to see whether the file is right now; "weft check FILE"
	// if empty.
	Check string
}

// Result is what a file holds.
type Result struct {
	Objects  []*object.Object // the right ones, in the order of the file
	Problems []Problem
	Ignored  []string // what was passed over in silence: "Deployment (shop.yaml:3)"

	// Refused are the objects that are there but wrong. Whoever held an earlier version of one may
	// keep it in force.
	Refused []object.Key
	// Unidentified says that something in the file is so wrong that one cannot tell which object it
	// was meant to be.
	Unidentified bool
}

// Problem is an error and the object it belongs to, if one can tell.
type Problem struct {
	*codes.Error
	Object object.Key
}

// File decodes one file, named name in messages.
func File(name string, data []byte, opt Options) (res Result) {
	f := &file{name: name, res: &res, check: opt.Check}
	if f.check == "" {
		f.check = "weft check " + quoteArg(name)
	}
	defer f.finish()
	// The YAML parser is not ours. Should it panic on some input, this file is refused and the
	// others live.
	defer func() {
		if p := recover(); p != nil {
			f.res.Unidentified = true
			f.add(object.Key{}, nil, "W1002", name+" is not readable as YAML", fmt.Sprintf("the parser gave up: %v", p))
		}
	}()
	if len(data) > MaxBytes {
		res.Unidentified = true
		f.addAt(object.Key{}, object.Position{File: name}, "W1003", name+" is too large",
			fmt.Sprintf("%d bytes; the limit is %d", len(data), MaxBytes), "split it into several files")
		return res
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return res
		}
		if err != nil {
			f.syntax(err)
			return res
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			f.document(doc.Content[0], 0)
		}
	}
}

// quoteArg makes a word safe to paste into a shell.
func quoteArg(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+=:,@%", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// file is the state of decoding one file.
type file struct {
	name   string
	check  string
	res    *Result
	nodes  int  // visited so far
	burst  bool // over MaxNodes, and said so
	errors int
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

func (f *file) syntax(err error) {
	f.res.Unidentified = true
	at := object.Position{File: f.name, Line: 1}
	why := err.Error()
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		why = why[len(m[0]):]
	}
	why = strings.TrimPrefix(why, "yaml: ")
	next := "YAML wants equal indentation of equal things, a blank after ':' and '-', and quotes around values that begin with a special character"
	if strings.Contains(why, "cannot start any token") {
		next = "YAML refuses tabs and a leading @, ` or %: use blanks, or put the value into quotes"
	}
	f.addAt(object.Key{}, at, "W1002", f.name+" is not YAML", why, next)
}

func (f *file) add(key object.Key, n *yaml.Node, code, what, why string, next ...string) {
	at := object.Position{File: f.name}
	if n != nil {
		at.Line, at.Column = n.Line, n.Column
	}
	f.addAt(key, at, code, what, why, next...)
}

func (f *file) addAt(key object.Key, at object.Position, code, what, why string, next ...string) {
	if f.errors++; f.errors > MaxErrors {
		return
	}
	f.res.Problems = append(f.res.Problems, Problem{Object: key, Error: &codes.Error{
		Code: code, What: what, Why: why, Where: at.Exact(), Next: append(next, f.check),
	}})
}

func (f *file) finish() {
	if f.errors > MaxErrors {
		f.res.Problems = append(f.res.Problems, Problem{Error: &codes.Error{
			Code: "W1013", What: f.name + " has more errors than are shown",
			Why:   fmt.Sprintf("%d errors; %d are shown", f.errors, MaxErrors),
			Where: f.name, Next: []string{"mend the first ones: the others often follow from them", f.check},
		}})
	}
}

// document decodes one document, or one item of a List.
func (f *file) document(n *yaml.Node, depth int) {
	if isNull(n) {
		return // an empty document, as after a last "---"
	}
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		f.res.Unidentified = true
		f.add(object.Key{}, n, "W1006", "this is not an object", "expected fields such as apiVersion and kind, found "+describe(n))
		return
	}
	apiVersion, kind := text(child(n, "apiVersion")), text(child(n, "kind"))
	if kind == "List" && apiVersion == "v1" && depth == 0 {
		if items := child(n, "items"); items != nil && resolve(items).Kind == yaml.SequenceNode {
			for _, item := range resolve(items).Content {
				f.document(item, depth+1)
			}
			return
		}
	}
	meta := child(n, "metadata")
	key := object.Key{Kind: kind, Namespace: text(child(meta, "namespace")), Name: text(child(meta, "name"))}
	if key.Namespace == "" {
		key.Namespace = "default"
	}
	k, v, hint := classify(apiVersion, kind)
	switch v {
	case passOn:
		f.res.Ignored = append(f.res.Ignored, fmt.Sprintf("%s (%s:%d)", key, f.name, n.Line))
		return
	case foreign:
		f.add(key, n, "W1005", key.String()+" is not used by weft", fmt.Sprintf("weft does not know apiVersion %q, kind %q and passes over the object", apiVersion, kind),
			"kinds that weft reads: "+kindList())
		return
	case wrong:
		f.unknownKind(n, key, apiVersion, kind, hint)
		return
	}
	d := &decoder{file: f, key: key, fields: object.Fields{}}
	value := k.New()
	d.object(n, value)
	if d.failed == 0 {
		if val, ok := value.(object.Validator); ok {
			val.Validate(func(ft object.Fault) {
				d.failAt(d.at(ft.Path), ft.Code, ft.What, ft.Why, ft.Next...)
			})
		}
	}
	if d.failed > 0 {
		if key.Name == "" {
			f.res.Unidentified = true
		} else {
			f.res.Refused = append(f.res.Refused, key)
		}
		return
	}
	f.res.Objects = append(f.res.Objects, &object.Object{
		Key: key, APIVersion: apiVersion, Value: value, Fields: d.fields,
		Position: object.Position{File: f.name, Line: n.Line, Column: n.Column},
	})
}

func (f *file) unknownKind(n *yaml.Node, key object.Key, apiVersion, kind, hint string) {
	f.res.Unidentified = true
	at := n
	var what string
	why := fmt.Sprintf("apiVersion is %q, kind is %q", apiVersion, kind)
	switch {
	case kind == "" && apiVersion == "":
		what, why = "an object without kind and apiVersion", "neither is written"
	case kind == "":
		what = "an object without kind"
	case strings.HasPrefix(hint, "apiVersion"):
		what = "unknown apiVersion for kind " + kind
		if c := child(n, "apiVersion"); c != nil {
			at = c
		}
	default:
		what = fmt.Sprintf("unknown kind %q", kind)
		if c := child(n, "kind"); c != nil {
			at = c
		}
	}
	if key.Name != "" && kind != "" {
		what = key.String() + ": " + what
	} else if key.Name != "" {
		what += fmt.Sprintf(", named %s/%s", key.Namespace, key.Name)
	}
	next := "kinds that weft reads: " + kindList()
	if hint != "" {
		next = "did you mean " + hint + "?"
	}
	f.add(key, at, "W1004", what, why, next)
}

func kindList() string {
	var b strings.Builder
	for i, k := range kinds {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(k.Name)
	}
	return b.String()
}
