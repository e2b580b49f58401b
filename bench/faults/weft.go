package main

import (
	"fmt"
	"net/netip"

	"github.com/weft-mesh/weft/proxy/config"
)

// Names in the mesh that is made.
const (
	meshNamespace = "faults"
	meshService   = "app"
)

// meshFiles is what the user of such a mesh writes: a service, and a rule with the times and tries
// that all peers have. Everything else is the default.
func meshFiles(s scenario) map[string]string {
	files := map[string]string{
		"app.yaml": fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %[1]s, namespace: %[2]s}\nspec:\n  selector: {app: %[1]s}\n"+
			"  ports: [{name: http, port: 80, targetPort: %[3]d, appProtocol: http}]\n", meshService, meshNamespace, appPort),
	}
	if !s.plain {
		files["route.yaml"] = fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: app, namespace: %[2]s}\nspec:\n"+
			"  parentRefs: [{group: \"\", kind: Service, name: %[1]s, port: 80}]\n  rules:\n  - backendRefs: [{name: %[1]s, port: 80}]\n"+
			"    timeouts: {request: %[3]s, backendRequest: %[4]s}\n    retry: {codes: [500, 502, 503, 504], attempts: %[5]d}\n",
			meshService, meshNamespace, allowed, tryTimeout, retries)
	}
	return files
}

// weftClient is the start-up configuration of the client's proxy.
func weftClient(control string) config.Config {
	return weftCommon("client", control, config.Workload{
		Name: "client-1", Namespace: meshNamespace, ServiceAccount: "client", Link: netip.AddrPortFrom(clientAddr, 0).String(),
		Outbound: config.Outbound{Services: []config.ServiceListener{{Listen: "127.0.0.1:0", Namespace: meshNamespace, Service: meshService, Port: 80}}},
	})
}

// weftServer is the start-up configuration of the servers' proxy: one for all of them, each with an
// address of its own.
func weftServer(s scenario, control string) config.Config {
	var all []config.Workload
	for i := range s.servers {
		all = append(all, config.Workload{
			Name: fmt.Sprintf("%s-%d", meshService, i+1), Namespace: meshNamespace, ServiceAccount: meshService,
			Labels: map[string]string{"app": meshService}, Link: netip.AddrPortFrom(edgeAddr(i), 0).String(),
			Ports: []config.Port{{Name: "http", Addr: appAddr(i), Protocol: "http"}},
		})
	}
	return weftCommon("server", control, all...)
}

// weftCommon is what both have: one loop, as the peers have one thread, and readiness on descriptor 3.
func weftCommon(name, control string, workloads ...config.Workload) config.Config {
	return config.Config{
		Name: meshNamespace + "/" + name, Control: config.Control{Socket: control}, Workloads: workloads, Loops: 1, ReadyFD: 3,
	}
}
