package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weft-mesh/weft/bench/rig"
	"github.com/weft-mesh/weft/proxy/config"
)

func testPKI(t *testing.T) *rig.PKI {
	t.Helper()
	p, err := rig.MakePKI(t.TempDir(), time.Now(), serverAddr.AsSlice())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBothSidesTrustEachOther(t *testing.T) {
	p := testPKI(t)
	pem, err := os.ReadFile(p.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the root is no certificate")
	}
	for _, pair := range [][2]string{{p.ClientCert, p.ClientKey}, {p.ServerCert, p.ServerKey}, {p.ClientPair, p.ClientPair}, {p.ServerPair, p.ServerPair}} {
		c, err := tls.LoadX509KeyPair(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
				t.Errorf("%s: %v", pair[0], err)
			}
		}
		if st, err := os.Stat(pair[1]); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("key %s: %v, %v", pair[1], st.Mode(), err)
		}
	}
}

// Peers of a case are up together and share ports by SO_REUSEPORT without an error: the one would
// carry half of the other's load.
func TestNoTwoPeersShareAPort(t *testing.T) {
	seen := map[int]bool{}
	for _, p := range []int{portH1, portH2, portGRPC, portTCP, portBulkH1, portBulkH2, portBulkTCP, portHAProxy, portHAProxyLink, portEnvoy, portEnvoyLink} {
		if seen[p] {
			t.Errorf("port %d is used twice", p)
		}
		seen[p] = true
	}
}

func TestHAProxyIsConfiguredAlikeOnBothSides(t *testing.T) {
	p := &rig.PKI{CA: "/d/ca.pem", ClientPair: "/d/client.pem", ServerPair: "/d/server.pem"}
	for _, tc := range []struct {
		id             string
		c              benchCase
		client, server []string // lines that must be there
		never          string
	}{
		{"HTTP/1.1 over two hops goes as h2 in TLS between them", carry(twoHops, protoH1, bodySmall, 32),
			[]string{"mode http", "http-reuse always", "bind 127.0.0.1:7001", "server peer 192.0.2.2:7101 ssl crt /d/client.pem ca-file /d/ca.pem verify required alpn h2"},
			[]string{"bind 192.0.2.2:7101 ssl crt /d/server.pem ca-file /d/ca.pem verify required alpn h2", "server app 127.0.0.1:8081"}, "proto h2"},
		{"gRPC is h2 all the way", carry(twoHops, protoGRPC, bodySmall, 32),
			[]string{"bind 127.0.0.1:7001 proto h2"}, []string{"server app 127.0.0.1:8083 proto h2"}, "mode tcp"},
		{"TCP is opaque", carry(twoHops, protoTCP, bodyLarge, 1),
			[]string{"mode tcp", "server peer 192.0.2.2:7101 ssl crt /d/client.pem ca-file /d/ca.pem verify required"}, []string{"mode tcp", "server app 127.0.0.1:8084"}, "h2"},
		{"one hop is plain", carry(oneHop, protoH1, bodySmall, 32), []string{"server app 192.0.2.2:8081"}, nil, "ca-file"},
		{"where weft has both ends behind one proxy it is one hop", carry(sameNode, protoH1, bodySmall, 32), []string{"server app 192.0.2.2:8081"}, nil, "ca-file"},
	} {
		t.Run(tc.id, func(t *testing.T) {
			client, server := haproxyClient(tc.c, p), haproxyServer(tc.c, p)
			for text, wants := range map[string][]string{client: tc.client, server: tc.server} {
				for _, want := range append(wants, "nbthread 1", "TLS_AES_128_GCM_SHA256") {
					if !strings.Contains(text, want) {
						t.Errorf("no %q in\n%s", want, text)
					}
				}
			}
			if strings.Contains(client, tc.never) {
				t.Errorf("%q in\n%s", tc.never, client)
			}
		})
	}
}

func TestEnvoyIsConfiguredAlikeOnBothSides(t *testing.T) {
	p := testPKI(t)
	for _, c := range everything() {
		client, err := envoyClient(c, p)
		if err != nil {
			t.Fatal(err)
		}
		server, err := envoyServer(c, p)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(client) || !json.Valid(server) {
			t.Fatalf("%s: not JSON", c.id())
		}
		if got, want := bytes.Contains(client, []byte(typeUpstreamTLS)), !c.hops.single(); got != want {
			t.Errorf("%s: TLS to the next hop: %v, want %v", c.id(), got, want)
		}
		if !bytes.Contains(server, []byte(`"require_client_certificate": true`)) {
			t.Errorf("%s: the server's side does not ask for a certificate", c.id())
		}
		if got, want := bytes.Contains(client, []byte(typeTCPProxy)), c.proto == protoTCP; got != want {
			t.Errorf("%s: opaque: %v, want %v", c.id(), got, want)
		}
	}
}

func TestWhatWeftIsToldIsAcceptedByWeft(t *testing.T) {
	for _, c := range everything() {
		for side, cfg := range map[string]config.Config{"client": weftClient(c, "/run/x.sock"), "server": weftServer(c, "/run/x.sock")} {
			b, err := json.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			back, err := config.Read(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("%s, %s: %v", c.id(), side, err)
			}
			workloads := 1
			if c.hops == sameNode && side == "client" {
				workloads = 2
			}
			if back.Loops != 1 || back.ReadyFD != 3 || len(back.Workloads) != workloads {
				t.Errorf("%s, %s: %+v", c.id(), side, back)
			}
		}
		want := meshService
		if c.hops == oneHop {
			want = plainService
		}
		if s := weftClient(c, "x").Workloads[0].Outbound.Services; len(s) != 1 || s[0].Service != want || int(s[0].Port) != c.port() {
			t.Errorf("%s: listener %+v, want service %s", c.id(), s, want)
		}
		if c.hops != sameNode {
			continue
		}
		// The backend is where the others' single proxy finds it, so that all have the same way to go.
		if app := weftClient(c, "x").Workloads[1]; len(app.Ports) != 1 || app.Ports[0].Addr != netip.AddrPortFrom(serverAddr, uint16(c.port())) || app.Labels["app"] != meshService {
			t.Errorf("%s: the workload beside the client's is %+v", c.id(), app)
		}
	}
}

func TestTheMeshFilesAreYAMLWithAllPorts(t *testing.T) {
	kinds := map[string]int{}
	for name, text := range meshFiles(0) {
		d := yaml.NewDecoder(strings.NewReader(text))
		for {
			var o struct {
				Kind     string
				Metadata struct{ Name, Namespace string }
				Spec     struct{ Ports []any }
				Ports    []any
			}
			err := d.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kinds[o.Kind]++
			if n := len(o.Spec.Ports) + len(o.Ports); n != len(backendPorts) || o.Metadata.Namespace != meshNamespace {
				t.Errorf("%s, %s %s/%s: %d ports, want %d", name, o.Kind, o.Metadata.Namespace, o.Metadata.Name, n, len(backendPorts))
			}
		}
	}
	if kinds["Service"] != 2 || kinds["EndpointSlice"] != 1 {
		t.Errorf("kinds %v", kinds)
	}
}
