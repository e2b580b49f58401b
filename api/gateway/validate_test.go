package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/gateway"
)

// TestRulesThatSpanFields says for each rule of the official CRDs what is refused, and what comes
// close and is not.
func TestRulesThatSpanFields(t *testing.T) {
	const backend = "backendRefs: [{name: a, port: 80}]"
	prefix := func(matches string) string {
		return "rules: [{" + matches + "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], " + backend + "}]"
	}
	path := func(typ, value string) string {
		return "rules: [{matches: [{path: {type: " + typ + ", value: '" + value + "'}}], " + backend + "}]"
	}
	for _, c := range []struct{ what, kind, spec, want string }{
		{"two ports of one parent", "HTTPRoute", "parentRefs: [{kind: Service, group: '', name: a, port: 80}, {kind: Service, group: '', name: a, port: 81}]", ""},
		{"one port of a parent twice", "HTTPRoute", "parentRefs: [{kind: Service, group: '', name: a, port: 80}, {kind: Service, group: '', name: a, port: 80}]", "W1110"},
		{"one name in two namespaces", "HTTPRoute", "parentRefs: [{kind: Service, group: '', name: a}, {kind: Service, group: '', name: a, namespace: b}]", ""},
		{"a prefix replaced in a rule without matches", "HTTPRoute", prefix(""), ""},
		{"a prefix replaced in a rule with one prefix", "HTTPRoute", prefix("matches: [{path: {value: /a}}], "), ""},
		{"a prefix replaced in a rule whose match has no path", "HTTPRoute", prefix("matches: [{method: GET}], "), ""},
		{"a prefix replaced in a rule with an exact path", "HTTPRoute", prefix("matches: [{path: {type: Exact, value: /a}}], "), "W1105"},
		{"a prefix replaced in a rule with two prefixes", "HTTPRoute", prefix("matches: [{path: {value: /a}}, {path: {value: /b}}], "), "W1105"},
		{"the same in a backend's filter", "HTTPRoute", "rules: [{matches: [{path: {type: Exact, value: /a}}], backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]}]", "W1105"},
		{"two mirrors", "HTTPRoute", "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}}}, {type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}}}], " + backend + "}]", ""},
		{"two CORS filters", "HTTPRoute", "rules: [{filters: [{type: CORS, cors: {}}, {type: CORS, cors: {}}], " + backend + "}]", "W1102"},
		{"a request timeout of 0s lets a try take any time", "HTTPRoute", "rules: [{timeouts: {request: 0s, backendRequest: 5s}, " + backend + "}]", ""},
		{"a try as long as the request", "HTTPRoute", "rules: [{timeouts: {request: 5s, backendRequest: 5s}, " + backend + "}]", ""},
		{"a try longer than the request", "HTTPRoute", "rules: [{timeouts: {request: 5s, backendRequest: 5001ms}, " + backend + "}]", "W1106"},
		{"a path with percent-encoding", "HTTPRoute", path("PathPrefix", "/a%20b"), ""},
		{"a path with a bad percent-encoding", "HTTPRoute", path("PathPrefix", "/a%2"), "W1103"},
		{"a path with an encoded slash", "HTTPRoute", path("Exact", "/a%2Fb"), "W1103"},
		{"a path that ends with a dot segment", "HTTPRoute", path("Exact", "/a/."), "W1103"},
		{"a path that has dots in a segment", "HTTPRoute", path("Exact", "/a/..b"), ""},
		{"an expression in place of a path", "HTTPRoute", path("RegularExpression", "/a/[0-9]+"), ""},
		{"128 matches", "HTTPRoute", manyMatches(2, 64), ""},
		{"129 matches", "HTTPRoute", manyMatches(3, 43), "W1108"},
		{"a gRPC service alone", "GRPCRoute", "rules: [{matches: [{method: {service: a.B}}], " + backend + "}]", ""},
		{"a gRPC method by expression", "GRPCRoute", "rules: [{matches: [{method: {type: RegularExpression, method: 'Get.*'}}], " + backend + "}]", ""},
		{"a gRPC match of nothing", "GRPCRoute", "rules: [{matches: [{method: {type: Exact}}], " + backend + "}]", "W1113"},
		{"a TLSRoute with a host", "TLSRoute", "hostnames: [a.b], rules: [{" + backend + "}]", ""},
		{"a TLSRoute without a host", "TLSRoute", "rules: [{" + backend + "}]", "W1009"},
		{"a TCPRoute without backends", "TCPRoute", "rules: [{backendRefs: []}]", "W1011"},
		{"a backend without a port", "TCPRoute", "rules: [{backendRefs: [{name: a}]}]", "W1009"},
		{"a backend of another kind without a port", "TCPRoute", "rules: [{backendRefs: [{name: a, group: b.c, kind: D}]}]", ""},
		{"a header written by a route that would frame the message anew", "GRPCRoute", "rules: [{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: Transfer-Encoding, value: chunked}]}}], " + backend + "}]", "W1115"},
		{"a session by cookie", "HTTPRoute", "rules: [{sessionPersistence: {sessionName: s, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}, " + backend + "}]", ""},
		{"a session by header", "GRPCRoute", "rules: [{sessionPersistence: {type: Header, sessionName: x-session}, " + backend + "}]", ""},
		{"a permanent session without an end", "HTTPRoute", "rules: [{sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}, " + backend + "}]", "W1232"},
		{"a session by header with a cookie", "GRPCRoute", "rules: [{sessionPersistence: {type: Header, cookieConfig: {}}, " + backend + "}]", "W1232"},
		{"a session whose name is none", "HTTPRoute", "rules: [{sessionPersistence: {sessionName: 'a;b'}, " + backend + "}]", "W1014"},
		{"a session in a header that is the proxy's", "HTTPRoute", "rules: [{sessionPersistence: {type: Header, sessionName: Weft-Load}, " + backend + "}]", "W1115"},
		{"external authorization, which must not be left out in silence", "HTTPRoute", "rules: [{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 80}, http: {}}}], " + backend + "}]", "W1114"},
		{"a full path that is none", "HTTPRoute", "rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: a b}}}], " + backend + "}]", "W1117"},
	} {
		t.Run(c.what, func(t *testing.T) {
			text := "{apiVersion: gateway.networking.k8s.io/v1, kind: " + c.kind + ", metadata: {name: a}, spec: {" + c.spec + "}}"
			var got []string
			for _, p := range decode.File("x.yaml", []byte(text), decode.Options{}).Problems {
				got = append(got, p.Code)
				t.Log(p.Error)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %q", got, c.want)
			}
		})
	}
}

func manyMatches(rules, each int) string {
	rule := "{matches: [" + strings.Repeat("{method: GET}, ", each) + "], backendRefs: [{name: a, port: 80}]}, "
	return "rules: [" + strings.Repeat(rule, rules) + "]"
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"1h2m3s4ms": time.Hour + 2*time.Minute + 3*time.Second + 4*time.Millisecond, "0s": 0, "": 0, "-1s": 0, "x": 0} {
		if got := gateway.Duration(s); got != want {
			t.Errorf("Duration(%q) = %v, want %v", s, got, want)
		}
	}
}
