package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	weft "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
)

// fill sets every exported field of v to something random that is valid, so that a field that
// was forgotten in either direction is seen as a difference.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), 1})
		if r.IntN(2) == 0 {
			*x = netip.MustParseAddr("fd00::1")
		}
		return
	case *netip.AddrPort:
		*x = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.Uint32())}), uint16(r.Uint32()))
		return
	case *time.Time:
		*x = time.Unix(r.Int64N(1<<32)+1, r.Int64N(1e9)).UTC()
		return
	case *time.Duration:
		*x = time.Duration(r.Int64N(1 << 40))
		return
	case *model.Protocol:
		*x = model.Protocol(r.UintN(uint(model.ProtocolTLS) + 1))
		return
	case *model.RouteKind:
		*x = model.RouteKind(r.UintN(uint(model.RouteTCP) + 1))
		return
	case *model.PathKind:
		*x = model.PathKind(r.UintN(uint(model.PathRegex) + 1))
		return
	case *model.Peers:
		*x = model.Peers{Index: 1 + r.IntN(9), Count: 10 + r.IntN(9)}
		return
	case *model.Policy:
		fillFields(r, v, depth)
		x.Outlier.EjectMax += x.Outlier.Eject
		return
	case *model.Filter:
		fillOneOf(r, v, depth)
		return
	case *model.Hash:
		fillOneOf(r, v, depth)
		return
	case *model.PathModifier:
		fillOneOf(r, v, depth)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		fillFields(r, v, depth)
	case reflect.Slice:
		if depth > 8 {
			return
		}
		if v.Type() == reflect.TypeFor[[]byte]() {
			v.SetBytes(bytes.Repeat([]byte{byte(r.Uint32())}, 32)) // a key
			return
		}
		n := 1 + r.IntN(2)
		if v.Type().Elem() == reflect.TypeFor[model.Filter]() && depth > 4 {
			return // nesting is bounded
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), depth+1)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"app": fmt.Sprint(r.Uint32())}))
	case reflect.String:
		v.SetString(fmt.Sprintf("/s%d", r.Uint32()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.Uint32()>>1) + 1)
	case reflect.Int8: // set by its range
	case reflect.Float64: // set by its range
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(r.Uint32()>>16) + 1)
	default:
		panic(v.Type().String())
	}
}

// ranges of the fields that a receiver takes only in range; of a list, of its items.
var ranges = map[string][2]float64{
	"Balance.Algorithm": {1, 6}, "Balance.LoadBound": {1.05, 10}, "Balance.PanicPercent": {1, 100}, "Balance.ApertureMin": {1, 1000}, "Balance.ApertureAbove": {1, 1e5},
	"Balance.SlowStart": {1, 9e11}, "Outlier.Consecutive": {1, 1000}, "Outlier.SuccessRate": {0.01, 0.99}, "Outlier.SuccessWindow": {1e9, 6e11}, "Outlier.SlowFactor": {2, 1000},
	"Outlier.Eject": {1e8, 3e12}, "Outlier.EjectMax": {1e8, 3e12}, "Outlier.MaxPercent": {1, 100},
	"HealthCheck.Kind": {1, 2}, "HealthCheck.Interval": {2e9, 3e12}, "HealthCheck.Timeout": {1e6, 2e9}, "HealthCheck.Unhealthy": {1, 100}, "HealthCheck.Healthy": {1, 100},
	"Retry.On": {1, 15}, "Retry.Codes": {400, 599}, "Retry.GRPC": {1, 16}, "Retry.Attempts": {1, 10}, "Retry.Backoff": {1, 3e10}, "Retry.BackoffMax": {3e10, 6e10}, "Retry.Body": {1, 1 << 20},
	"RetryBudget.Percent": {1, 100}, "RetryBudget.MinPerSecond": {1, 10000}, "RetryBudget.Window": {1e9, 6e10}, "Hedge.Percentile": {50, 99}, "Hedge.Min": {1, 6e10},
	"Fault.PerMillion": {1, 1e6}, "Fault.Delay": {1, 6e11}, "Fault.Status": {200, 599}, "Fault.GRPC": {1, 16}, "Fault.BytesPS": {1, 1 << 30},
	"Calls.Priority": {-1, 2}, "PriorityRule.Max": {-1, 2}, "PriorityRule.Default": {-1, 2},
	"Concurrency.Min": {1, 1000}, "Concurrency.Max": {1000, 1e6}, "Concurrency.Tolerance": {1, 10}, "Queue.Target": {1, 1e9}, "Queue.Interval": {1e9, 6e10}, "Queue.Max": {1, 1e5},
	"RateLimit.By": {1, 2}, "RateLimit.Rate": {0.1, 1e9}, "RateLimit.Burst": {1, 1e9}, "GlobalLimit.Timeout": {1e6, 1e9},
}

func fillFields(r *rand.Rand, v reflect.Value, depth int) {
	for i := range v.NumField() {
		f := v.Field(i)
		fill(r, f, depth)
		at, ok := ranges[v.Type().Name()+"."+v.Type().Field(i).Name]
		if !ok {
			continue
		}
		if f.Kind() != reflect.Slice {
			inRange(r, f, at)
			continue
		}
		for j := range f.Len() {
			inRange(r, f.Index(j), at)
		}
	}
}

// inRange sets a number to one in a range, bounds included.
func inRange(r *rand.Rand, v reflect.Value, at [2]float64) {
	x := at[0] + r.Float64()*(at[1]-at[0])
	if r.IntN(8) == 0 {
		x = at[r.IntN(2)]
	}
	switch {
	case v.CanInt():
		v.SetInt(int64(math.Round(x)))
	case v.CanUint():
		v.SetUint(uint64(math.Round(x)))
	default:
		v.SetFloat(x)
	}
}

// fillOneOf sets exactly one of a struct's pointers.
func fillOneOf(r *rand.Rand, v reflect.Value, depth int) {
	fill(r, v.Field(r.IntN(v.NumField())), depth)
}

func TestEveryFieldSurvivesTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var s model.Service
		fill(r, reflect.ValueOf(&s).Elem(), 0)
		through(t, &s, Service(&s), &pb.Service{}, ToService)
		var e model.Endpoints
		fill(r, reflect.ValueOf(&e).Elem(), 0)
		through(t, &e, Endpoints(&e), &pb.Endpoints{}, ToEndpoints)
		var w model.Workload
		fill(r, reflect.ValueOf(&w).Elem(), 0)
		through(t, &w, Workload(&w), &pb.Workload{}, ToWorkload)
	}
	s := &model.Service{Name: model.Name{Namespace: "a", Name: "b"}, Routes: []model.Route{{Name: model.Name{Namespace: "a", Name: "r"}}}}
	through(t, s, Service(s), &pb.Service{}, ToService)
}

func through[V any, M proto.Message](t *testing.T, in V, m M, empty M, back func(M) (V, error)) {
	t.Helper()
	body, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Marshal(m)
	if Version(body) != Version(again) {
		t.Fatal("equal values have two versions")
	}
	if err := proto.Unmarshal(body, empty); err != nil {
		t.Fatal(err)
	}
	out, err := back(empty)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Fatalf("sent     %+v\nreceived %+v", in, out)
	}
}

func TestEqualPoliciesKeepTheirPointers(t *testing.T) {
	service := func(attempts ...int) *model.Service {
		s := &model.Service{Ports: []model.Port{{Port: 1}}}
		for _, n := range attempts {
			p := model.DefaultPolicy
			p.Calls.Retry.Attempts = n
			s.Ports = append(s.Ports, model.Port{Policy: &p})
		}
		return s
	}
	first, second := service(1, 2, 1), service(3, 2, 1)
	KeepPolicies(nil, first)
	if first.Ports[0].Policy != nil || first.Ports[1].Policy != first.Ports[3].Policy || first.Ports[1].Policy == first.Ports[2].Policy {
		t.Errorf("%+v", first.Ports)
	}
	KeepPolicies(first, second)
	if second.Ports[2].Policy != first.Ports[2].Policy || second.Ports[3].Policy != first.Ports[1].Policy || second.Ports[1].Policy.Calls.Retry.Attempts != 3 {
		t.Errorf("%+v", second.Ports)
	}
}

func TestSeriesSurviveTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var s report.Series
	fill(r, reflect.ValueOf(&s.Key).Elem(), 0)
	s.Direction = report.Inbound
	s.Counts = report.Counts{Status: [6]uint64{1, 2, 3, 4, 5, 6}, GRPCFailures: 7, Success: 8, Failure: 9, Latency: []report.Bucket{{Index: 3, Count: 4}, {Index: 495, Count: 1}},
		LatencySumMicros: 10, BytesIn: 11, BytesOut: 12, Opened: 13, Active: -1,
		Retries: 14, Hedges: 15, HedgesWon: 16, TriesFailed: 17, Refused: []report.Refusal{{Code: "W3304", Count: 18}, {Code: "W3320", Count: 19}}}
	got, err := ToSeries(Series(&s))
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v", got, err)
	}
	for name, bad := range map[string]*pb.Series{
		"a bucket out of range":  {Latency: []*pb.Bucket{{Index: report.NumBuckets}}},
		"buckets out of order":   {Latency: []*pb.Bucket{{Index: 2}, {Index: 1}}},
		"too many classes":       {Status: make([]uint64, 7)},
		"an unknown direction":   {Direction: 9},
		"a label of a megabyte":  {Route: string(make([]byte, 1<<20))},
		"the same bucket, twice": {Latency: []*pb.Bucket{{Index: 2}, {Index: 2}}},
		"codes out of order":     {Refused: []*pb.Refusal{{Code: "W3320"}, {Code: "W3304"}}},
		"the same code, twice":   {Refused: []*pb.Refusal{{Code: "W3320"}, {Code: "W3320"}}},
		"a code that is a novel": {Refused: []*pb.Refusal{{Code: string(make([]byte, 1<<10))}}},
		"a thousand codes":       {Refused: make([]*pb.Refusal, 1000)},
	} {
		if _, err := ToSeries(bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestWhatIsNotUnderstoodIsRefusedRatherThanLeftOut(t *testing.T) {
	n := &pb.Name{Namespace: "a", Name: "b"}
	rule := func(r *pb.Rule) *pb.Service {
		return &pb.Service{Name: n, Routes: []*pb.Route{{Name: n, Rules: []*pb.Rule{r}}}}
	}
	port := func(spoil func(*pb.Policy)) *pb.Service {
		p := Policy(&model.DefaultPolicy)
		if _, err := ToPorts([]*pb.Port{{Policy: p}}); err != nil {
			t.Errorf("the default policy: %v", err)
		}
		spoil(p)
		return &pb.Service{Name: n, Ports: []*pb.Port{{Policy: p}}}
	}
	deep := &pb.Filter{Filter: &pb.Filter_Mirror{Mirror: &pb.Mirror{Backend: &pb.Backend{}}}}
	for range 10 {
		deep = &pb.Filter{Filter: &pb.Filter_Mirror{Mirror: &pb.Mirror{Backend: &pb.Backend{Filters: []*pb.Filter{deep}}}}}
	}
	for name, s := range map[string]*pb.Service{
		"no name":                   {},
		"an address of three bytes": {Name: n, Ips: [][]byte{{1, 2, 3}}},
		"a port out of range":       {Name: n, Ports: []*pb.Port{{Port: 70000}}},
		"an unknown protocol":       {Name: n, Ports: []*pb.Port{{Protocol: 99}}},
		"an unknown route kind":     {Name: n, Routes: []*pb.Route{{Name: n, Kind: 99}}},
		"an unknown filter":         rule(&pb.Rule{Filters: []*pb.Filter{{}}}),
		"an unknown path match":     rule(&pb.Rule{Matches: []*pb.Match{{Path: &pb.PathMatch{Kind: 99}}}}),
		"a negative timeout":        rule(&pb.Rule{Calls: &pb.Calls{Timeouts: &pb.Timeouts{Request: -1}}}),
		"an empty path modifier":    rule(&pb.Rule{Filters: []*pb.Filter{{Filter: &pb.Filter_Rewrite{Rewrite: &pb.Rewrite{Path: &pb.PathModifier{}}}}}}),
		"retries without end":       rule(&pb.Rule{Calls: &pb.Calls{Retry: &pb.Retry{Attempts: 1 << 31}}}),
		"a policy of zeros":         {Name: n, Ports: []*pb.Port{{Policy: &pb.Policy{}}}},
		"an unknown algorithm":      port(func(p *pb.Policy) { p.Balance.Algorithm = 256 }),
		"an unknown priority":       port(func(p *pb.Policy) { p.Calls.Priority = 256 }),
		"a limit that is no number": port(func(p *pb.Policy) { p.Guard.Concurrency.Tolerance = math.NaN() }),
		"rate limits without end":   port(func(p *pb.Policy) { p.Guard.RateLimits = make([]*pb.RateLimit, 1000) }),
		"filters without end":       rule(&pb.Rule{Filters: []*pb.Filter{deep}}),
	} {
		if got, err := ToService(s); err == nil {
			t.Errorf("%s was accepted as %+v", name, got)
		}
	}
	link := &pb.AddrPort{Addr: []byte{1, 2, 3, 4}, Port: 1}
	if _, err := ToEndpoints(&pb.Endpoints{Service: n, Endpoints: []*pb.Endpoint{{Addr: link, Link: link}}}); err == nil {
		t.Error("a link without an identity to expect was accepted")
	}
	if _, err := ToWorkload(&pb.Workload{Name: n, Peers: &pb.Peers{Index: 2, Count: 2}}); err == nil {
		t.Error("the third of two workloads was accepted")
	}
}

func TestCodedErrorsTravelWhole(t *testing.T) {
	e := &weft.Error{Code: "W2301", What: "a", Why: "b", Where: "c", Next: []string{"d", "e"}}
	var got *weft.Error
	if err := FromStatus(Status(codes.AlreadyExists, fmt.Errorf("wrapped: %w", e))); !errors.As(err, &got) || got.Text() != e.Text() {
		t.Errorf("%v", err)
	}
	if FromStatus(nil) != nil || Status(codes.Internal, nil) != nil {
		t.Error("nil")
	}
	plain := errors.New("plain")
	if got := FromStatus(plain); got.Error() != plain.Error() {
		t.Error("another error was changed")
	}
}

func FuzzToService(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 5 {
		var s model.Service
		fill(r, reflect.ValueOf(&s).Elem(), 0)
		body, _ := Marshal(Service(&s))
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m pb.Service
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		s, err := ToService(&m)
		if err != nil {
			return
		}
		again, err := ToService(Service(s))
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%+v\n%+v\n%v", s, again, err)
		}
	})
}
