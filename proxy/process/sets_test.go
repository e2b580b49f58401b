package process

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/weft-mesh/weft/api/discovery"
)

// What the balancers of all loops think is on the admin socket, and reaches whoever asks the control
// plane.
func TestHowEndpointsAreSeenIsToldAndShown(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		socket, _ := controlPlane(t)
		cfg := nodeSettings(t, socket)
		cfg.Driver, cfg.Loops = driver, 2
		p := start(t, cfg)
		ready := p.ready()
		if ready.Error != "" {
			t.Fatal(ready.Error)
		}
		if _, body := get(t, "unix", cfg.Admin, "/balance"); !strings.Contains(body, `"sets": []`) {
			t.Errorf("before the first request: %s", body)
		}
		client := through(t, ready.Workloads[0].Proxy)
		resp, err := client.Get("http://cart/who")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("cart answered %d", resp.StatusCode)
		}
		_, body := get(t, "unix", cfg.Admin, "/balance")
		for _, want := range []string{`"service": "shop/cart"`, `"algorithm": "PeakEWMA"`, `"workload": "shop/cart-1"`, `"state": "ready"`, `"inFlight": 0`} {
			if !strings.Contains(body, want) {
				t.Errorf("/balance has no %s: %s", want, body)
			}
		}
		conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			r, err := pb.NewMeshClient(conn).Balance(context.Background(), &pb.BalanceRequest{Service: &pb.Name{Namespace: "shop", Name: "cart"}})
			if err != nil {
				t.Fatal(err)
			}
			if sets := r.GetSets(); len(sets) == 1 {
				e := sets[0].GetSet().GetEndpoints()
				if sets[0].GetProxy() != "node/a" || len(e) != 1 || e[0].GetWorkload().GetName() != "cart-1" || e[0].GetLatencyUs() == 0 || len(sets[0].GetWorkloads()) == 0 {
					t.Errorf("%v", sets[0])
				}
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("the control plane was told nothing: %v", r)
			}
		}
	})
}
