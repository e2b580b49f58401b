package decode

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weft-mesh/weft/api/gateway"
	"github.com/weft-mesh/weft/api/k8s"
	"github.com/weft-mesh/weft/api/object"
	"github.com/weft-mesh/weft/codes"
)

const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: cart}]
  rules:
  - backendRefs:
    - name: cart
      port: 80
`

func decodeOne(t *testing.T, text string) *object.Object {
	t.Helper()
	res := File("x.yaml", []byte(text), Options{})
	for _, p := range res.Problems {
		t.Errorf("unexpected: %v", p.Error)
	}
	if len(res.Objects) != 1 {
		t.Fatalf("got %d objects, want 1", len(res.Objects))
	}
	return res.Objects[0]
}

func TestDefaultsAreFilledIn(t *testing.T) {
	r := decodeOne(t, route).Value.(*gateway.HTTPRoute)
	b := r.Spec.Rules[0].BackendRefs[0]
	if b.Weight != 1 || b.Kind != "Service" || b.Group != "" || *b.Port != 80 {
		t.Errorf("backendRef has the wrong defaults: %+v", b)
	}
	if p := r.Spec.ParentRefs[0]; p.Group != "" {
		t.Errorf(`group: "" was overwritten by the default %q`, p.Group)
	}
	s := decodeOne(t, "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}").Value.(*k8s.Service)
	if s.Spec.Type != "ClusterIP" || s.Spec.Ports[0].Protocol != "TCP" || s.Metadata.Namespace != "default" {
		t.Errorf("service has the wrong defaults: %+v", s)
	}
	s = decodeOne(t, "{apiVersion: v1, kind: Service, metadata: {name: a}}").Value.(*k8s.Service)
	if s.Spec.Type != "ClusterIP" {
		t.Errorf("a struct that is left out whole lacks its fields' defaults: %+v", s)
	}
}

func TestPositionsPointAtFields(t *testing.T) {
	o := decodeOne(t, route)
	for path, want := range map[string]string{
		"spec.rules[0].backendRefs[0].port":   "x.yaml:9:13",
		"spec.rules[0].backendRefs[0].weight": "x.yaml:8:7", // not written: the item around it
		"spec.hostnames":                      "x.yaml:5:3",
		"nothing":                             "x.yaml:1:1",
	} {
		if got := o.At(path).Exact(); got != want {
			t.Errorf("At(%q) = %s, want %s", path, got, want)
		}
	}
}

func TestObjectsBesideAWrongOneAreDelivered(t *testing.T) {
	res := File("x.yaml", []byte(route+"---\n"+strings.Replace(route, "name: cart,", "name: other,", 1)+"  hostname: a\n"), Options{})
	if len(res.Objects) != 1 || res.Objects[0].Name != "cart" {
		t.Errorf("objects: %v", res.Objects)
	}
	if want := []object.Key{{Kind: "HTTPRoute", Namespace: "shop", Name: "other"}}; !slices.Equal(res.Refused, want) || res.Unidentified {
		t.Errorf("refused %v, unidentified %v", res.Refused, res.Unidentified)
	}
	if len(res.Problems) != 1 || res.Problems[0].Code != "W1010" {
		t.Errorf("problems: %v", res.Problems)
	}
}

func TestAliasesAndMergesWork(t *testing.T) {
	s := decodeOne(t, `apiVersion: v1
kind: Service
metadata: {name: a, labels: &l {app: a}}
spec:
  selector: *l
  ports:
  - &p {port: 80, name: http}
  - {<<: *p, port: 81, name: more}
`).Value.(*k8s.Service)
	if s.Spec.Selector["app"] != "a" || s.Spec.Ports[1].Port != 81 || s.Spec.Ports[1].Name != "more" {
		t.Errorf("got %+v", s.Spec)
	}
}

func TestBoundsHold(t *testing.T) {
	laughs := "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n"
	// Each alias is a list of ten of the one before; as ports they would be 10^9 values.
	text := "x0: &x0 [{port: 1}]\n"
	for i := 1; i < 10; i++ {
		text += fmt.Sprintf("x%d: &x%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10))
	}
	merge := "m0: &m0 {a: b}\n"
	for i := 1; i < 10; i++ {
		merge += fmt.Sprintf("m%d: &m%d {<<: [%s]}\n", i, i, strings.Repeat(fmt.Sprintf("*m%d, ", i-1), 10))
	}
	for what, in := range map[string]string{
		"aliases of aliases":          laughs + "  - *x9\n" + text,
		"merges of merges":            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: *m9}\n",
		"merges of merges, defined":   merge + "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: *m9}\n",
		"a file of 2 MiB":             strings.Repeat("# padding\n", 1<<18),
		"ten thousand open brackets":  strings.Repeat("[", 20000),
		"ten thousand levels of maps": strings.Repeat("{a: ", 9000),
		"a merge of itself":           "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: &s {<<: *s}\n",
	} {
		t.Run(what, func(t *testing.T) {
			res := File("x.yaml", []byte(in), Options{})
			if len(res.Objects) != 0 || len(res.Problems) == 0 {
				t.Errorf("it was accepted: %v", res.Objects)
			}
		})
	}
}

func TestErrorsOfAFileAreBounded(t *testing.T) {
	res := File("x.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n"+strings.Repeat("  bad: 1\n", 500)), Options{})
	if n := len(res.Problems); n != MaxErrors+1 || res.Problems[n-1].Code != "W1013" {
		t.Errorf("%d problems, the last is %v", n, res.Problems[n-1])
	}
}

// TestTags visits every field of every kind: tags parse, defaults fit, and all text is there.
func TestTags(t *testing.T) {
	var visit func(reflect.Type)
	seen := map[reflect.Type]bool{}
	visit = func(ty reflect.Type) {
		for ty.Kind() == reflect.Pointer || ty.Kind() == reflect.Slice || ty.Kind() == reflect.Map {
			ty = ty.Elem()
		}
		if ty.Kind() != reflect.Struct || seen[ty] || ty == intOrStringType {
			return
		}
		seen[ty] = true
		for _, f := range FieldsOf(ty) {
			if f.Name == "" {
				t.Errorf("%s.%s has no name in YAML", ty, f.Go)
			}
			if f.Rule.Default != nil {
				v := reflect.New(f.Type).Elem()
				setDefault(v, *f.Rule.Default)
				if fmt.Sprint(v.Interface()) != *f.Rule.Default {
					t.Errorf("%s.%s: default %q does not fit", ty, f.Go, *f.Rule.Default)
				}
				if f.Rule.Enum != nil && !slices.Contains(f.Rule.Enum, *f.Rule.Default) {
					t.Errorf("%s.%s: default %q is not in the enum", ty, f.Go, *f.Rule.Default)
				}
			}
			visit(f.Type)
		}
	}
	for _, k := range Kinds() {
		visit(reflect.TypeOf(k.New()))
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		format, value string
		want          bool
	}{
		{"duration", "1h2m3s4ms", true}, {"duration", "1.5s", false}, {"duration", "-1s", false}, {"duration", "1m1m1m1m1m", false}, {"duration", "1us", false}, {"duration", "0s", true},
		{"hostname", "*.example.com", true}, {"hostname", "a.*.com", false}, {"hostname", "Example.com", false}, {"hostname", "10.0.0.1", false}, {"hostname", "", false},
		{"precise-hostname", "*.example.com", false},
		{"header-name", "x-user", true}, {"header-name", ":authority", false}, {"header-name", "a b", false}, {"header-name", "a\r\nb", false},
		{"header-value", "a b", true}, {"header-value", "a\r\nx: y", false}, {"header-value", " a", false},
		{"cors-origin", "https://*.example.com:8443", true}, {"cors-origin", "*", true}, {"cors-origin", "example.com", false}, {"cors-origin", "https://a/b", false},
		{"dns-label", strings.Repeat("a", 64), false}, {"dns-label", "-a", false},
		{"ip", "fe80::1%eth0", false}, {"ip", "fd00::1", true}, {"ip-or-none", "None", true},
		{"label-key", "example.com/app", true}, {"label-key", "a/b/c", false}, {"label-value", "", true},
		{"group", "", true}, {"time", "2026-03-01T12:00:00Z", true}, {"time", "yesterday", false},
	} {
		if got := Formats[c.format].Valid(c.value); got != c.want {
			t.Errorf("%s %q: valid = %v, want %v", c.format, c.value, got, c.want)
		}
	}
}

// FuzzFile holds that no input makes the decoder panic, that every error is in the catalogue and
// complete, and that what is refused is never also delivered.
func FuzzFile(f *testing.F) {
	f.Add([]byte(route))
	f.Add([]byte("a: &a [*a]\n---\n<<: *a"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {<<: {type: x}, ports: [{port: 0x50, targetPort: 010}]}}]"))
	f.Add([]byte("apiVersion: weft.dev/v1alpha1\nkind: Workload\nmetadata: {name: w, labels: {a: null, 1: 2, true: no}}\nspec: {addresses: [~, 10.0.0.1, 10.0.0.1], ports: [{port: 1e3}]}"))
	f.Add([]byte("apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: g}\nspec: {rules: [{matches: [{method: {type: RegularExpression, service: '('}}], filters: [{type: RequestMirror}]}]}"))
	f.Add([]byte("\xef\xbb\xbfkind: !!binary aGk=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		res := File("x.yaml", data, Options{})
		for _, p := range res.Problems {
			if _, ok := codes.Lookup(p.Code); !ok || p.What == "" || p.Where == "" || len(p.Next) == 0 {
				t.Errorf("incomplete: %#v", p.Error)
			}
		}
		if len(res.Problems) == 0 && (len(res.Refused) > 0 || res.Unidentified) {
			t.Error("refused without a word")
		}
		for _, o := range res.Objects {
			if o.Name == "" || o.Value == nil {
				t.Errorf("an object without name or value: %+v", o)
			}
		}
	})
}
