//go:build linux

package interop

import (
	"strings"
	"testing"
)

// TestGRPCClientsAndServersMeetThroughTheMesh runs gRPC's own suite between two languages, in all
// pairings of client and server; Java's client over both of its HTTP/2 stacks. One port is declared
// to speak gRPC, the other speaks for itself.
func TestGRPCClientsAndServersMeetThroughTheMesh(t *testing.T) {
	for _, s := range []struct {
		name, service, protocol string
		start                   func(testing.TB) string
		lacks                   map[string]string
	}{
		{"with Go's server", "go", "grpc", goServer, goServerLacks},
		{"with Java's server", "java", "", javaServer, nil},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			m := startMesh(t, s.service, s.start(t), s.protocol)
			t.Run("at once", func(t *testing.T) {
				t.Run("Go's client passes", func(t *testing.T) {
					t.Parallel()
					goClientPasses(t, m.Addr())
				})
				t.Run("Java's client passes", func(t *testing.T) {
					t.Parallel()
					javaClientPasses(t, m.Addr(), s.lacks)
				})
			})
			m.onlyMTLS()
		})
	}
}

// goClientPasses runs all cases of Go's client against a server.
func goClientPasses(t *testing.T, addr string) {
	client := grpcGo(t, "client")
	for _, c := range goCases {
		t.Run(c.name, func(t *testing.T) {
			if got := goOutcome(t, client, addr, c.name, c.args...); got != "ok" {
				t.Error(got)
			}
		})
	}
	skipLeftOut(t, goClientHas(t, client), goCases)
}

// javaClientPasses runs all cases of Java's client against a server that does not do its part in
// some of them.
func javaClientPasses(t *testing.T, addr string, lacks map[string]string) {
	j := startJavaClients(t)
	for _, stack := range []string{"Netty", "OkHttp"} {
		t.Run("over "+stack, func(t *testing.T) {
			for _, c := range javaCases {
				t.Run(c.name, func(t *testing.T) {
					if why := lacks[c.name]; why != "" {
						t.Skip("left out: " + why)
					}
					args := append([]string{"--use_tls=false"}, c.args...)
					if stack == "OkHttp" {
						if c.name == "pick_first_unary" {
							t.Skip("left out: it waits for five seconds, and Netty's run shows the same")
						}
						args = append(args, "--use_okhttp=true")
					}
					if got := j.outcome(t, "TestServiceClient", addr, c.name, args...); got != "ok" {
						t.Error(got)
					}
				})
			}
		})
	}
	skipLeftOut(t, strings.Fields(j.do(t, "list TestCases")), javaCases)
}
