package decide_test

import (
	"testing"

	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

func TestConditionsMatchAsRoutesDo(t *testing.T) {
	prefix := func(v string) *model.PathMatch { return &model.PathMatch{Kind: model.PathPrefix, Value: v} }
	for _, c := range []struct {
		name    string
		headers []model.ValueMatch
		path    *model.PathMatch
		host    string
		at      string
		fields  []string
		want    bool
	}{
		{"nothing is asked for", nil, nil, "", "/x", nil, true},
		{"below the prefix", nil, prefix("/api"), "", "/api/x", nil, true},
		{"beside the prefix", nil, prefix("/api"), "", "/apix", nil, false},
		{"everything is below /", nil, prefix("/"), "", "/x", nil, true},
		{"a prefix with a slash", nil, prefix("/api/"), "", "/api", nil, true},
		{"exactly", nil, &model.PathMatch{Kind: model.PathExact, Value: "/api"}, "", "/api/x", nil, false},
		{"an expression", nil, &model.PathMatch{Kind: model.PathRegex, Value: "/[a-c]+"}, "", "/abc", nil, true},
		{"an expression is anchored", nil, &model.PathMatch{Kind: model.PathRegex, Value: "/[a-c]+"}, "", "/abcd", nil, false},
		{"a field", []model.ValueMatch{{Name: "x-user", Value: "a"}}, nil, "", "/", []string{"x-user", "a"}, true},
		{"a field with another value", []model.ValueMatch{{Name: "x-user", Value: "a"}}, nil, "", "/", []string{"x-user", "b"}, false},
		{"a field by expression", []model.ValueMatch{{Name: "X-User", Value: "a+", Regex: true}}, nil, "", "/", []string{"x-user", "aa"}, true},
		{"both must hold", []model.ValueMatch{{Name: "x-user", Value: "a"}}, prefix("/api"), "", "/", []string{"x-user", "a"}, false},
		{"the host", []model.ValueMatch{{Name: "host", Value: "cart"}}, nil, "cart", "/", nil, true},
	} {
		k, err := decide.CompileCondition(c.headers, c.path)
		if err != nil {
			t.Fatal(err)
		}
		var f []message.Field
		for i := 0; i < len(c.fields); i += 2 {
			f = append(f, message.Field{Name: []byte(c.fields[i]), Value: []byte(c.fields[i+1])})
		}
		var q decide.Query
		if got := k.Holds(&q, []byte(c.host), []byte(c.at), f); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestConditionsThatCannotBeCompiledAreErrors(t *testing.T) {
	for _, p := range []*model.PathMatch{{Kind: model.PathRegex, Value: "("}, {Kind: model.PathExact, Value: "/a%2Fb"}} {
		if _, err := decide.CompileCondition(nil, p); err == nil {
			t.Errorf("%v compiles", p)
		}
	}
	if _, err := decide.CompileCondition([]model.ValueMatch{{Name: "a", Value: "[", Regex: true}}, nil); err == nil {
		t.Error("a header expression compiles that is none")
	}
}
