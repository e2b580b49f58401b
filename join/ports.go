package join

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/codes"
)

// Port is one port that the application listens on.
type Port struct {
	Name     string // of the port, e.g. "grpc"; may be empty
	Number   uint16
	Protocol string // http, http2, grpc, tcp, tls; empty: the first bytes decide
}

// ParsePort reads the value of --port: NUMBER, NAME=NUMBER, and either followed by :PROTOCOL.
// The error is coded.
func ParsePort(s string) (Port, error) {
	var p Port
	rest := s
	if name, after, named := strings.Cut(rest, "="); named {
		if !isLabel(name) {
			return p, portError(s, fmt.Sprintf("%q is not a port name: lower-case letters, digits and hyphens", name))
		}
		p.Name, rest = name, after
	}
	number, proto, declared := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || number[0] == '0' || number[0] == '+' {
		return p, portError(s, fmt.Sprintf("%q is not a port number from 1 to 65535", number))
	}
	p.Number = uint16(n)
	if declared {
		switch proto {
		case "http", "http2", "grpc", "tcp", "tls":
			p.Protocol = proto
		default:
			return p, portError(s, fmt.Sprintf("%q is not a protocol: http, http2, grpc, tcp, tls", proto))
		}
	}
	return p, nil
}

func portError(given, why string) error {
	e := codes.New("W4101", fmt.Sprintf("cannot read --port %q", given))
	e.Why = why
	e.Next = []string{"weft run --name cart --port 8081 -- ./cart", "weft run --name cart --port web=8081:http -- ./cart"}
	return e
}

// isLabel reports whether s is an RFC 1123 label: what names of services, workloads, namespaces
// and ports consist of.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
