package decode

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// resolve follows an alias. The parser gives no alias of an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// child gives the value of a key of a mapping, or nil. Merges are not looked into.
func child(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// text gives the value of a scalar, or "".
func text(n *yaml.Node) string {
	n = resolve(n)
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return n.Value
}

func isNull(n *yaml.Node) bool {
	n = resolve(n)
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// legacyBool are words that YAML 1.1, and so Kubernetes, reads as booleans when they are not
// quoted, and YAML 1.2, and so our parser, as strings. Refusing them keeps a file's meaning the
// same on both sides.
var legacyBool = map[string]bool{"y": true, "yes": true, "on": true, "n": false, "no": false, "off": false}

func isLegacyBool(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Style != 0 || n.ShortTag() != "!!str" {
		return false
	}
	_, ok := legacyBool[strings.ToLower(n.Value)]
	return ok
}

// describe says what stands there, for messages, shortened.
func describe(n *yaml.Node) string {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping of fields"
	case yaml.SequenceNode:
		return fmt.Sprintf("a list of %d", len(n.Content))
	}
	v := shorten(n.Value)
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + v
	case "!!bool":
		return "the boolean " + v
	case "!!null":
		return "nothing"
	}
	return fmt.Sprintf("the string %q", v)
}

// shorten cuts a value that would fill the screen.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
