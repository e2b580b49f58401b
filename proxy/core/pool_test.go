package core

import "testing"

// TestAPoolGoesWithItsEndpointAlsoWithoutALink: where workloads come and go and are seldom asked,
// links have ended long before their endpoint leaves, and each would leave a pool behind.
func TestAPoolGoesWithItsEndpointAlsoWithoutALink(t *testing.T) {
	for _, name := range []string{"with a link", "whose link has ended"} {
		r := newRig(t, nil, Limits{})
		c := r.dial()
		roundTrip(t, r, c, rigRequest)
		if n := r.client.core.Usage().Pools; n != 1 {
			t.Fatalf("%d pools, want 1", n)
		}
		if name == "whose link has ended" {
			r.now += 2 * r.client.core.limits.LinkIdle
			r.settle()
			if u := r.client.core.Usage(); u.Links != 0 {
				t.Fatalf("it holds %d links", u.Links)
			}
		}
		svc := r.client.core.table
		s, _ := svc.Service(rigService)
		r.publish(s.Model)
		r.settle()
		if n := r.client.core.Usage().Pools; n != 0 {
			t.Errorf("%s: %d pools are left of an endpoint that has left", name, n)
		}
	}
}
