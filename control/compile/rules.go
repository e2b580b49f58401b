package compile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/model"
)

// httpRules compiles the rules of an HTTPRoute, with Gateway API's defaults: a route without rules
// has one, and a rule without matches has one that matches the prefix "/".
func httpRules(r *resolver, spec *gateway.HTTPRouteSpec) []model.Rule {
	rules := spec.Rules
	if len(rules) == 0 {
		rules = make([]gateway.HTTPRouteRule, 1)
	}
	out := make([]model.Rule, len(rules))
	for i := range rules {
		in, path := &rules[i], fmt.Sprintf("spec.rules[%d]", i)
		m := model.Rule{Name: in.Name, Source: r.obj.At(path).String(), Filters: httpFilters(r, in.Filters, path)}
		r.wishes = append(r.wishes, wish{in.Timeouts, in.Retry, in.SessionPersistence, path})
		for j := range in.Matches {
			m.Matches = append(m.Matches, httpMatch(&in.Matches[j]))
		}
		if len(in.Matches) == 0 {
			m.Matches = []model.Match{httpMatch(&gateway.HTTPRouteMatch{})}
		}
		for j := range in.BackendRefs {
			b, at := &in.BackendRefs[j], fmt.Sprintf("%s.backendRefs[%d]", path, j)
			mb := r.backend(&b.BackendObjectReference, uint32(b.Weight), at)
			mb.Filters = httpFilters(r, b.Filters, at)
			m.Backends = append(m.Backends, mb)
		}
		out[i] = m
	}
	return out
}

var pathKinds = map[string]model.PathKind{"Exact": model.PathExact, "PathPrefix": model.PathPrefix, "RegularExpression": model.PathRegex}

func httpMatch(in *gateway.HTTPRouteMatch) model.Match {
	out := model.Match{Path: &model.PathMatch{Kind: model.PathPrefix, Value: "/"}, Method: in.Method, Headers: headers(in.Headers)}
	if in.Path != nil {
		out.Path = &model.PathMatch{Kind: pathKinds[in.Path.Type], Value: in.Path.Value}
	}
	for _, q := range in.QueryParams {
		out.Query = append(out.Query, model.ValueMatch{Name: q.Name, Value: q.Value, Regex: q.Type == "RegularExpression"})
	}
	return out
}

func headers(in []gateway.HeaderMatch) (out []model.ValueMatch) {
	for _, h := range in {
		out = append(out, model.ValueMatch{Name: strings.ToLower(h.Name), Value: h.Value, Regex: h.Type == "RegularExpression"})
	}
	return out
}

// grpcRules compiles the rules of a GRPCRoute.
func grpcRules(r *resolver, spec *gateway.GRPCRouteSpec) []model.Rule {
	out := make([]model.Rule, len(spec.Rules))
	for i := range spec.Rules {
		in, path := &spec.Rules[i], fmt.Sprintf("spec.rules[%d]", i)
		m := model.Rule{Name: in.Name, Source: r.obj.At(path).String(), Filters: grpcFilters(r, in.Filters, path)}
		r.wishes = append(r.wishes, wish{session: in.SessionPersistence, path: path})
		for j := range in.Matches {
			g := &in.Matches[j]
			match := model.Match{Headers: headers(g.Headers)}
			if g.Method != nil {
				match.GRPC = &model.GRPCMatch{Service: value(g.Method.Service), Method: value(g.Method.Method), Regex: g.Method.Type == "RegularExpression"}
			}
			m.Matches = append(m.Matches, match)
		}
		for j := range in.BackendRefs {
			b, at := &in.BackendRefs[j], fmt.Sprintf("%s.backendRefs[%d]", path, j)
			mb := r.backend(&b.BackendObjectReference, uint32(b.Weight), at)
			mb.Filters = grpcFilters(r, b.Filters, at)
			m.Backends = append(m.Backends, mb)
		}
		out[i] = m
	}
	return out
}

// streamRules compiles the rule of a TCPRoute or TLSRoute.
func streamRules(r *resolver, rules []gateway.StreamRouteRule) []model.Rule {
	out := make([]model.Rule, len(rules))
	for i := range rules {
		path := fmt.Sprintf("spec.rules[%d]", i)
		out[i] = model.Rule{Name: rules[i].Name, Source: r.obj.At(path).String()}
		for j := range rules[i].BackendRefs {
			b := &rules[i].BackendRefs[j]
			out[i].Backends = append(out[i].Backends, r.backend(&b.BackendObjectReference, uint32(b.Weight), fmt.Sprintf("%s.backendRefs[%d]", path, j)))
		}
	}
	return out
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func httpFilters(r *resolver, in []gateway.HTTPRouteFilter, path string) (out []model.Filter) {
	for i := range in {
		f, at := &in[i], fmt.Sprintf("%s.filters[%d]", path, i)
		var m model.Filter
		switch {
		case f.RequestHeaderModifier != nil:
			m.RequestHeaders = modifier(f.RequestHeaderModifier)
		case f.ResponseHeaderModifier != nil:
			m.ResponseHeaders = modifier(f.ResponseHeaderModifier)
		case f.RequestMirror != nil:
			m.Mirror = mirror(r, f.RequestMirror, at)
		case f.RequestRedirect != nil:
			rd := f.RequestRedirect
			m.Redirect = &model.Redirect{Scheme: rd.Scheme, Hostname: rd.Hostname, Path: pathModifier(rd.Path), Status: int(rd.StatusCode)}
			if rd.Port != nil {
				m.Redirect.Port = uint16(*rd.Port)
			}
		case f.URLRewrite != nil:
			m.Rewrite = &model.Rewrite{Hostname: f.URLRewrite.Hostname, Path: pathModifier(f.URLRewrite.Path)}
		case f.CORS != nil:
			m.CORS = cors(f.CORS)
		}
		out = append(out, m)
	}
	return out
}

func grpcFilters(r *resolver, in []gateway.GRPCRouteFilter, path string) (out []model.Filter) {
	for i := range in {
		f, at := &in[i], fmt.Sprintf("%s.filters[%d]", path, i)
		var m model.Filter
		switch {
		case f.RequestHeaderModifier != nil:
			m.RequestHeaders = modifier(f.RequestHeaderModifier)
		case f.ResponseHeaderModifier != nil:
			m.ResponseHeaders = modifier(f.ResponseHeaderModifier)
		case f.RequestMirror != nil:
			m.Mirror = mirror(r, f.RequestMirror, at)
		}
		out = append(out, m)
	}
	return out
}

func modifier(in *gateway.HTTPHeaderFilter) *model.HeaderModifier {
	fields := func(hs []gateway.HTTPHeader) (out []model.NameValue) {
		for _, h := range hs {
			out = append(out, model.NameValue{Name: strings.ToLower(h.Name), Value: h.Value})
		}
		return out
	}
	return &model.HeaderModifier{Set: fields(in.Set), Add: fields(in.Add), Remove: lower(in.Remove)}
}

func lower(in []string) (out []string) {
	for _, s := range in {
		out = append(out, strings.ToLower(s))
	}
	return out
}

func mirror(r *resolver, in *gateway.HTTPRequestMirrorFilter, path string) *model.Mirror {
	out := &model.Mirror{Backend: r.backend(&in.BackendRef, 1, path+".requestMirror.backendRef")}
	switch {
	case in.Percent != nil:
		out.Numerator, out.Denominator = uint32(*in.Percent), 100
	case in.Fraction != nil:
		out.Numerator, out.Denominator = uint32(in.Fraction.Numerator), uint32(in.Fraction.Denominator)
	}
	return out
}

func pathModifier(in *gateway.HTTPPathModifier) *model.PathModifier {
	if in == nil {
		return nil
	}
	return &model.PathModifier{Full: in.ReplaceFullPath, PrefixMatch: in.ReplacePrefixMatch}
}

func cors(in *gateway.HTTPCORSFilter) *model.CORS {
	return &model.CORS{
		AllowOrigins: lower(in.AllowOrigins), AllowCredentials: in.AllowCredentials != nil && *in.AllowCredentials,
		AllowMethods: slices.Clone(in.AllowMethods), AllowHeaders: lower(in.AllowHeaders),
		ExposeHeaders: slices.Clone(in.ExposeHeaders), MaxAge: time.Duration(in.MaxAge) * time.Second,
	}
}
