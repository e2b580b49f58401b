package decide

import (
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// describe gives the match in words: "path prefix /api, header x-user=beta".
func (m *Match) describe() string {
	var parts []string
	if m.method != "" {
		parts = append(parts, "method "+m.method)
	}
	if m.Rule.Route.Model.Kind == model.RouteGRPC {
		if m.grpc.service.active {
			parts = append(parts, "gRPC service "+m.grpc.service.describe())
		}
		if m.grpc.method.active {
			parts = append(parts, "gRPC method "+m.grpc.method.describe())
		}
	} else {
		parts = append(parts, m.path.describe())
	}
	for i := range m.headers {
		parts = append(parts, "header "+m.headers[i].describe())
	}
	for i := range m.query {
		parts = append(parts, "query "+m.query[i].describe())
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

func (m *pathMatcher) describe() string {
	switch m.kind {
	case pathExact:
		return "path " + m.value
	case pathRegex:
		return "path ~ " + m.value
	}
	if m.value == "" {
		return "path prefix /"
	}
	return "path prefix " + m.value
}

func (m *textMatcher) describe() string {
	if m.isRE {
		return "~ " + m.value
	}
	return m.value
}

func (v *valueMatcher) describe() string {
	if v.text.isRE {
		return v.name + " ~ " + v.text.value
	}
	return v.name + "=" + v.text.value
}

// miss tells the one condition that does not hold, with the value that was seen.
func (m *Match) miss(q *Query, p part, i int) string {
	service, method := splitGRPC(q.Path)
	switch p {
	case partMethod:
		return "needs method " + m.method + ", the request has " + string(q.Method)
	case partPath:
		return "needs " + m.path.describe() + ", the request has " + string(q.Path)
	case partGRPCService:
		return "needs gRPC service " + m.grpc.service.describe() + ", the request has " + orNone(service)
	case partGRPCMethod:
		return "needs gRPC method " + m.grpc.method.describe() + ", the request has " + orNone(method)
	case partHeader:
		return "needs header " + m.headers[i].describe() + ", the request has " + seenField(q, m.headers[i].name)
	case partQuery:
		return "needs query parameter " + m.query[i].describe() + ", the request has " + orNone(q.RawQuery)
	}
	return ""
}

func orNone(b []byte) string {
	if b == nil {
		return "none"
	}
	return strconv.Quote(string(b))
}

// seenField shows what a request carries in a field, never the value of a secret.
func seenField(q *Query, name string) string {
	if name == "host" {
		return orNone(q.Host)
	}
	if sensitive[name] {
		if message.Get(q.Fields, name) == nil {
			return "none"
		}
		return "another value"
	}
	var values []string
	for i := range q.Fields {
		if string(q.Fields[i].Name) == name {
			values = append(values, string(q.Fields[i].Value))
		}
	}
	if values == nil {
		return "none"
	}
	return strconv.Quote(strings.Join(values, ", "))
}
