package render

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// sample has values that YAML would misread without quotes.
type sample struct {
	Names []string          `json:"names"`
	Empty []string          `json:"empty"`
	Map   map[string]string `json:"map"`
	Share float64           `json:"share"`
	Note  string            `json:"note,omitempty"`
}

func doc() Doc {
	return Doc{
		Kind: "Sample", Names: []string{"a/b"},
		Body: sample{Names: []string{"web -> cart", "true", "1.5", "null", "a: b", ""}, Empty: []string{}, Map: map[string]string{"z": "no", "a": "0x1"}, Share: 0.25},
		Table: func(t *Table, wide bool) {
			t.Header("NAME", ">N")
			t.Row(Text("café"), Text("7"))
			t.Row(Toned(Bad, "b"), Text("1000"))
			if wide {
				t.Line("more")
			}
		},
	}
}

func write(t *testing.T, f Format, s Style) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, f, s, doc()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheFormats(t *testing.T) {
	for f, want := range map[Format]string{
		FormatTable: "NAME      N\ncafé      7\nb      1000\n",
		FormatWide:  "NAME      N\ncafé      7\nb      1000\nmore\n",
		FormatName:  "a/b\n",
	} {
		if got := write(t, f, Style{}); got != want {
			t.Errorf("%s:\n%s\nwanted\n%s", f, got, want)
		}
	}
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	j, y := write(t, FormatJSON, Style{}), write(t, FormatYAML, Style{})
	if !strings.HasPrefix(j, "{\n  \"apiVersion\": \"weft.dev/v1alpha1\",\n  \"kind\": \"Sample\",\n  \"names\": [") {
		t.Errorf("JSON does not begin with apiVersion and kind:\n%s", j)
	}
	if strings.ContainsAny(y, "{") || !strings.HasPrefix(y, "apiVersion: ") {
		t.Errorf("YAML is not in block style:\n%s", y)
	}
	var a, b any
	if err := json.Unmarshal([]byte(j), &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(y), &b); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(a)
	z, err := json.Marshal(b)
	if err != nil || string(x) != string(z) {
		t.Errorf("JSON says\n%s\nYAML says\n%s (%v)\n%s", x, z, err, y)
	}
}

func TestColorsDoNotChangeWordsOrAlignment(t *testing.T) {
	plain, painted := write(t, FormatTable, Style{}), write(t, FormatTable, Style{ANSI: true})
	if plain == painted {
		t.Error("nothing was painted")
	}
	for _, e := range escapes {
		painted = strings.ReplaceAll(painted, e, "")
	}
	if got := strings.ReplaceAll(painted, "\x1b[0m", ""); got != plain {
		t.Errorf("without escapes:\n%q\nwanted\n%q", got, plain)
	}
}

func TestABodyThatIsNoObjectIsRefused(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, FormatJSON, Style{}, Doc{Kind: "X", Body: []int{1}}); err == nil {
		t.Error("an array was written as a document")
	}
	if err := Write(&b, FormatJSON, Style{}, Doc{Kind: "X", Body: struct{}{}}); err != nil || !strings.Contains(b.String(), `"kind": "X"`) {
		t.Errorf("an empty object: %v, %s", err, b.String())
	}
}

func TestValues(t *testing.T) {
	for _, c := range [][2]string{
		{Percent(1), "100 %"}, {Percent(0.99999), "99.99 %"}, {Percent(0.9995), "99.95 %"}, {Percent(0.7049), "70.5 %"}, {Percent(10.0 / 60), "16.7 %"}, {Percent(0.9949), "99.5 %"}, {Percent(0), "0.0 %"},
		{Latency(0), "-"}, {Latency(850 * time.Microsecond), "850 µs"}, {Latency(4200 * time.Microsecond), "4.2 ms"}, {Latency(1700 * time.Millisecond), "1.7 s"},
		{Age(12 * time.Second), "12s"}, {Age(250 * time.Second), "4m10s"}, {Age(19 * time.Hour), "19h"}, {Age(72 * time.Hour), "3d"}, {Age(-time.Minute), "-1m"},
		{Rate(0), "0"}, {Rate(0.05), "0.05"}, {Rate(12.34), "12.3"}, {Rate(1234.5), "1234"},
		{Bytes(512), "512 B"}, {Bytes(1536), "1.5 KiB"}, {Bytes(50 << 20), "50 MiB"}, {Bytes(1 << 63), "8.0 EiB"},
		{Count(1, "proxy"), "1 proxy"}, {Count(2, "proxy"), "2 proxies"}, {Count(0, "route"), "0 routes"}, {Count(2, "day"), "2 days"},
		{Clean("a\x1b[31mb\nc\u202ed"), "a?[31mb c?d"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, wanted %q", c[0], c[1])
		}
	}
}

// FuzzClean holds that nothing that moves a cursor gets through.
func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q lets %U through", s, r)
			}
		}
	})
}
