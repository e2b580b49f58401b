//go:build linux

package interop

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grpcCase is a case of the interoperability suite, as described in doc/interop-test-descriptions.md
// of gRPC, with the arguments it needs. Go's client and Java's take the same ones.
type grpcCase struct {
	name string
	args []string
}

var (
	// backendMetrics makes clients use the balancer that takes in what servers report of their load.
	backendMetrics = []string{`--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`}
	soak           = []string{"--soak_iterations=60", "--soak_num_threads=3", "--soak_per_iteration_max_acceptable_latency_ms=5000", "--soak_overall_timeout_seconds=25"}
)

// goCases are what Go's client has and needs no cloud.
var goCases = []grpcCase{
	{name: "empty_unary"}, {name: "large_unary"},
	{name: "client_streaming"}, {name: "server_streaming"}, {name: "ping_pong"}, {name: "empty_stream"},
	{name: "timeout_on_sleeping_server"}, {name: "cancel_after_begin"}, {name: "cancel_after_first_response"},
	{name: "status_code_and_message"}, {name: "special_status_message"}, {name: "custom_metadata"},
	{name: "unimplemented_method"}, {name: "unimplemented_service"},
	{"orca_per_rpc", backendMetrics}, {"orca_oob", backendMetrics},
	{"rpc_soak", soak}, {"channel_soak", soak},
}

// javaCases are what Java's client has and needs no cloud.
var javaCases = slices.Concat(goCases, []grpcCase{
	{name: "very_large_request"}, {name: "pick_first_unary"},
	{name: "client_compressed_unary_noprobe"}, {name: "server_compressed_unary"},
	{name: "client_compressed_streaming_noprobe"}, {name: "server_compressed_streaming"},
})

// leftOut are the cases that are not run with any server, and why.
var leftOut = map[string]string{
	"cacheable_unary":                    "wants a caching proxy in front of the server, which weft is not",
	"client_compressed_streaming":        "wants a server that checks for compression; neither does",
	"client_compressed_unary":            "wants a server that checks for compression; neither does",
	"compute_engine_channel_credentials": "wants Google Compute Engine's metadata server",
	"compute_engine_creds":               "wants Google Compute Engine's metadata server",
	"google_default_credentials":         "wants credentials of Google Cloud",
	"jwt_token_creds":                    "wants a service account of Google Cloud",
	"oauth2_auth_token":                  "wants a service account of Google Cloud",
	"per_rpc_creds":                      "wants a service account of Google Cloud",
	"pick_first_unary":                   "Go's client wants a server that tells its name; neither does",
	"service_account_creds":              "wants a service account of Google Cloud",
}

// goServerLacks are the cases that fail with Go's server when there is nothing between it and the
// client, and why.
var goServerLacks = map[string]string{
	"client_compressed_unary_noprobe":     "Go's server takes no compressed messages",
	"client_compressed_streaming_noprobe": "Go's server takes no compressed messages",
	"very_large_request":                  "Go's server takes no messages above 4 MiB",
}

// skipLeftOut says which of a client's cases are not run, and fails if there is one that neither is.
func skipLeftOut(t *testing.T, has []string, run []grpcCase) {
	t.Helper()
	if len(has) < len(run) {
		t.Errorf("the client has %d cases, want at least the %d that are run: %q", len(has), len(run), has)
	}
	for _, name := range has {
		if slices.ContainsFunc(run, func(c grpcCase) bool { return c.name == name }) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			why, known := leftOut[name]
			if !known {
				t.Fatal("a case of the client that is neither run nor left out")
			}
			t.Skip("left out: " + why)
		})
	}
}

// goClientHas lists the cases in the help of Go's client; the two of soaking are not in it.
func goClientHas(t *testing.T, program string) []string {
	t.Helper()
	out, _ := exec.Command(program, "-h").CombinedOutput() // help has an exit code of its own
	_, list, found := strings.Cut(string(out), "Configure different test cases. Valid options are:")
	if !found {
		t.Fatalf("the client's help lists no cases:\n%s", out)
	}
	list, _, _ = strings.Cut(list, "(default")
	names := []string{"rpc_soak", "channel_soak"}
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z0-9_]+)\s*:`).FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	return names
}
