package decode

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Format is a form that strings may be asked to have.
type Format struct {
	Means   string // what is asked for, for people; an example included
	Pattern string // a regular expression that JSON Schema and Go read alike; empty if there is none
	MaxLen  int    // in bytes; 0: no bound
	ok      func(string) bool
}

// Valid reports whether s has the form.
func (f Format) Valid(s string) bool {
	if f.MaxLen > 0 && len(s) > f.MaxLen {
		return false
	}
	return f.ok(s)
}

const (
	label     = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
	subdomain = label + `(\.` + label + `)*`
	labelKey  = `(` + subdomain + `/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?`
)

// Formats are the forms by the names that rule tags use. Patterns that Gateway API states are
// stated the same way here.
var Formats = map[string]Format{
	"dns-label":        pattern("lower-case letters, digits and '-', such as shop or cart-v2", 63, `^`+label+`$`),
	"dns-subdomain":    pattern("lower-case letters, digits, '-' and '.', such as cart or cart.v2", 253, `^`+subdomain+`$`),
	"section-name":     pattern("lower-case letters, digits, '-' and '.', such as http", 253, `^`+subdomain+`$`),
	"hostname":         pattern("a host name in lower case, such as cart.shop or *.example.com", 253, `^(\*\.)?`+subdomain+`$`).and(notIP),
	"precise-hostname": pattern("a host name in lower case without '*', such as cart.example.com", 253, `^`+subdomain+`$`).and(notIP),
	"header-name":      pattern("a header name, such as x-user", 256, "^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$"),
	"header-value":     pattern("visible ASCII characters, blanks only single and between them", 4096, `^[!-~]+([\t ]?[!-~]+)*$`),
	"group":            pattern("an API group, such as gateway.networking.k8s.io, or \"\" for Service", 253, `^$|^`+subdomain+`$`),
	"kind":             pattern("a kind, such as Service", 63, `^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`),
	"duration":         pattern("a duration of whole numbers with h, m, s or ms, such as 500ms or 1m30s", 0, `^([0-9]{1,5}(h|m|s|ms)){1,4}$`),
	"cors-origin":      pattern("an origin, such as https://shop.example.com, https://*.example.com or *", 253, `(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)`),
	"label-key":        pattern("a label key, such as app or example.com/app", 317, `^`+labelKey+`$`),
	"label-value":      pattern("letters, digits, '-', '_' and '.', at most 63 of them", 63, `^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`),
	"app-protocol":     pattern("a protocol's name, such as http, grpc, tcp or kubernetes.io/h2c", 316, `^`+labelKey+`$`),
	"port-or-name":     pattern("a port number from 1 to 65535 or the name of a workload's port", 63, `^`+label+`$`),
	"spiffe-ids":       pattern("a SPIFFE ID, such as spiffe://weft.local/ns/shop/sa/web, or the beginning of some, such as spiffe://weft.local/ns/shop/*", 2048, `^spiffe://[a-z0-9._-]{1,255}((/[A-Za-z0-9._-]+)+(/\*)?|/\*)$`),
	"ed25519-key":      pattern("an Ed25519 public key, 32 bytes in base64", 44, `^[A-Za-z0-9+/]{43}=$`),
	"host-port":        pattern("a host and a port, such as ratelimit.shop:8081 or [fd00::7]:8081", 261, `^([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:]+\]):[0-9]{1,5}$`).and(isHostPort),
	"ip":               {Means: "an IP address, such as 10.0.0.7 or fd00::7", MaxLen: 64, ok: isIP},
	"ip-or-none":       {Means: "an IP address, such as 10.0.0.7, or None", MaxLen: 64, ok: func(s string) bool { return s == "" || s == "None" || isIP(s) }},
	"time":             {Means: "a time in RFC 3339, such as 2026-03-01T12:00:00Z", MaxLen: 64, ok: isTime},
}

func pattern(means string, maxLen int, expr string) Format {
	re := regexp.MustCompile(expr)
	return Format{Means: means, Pattern: expr, MaxLen: maxLen, ok: re.MatchString}
}

func (f Format) and(also func(string) bool) Format {
	first := f.ok
	f.ok = func(s string) bool { return first(s) && also(s) }
	return f
}

func isIP(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

// notIP: Gateway API's host names are names; an address in their place never matches.
func notIP(s string) bool { return !isIP(s) }

// isHostPort looks at what the pattern cannot: the port's range, and the form of an address.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return false
	}
	return !strings.Contains(host, ":") || isIP(host)
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}
