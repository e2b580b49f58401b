package agent

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/proxy/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func resource(t testing.TB, name string, port uint16) *pb.Resource {
	t.Helper()
	n := model.Name{Namespace: "shop", Name: name}
	body, err := wire.Marshal(wire.Service(&model.Service{Name: n, Ports: []model.Port{{Port: port}}}))
	if err != nil {
		t.Fatal(err)
	}
	return &pb.Resource{Kind: pb.Kind_KIND_SERVICE, Name: wire.Name(n), Version: wire.Version(body), Body: body}
}

func TestWhatCannotBeUsedIsRejectedAndTheLastGoodVersionStays(t *testing.T) {
	v := newView()
	good := resource(t, "cart", 80)
	if rej, err := v.apply([]*pb.Update{{TrustDomain: "weft.local", Changed: []*pb.Resource{good}}}, true); err != nil || len(rej) != 0 {
		t.Fatal(rej, err)
	}
	n := model.Name{Namespace: "shop", Name: "cart"}
	before := v.services[n]
	for name, bad := range map[string]*pb.Resource{
		"contents that are not its version's": {Kind: good.Kind, Name: good.Name, Version: 1, Body: good.Body},
		"contents that are no message":        {Kind: good.Kind, Name: good.Name, Version: wire.Version([]byte{0xff}), Body: []byte{0xff}},
		"an empty service":                    {Kind: good.Kind, Name: good.Name, Version: wire.Version(nil)},
		"a kind that is not known":            {Kind: 99, Name: good.Name, Version: wire.Version(nil)},
	} {
		rej, err := v.apply([]*pb.Update{{TrustDomain: "weft.local", Changed: []*pb.Resource{bad}}}, false)
		if err != nil || len(rej) != 1 || rej[0].GetReason() == "" {
			t.Errorf("%s: %v, %v", name, rej, err)
		}
		if v.services[n] != before {
			t.Errorf("%s took the good version's place", name)
		}
	}
	if _, err := v.apply([]*pb.Update{{TrustDomain: "other"}}, true); err == nil {
		t.Error("an update of another mesh was taken")
	}
}

func TestAViewOnDiskIsUsedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	v := newView()
	if _, err := v.apply([]*pb.Update{{TrustDomain: "weft.local", Epoch: "e", Snapshot: 7, Changed: []*pb.Resource{resource(t, "cart", 80)}, Absent: []*pb.Name{{Namespace: "shop", Name: "ghost"}}}}, true); err != nil {
		t.Fatal(err)
	}
	d := newDisk(dir, "shop/cart", slog.New(slog.DiscardHandler))
	if s, err := d.read(); s != nil || err != nil {
		t.Errorf("before the first write: %v, %v", s, err)
	}
	d.put(v.save())
	d.flush()
	saved, err := d.read()
	if err != nil {
		t.Fatal(err)
	}
	back := newView()
	if err := back.load(saved); err != nil || back.snapshot != 7 || len(back.services) != 1 || !back.absent[model.Name{Namespace: "shop", Name: "ghost"}] {
		t.Errorf("%+v, %v", back, err)
	}
	if info, err := os.Stat(d.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, _ := os.ReadFile(d.path)
	for i := 0; i < len(text); i += 7 {
		spoiled := append([]byte{}, text...)
		spoiled[i] ^= 0x10
		if err := os.WriteFile(d.path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := d.read(); err == nil {
			t.Fatalf("byte %d changed, and it was read as %v", i, s)
		}
	}
	if err := os.WriteFile(d.path, text[:len(text)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.read(); err == nil || !strings.Contains(err.Error(), "W2204") {
		t.Errorf("cut off: %v, want W2204", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ".*")); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestSubscriptionsAreBoundedAndAbsentOnesGiveWay(t *testing.T) {
	var s subscriptions
	s.init()
	name := func(i int) model.Name { return model.Name{Namespace: "shop", Name: fmt.Sprint(i)} }
	for i := range maxSubscriptions {
		if !s.add(name(i)) {
			t.Fatalf("subscription %d was refused", i)
		}
	}
	if s.add(name(-1)) {
		t.Error("one more than the bound was taken")
	}
	if !s.add(name(0)) {
		t.Error("one that is there was refused")
	}
	if add, end := s.take(); len(add.GetServices()) != maxSubscriptions || end != nil {
		t.Errorf("%d to add, %v to end", len(add.GetServices()), end)
	}
	v := newView()
	v.absent[name(5)] = true
	s.markAbsent(v)
	if !s.add(name(-1)) || s.add(name(-2)) {
		t.Error("one absent subscription makes room for one")
	}
	add, end := s.take()
	if len(add.GetServices()) != 1 || len(end.GetServices()) != 1 || wire.ToName(end.GetServices()[0]) != name(5) {
		t.Errorf("add %v, end %v", add, end)
	}
	if add, end := s.take(); add != nil || end != nil {
		t.Errorf("taken twice: %v, %v", add, end)
	}
	if !s.addAddr(netip.MustParseAddr("10.0.0.1")) || len(s.all().GetAddresses()) != 1 {
		t.Error("an address was refused")
	}
}

func TestAnUnansweredBatchIsSentAgainAndDeltasGatherMeanwhile(t *testing.T) {
	var o outbox
	o.init()
	one := report.Series{Key: report.Key{Route: "r"}, Counts: report.Counts{Success: 1, Latency: []report.Bucket{{Index: 1, Count: 1}}}}
	if o.next("p", "i") != nil {
		t.Error("a batch of nothing")
	}
	o.add(one)
	first := o.next("p", "i")
	o.add(one)
	o.add(one)
	if again := o.next("p", "i"); again != first || first.GetSequence() != 1 {
		t.Errorf("%v, want the unanswered batch", again)
	}
	o.answered(99)
	o.answered(1)
	second := o.next("p", "i")
	if second.GetSequence() != 2 || second.GetSeries()[0].GetSuccess() != 2 || second.GetSeries()[0].GetLatency()[0].GetCount() != 2 {
		t.Errorf("%v", second)
	}
	for i := range maxPending + 10 {
		o.add(report.Series{Key: report.Key{Route: fmt.Sprint(i)}})
	}
	if o.dropped != 10 || len(o.pending) != maxPending {
		t.Errorf("%d dropped, %d wait", o.dropped, len(o.pending))
	}
}

func TestPausesGrowToABoundAndAreSpread(t *testing.T) {
	for n, want := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause} {
		if lo, hi := pause(n, 0), pause(n, 0.9999); lo != want/2 || hi > want || hi < want*9/10 {
			t.Errorf("attempt %d: %s to %s, want up to %s", n, lo, hi, want)
		}
	}
	for _, n := range []int{6, 7, 100, 1 << 40} {
		if got := pause(n, 0.9999); got > lastPause {
			t.Errorf("attempt %d: %s", n, got)
		}
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := func() Options {
		return Options{Name: "p", Control: config.Control{Socket: "/s"}, Workloads: []Workload{{Workload: config.Workload{Name: "cart", Namespace: "shop"}}}}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no name":                  func(o *Options) { o.Name = "" },
		"no control plane":         func(o *Options) { o.Control = config.Control{} },
		"two control planes":       func(o *Options) { o.Control.Addr = "a:1" },
		"a namespace that is none": func(o *Options) { o.Workloads[0].Namespace = "" },
		"a workload without name":  func(o *Options) { o.Workloads[0].Name, o.Workloads[0].Service = "", "cart" },
		"ports without a link":     func(o *Options) { o.Workloads[0].Ports = make([]config.Port, 1) },
		"an unknown protocol": func(o *Options) {
			o.Workloads[0].Link = netip.MustParseAddrPort("127.0.0.1:1")
			o.Workloads[0].Ports = []config.Port{{Protocol: "smtp"}}
		},
		"no workload":                    func(o *Options) { o.Workloads = nil },
		"a workload that is there twice": func(o *Options) { o.Workloads = append(o.Workloads, o.Workloads[0]) },
		"a token that is none":           func(o *Options) { o.Control.Token = "x" },
	} {
		o := good()
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s was accepted", name)
		} else if !strings.HasPrefix(err.Error(), "W2") {
			t.Errorf("%s: %v has no code", name, err)
		}
	}
}

func FuzzViewApply(f *testing.F) {
	f.Add(int32(1), "cart", []byte{})
	f.Add(int32(2), "", resource(f, "cart", 80).GetBody())
	f.Add(int32(4), "x", []byte{0x0a, 0x01, 'a'})
	f.Fuzz(func(t *testing.T, kind int32, name string, body []byte) {
		v := newView()
		r := &pb.Resource{Kind: pb.Kind(kind), Name: &pb.Name{Namespace: "shop", Name: name}, Version: wire.Version(body), Body: body}
		rej, err := v.apply([]*pb.Update{{TrustDomain: "weft.local", Changed: []*pb.Resource{r}}}, true)
		if err != nil || len(rej)+len(v.resources) != 1 {
			t.Errorf("%v, %v, %d held", rej, err, len(v.resources))
		}
		if err := newView().load(v.save()); err != nil {
			t.Errorf("what was taken cannot be kept: %v", err)
		}
	})
}
