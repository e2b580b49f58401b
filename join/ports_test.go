package join

import (
	"errors"
	"testing"

	"github.com/weft-mesh/weft/codes"
)

func TestPortsAreReadInAllForms(t *testing.T) {
	for in, want := range map[string]Port{
		"8081":           {Number: 8081},
		"65535":          {Number: 65535},
		"web=8081":       {Name: "web", Number: 8081},
		"9090:grpc":      {Number: 9090, Protocol: "grpc"},
		"grpc=9090:grpc": {Name: "grpc", Number: 9090, Protocol: "grpc"},
		"a-1=1:tcp":      {Name: "a-1", Number: 1, Protocol: "tcp"},
	} {
		if got, err := ParsePort(in); err != nil || got != want {
			t.Errorf("ParsePort(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestAnythingElseIsNotAPort(t *testing.T) {
	for _, in := range []string{
		"", "0", "65536", "-1", "+1", "080", "1e3", "http", "8081:", "8081:udp", "8081:HTTP", "=8081", "Web=8081",
		"web=", "web=8081=1", "web:8081", " 8081", "8081 ", "8081:http:x", "a_b=1", "8081:http2 ",
	} {
		got, err := ParsePort(in)
		var coded *codes.Error
		if !errors.As(err, &coded) || coded.Code != "W4101" {
			t.Errorf("ParsePort(%q) = %+v, %v; want W4101", in, got, err)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add("grpc=9090:grpc")
	f.Add("8081")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePort(s)
		if err == nil && (p.Number == 0 || p.Name != "" && !isLabel(p.Name)) {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

func TestInstanceNamesAreLabelsHoweverLongTheName(t *testing.T) {
	long := ""
	for len(long) < 63 {
		long += "a-"
	}
	long = long[:63]
	for _, name := range []string{"cart", long, long[:58]} {
		if got := shorten(name, 4194304); !isLabel(got) {
			t.Errorf("shorten(%q) = %q, which is no label", name, got)
		}
	}
}
