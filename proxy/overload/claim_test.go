package overload

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

func fields(kv ...string) (out []message.Field) {
	for i := 0; i < len(kv); i += 2 {
		out = append(out, message.Field{Name: []byte(kv[i]), Value: []byte(kv[i+1])})
	}
	return out
}

func TestARequestNamesItsPriority(t *testing.T) {
	for _, c := range []struct {
		name    string
		fields  []message.Field
		want    model.Priority
		claimed bool
	}{
		{"not at all", fields("accept", "*/*"), 0, false},
		{"by the field", fields("weft-priority", "critical"), model.PriorityCritical, true},
		{"as what nobody knows", fields("weft-priority", "HIGH"), model.PriorityDefault, true},
		{"by baggage", fields("baggage", "user=17, weft.priority = sheddable ;p=1,x=y"), model.PrioritySheddable, true},
		{"by the second baggage", fields("baggage", "user=17", "baggage", "weft.priority=critical_plus"), model.PriorityCriticalPlus, true},
		{"by both: the field counts", fields("baggage", "weft.priority=critical", "weft-priority", "sheddable"), model.PrioritySheddable, true},
		{"by both, the other way round", fields("weft-priority", "sheddable", "baggage", "weft.priority=critical"), model.PrioritySheddable, true},
		{"twice: the first counts", fields("weft-priority", "sheddable", "weft-priority", "critical"), model.PrioritySheddable, true},
		{"by baggage that is none", fields("baggage", "weft.priority"), 0, false},
		{"by baggage of another name", fields("baggage", "xweft.priority=critical,weft.priority2=critical"), 0, false},
	} {
		if got := ReadClaim(c.fields); got.Priority != c.want || got.Claimed != c.claimed {
			t.Errorf("%s: %v, %v", c.name, got.Priority, got.Claimed)
		}
	}
}

func TestACallerMayClaimWhatItsRuleSays(t *testing.T) {
	rules := []model.PriorityRule{
		{Identity: "spiffe://m/ns/shop/sa/till", Max: model.PriorityCriticalPlus, Default: model.PriorityCritical},
		{Identity: "spiffe://m/ns/batch/*", Max: model.PrioritySheddable, Default: model.PriorityDefault},
		{Identity: "spiffe://m/ns/shop/*", Max: model.PriorityDefault},
	}
	claim := func(p model.Priority) *Claim { return &Claim{Priority: p, Claimed: true} }
	for _, c := range []struct {
		name, caller string
		claim        *Claim
		want         model.Priority
	}{
		{"its own rule", "spiffe://m/ns/shop/sa/till", claim(model.PriorityCriticalPlus), model.PriorityCriticalPlus},
		{"its own default", "spiffe://m/ns/shop/sa/till", &Claim{}, model.PriorityCritical},
		{"less than it may", "spiffe://m/ns/shop/sa/till", claim(model.PrioritySheddable), model.PrioritySheddable},
		{"a prefix", "spiffe://m/ns/batch/sa/report", claim(model.PriorityCritical), model.PrioritySheddable},
		{"a default above what it may", "spiffe://m/ns/batch/sa/report", &Claim{}, model.PrioritySheddable},
		{"another of the namespace", "spiffe://m/ns/shop/sa/till2", claim(model.PriorityCritical), model.PriorityDefault},
		{"no part of a name is a prefix", "spiffe://m/ns/batch2/sa/x", claim(model.PriorityCriticalPlus), model.PriorityCritical},
		{"no rule", "spiffe://m/ns/x/sa/y", claim(model.PriorityCriticalPlus), model.PriorityCritical},
		{"no rule, no claim", "spiffe://m/ns/x/sa/y", &Claim{}, model.PriorityDefault},
	} {
		if got := Bound(rules, c.caller, c.claim); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestARequestTreeIsThatOfItsTrace(t *testing.T) {
	read := func(v string) Claim { return ReadClaim(fields("traceparent", v)) }
	a := read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	b := read("00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-00")
	c := read("00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01")
	if !a.Traced || a.Tree != b.Tree || a.Tree == c.Tree {
		t.Errorf("%+v %+v %+v", a, b, c)
	}
	for _, v := range []string{"", "00", "00-4bf92f35", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", strings.Repeat("-", 60)} {
		if read(v).Traced {
			t.Errorf("%q has a trace", v)
		}
	}
}

func TestTheTimeLeftIsTheShorterOfTheTwo(t *testing.T) {
	for _, c := range []struct {
		weft, grpc string
		want       time.Duration
	}{
		{"250m", "", 250 * time.Millisecond},
		{"", "3S", 3 * time.Second},
		{"250m", "3S", 250 * time.Millisecond},
		{"1H", "99999999n", 99999999},
		{"0m", "", 1},
		{"99999999H", "", 1 << 62},
		{"", "", 0}, {"m", "", 0}, {"123456789m", "", 0}, {"-1m", "", 0}, {"1s", "", 0}, {"1.5S", "", 0},
	} {
		var f []message.Field
		if c.weft != "" {
			f = append(f, fields("weft-timeout", c.weft)...)
		}
		if c.grpc != "" {
			f = append(f, fields("grpc-timeout", c.grpc)...)
		}
		if got := ReadClaim(f).Left; got != c.want {
			t.Errorf("weft %q, grpc %q: %v, want %v", c.weft, c.grpc, got, c.want)
		}
	}
}

func TestThePriorityThatCountsIsHandedOn(t *testing.T) {
	f := SetPriority(fields("weft-priority", "critical_plus", "a", "b"), model.PriorityCritical)
	if len(f) != 2 || string(f[0].Value) != "critical" {
		t.Errorf("%v", f)
	}
	f = SetPriority(fields("a", "b"), model.PrioritySheddable)
	if len(f) != 2 || string(f[1].Name) != "weft-priority" || string(f[1].Value) != "sheddable" {
		t.Errorf("%v", f)
	}
}

// FuzzReadClaim: whatever a peer sends, reading it ends and stays in bounds.
func FuzzReadClaim(f *testing.F) {
	f.Add("critical", "weft.priority=sheddable;x", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "250m")
	f.Add("", ",,=;,", "--", "99999999H")
	f.Fuzz(func(t *testing.T, prio, bag, trace, left string) {
		c := ReadClaim(fields("weft-priority", prio, "baggage", bag, "traceparent", trace, "weft-timeout", left))
		if c.Priority < model.PrioritySheddable || c.Priority > model.PriorityCriticalPlus || c.Left < 0 {
			t.Errorf("%+v", c)
		}
	})
}
