package balance

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

// orcaProto is a report in protobuf with a map that does not count.
func orcaProto() []byte {
	var p []byte
	double := func(field byte, v float64) {
		p = binary.LittleEndian.AppendUint64(append(p, field<<3|1), math.Float64bits(v))
	}
	double(1, 0.9)
	double(2, 0.4)
	p = append(p, 8<<3|2, 3, 10, 1, 'x')
	p = append(p, 3<<3, 0x96, 0x01)
	double(6, 120)
	double(7, 2)
	double(9, 0.5)
	return p
}

func TestReportsAreReadInEachForm(t *testing.T) {
	want := Load{QPS: 120, EPS: 2, Utilization: 0.5}
	bin := base64.StdEncoding.EncodeToString(orcaProto())
	for _, v := range []string{
		"TEXT cpu_utilization=0.9,application_utilization=0.5,rps_fractional=120,eps=2,named_metrics.x=3",
		"cpu_utilization=0.9, application_utilization=5e-1, rps_fractional=120.0, eps=2",
		`JSON {"cpu_utilization": 0.9, "named_metrics": {"x": 1, "y": 2}, "application_utilization":0.5,"rps_fractional":120,"eps":2}`,
		`{"cpuUtilization":0.9,"applicationUtilization":0.5,"rpsFractional":"120","eps":2,"utilization":{}}`,
		"BIN " + bin,
	} {
		if got, err := ParseReport([]byte(v)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", v, got, err)
		}
	}
	for _, v := range []string{bin, strings.TrimRight(bin, "=")} {
		if got, err := ParseBinaryReport([]byte(v)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", v, got, err)
		}
	}
	if got, _ := ParseReport([]byte("TEXT cpu_utilization=0.9,rps_fractional=1")); got.Utilization != 0.9 {
		t.Errorf("without a figure of its own an application's CPU counts, not %v", got.Utilization)
	}
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	for _, v := range []string{
		"TEXT cpu_utilization", "TEXT cpu_utilization=", "TEXT cpu_utilization=0x10", "TEXT cpu_utilization=NaN", "TEXT eps=inf",
		"TEXT eps=1_000", "TEXT eps=1,,", "JSON", "JSON {", `JSON {"eps":}`, `JSON {"eps":1`, `JSON {"eps":1} x`, `JSON {"e\"ps":1}`,
		`JSON {"a":{"b":{"c":1}}}`, "JSON []", "BIN ???", "BIN CQ==", "TEXT eps=" + strings.Repeat("1", 40), "TEXT " + strings.Repeat("a=1,", 2000),
	} {
		if got, err := ParseReport([]byte(v)); err == nil {
			t.Errorf("%.60s: %+v", v, got)
		}
	}
	for _, p := range [][]byte{{0}, {0xff}, {9}, {10, 200, 1}, {11}, {13, 1}, {8, 0xff}} {
		if got, err := parseProto(p); err == nil {
			t.Errorf("% x: %+v", p, got)
		}
	}
}

func TestReadingAReportAllocatesNothing(t *testing.T) {
	text, js := []byte("TEXT cpu_utilization=0.9,rps_fractional=120.5"), []byte(`JSON {"cpu_utilization": 0.9, "rps_fractional":120}`)
	bin := []byte(base64.StdEncoding.EncodeToString(orcaProto()))
	allocs.None(t, 1000, func() {
		for _, v := range [][]byte{text, js} {
			if _, err := ParseReport(v); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ParseBinaryReport(bin); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add([]byte("TEXT cpu_utilization=0.9,eps=1"))
	f.Add([]byte(`JSON {"cpu_utilization": 0.9, "named_metrics": {"x": 1}}`))
	f.Add([]byte("BIN " + base64.StdEncoding.EncodeToString(orcaProto())))
	f.Fuzz(func(t *testing.T, v []byte) {
		l, err := ParseReport(v)
		if err != nil && l != (Load{}) {
			t.Errorf("an error and %+v", l)
		}
		ParseBinaryReport(v) //nolint:errcheck // must not panic
		s := with(2, func(p *model.Policy) {})
		for i := range 20 {
			s.all[0].Report(time.Duration(i+1)*time.Second, l)
			s.all[1].Report(time.Duration(i+1)*time.Second, Load{QPS: 1, Utilization: 1})
		}
		s.Pick(20*time.Second, Request{Rand: 1})
		if w := s.all[0].weight; !(w >= leastTrusted && w <= mostTrusted) {
			t.Errorf("%+v makes a weight of %v", l, w)
		}
	})
}
