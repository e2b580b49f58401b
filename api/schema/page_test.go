package schema

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/schema/generate"
	"github.com/weft-mesh/weft/api/weft"
)

// TestThePolicyPageListsEveryField writes or compares the table of docs/policy.md.
func TestThePolicyPageListsEveryField(t *testing.T) {
	docs, err := generate.ReadDocs("../k8s", "../gateway", "../weft")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("| field | default | allowed | meaning |\n|---|---|---|---|\n")
	fieldRows(&b, docs, reflect.TypeFor[weft.TrafficPolicySpec](), "")
	path := filepath.Join("..", "..", "docs", "policy.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- fields: go test ./api/schema -update -->\n", "<!-- end of fields -->"
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/policy.md has no place for the table")
	}
	want := head + begin + b.String() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Error("the table of docs/policy.md is not what the structs say; run: go test ./api/schema -update")
	}
}

func fieldRows(b *bytes.Buffer, docs generate.Docs, owner reflect.Type, prefix string) {
	for _, f := range decode.FieldsOf(owner) {
		name, typ := prefix+f.Name, f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() == reflect.Slice {
			typ, name = typ.Elem(), name+"[]"
		}
		value := "-"
		for _, d := range []*string{f.Rule.Default, f.Rule.Assume} {
			if d != nil {
				value = *d
			}
		}
		if f.Rule.Required {
			value = "required"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, value, allowed(typ, f.Rule), strings.ReplaceAll(docs.Of(f.Owner, f.Go), "|", "\\|"))
		if typ.Kind() == reflect.Struct {
			fieldRows(b, docs, typ, name+".")
		}
	}
}

func allowed(t reflect.Type, r decode.Rule) string {
	short := func(d time.Duration) string {
		s := d.String()
		s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
		return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
	}
	switch {
	case len(r.Enum) > 0:
		words := strings.Join(r.Enum, ", ")
		if r.Enum[0] == "" {
			words = `""` + words
		}
		return words
	case r.Min != nil && r.Max != nil:
		return fmt.Sprintf("%d to %d", *r.Min, *r.Max)
	case r.MaxDuration > 0:
		return short(r.MinDuration) + " to " + short(r.MaxDuration)
	case r.Format == "duration":
		return "a duration"
	case r.Format != "":
		return decode.Formats[r.Format].Means
	case r.MaxItems > 0:
		return fmt.Sprintf("at most %d", r.MaxItems)
	case t.Kind() == reflect.Bool:
		return "true, false"
	}
	return ""
}
