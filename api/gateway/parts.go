package gateway

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/weft-mesh/weft/api/object"
)

// CheckHeaders reports what is wrong with conditions on header fields, as in a route's match. path is
// that of the struct that has them as its field "headers".
func CheckHeaders(to func(object.Fault), hs []HeaderMatch, path string) { report(to).headers(hs, path) }

// CheckPath reports what is wrong with a condition on a path; nil is right.
func CheckPath(to func(object.Fault), p *HTTPPathMatch, path string) {
	if p != nil {
		report(to).path(p, path)
	}
}

// CheckTimeouts reports what is wrong with timeouts; nil is right.
func CheckTimeouts(to func(object.Fault), t *HTTPRouteTimeouts, path string) {
	report(to).timeouts(t, path)
}

// CheckSession reports what is wrong with session persistence; nil is right.
func CheckSession(to func(object.Fault), s *SessionPersistence, path string) {
	report(to).session(s, path)
}

// CheckFraction reports a share that is given twice or is more than the whole.
func CheckFraction(to func(object.Fault), percent *int32, f *Fraction, path string) {
	report(to).fraction(percent, f, path)
}

var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+\\-.^_`|~]+$")

// ownPrefix begins the names of header fields that proxies of the mesh write for one another and
// take off what applications send.
const ownPrefix = "weft-"

func (r report) session(s *SessionPersistence, path string) {
	if s == nil {
		return
	}
	if s.Type == "Header" && s.CookieConfig != nil {
		r.fault("W1232", path+".cookieConfig", "cookieConfig does not belong to a session in a header field", path+" has type Header", "remove cookieConfig, or write type: Cookie")
	}
	if c := s.CookieConfig; c != nil && c.LifetimeType == "Permanent" && Duration(s.AbsoluteTimeout) == 0 {
		r.fault("W1232", path+".cookieConfig.lifetimeType", "a permanent session without an end", "lifetimeType is Permanent, and absoluteTimeout is not written, so the cookie's life has no length", "add absoluteTimeout: 1h")
	}
	if s.SessionName == "" {
		return
	}
	lower := strings.ToLower(s.SessionName)
	switch {
	case !token.MatchString(s.SessionName):
		r.fault("W1014", path+".sessionName", "sessionName does not have the right form", "found "+quoted(s.SessionName), "write a name such as session, without blanks")
	case s.Type == "Header" && (slices.Contains(framing, lower) || strings.HasPrefix(lower, ownPrefix)):
		r.fault("W1115", path+".sessionName", fmt.Sprintf("header %q cannot carry a session", s.SessionName), "it belongs to the message or to the mesh, and the proxy writes it", "write another name, such as x-session")
	}
}

func (r report) timeouts(t *HTTPRouteTimeouts, path string) {
	if t == nil || t.Request == "" || t.BackendRequest == "" {
		return
	}
	all, one := Duration(t.Request), Duration(t.BackendRequest)
	if all != 0 && one > all {
		r.fault("W1106", path+".backendRequest", "timeouts contradict each other in "+path,
			fmt.Sprintf("backendRequest %s is longer than request %s", t.BackendRequest, t.Request), "make backendRequest at most "+t.Request)
	}
}

func (r report) fraction(percent *int32, f *Fraction, path string) {
	if f == nil {
		return
	}
	if percent != nil {
		r.fault("W1112", path+".fraction", "percent and fraction exclude each other in "+path, fmt.Sprintf("percent is %d, fraction is %d/%d", *percent, f.Numerator, f.Denominator), "remove one of them")
	}
	if f.Numerator > f.Denominator {
		r.fault("W1112", path+".fraction.numerator", "the fraction in "+path+" is more than the whole", fmt.Sprintf("found %d/%d", f.Numerator, f.Denominator), "make numerator at most denominator")
	}
}
