package overload

import (
	"bytes"
	"strings"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

// Where a request says what it is. Applications may set all of them, and those that pass on the
// fields of the request that they serve (as for tracing) carry them along the call tree.
const (
	FieldPriority = "weft-priority" // sheddable, default, critical or critical_plus
	fieldBaggage  = "baggage"       // W3C Baggage, member weft.priority
	fieldTrace    = "traceparent"   // W3C Trace Context
	fieldTimeout  = "weft-timeout"  // time left, in the form of grpc-timeout
	fieldGRPC     = "grpc-timeout"
	memberName    = "weft.priority"
)

// Claim is what a request says of itself. It is the word of an application, see Bound.
type Claim struct {
	Priority model.Priority
	Claimed  bool          // it names a priority
	Tree     uint32        // a hash of its trace
	Traced   bool          // it has one
	Left     time.Duration // 0: not said
	at       int           // of the field of ours, -1: none
}

// ReadClaim reads what the fields of a request say. What is malformed counts as not said.
func ReadClaim(fields []message.Field) Claim {
	c := Claim{at: -1}
	member := false
	for i := range fields {
		v := fields[i].Value
		switch len(fields[i].Name) {
		case len(fieldBaggage):
			if !member && string(fields[i].Name) == fieldBaggage {
				if p, ok := inBaggage(v); ok {
					member = true
					if c.at < 0 {
						c.Priority, c.Claimed = p, true
					}
				}
			}
		case len(fieldTrace):
			if !c.Traced && string(fields[i].Name) == fieldTrace {
				c.Tree, c.Traced = treeOf(v)
			}
		case len(fieldTimeout):
			if n := fields[i].Name; string(n) == fieldTimeout || string(n) == fieldGRPC {
				if d, ok := timeout(v); ok && (c.Left == 0 || d < c.Left) {
					c.Left = max(d, 1)
				}
			}
		case len(FieldPriority):
			if c.at < 0 && string(fields[i].Name) == FieldPriority {
				c.at = i
				c.Priority, c.Claimed = priority(v), true
			}
		}
	}
	return c
}

// priority reads a name; what is not known is the default.
func priority(v []byte) model.Priority {
	switch string(v) {
	case "sheddable":
		return model.PrioritySheddable
	case "critical":
		return model.PriorityCritical
	case "critical_plus":
		return model.PriorityCriticalPlus
	}
	return model.PriorityDefault
}

// inBaggage finds the member of ours (W3C Baggage section 3.2: members are separated by commas, their
// properties come after a semicolon).
func inBaggage(v []byte) (p model.Priority, ok bool) {
	for len(v) > 0 {
		var member []byte
		member, v, _ = bytes.Cut(v, comma)
		name, value, found := bytes.Cut(member, equals)
		if !found || string(bytes.Trim(name, " \t")) != memberName {
			continue
		}
		value, _, _ = bytes.Cut(value, semicolon)
		return priority(bytes.Trim(value, " \t")), true
	}
	return 0, false
}

var comma, equals, semicolon = []byte(","), []byte("="), []byte(";")

// treeOf hashes the trace ID of a traceparent (W3C Trace Context section 3.2). All services hash alike.
func treeOf(v []byte) (uint32, bool) {
	const from, to = 3, 35
	if len(v) < to+1 || v[2] != '-' || v[to] != '-' {
		return 0, false
	}
	h := uint32(2166136261)
	zero := true
	for _, b := range v[from:to] {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return 0, false
		}
		zero = zero && b == '0'
		h = (h ^ uint32(b)) * 16777619
	}
	h = (h ^ h>>16) * 0x7feb352d // FNV's high bits are poor (Wellons, "Prospecting for Hash Functions")
	h = (h ^ h>>15) * 0x846ca68b
	return h ^ h>>16, !zero
}

// timeout reads the value of grpc-timeout: up to 8 digits and a unit (gRPC over HTTP/2).
func timeout(v []byte) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	n := int64(0)
	for _, b := range v[:len(v)-1] {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	var unit time.Duration
	switch v[len(v)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = 1
	default:
		return 0, false
	}
	if n > int64(1<<62/unit) {
		return 1 << 62, true
	}
	return time.Duration(n) * unit, true
}

// Bound gives the priority that a request has if its verified caller sent it. A caller that no rule
// matches may claim up to critical.
func Bound(rules []model.PriorityRule, caller string, c *Claim) model.Priority {
	most, otherwise := model.PriorityCritical, model.PriorityDefault
	for i := range rules {
		if r := &rules[i]; matches(r.Identity, caller) {
			most, otherwise = r.Max, min(r.Default, r.Max)
			break
		}
	}
	if !c.Claimed {
		return otherwise
	}
	return min(c.Priority, most)
}

// matches reports whether an identity is the one of a rule, or has its prefix.
func matches(rule, id string) bool {
	if prefix, ok := strings.CutSuffix(rule, "*"); ok && strings.HasSuffix(prefix, "/") {
		return strings.HasPrefix(id, prefix)
	}
	return rule == id
}

// texts are the values of the field, borrowed for ever.
var texts = [classes][]byte{[]byte("sheddable"), []byte("default"), []byte("critical"), []byte("critical_plus")}

var namePriority = []byte(FieldPriority)

// SetPriority gives the fields with the field of a priority. What it appends is not to be changed.
func SetPriority(fields []message.Field, p model.Priority) []message.Field {
	for i := range fields {
		if string(fields[i].Name) == FieldPriority {
			fields[i].Value = texts[class(p)]
			return fields
		}
	}
	return append(fields, message.Field{Name: namePriority, Value: texts[class(p)]})
}
