package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/weft-mesh/weft/api/decode"
	"github.com/weft-mesh/weft/api/schema/generate"
)

var update = flag.Bool("update", false, "write the schemas anew")

// TestTheSchemasAreUpToDate fails if the structs changed and the published files did not.
func TestTheSchemasAreUpToDate(t *testing.T) {
	docs, err := generate.ReadDocs("../k8s", "../gateway", "../weft")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]any{"weft.json": generate.All(decode.Kinds())}
	for _, k := range decode.Kinds() {
		files[strings.ToLower(k.Name)+".json"] = generate.Kind(k, docs)
	}
	for name, s := range files {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, b.Bytes()) {
			t.Errorf("%s is not what the structs say (%v); run: go test ./api/schema -update", name, err)
		}
	}
	if list, _ := filepath.Glob("*.json"); len(list) != len(files) {
		t.Errorf("there are %d schemas, want %d: %v", len(list), len(files), list)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	list, err := FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		r, err := FS.Open(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(r)
		if err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		if err := c.AddResource("https://weft.dev/schema/"+f.Name(), doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("https://weft.dev/schema/weft.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid checks every document of a YAML text against the schema.
func valid(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			t.Fatal(err)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(doc); err != nil {
			return err
		}
	}
}

// TestSchemaAndDecoderAgree holds that an editor marks what weft refuses, and nothing that weft
// takes.
func TestSchemaAndDecoderAgree(t *testing.T) {
	s := compiled(t)
	const head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n"
	const policyHead = "apiVersion: weft.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: a}\nspec: {targetRefs: [{group: '', kind: Service, name: a}], "
	for _, c := range []struct {
		what, text string
		ok         bool
	}{
		{"a whole route", head + `spec: {parentRefs: [{group: "", kind: Service, name: cart, port: 80}], hostnames: ["*.a.com"], rules: [{matches: [{path: {type: Exact, value: /a}, headers: [{name: x, value: y1}]}], filters: [{type: CORS, cors: {allowOrigins: ["*"], maxAge: 3}}], backendRefs: [{name: cart, port: 80, weight: 3}], timeouts: {request: 1s}}]}`, true},
		{"an unknown field", head + "spec: {rule: []}", false},
		{"a wrong type", head + `spec: {rules: [{backendRefs: [{name: cart, port: "80"}]}]}`, false},
		{"a value that is none of those allowed", head + "spec: {rules: [{matches: [{method: get}]}]}", false},
		{"a number out of range", head + "spec: {rules: [{backendRefs: [{name: cart, port: 99999}]}]}", false},
		{"a missing field", head + "spec: {rules: [{backendRefs: [{port: 80}]}]}", false},
		{"a duration in another form", head + "spec: {rules: [{timeouts: {request: 1.5s}}]}", false},
		{"a status that redirects never have", head + "spec: {rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 305}}]}]}", false},
		{"an unknown version", strings.Replace(head, "/v1", "/v7", 1) + "spec: {}", false},
		{"a Service as kubectl prints it", "apiVersion: v1\nkind: Service\nmetadata: {name: a, uid: x, managedFields: []}\nspec: {type: ClusterIP, sessionAffinity: None, ports: [{port: 80, targetPort: http}, {port: 81, name: b, targetPort: 8081}]}\nstatus: {loadBalancer: {}}", true},
		{"a TrafficPolicy", policyHead + `loadBalancing: {algorithm: Maglev, hash: {source: true}}, retry: {causes: [Reset], codes: [503], budget: {percent: 0, minPerSecond: 1}}, rateLimits: [{name: a, count: 5, path: {value: /a}}]}`, true},
		{"a number where a duration stands", policyHead + "timeouts: {request: 5}}", false},
		{"an unknown section", policyHead + "retries: {attempts: 1}}", false},
		{"a percentage above 100", policyHead + "loadBalancing: {panicPercent: 101}}", false},
		{"an identity that is none", policyHead + "overload: {priorities: [{identity: web, max: critical}]}}", false},
		{"a policy for nobody", "apiVersion: weft.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: a}\nspec: {targetRefs: []}", false},
		{"an XBackendTrafficPolicy", "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\nmetadata: {name: a}\nspec: {targetRefs: [{group: '', kind: Service, name: a}], retryConstraint: {budget: {percent: 5}}}", true},
		{"a Workload", "apiVersion: weft.dev/v1alpha1\nkind: Workload\nmetadata: {name: a}\nspec: {addresses: [10.0.0.1], ports: [{port: 80}]}", true},
	} {
		t.Run(c.what, func(t *testing.T) {
			if err := valid(t, s, c.text); (err == nil) != c.ok {
				t.Errorf("schema says %v, want ok = %v", err, c.ok)
			}
			if res := decode.File("x.yaml", []byte(c.text), decode.Options{}); (len(res.Problems) == 0) != c.ok {
				t.Errorf("the decoder says %v, want ok = %v", res.Problems, c.ok)
			}
		})
	}
}

// TestEveryFieldIsDescribed: an editor shows the description while a person types.
func TestEveryFieldIsDescribed(t *testing.T) {
	var visit func(path string, v any)
	visit = func(path string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if props, ok := m["properties"].(map[string]any); ok {
			for name, p := range props {
				if pm, ok := p.(map[string]any); ok && name != "metadata" && name != "spec" && pm["description"] == nil {
					t.Errorf("%s.%s has no description", path, name)
				}
			}
		}
		for k, c := range m {
			visit(path+"/"+k, c)
		}
	}
	for _, k := range decode.Kinds() {
		data, err := FS.ReadFile(strings.ToLower(k.Name) + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		visit(k.Name, v)
	}
}
