//go:build linux

package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/test/envoy"
)

// peer is another proxy in its ordinary configuration, in front of a recorder of its own.
type peer struct {
	name   string
	h1, h2 string // where it takes HTTP/1.1 and HTTP/2 (prior knowledge); it speaks HTTP/1.1 to the backend
	rec    *recorder
	absent string // why it is not here
}

// peers starts them all, once.
var peers = sync.OnceValue(func() []*peer {
	out := []*peer{{name: "haproxy"}, {name: "nginx"}, {name: "envoy"}}
	for i, start := range []func(*peer, int, int) (*program, error){startHAProxy, startNginx, startEnvoy} {
		p := out[i]
		if err := p.start(start); err != nil {
			p.absent = err.Error()
		}
	}
	return out
})

func (p *peer) start(run func(*peer, int, int) (*program, error)) error {
	a, err := freePort()
	if err != nil {
		return err
	}
	b, err := freePort()
	if err != nil {
		return err
	}
	p.rec = newRecorder(nil, nil)
	keepBackend(p.rec)
	p.h1, p.h2 = fmt.Sprintf("127.0.0.1:%d", a), fmt.Sprintf("127.0.0.1:%d", b)
	prog, err := run(p, a, b)
	if err != nil {
		return err
	}
	keep(prog)
	if err := answers(prog, "tcp", p.h1); err != nil {
		return err
	}
	return answers(prog, "tcp", p.h2)
}

// present gives the peers that are on this machine. In CI all must be.
func present(t testing.TB) (out []*peer) {
	t.Helper()
	for _, p := range peers() {
		switch {
		case p.absent == "":
			out = append(out, p)
		case os.Getenv("CI") == "true":
			t.Errorf("%s: %s", p.name, p.absent)
		default:
			t.Logf("%s is left out: %s (make deps)", p.name, p.absent)
		}
	}
	return out
}

// find looks for a program where servers live, too.
func find(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

func startHAProxy(p *peer, h1, h2 int) (*program, error) {
	bin, err := find("haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "haproxy.cfg")
	conf := fmt.Sprintf(`global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend in
  bind 127.0.0.1:%d
  bind 127.0.0.1:%d proto h2
  default_backend out
backend out
  server app %s
`, h1, h2, p.rec.addr())
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return launch(nil, nil, bin, "-db", "-f", file)
}

func startNginx(p *peer, h1, h2 int) (*program, error) {
	bin, err := find("nginx")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "nginx.conf")
	conf := fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path %[1]s/nb; proxy_temp_path %[1]s/np; fastcgi_temp_path %[1]s/nf; uwsgi_temp_path %[1]s/nu; scgi_temp_path %[1]s/ns;
  upstream app { server %[2]s; keepalive 16; }
  server {
    listen 127.0.0.1:%[3]d;
    listen 127.0.0.1:%[4]d http2;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }
}
`, work, p.rec.addr(), h1, h2)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return launch(nil, nil, bin, "-e", "stderr", "-c", file)
}

func startEnvoy(p *peer, h1, h2 int) (*program, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	bin, err := envoy.Fetch(ctx, filepath.Join("..", "..", ".tools"))
	if err != nil {
		return nil, err
	}
	conf, err := json.Marshal(envoyConfig(p, h1, h2))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "envoy.json")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		return nil, err
	}
	return launch(nil, nil, bin, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
}

type obj = map[string]any

// envoyConfig leaves everything at Envoy's defaults but what makes it a proxy to one backend.
func envoyConfig(p *peer, h1, h2 int) obj {
	const hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	const router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
	address := func(port int) obj {
		return obj{"socket_address": obj{"address": "127.0.0.1", "port_value": port}}
	}
	listener := func(codec string, port int) obj {
		return obj{"name": codec, "address": address(port), "filter_chains": []obj{{"filters": []obj{{"name": "http", "typed_config": obj{
			"@type": hcm, "stat_prefix": "in", "codec_type": codec,
			// The only thing that is not Envoy's default: the others take HTTP/1.0.
			"http_protocol_options": obj{"accept_http_10": true, "default_host_for_http_10": "app"},
			"route_config": obj{"virtual_hosts": []obj{{"name": "all", "domains": []string{"*"},
				"routes": []obj{{"match": obj{"prefix": "/"}, "route": obj{"cluster": "out"}}}}}},
			"http_filters": []obj{{"name": "router", "typed_config": obj{"@type": router}}},
		}}}}}}
	}
	return obj{"static_resources": obj{
		"listeners": []obj{listener("HTTP1", h1), listener("HTTP2", h2)},
		"clusters": []obj{{"name": "out", "type": "STATIC", "connect_timeout": "5s", "load_assignment": obj{"cluster_name": "out",
			"endpoints": []obj{{"lb_endpoints": []obj{{"endpoint": obj{"address": address(p.rec.port())}}}}}}}},
	}}
}
