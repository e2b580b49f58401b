package decide

import (
	"bytes"
	"strings"
)

// httpIndex finds the first HTTP match, in order of precedence, that holds. Exact paths are
// hashed, prefixes are a trie of segments; what remains to be compared one by one are the
// expressions and the matches that share one path. Matches are added in order of precedence.
type httpIndex struct {
	exact    map[string][]*Match
	regex    []*Match
	prefixes prefixNode
}

// prefixNode is one path segment. up leads to the nearest ancestor that has matches, so that a
// lookup walks down once and then visits only prefixes that exist, longest first: its cost is
// linear in the path, whatever the path.
type prefixNode struct {
	children map[string]*prefixNode
	matches  []*Match
	up       *prefixNode
}

func (x *httpIndex) add(m *Match) {
	switch {
	case m.path.never:
	case m.path.kind == pathExact:
		if x.exact == nil {
			x.exact = map[string][]*Match{}
		}
		x.exact[m.path.value] = append(x.exact[m.path.value], m)
	case m.path.kind == pathRegex:
		x.regex = append(x.regex, m)
	default:
		n := &x.prefixes
		for rest := m.path.value; rest != ""; {
			var segment string
			segment, rest = firstSegment(rest)
			if n.children == nil {
				n.children = map[string]*prefixNode{}
			}
			child := n.children[segment]
			if child == nil {
				child = &prefixNode{}
				n.children[segment] = child
			}
			n = child
		}
		n.matches = append(n.matches, m)
	}
}

// firstSegment splits "/a/b" into "a" and "/b".
func firstSegment(p string) (segment, rest string) {
	p = strings.TrimPrefix(p, "/")
	if i := strings.IndexByte(p, '/'); i >= 0 {
		return p[:i], p[i:]
	}
	return p, ""
}

// link sets up in the whole subtree.
func (n *prefixNode) link(up *prefixNode) {
	n.up = up
	if len(n.matches) > 0 {
		up = n
	}
	for _, c := range n.children {
		c.link(up)
	}
}

func (x *httpIndex) find(q *Query) *Match {
	if m := firstHolding(x.exact[string(q.Path)], q); m != nil {
		return m
	}
	for _, m := range x.regex {
		if m.path.matches(q.Path) {
			if part, _ := m.missesRest(q); part == partNone {
				return m
			}
		}
	}
	n := &x.prefixes
	for rest := q.Path; len(rest) > 0 && rest[0] == '/' && n.children != nil; {
		rest = rest[1:]
		segment := rest
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			segment, rest = rest[:i], rest[i:]
		} else {
			rest = nil
		}
		child := n.children[string(segment)]
		if child == nil {
			break
		}
		n = child
	}
	for ; n != nil; n = n.up {
		if m := firstHolding(n.matches, q); m != nil {
			return m
		}
	}
	return nil
}

// firstHolding returns the first match whose other conditions hold.
func firstHolding(matches []*Match, q *Query) *Match {
	for _, m := range matches {
		if part, _ := m.missesRest(q); part == partNone {
			return m
		}
	}
	return nil
}

// grpcIndex does the same for gRPC: services named exactly are hashed, within them methods named
// exactly.
type grpcIndex struct {
	services map[string]*grpcService
	rest     []*Match // service by expression, or any service
}

type grpcService struct {
	methods map[string][]*Match
	rest    []*Match // method by expression, or any method
}

func (x *grpcIndex) add(m *Match) {
	if m.grpc.serviceClass != textExact {
		x.rest = append(x.rest, m)
		return
	}
	if x.services == nil {
		x.services = map[string]*grpcService{}
	}
	s := x.services[m.grpc.service.value]
	if s == nil {
		s = &grpcService{methods: map[string][]*Match{}}
		x.services[m.grpc.service.value] = s
	}
	if m.grpc.methodClass == textExact {
		s.methods[m.grpc.method.value] = append(s.methods[m.grpc.method.value], m)
	} else {
		s.rest = append(s.rest, m)
	}
}

func (x *grpcIndex) find(q *Query) *Match {
	service, method := splitGRPC(q.Path)
	if s := x.services[string(service)]; s != nil && service != nil {
		if m := firstHolding(s.methods[string(method)], q); m != nil {
			return m
		}
		for _, m := range s.rest {
			if m.grpc.method.matches(method) {
				if part, _ := m.missesRest(q); part == partNone {
					return m
				}
			}
		}
	}
	for _, m := range x.rest {
		if part, _ := m.misses(q); part == partNone {
			return m
		}
	}
	return nil
}

// tlsIndex finds the rule for an SNI: the exact name, else the longest wildcard, else a route
// without hostnames.
type tlsIndex struct {
	exact     map[string]*Rule
	wildcards map[string]*Rule // by what follows "*."
	any       *Rule
	rules     []*Rule // in order of precedence by tie; for reasons
}

// add takes the routes oldest first; a name that is taken stays with the older.
func (x *tlsIndex) add(r *compiledRoute) {
	if len(r.rules) == 0 {
		return
	}
	rule := r.rules[0]
	x.rules = append(x.rules, rule)
	if len(r.Model.Hostnames) == 0 && x.any == nil {
		x.any = rule
	}
	for _, h := range r.Model.Hostnames {
		h = strings.ToLower(h)
		m, name := &x.exact, h
		if suffix, ok := strings.CutPrefix(h, "*."); ok {
			m, name = &x.wildcards, suffix
		}
		if *m == nil {
			*m = map[string]*Rule{}
		}
		if (*m)[name] == nil {
			(*m)[name] = rule
		}
	}
}

func (x *tlsIndex) find(sni []byte) *Rule {
	var buf [255]byte // a DNS name has no more
	if len(sni) > len(buf) {
		return x.any
	}
	for i, c := range sni {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	name := buf[:len(sni)]
	if r := x.exact[string(name)]; r != nil {
		return r
	}
	for i := 1; i < len(name); i++ { // from 1: a wildcard stands for at least one character
		if name[i] == '.' {
			if r := x.wildcards[string(name[i+1:])]; r != nil {
				return r
			}
		}
	}
	return x.any
}
