package main

import (
	"encoding/json"
	"fmt"

	"github.com/weft-mesh/weft/bench/rig"
)

// obj is a JSON object; Envoy reads JSON as well as YAML.
type obj = map[string]any

// Types that a "typed_config" names.
const (
	typeHCM         = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	typeRouter      = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
	typeTCPProxy    = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
	typeUpstreamTLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
	typeDownTLS     = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
	typeHTTPOptions = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// envoyClient is the configuration of the client's side: of the only proxy, if there is one hop.
// It follows Envoy's own advice for benchmarks (no request ids, no dynamic statistics, circuit
// breakers out of the way), keeps its normal counters, and logs nothing.
func envoyClient(c benchCase, p *rig.PKI) ([]byte, error) {
	if c.hops.single() {
		return envoyConfig(c, envoyListener(c, "127.0.0.1", portEnvoy, nil),
			envoyCluster(c, serverAddr.String(), c.port(), h2(c), nil))
	}
	link := c.proto != protoTCP // HTTP/2 between the two, unless the bytes are opaque
	return envoyConfig(c, envoyListener(c, "127.0.0.1", portEnvoy, nil),
		envoyCluster(c, serverAddr.String(), portEnvoyLink, link, envoyTLS(c, p.ClientCert, p.ClientKey, p.CA, false)))
}

// envoyServer is the configuration of the server's side.
func envoyServer(c benchCase, p *rig.PKI) ([]byte, error) {
	return envoyConfig(c, envoyListener(c, serverAddr.String(), portEnvoyLink, envoyTLS(c, p.ServerCert, p.ServerKey, p.CA, true)),
		envoyCluster(c, "127.0.0.1", c.port(), h2(c), nil))
}

func h2(c benchCase) bool { return c.proto == protoH2 || c.proto == protoGRPC }

func envoyConfig(c benchCase, listener, cluster obj) ([]byte, error) {
	b, err := json.MarshalIndent(obj{
		"static_resources": obj{"listeners": []obj{listener}, "clusters": []obj{cluster}},
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("envoy configuration for %s: %w", c.id(), err)
	}
	return b, nil
}

func envoyAddress(addr string, port int) obj {
	return obj{"socket_address": obj{"address": addr, "port_value": port}}
}

func envoyListener(c benchCase, addr string, port int, tls obj) obj {
	var filter obj
	if c.proto == protoTCP {
		filter = obj{"name": "tcp", "typed_config": obj{"@type": typeTCPProxy, "stat_prefix": "in", "cluster": "out"}}
	} else {
		codec := "HTTP1"
		if h2(c) || tls != nil {
			codec = "HTTP2"
		}
		filter = obj{"name": "http", "typed_config": obj{
			"@type": typeHCM, "stat_prefix": "in", "codec_type": codec,
			"generate_request_id":          false,
			"server_header_transformation": "PASS_THROUGH",
			"route_config": obj{"virtual_hosts": []obj{{"name": "all", "domains": []string{"*"},
				"routes": []obj{{"match": obj{"prefix": "/"}, "route": obj{"cluster": "out", "timeout": "60s"}}}}}},
			"http_filters": []obj{{"name": "router", "typed_config": obj{
				"@type": typeRouter, "dynamic_stats": false, "suppress_envoy_headers": true}}},
		}}
	}
	chain := obj{"filters": []obj{filter}}
	if tls != nil {
		chain["transport_socket"] = tls
	}
	return obj{"name": "in", "address": envoyAddress(addr, port), "filter_chains": []obj{chain}}
}

func envoyCluster(c benchCase, addr string, port int, useH2 bool, tls obj) obj {
	const many = 1_000_000
	out := obj{
		"name": "out", "type": "STATIC", "connect_timeout": "5s",
		"load_assignment": obj{"cluster_name": "out", "endpoints": []obj{{"lb_endpoints": []obj{{
			"endpoint": obj{"address": envoyAddress(addr, port)}}}}}},
		"circuit_breakers": obj{"thresholds": []obj{{"max_connections": many, "max_pending_requests": many, "max_requests": many, "max_retries": many}}},
	}
	if c.proto != protoTCP {
		options := obj{"http_protocol_options": obj{}}
		if useH2 {
			options = obj{"http2_protocol_options": obj{}}
		}
		out["typed_extension_protocol_options"] = obj{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": obj{
			"@type": typeHTTPOptions, "explicit_http_config": options}}
	}
	if tls != nil {
		out["transport_socket"] = tls
	}
	return out
}

// envoyTLS is mutual TLS 1.3 on P-256. BoringSSL chooses AES-128-GCM on machines with AES.
func envoyTLS(c benchCase, cert, key, ca string, server bool) obj {
	file := func(name string) obj { return obj{"filename": name} }
	common := obj{
		"tls_params":         obj{"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3", "ecdh_curves": []string{"P-256"}},
		"tls_certificates":   []obj{{"certificate_chain": file(cert), "private_key": file(key)}},
		"validation_context": obj{"trusted_ca": file(ca)},
	}
	if c.proto != protoTCP {
		common["alpn_protocols"] = []string{"h2"}
	}
	context := obj{"@type": typeUpstreamTLS, "common_tls_context": common}
	if server {
		context["@type"] = typeDownTLS
		context["require_client_certificate"] = true
		context["disable_stateless_session_resumption"] = true
	}
	return obj{"name": "tls", "typed_config": context}
}
