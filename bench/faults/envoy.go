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
	typeUpstreamTLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
	typeDownTLS     = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
	typeHTTPOptions = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	typePrevious    = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
)

// envoyClient chooses the less busy of two servers, tries again on another one within a budget, and
// ejects those that fail.
func envoyClient(s scenario, p *rig.PKI) ([]byte, error) {
	route := obj{"cluster": "out", "timeout": "60s"}
	var servers []obj
	for i := range s.servers {
		servers = append(servers, obj{"endpoint": envoyAddress(edgeAddr(i).String(), edgePort)})
	}
	cluster := envoyCluster("out", servers, true)
	cluster["lb_policy"] = "LEAST_REQUEST"
	cluster["transport_socket"] = envoyTLS(p.ClientCert, p.ClientKey, p.CA, false)
	if !s.plain {
		route["timeout"] = seconds(allowed.Seconds())
		route["retry_policy"] = obj{
			"retry_on": "5xx,reset,connect-failure,refused-stream", "num_retries": retries, "per_try_timeout": seconds(tryTimeout.Seconds()),
			"retry_host_predicate":              []obj{{"name": "previous", "typed_config": obj{"@type": typePrevious}}},
			"host_selection_retry_max_attempts": 3,
		}
		cluster["outlier_detection"] = obj{
			"consecutive_5xx": 5, "interval": "1s", "base_ejection_time": "5s", "max_ejection_percent": 50,
			"enforcing_consecutive_5xx": 100, "enforcing_success_rate": 100,
		}
		const many = 1_000_000
		cluster["circuit_breakers"] = obj{"thresholds": []obj{{
			"max_connections": many, "max_pending_requests": many, "max_requests": many,
			"retry_budget": obj{"budget_percent": obj{"value": 20}, "min_retry_concurrency": 10},
		}}}
	}
	return envoyConfig([]obj{envoyListener("in", "127.0.0.1", clientPort, "HTTP1", route, nil)}, []obj{cluster})
}

// envoyServer gives each server's address to its application.
func envoyServer(s scenario, p *rig.PKI) ([]byte, error) {
	var listeners, clusters []obj
	for i := range s.servers {
		name := fmt.Sprintf("app%d", i)
		listeners = append(listeners, envoyListener(name, edgeAddr(i).String(), edgePort, "HTTP2", obj{"cluster": name, "timeout": "60s"},
			envoyTLS(p.ServerCert, p.ServerKey, p.CA, true)))
		clusters = append(clusters, envoyCluster(name, []obj{{"endpoint": envoyAddress(appAddr(i).Addr().String(), appPort)}}, false))
	}
	return envoyConfig(listeners, clusters)
}

func envoyConfig(listeners, clusters []obj) ([]byte, error) {
	b, err := json.MarshalIndent(obj{"static_resources": obj{"listeners": listeners, "clusters": clusters}}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("envoy configuration: %w", err)
	}
	return b, nil
}

func seconds(s float64) string { return fmt.Sprintf("%gs", s) }

func envoyAddress(addr string, port int) obj {
	return obj{"address": obj{"socket_address": obj{"address": addr, "port_value": port}}}
}

func envoyListener(name, addr string, port int, codec string, route, tls obj) obj {
	chain := obj{"filters": []obj{{"name": "http", "typed_config": obj{
		"@type": typeHCM, "stat_prefix": name, "codec_type": codec, "generate_request_id": false,
		"route_config": obj{"virtual_hosts": []obj{{"name": "all", "domains": []string{"*"},
			"routes": []obj{{"match": obj{"prefix": "/"}, "route": route}}}}},
		"http_filters": []obj{{"name": "router", "typed_config": obj{"@type": typeRouter, "dynamic_stats": false}}},
	}}}}
	if tls != nil {
		chain["transport_socket"] = tls
	}
	out := envoyAddress(addr, port)
	out["name"], out["filter_chains"] = name, []obj{chain}
	return out
}

func envoyCluster(name string, servers []obj, http2 bool) obj {
	const many = 1_000_000
	options := obj{"http_protocol_options": obj{}}
	if http2 {
		options = obj{"http2_protocol_options": obj{}}
	}
	return obj{
		"name": name, "type": "STATIC", "connect_timeout": "0.25s",
		"load_assignment":  obj{"cluster_name": name, "endpoints": []obj{{"lb_endpoints": servers}}},
		"circuit_breakers": obj{"thresholds": []obj{{"max_connections": many, "max_pending_requests": many, "max_requests": many, "max_retries": many}}},
		"typed_extension_protocol_options": obj{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": obj{
			"@type": typeHTTPOptions, "explicit_http_config": options}},
	}
}

// envoyTLS is mutual TLS 1.3.
func envoyTLS(cert, key, ca string, server bool) obj {
	file := func(name string) obj { return obj{"filename": name} }
	context := obj{"@type": typeUpstreamTLS, "common_tls_context": obj{
		"tls_params":         obj{"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3", "ecdh_curves": []string{"P-256"}},
		"tls_certificates":   []obj{{"certificate_chain": file(cert), "private_key": file(key)}},
		"validation_context": obj{"trusted_ca": file(ca)},
		"alpn_protocols":     []string{"h2"},
	}}
	if server {
		context["@type"] = typeDownTLS
		context["require_client_certificate"] = true
		context["disable_stateless_session_resumption"] = true
	}
	return obj{"name": "tls", "typed_config": context}
}
