package reference

import (
	"math/big"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/model"
)

// Message is the head of a message in comparable form; Fields are "name: value", sorted by name
// with the order of values kept.
type Message struct {
	Authority, Target string
	Fields            []string
}

// Forwarded applies the request filters of the rule and of the backend to a request whose path is
// canonical. prefix is the matched prefix as configured.
func Forwarded(in Message, filters [][]model.Filter, prefix string) Message {
	fields := slices.Clone(in.Fields)
	path, query, hasQuery := strings.Cut(in.Target, "?")
	original := path
	for _, list := range filters {
		for i := range list {
			f := &list[i]
			if f.RequestHeaders != nil {
				fields = Modified(fields, f.RequestHeaders)
			}
			if f.Rewrite != nil {
				if f.Rewrite.Hostname != "" {
					in.Authority = f.Rewrite.Hostname
				}
				if f.Rewrite.Path != nil {
					path = Replaced(f.Rewrite.Path, prefix, original)
				}
			}
		}
	}
	in.Target = path
	if hasQuery {
		in.Target += "?" + query
	}
	in.Fields = Sorted(fields)
	return in
}

// Sorted orders "name: value" lines by name and keeps the order of values.
func Sorted(fields []string) []string {
	slices.SortStableFunc(fields, func(a, b string) int {
		x, _, _ := strings.Cut(a, ": ")
		y, _, _ := strings.Cut(b, ": ")
		return strings.Compare(x, y)
	})
	return fields
}

// Modified applies a header modifier: set, add, remove.
func Modified(fields []string, m *model.HeaderModifier) []string {
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return strings.HasPrefix(f, name+": ") })
	}
	done := map[string]bool{}
	for _, h := range m.Set {
		if !done[h.Name] {
			fields = append(without(h.Name), h.Name+": "+h.Value)
		}
		done[h.Name] = true
	}
	done = map[string]bool{}
	for _, h := range m.Add {
		if !done[h.Name] {
			fields = append(fields, h.Name+": "+h.Value)
		}
		done[h.Name] = true
	}
	for _, name := range m.Remove {
		fields = without(name)
	}
	return fields
}

// Replaced is the path after a modifier, by whole segments.
func Replaced(m *model.PathModifier, prefix, path string) string {
	if m.Full != nil {
		return *m.Full
	}
	rest := strings.TrimPrefix(path, strings.TrimSuffix(prefix, "/"))
	out := strings.TrimSuffix(*m.PrefixMatch, "/") + rest
	if !strings.HasPrefix(out, "/") {
		out = "/" + out
	}
	return out
}

// Location is the target of a redirect. scheme, host and port are those of the request; servicePort
// is the port that the request came to.
func Location(r *model.Redirect, scheme, host string, port, servicePort uint16, prefix, target string) string {
	path, query, hasQuery := strings.Cut(target, "?")
	if r.Path != nil {
		path = Replaced(r.Path, prefix, path)
	}
	if hasQuery {
		path += "?" + query
	}
	if r.Hostname == "" && host == "" {
		return path
	}
	to := servicePort
	if port != 0 && r.Hostname == "" {
		to = port
	}
	if r.Scheme != "" {
		scheme = r.Scheme
		to = map[string]uint16{"http": 80, "https": 443}[scheme]
	}
	if r.Port != 0 {
		to = r.Port
	}
	if r.Hostname != "" {
		host = r.Hostname
	}
	if scheme == "http" && to != 80 || scheme == "https" && to != 443 {
		host += ":" + big.NewInt(int64(to)).String()
	}
	return scheme + "://" + host + path
}
