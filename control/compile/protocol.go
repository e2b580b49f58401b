package compile

import (
	"strings"

	"github.com/weft-mesh/weft/api/suggest"
	"github.com/weft-mesh/weft/model"
)

// protocols are the names that appProtocol may have, and what they are to the mesh. The names
// without a dot are IANA service names or the common usage of Istio and Linkerd.
var protocols = map[string]model.Protocol{
	"http": model.ProtocolHTTP, "http1": model.ProtocolHTTP, "http/1.1": model.ProtocolHTTP, "grpc-web": model.ProtocolHTTP,
	"kubernetes.io/ws": model.ProtocolHTTP, "ws": model.ProtocolHTTP, "http-alt": model.ProtocolHTTP,
	"http2": model.ProtocolHTTP2, "h2c": model.ProtocolHTTP2, "kubernetes.io/h2c": model.ProtocolHTTP2, "http/2": model.ProtocolHTTP2,
	"grpc": model.ProtocolGRPC,
}

func init() {
	for _, n := range strings.Fields("https tls ssl h2 kubernetes.io/wss wss ldaps imaps pop3s smtps amqps mqtts rediss nntps ftps") {
		protocols[n] = model.ProtocolTLS
	}
	for _, n := range strings.Fields(`tcp opaque weft.dev/opaque mysql mysqlx mariadb postgres postgresql ms-sql-s oracle redis mongo mongodb memcache memcached
		amqp mqtt kafka nats zookeeper cassandra elasticsearch-transport etcd-raft ldap kerberos smtp submission imap pop3 ftp ftp-data ssh telnet
		domain dns sip rtsp rtmp nfs smb microsoft-ds rsync git svn syslog xmpp-client xmpp-server irc thrift`) {
		protocols[n] = model.ProtocolTCP
	}
}

// ProtocolOf tells what a port speaks from its appProtocol and, if that is empty, from its name:
// the name itself or its part before the first '-', as in http-web. known is false if appProtocol
// is a word that nobody knows; then the first bytes decide, as they do if nothing is said.
func ProtocolOf(appProtocol, portName string) (p model.Protocol, known bool) {
	if appProtocol != "" {
		p, known = protocols[strings.ToLower(appProtocol)]
		return p, known
	}
	name := strings.ToLower(portName)
	if p, ok := protocols[name]; ok {
		return p, true
	}
	if head, _, ok := strings.Cut(name, "-"); ok {
		return protocols[head], true
	}
	return model.ProtocolDetect, true
}

// suggestProtocol says which name may have been meant; the usual ones come first.
func suggestProtocol(got string) string {
	usual := []string{"http", "http2", "kubernetes.io/h2c", "grpc", "https", "tls", "tcp", "weft.dev/opaque"}
	if near := suggest.Closest(got, usual); near != "" {
		return near
	}
	var all []string
	for n := range protocols {
		all = append(all, n)
	}
	return suggest.Closest(got, all)
}
