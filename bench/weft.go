package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"

	"github.com/weft-mesh/weft/proxy/config"
)

// Names in the mesh that the bench makes.
const (
	meshNamespace = "bench"
	meshService   = "app"   // meshed: reached over a link
	plainService  = "plain" // not meshed: reached as it is
)

// meshFiles is what the user of such a mesh would write: two services for the same backend, one
// whose workload is in the mesh, one that is a bare address.
//
// With routes above 0 the first has so many HTTPRoute rules (see routeFiles).
func meshFiles(routes int) map[string]string {
	appProtocol := map[protocol]string{protoH1: "http", protoH2: "kubernetes.io/h2c", protoGRPC: "grpc", protoTCP: "tcp"}
	ports, slices := "", ""
	for _, p := range backendPorts {
		ports += fmt.Sprintf("  - name: %s\n    port: %d\n    targetPort: %d\n    appProtocol: %s\n", p.name, p.port, p.port, appProtocol[p.proto])
		slices += fmt.Sprintf("- name: %s\n  port: %d\n", p.name, p.port)
	}
	files := map[string]string{
		"app.yaml": fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %[1]s\n  namespace: %[2]s\nspec:\n  selector:\n    app: %[1]s\n  ports:\n%[3]s",
			meshService, meshNamespace, ports),
		"plain.yaml": fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %[1]s\n  namespace: %[2]s\nspec:\n  ports:\n%[3]s---\n"+
			"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: %[1]s-1\n  namespace: %[2]s\n  labels:\n    kubernetes.io/service-name: %[1]s\n"+
			"addressType: IPv4\nendpoints:\n- addresses: [%[4]s]\n  conditions:\n    ready: true\nports:\n%[5]s",
			plainService, meshNamespace, ports, serverAddr, slices),
	}
	maps.Copy(files, routeFiles(routes))
	return files
}

// weftClient is the start-up configuration of the client's proxy: a workload that only calls, and
// one listener for the port of the case. If it is the only proxy of a node, the backend's workload is
// beside it, and its application where the others' single proxy finds it.
func weftClient(c benchCase, control string) config.Config {
	service := meshService
	if c.hops == oneHop {
		service = plainService
	}
	w := weftWorkload("client", clientAddr)
	w.Outbound.Services = []config.ServiceListener{{Listen: "127.0.0.1:0", Namespace: meshNamespace, Service: service, Port: uint16(c.port())}}
	cfg := weftCommon("client", control, w)
	if c.hops == sameNode {
		cfg.Workloads = append(cfg.Workloads, weftApp(c, clientAddr, serverAddr))
	}
	return cfg
}

// weftServer is the start-up configuration of the proxy beside the backend.
func weftServer(c benchCase, control string) config.Config {
	return weftCommon(meshService, control, weftApp(c, serverAddr, netip.MustParseAddr("127.0.0.1")))
}

// weftApp is the workload of the backend, which its proxy reaches at addr; peers reach the proxy at
// link.
func weftApp(c benchCase, link, addr netip.Addr) config.Workload {
	proto := map[protocol]string{protoH2: "http2", protoGRPC: "grpc", protoTCP: "tcp"}[c.proto]
	w := weftWorkload(meshService, link)
	w.Labels = map[string]string{"app": meshService}
	w.Ports = []config.Port{{Name: "app", Addr: netip.AddrPortFrom(addr, uint16(c.port())), Protocol: cmp.Or(proto, "http")}}
	return w
}

func weftWorkload(name string, link netip.Addr) config.Workload {
	return config.Workload{Name: name + "-1", Namespace: meshNamespace, ServiceAccount: name, Link: netip.AddrPortFrom(link, 0).String()}
}

// weftCommon is what both have: one loop, as the peers have one thread, and readiness on
// descriptor 3.
func weftCommon(name, control string, workloads ...config.Workload) config.Config {
	return config.Config{
		Name:      meshNamespace + "/" + name + "-1",
		Control:   config.Control{Socket: control},
		Workloads: workloads,
		Loops:     1,
		ReadyFD:   3,
	}
}
