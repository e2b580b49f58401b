package join

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/model"
)

// noProxy are the places that an application reaches without the mesh, its own machine.
var noProxy = []string{"localhost", "127.0.0.1", "::1"}

// serviceAddr is where the application reaches one port of one service.
type serviceAddr struct {
	service model.Name
	port    model.Port
	first   bool   // the service's first port, which the variables without a port stand for
	addr    string // host:port
}

// environment is the application's environment: base, and what leads into the mesh.
type environment struct {
	vars  []string          // key=value, in the order of first appearance
	index map[string]int    // where in vars a key is
	own   map[string]string // keys that were set here, and for which service
}

func newEnvironment(base []string) *environment {
	e := &environment{index: map[string]int{}, own: map[string]string{}}
	for _, kv := range base {
		if key, value, ok := strings.Cut(kv, "="); ok && key != "" {
			e.set(key, value)
		}
	}
	clear(e.own)
	return e
}

func (e *environment) set(key, value string) {
	e.own[key] = value
	if i, known := e.index[key]; known {
		e.vars[i] = key + "=" + value
		return
	}
	e.index[key] = len(e.vars)
	e.vars = append(e.vars, key+"="+value)
}

func (e *environment) get(key string) string {
	i, known := e.index[key]
	if !known {
		return ""
	}
	return e.vars[i][len(key)+1:]
}

// setSelf tells the application who it is.
func (e *environment) setSelf(o *Options) {
	e.set("WEFT_NAME", o.Name)
	e.set("WEFT_NAMESPACE", o.Namespace)
	e.set("WEFT_WORKLOAD", o.Instance)
}

// setProxy leads HTTP clients through the proxy's explicit listener. It gives what the user
// should know of settings that were there before.
//
// https_proxy is set too: curl and browsers then tunnel TLS through the proxy by CONNECT, and
// gRPC (Go and C++), which looks at nothing else, reaches services by their names. The former
// value, however, is kept: it may be the only way out, and bytes of TLS cannot be passed from
// one proxy to the other by us.
func (e *environment) setProxy(addr string) (notes []string) {
	url := "http://" + addr
	for _, pair := range [][2]string{{"http_proxy", "HTTP_PROXY"}, {"https_proxy", "HTTPS_PROXY"}} {
		former := e.get(pair[0])
		if former == "" {
			former = e.get(pair[1])
		}
		if former != "" && former != url {
			if pair[0] == "https_proxy" {
				notes = append(notes, pair[0]+" is kept: "+redact(former))
				continue
			}
			notes = append(notes, pair[0]+" is replaced: "+redact(former))
		}
		e.set(pair[0], url)
		e.set(pair[1], url)
	}
	exempt := e.get("no_proxy")
	if exempt == "" {
		exempt = e.get("NO_PROXY")
	}
	list := strings.FieldsFunc(exempt, func(r rune) bool { return r == ',' || r == ' ' })
	for _, place := range noProxy {
		if !slices.Contains(list, place) {
			list = append(list, place)
		}
	}
	e.set("no_proxy", strings.Join(list, ","))
	e.set("NO_PROXY", strings.Join(list, ","))
	return notes
}

// redact hides a password in the URL of a proxy.
func redact(url string) string {
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		scheme, rest = "", url
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = "…@" + rest[at+1:]
	}
	return scheme + rest
}

// setServices sets, for each service, WEFT_<SERVICE>_URL and WEFT_<SERVICE>_ADDR for its first
// port, and WEFT_<SERVICE>_<PORT>_URL and …_ADDR for each port, by number and by name. A
// service's own variable wins over another one's port: cart-8081 over port 8081 of cart.
func (e *environment) setServices(addrs []serviceAddr) {
	for _, a := range addrs {
		if a.first {
			e.setService(envName(a.service.Name), a)
		}
	}
	for _, a := range addrs {
		suffixes := []string{strconv.Itoa(int(a.port.Port))}
		if a.port.Name != "" {
			suffixes = append(suffixes, envName(a.port.Name))
		}
		for _, suffix := range suffixes {
			name := envName(a.service.Name) + "_" + suffix
			if _, taken := e.own["WEFT_"+name+"_URL"]; !taken {
				e.setService(name, a)
			}
		}
	}
}

func (e *environment) setService(name string, a serviceAddr) {
	e.set("WEFT_"+name+"_URL", scheme(a.port.Protocol)+"://"+a.addr)
	e.set("WEFT_"+name+"_ADDR", a.addr)
}

// scheme is the one of a URL for a port. Bytes that nobody declared are taken for HTTP, what
// they mostly are.
func scheme(p model.Protocol) string {
	switch p {
	case model.ProtocolTCP:
		return "tcp"
	case model.ProtocolTLS:
		return "https"
	}
	return "http"
}

// envName makes a part of a variable's name of a label.
func envName(label string) string {
	return strings.ToUpper(strings.ReplaceAll(label, "-", "_"))
}

// transparentAddrs are the addresses of services by their names, for a captured application.
func transparentAddrs(services []model.Service) []serviceAddr {
	var out []serviceAddr
	for _, s := range services {
		for i, p := range s.Ports {
			host := fmt.Sprintf("%s.%s.svc.cluster.local", s.Name.Name, s.Namespace)
			out = append(out, serviceAddr{service: s.Name, port: p, first: i == 0, addr: net.JoinHostPort(host, strconv.Itoa(int(p.Port)))})
		}
	}
	return out
}
