package main

import (
	"fmt"
	"strings"
)

// routesField is in each answer of a service with routes: the number of its rules. It proves that
// they are in force, and that the request was matched by one.
const routesField = "x-bench-routes"

const (
	rulesOfRoute = 16   // Gateway API allows no more
	rulesOfFile  = 1600 // keeps a file well below the 1 MiB that weft reads
)

// routeFiles gives files with n HTTPRoute rules of the meshed service: exact paths, the last of
// which is the one that is asked for. With 0 there are none.
func routeFiles(n int) map[string]string {
	files := map[string]string{}
	var b strings.Builder
	for i := range n {
		if i%rulesOfRoute == 0 {
			if b.Len() > 0 {
				b.WriteString("---\n")
			}
			fmt.Fprintf(&b, "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: route-%d, namespace: %s}\nspec:\n"+
				"  parentRefs: [{group: \"\", kind: Service, name: %s, port: %d}]\n  rules:\n", i/rulesOfRoute, meshNamespace, meshService, portH1)
		}
		path, filters := fmt.Sprintf("/api/v1/resource-%d/items", i), ""
		if i == n-1 {
			path = "/" + string(bodySmall)
			filters = fmt.Sprintf("    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: %s, value: \"%d\"}]}}]\n", routesField, n)
		}
		fmt.Fprintf(&b, "  - matches: [{path: {type: Exact, value: %s}}]\n%s    backendRefs: [{name: %s, port: %d}]\n", path, filters, meshService, portH1)
		if (i+1)%rulesOfFile == 0 || i == n-1 {
			files[fmt.Sprintf("routes-%d.yaml", i/rulesOfFile)] = b.String()
			b.Reset()
		}
	}
	return files
}
