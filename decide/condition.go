package decide

import (
	"fmt"
	"strconv"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Condition is header fields and a path that a request must have, compiled: the same matching as that
// of routes, for what is not one. Immutable; safe for concurrent use.
type Condition struct {
	path    pathMatcher
	anyPath bool
	headers []valueMatcher
}

// CompileCondition compiles. All fields must match; path nil is any.
func CompileCondition(headers []model.ValueMatch, path *model.PathMatch) (*Condition, error) {
	c := &Condition{anyPath: path == nil}
	for _, h := range firstOfEach(headers, true) {
		v := valueMatcher{name: h.Name, text: textMatcher{value: h.Value, isRE: h.Regex, active: true}}
		if h.Regex {
			re, err := compileRegex(h.Value)
			if err != nil {
				return nil, fmt.Errorf("header %s, expression %s: %w", h.Name, strconv.Quote(h.Value), err)
			}
			v.text.regex = re
		}
		c.headers = append(c.headers, v)
	}
	switch {
	case path == nil:
	case path.Kind == model.PathRegex:
		re, err := compileRegex(path.Value)
		if err != nil {
			return nil, fmt.Errorf("path expression %s: %w", strconv.Quote(path.Value), err)
		}
		c.path = pathMatcher{kind: pathRegex, value: path.Value, regex: re}
	default:
		canonical, err := CanonicalPath(path.Value)
		if err != nil {
			return nil, fmt.Errorf("path %s: %w", strconv.Quote(path.Value), err)
		}
		c.path = pathMatcher{kind: pathExact, value: canonical}
		if path.Kind == model.PathPrefix {
			c.path.kind = pathPrefix
			if n := len(canonical); canonical[n-1] == '/' {
				c.path.value = canonical[:n-1]
			}
		}
	}
	return c, nil
}

// WantsPath reports whether the path matters, so that it has to be canonical.
func (c *Condition) WantsPath() bool { return !c.anyPath }

// Holds reports whether a request has what is asked for. path is canonical, without the query; q is
// scratch for the call.
func (c *Condition) Holds(q *Query, host, path []byte, fields []message.Field) bool {
	if !c.anyPath && !c.path.matches(path) {
		return false
	}
	if len(c.headers) == 0 {
		return true
	}
	q.Host, q.Path, q.Fields = host, path, fields
	for i := range c.headers {
		if !c.headers[i].inFields(q) {
			return false
		}
	}
	return true
}
