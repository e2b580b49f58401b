package control

import (
	"testing"

	pb "github.com/weft-mesh/weft/api/discovery"
)

func TestExplainTakesTheNamesThatPeopleKnow(t *testing.T) {
	name := func(n string) *pb.Name { return &pb.Name{Namespace: "shop", Name: n} }
	all := map[string]*pb.WorkloadStatus{
		"web-1": {Name: name("web-1"), State: "live", Services: []*pb.Name{name("web")}, Labels: map[string]string{"app": "web"}, Identity: "spiffe://weft.local/ns/shop/sa/front"},
		"web-2": {Name: name("web-2"), State: "lost", Services: []*pb.Name{name("web")}, Labels: map[string]string{"app": "web"}, Identity: "spiffe://weft.local/ns/shop/sa/front"},
		"job-7": {Name: name("job-7"), State: "live", Labels: map[string]string{"app": "job"}, Identity: "spiffe://weft.local/ns/shop/sa/batch"},
		"front": {Name: name("front"), State: "lost", Identity: "spiffe://weft.local/ns/shop/sa/other"},
		"alone": {Name: name("alone"), State: "live"},
	}
	for _, tc := range []struct{ from, namespace, want string }{
		{"web-2", "", "web-2"},     // the instance itself, even if it is lost
		{"web", "", "web-1"},       // a service; a living instance of it
		{"shop/web", "", "web-1"},  //
		{"job", "", "job-7"},       // the name given to weft run
		{"batch", "shop", "job-7"}, // the account
		{"front", "", "front"},     // an instance comes before the account of others
		{"job", "other", ""},
		{"shop/job", "other", "job-7"},
		{"jo", "", ""},
		{"other/job", "", ""},
	} {
		best, rank := "", 0
		for n, w := range all {
			if r := clientRank(w, tc.from, tc.namespace); r > rank {
				best, rank = n, r
			}
		}
		if best != tc.want {
			t.Errorf("--from %s -n %q is %q, want %q", tc.from, tc.namespace, best, tc.want)
		}
	}
}
