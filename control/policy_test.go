package control_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/decide"
)

const cartPolicy = `apiVersion: weft.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: cart, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: cart}]
  timeouts: {request: 7s}
  retry: {attempts: 1}
`

func TestASavedPolicyIsLiveAtProxiesAndExplainedWithItsPlace(t *testing.T) {
	m := newMesh(t)
	m.up()
	m.join(workload("cart", 8081)).ready()
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	web.until("cart has an endpoint", has("cart", 80, 1))
	m.write("policy.yaml", cartPolicy)
	web.until("the policy is in force", func(t *decide.Table) bool {
		s, _ := t.Service(shop("cart"))
		return s != nil && s.Port(80).Port.Policy != nil && s.Port(80).Port.Policy.Calls.Timeouts.Request == 7*time.Second
	})
	// The proxy has it in force a moment before it says so.
	var reply *pb.ExplainReply
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) { // polling, with a deadline
		var err error
		reply, err = m.mesh().Explain(context.Background(), &pb.ExplainRequest{Method: "GET", Url: "http://cart/items", From: "web", Namespace: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(reply.GetSteps(), func(s *pb.ExplainStep) bool { return strings.HasSuffix(s.GetSource(), "policy.yaml:6") })
		if told || time.Now().After(until) {
			break
		}
	}
	want := map[string]string{"timeouts": "policy.yaml:6", "retry": "policy.yaml:7", "budget": "default"}
	for _, s := range reply.GetSteps() {
		if s.GetStep() != string(decide.StepCalls) {
			continue
		}
		if end := want[s.GetObject()]; end == "" || !strings.HasSuffix(s.GetSource(), end) {
			t.Errorf("step %v, want its place %q", s, end)
		}
		delete(want, s.GetObject())
	}
	if len(want) > 0 {
		t.Errorf("no steps for %v in %v", want, reply.GetSteps())
	}
	dump, err := m.mesh().Dump(context.Background(), &pb.DumpRequest{})
	if err != nil || !strings.Contains(dump.GetJson(), "policy.yaml") {
		t.Errorf("the dump has no policy: %v", err)
	}
}
