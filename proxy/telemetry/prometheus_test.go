package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	pmodel "github.com/prometheus/common/model"

	"github.com/weft-mesh/weft/model"
)

// page writes the page and reads it with the official parser and linter.
func page(t testing.TB, r *Registry) map[string]*dto.MetricFamily {
	t.Helper()
	var b bytes.Buffer
	if err := r.WritePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(pmodel.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatalf("the official parser: %v\n%s", err, b.String())
	}
	problems, err := promlint.New(bytes.NewReader(b.Bytes())).Lint()
	if err != nil {
		t.Fatalf("the official linter: %v", err)
	}
	for _, x := range problems {
		t.Errorf("the official linter: %s: %s", x.Metric, x.Text)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		if name := line[:max(strings.LastIndexByte(line, ' '), 0)]; !strings.HasPrefix(line, "#") {
			if seen[name] {
				t.Errorf("there twice: %s", name)
			}
			seen[name] = true
		}
	}
	return families
}

func labels(m *dto.Metric) map[string]string {
	out := map[string]string{}
	for _, l := range m.GetLabel() {
		out[l.GetName()] = l.GetValue()
	}
	return out
}

func TestAnEmptyRegistryIsAValidPage(t *testing.T) {
	f := page(t, NewRegistry(1))
	if v := f["weft_connections_open"].GetMetric()[0].GetGauge().GetValue(); v != 0 {
		t.Errorf("%v connections", v)
	}
}

func TestThePageSaysWhatWasCounted(t *testing.T) {
	r := NewRegistry(2)
	for i := range 2 { // the same key on two loops
		s := r.Shard(i).Get(key("cart"))
		s.Start()
		s.Start()
		s.Start()
		s.End(200, false, false, 300*time.Microsecond, 7, 11)
		s.End(503, true, false, 2*time.Second, 7, 11)
		r.Shard(i).Refused("W3002")
		r.Shard(i).Conn(true)
		r.Shard(i).Conn(true)
		r.Shard(i).Conn(false)
	}
	f := page(t, r)
	value := func(name string, want map[string]string) float64 {
		t.Helper()
		sum, found := 0.0, false
		for _, m := range f[name].GetMetric() {
			got := labels(m)
			match := true
			for k, v := range want {
				match = match && got[k] == v
			}
			if match {
				found = true
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		if !found {
			t.Errorf("no %s%v", name, want)
		}
		return sum
	}
	for _, c := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{"weft_requests_total", map[string]string{"status_class": "2xx", "service": "cart", "tls": "true"}, 2},
		{"weft_requests_total", map[string]string{"status_class": "5xx", "backend": "cart-v2", "backend_namespace": "shop"}, 2},
		{"weft_request_failures_total", map[string]string{"route": "HTTPRoute shop/cart rule 0"}, 2},
		{"weft_requests_active", map[string]string{"source_workload": "web-1"}, 2},
		{"weft_sent_bytes_total", map[string]string{"direction": "outbound"}, 28},
		{"weft_received_bytes_total", map[string]string{"port": "80"}, 44},
		{"weft_refused_total", map[string]string{"code": "W3002"}, 2},
		{"weft_connections_accepted_total", nil, 4},
		{"weft_connections_open", nil, 2},
	} {
		if got := value(c.name, c.labels); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	h := f["weft_request_duration_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 4 || math.Abs(h.GetSampleSum()-4.0006) > 1e-9 {
		t.Errorf("histogram: count %d, sum %v", h.GetSampleCount(), h.GetSampleSum())
	}
	for _, b := range h.GetBucket() {
		want := uint64(0)
		if b.GetUpperBound() > 0.0003 {
			want = 2
		}
		if b.GetUpperBound() > 2 {
			want = 4
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("bucket up to %v s has %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
}

// The bounds are borders of our buckets, so no value is on the wrong side of any.
func TestHistogramBoundsOnThePageAreExact(t *testing.T) {
	for p := firstBound; p <= lastBound; p++ {
		bound := time.Duration(1<<p) * time.Microsecond
		for _, c := range []struct {
			d     time.Duration
			below bool
		}{{bound - time.Microsecond, true}, {bound + time.Microsecond, false}} {
			r := NewRegistry(1)
			s := r.Shard(0).Get(key("cart"))
			s.Start()
			s.End(200, false, false, c.d, 0, 0)
			h := page(t, r)["weft_request_duration_seconds"].GetMetric()[0].GetHistogram()
			for _, b := range h.GetBucket() {
				if b.GetUpperBound() == bound.Seconds() && (b.GetCumulativeCount() == 1) != c.below {
					t.Errorf("%s is counted up to %v s: %v, want %v", c.d, b.GetUpperBound(), !c.below, c.below)
				}
			}
		}
	}
}

func TestHostileNamesDoNotBreakThePage(t *testing.T) {
	for _, name := range []string{
		"a\"b", `back\slash`, "two\nlines", "tab\tand\rreturn", "\x00", "\xff\xfe no UTF-8", "half a rune \xe2\x82",
		"} 1\nweft_requests_total{service=\"forged\"} 9", "naïve ✓", strings.Repeat("x", 10_000), "", `\"`, `\n`, "\u2028",
	} {
		k := key("x")
		k.Service.Name, k.Route, k.Source.Name, k.Backend.Namespace = name, name, name, name
		r := NewRegistry(1)
		s := r.Shard(0).Get(k)
		s.Start()
		s.End(200, false, false, 0, 0, 0)
		r.Shard(0).Refused(name)
		m := page(t, r)["weft_requests_total"].GetMetric()
		if len(m) != 1 {
			t.Fatalf("%q made %d samples", name, len(m))
		}
		want := strings.ToValidUTF8(name, "\uFFFD")
		if got := labels(m[0]); got["service"] != want || got["source_workload"] != want {
			t.Errorf("%q was read as %q", want, got["service"])
		}
	}
}

func TestKeysThatLookAlikeAreOneSample(t *testing.T) {
	r := NewRegistry(1)
	a, b := key("cart"), key("cart")
	a.Route, b.Route = "", "default"
	a.Service.Name, b.Service.Name = "\xff", "\xfe"
	for _, k := range []Key{a, b} {
		s := r.Shard(0).Get(k)
		s.Start()
		s.End(200, false, false, 0, 0, 0)
	}
	if m := page(t, r)["weft_requests_total"].GetMetric(); len(m) != 1 || m[0].GetCounter().GetValue() != 2 {
		t.Errorf("%v", m)
	}
}

func TestBackendsOfOneNameInTwoNamespacesAreTwoSamples(t *testing.T) {
	r := NewRegistry(1)
	for _, ns := range []string{"blue", "green"} {
		k := key("cart")
		k.Backend = model.Name{Namespace: ns, Name: "cart"}
		r.Shard(0).Get(k).Start()
	}
	if m := page(t, r)["weft_requests_active"].GetMetric(); len(m) != 2 {
		t.Errorf("%v", m)
	}
}

func TestEverySampleOfAFamilyHasTheSameLabels(t *testing.T) {
	r := NewRegistry(1)
	for _, k := range []Key{key("cart"), {}, {Direction: Inbound, Service: model.Name{Name: "other"}}} {
		s := r.Shard(0).Get(k)
		s.Start()
		s.End(200, false, false, 0, 0, 0)
	}
	for name, f := range page(t, r) {
		var first []string
		for _, m := range f.GetMetric() {
			got := slices.Sorted(maps.Keys(labels(m)))
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("%s has %v and %v: sums by label leave something out", name, first, got)
			}
		}
	}
}

func TestThePageIsTheSameEachTime(t *testing.T) {
	r := NewRegistry(1)
	for i := range 50 {
		r.Shard(0).Get(key(fmt.Sprint("s", i))).Start()
		r.Shard(0).Refused(fmt.Sprint("W", i))
	}
	var a, b bytes.Buffer
	if err := r.WritePrometheus(&a); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePrometheus(&b); err != nil || a.String() != b.String() {
		t.Errorf("two pages differ (%v)", err)
	}
}

func TestAReaderThatWentAwayIsTold(t *testing.T) {
	r := NewRegistry(1)
	for i := range 50 {
		r.Shard(0).Get(key(fmt.Sprint("s", i))).Start()
	}
	if err := r.WritePrometheus(gone{}); err != io.ErrClosedPipe { //nolint:errorlint // it is handed through
		t.Errorf("err %v", err)
	}
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A hop within one proxy is told from one in the clear, on the page and in reports.
func TestALocalHopHasItsOwnLabel(t *testing.T) {
	r := NewRegistry(1)
	for i, want := range []string{"false", "true", "local"} {
		k := key(fmt.Sprint("service-", i))
		k.TLS, k.Local = want == "true", want == "local"
		s := r.Shard(0).Get(k)
		s.Start()
		s.End(200, false, false, time.Millisecond, 0, 0)
	}
	got := map[string]string{}
	for _, m := range page(t, r)["weft_requests_total"].GetMetric() {
		l := labels(m)
		got[l["service"]] = l["tls"]
	}
	if want := map[string]string{"service-0": "false", "service-1": "true", "service-2": "local"}; !maps.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
	local := 0
	for k := range collect(t, NewCollector(r)) {
		if k.Local {
			local++
		}
	}
	if local != 1 {
		t.Errorf("%d local series were reported, want 1", local)
	}
}
