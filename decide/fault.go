package decide

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-mesh/weft/model"
)

// Fault is what is done to a request on purpose: all that applies to it put together. The zero value
// is nothing.
type Fault struct {
	Delay   time.Duration // before anything else; of several the sum
	Status  int           // answered instead of a backend; 0: not
	GRPC    int           // the same as grpc-status, for gRPC requests; 0: as Status says
	Reset   bool          // the stream or connection is reset
	BytesPS int           // bytes a second of the response; 0: as fast as it comes; of several the least
}

// Aborts reports whether no backend gets the request, which is one of gRPC or not.
func (f *Fault) Aborts(grpc bool) bool { return f.Reset || f.Status > 0 || grpc && f.GRPC > 0 }

// maxFaults bounds how many faults of a rule or port are looked at; Decision has a bit for each.
const maxFaults = 64

// fault is a compiled model.Fault.
type fault struct {
	model   *model.Fault
	headers []valueMatcher
}

// faults compiles those of a rule or a port. One that cannot be compiled is never made: it is there
// to break things, and nobody knows what.
func (c *compiler) faults(list []model.Fault, object, source string) []fault {
	if len(list) > maxFaults {
		c.problem(object, source, strconv.Itoa(len(list))+" faults are listed", "only the first "+strconv.Itoa(maxFaults)+" are made")
		list = list[:maxFaults]
	}
	var out []fault
	for i := range list {
		f := fault{model: &list[i]}
		ok := true
		for _, h := range firstOfEach(list[i].Headers, true) {
			v := valueMatcher{name: h.Name, text: textMatcher{value: h.Value, isRE: h.Regex, active: true}}
			if h.Regex {
				re, err := compileRegex(h.Value)
				if err != nil {
					c.problem(object, source, "fault "+strconv.Itoa(i)+", header "+h.Name+", expression "+strconv.Quote(h.Value)+": "+err.Error(), "the fault is not made")
					ok = false
					break
				}
				v.text.regex = re
			}
			f.headers = append(f.headers, v)
		}
		if ok {
			out = append(out, f)
		}
	}
	return out
}

// possibleFaults are those of the rule if it has its own settings for calls, else the port's.
func (d *Decision) possibleFaults() []fault {
	switch {
	case d.Rule != nil && d.Rule.Model.Calls != nil:
		return d.Rule.faults
	case d.port == nil:
		return nil
	}
	return d.port.faults
}

// faultDraws keeps what decides about faults apart from what decides about mirrors, which count from 1.
const faultDraws = 1 << 32

// drawFaults says which faults the request gets.
func (d *Decision) drawFaults(q *Query) {
	list := d.possibleFaults()
	if len(list) == 0 || q.Opaque {
		return
	}
	for i := range list {
		f := &list[i]
		if f.hit(q) && scale(mix(q.Rand, faultDraws+uint64(i)), 1_000_000) < uint64(max(f.model.PerMillion, 0)) {
			d.faults |= 1 << i
		}
	}
}

// hit reports whether the request is one of those that may get the fault.
func (f *fault) hit(q *Query) bool {
	return !slices.ContainsFunc(f.headers, func(v valueMatcher) bool { return !v.inFields(q) })
}

// Faulty reports whether anything is done to the request on purpose.
func (d *Decision) Faulty() bool { return d.faults != 0 }

// Fault puts together what is done to the request, one of gRPC or not, on purpose. What answers it
// ends the list: of several such the first counts.
func (d *Decision) Fault(grpc bool) Fault {
	var out Fault
	for i, f := range d.possibleFaults() {
		if d.faults&(1<<i) == 0 {
			continue
		}
		m := f.model
		out.Delay += m.Delay
		if m.BytesPS > 0 && (out.BytesPS == 0 || m.BytesPS < out.BytesPS) {
			out.BytesPS = m.BytesPS
		}
		out.Status, out.GRPC, out.Reset = m.Status, m.GRPC, m.Reset
		if out.Aborts(grpc) {
			break
		}
	}
	return out
}

// describe gives the fault in words: "delay 2s, status 503; 1 % of requests with header x-a=1".
func (f *fault) describe() string {
	var parts []string
	m := f.model
	if m.Delay > 0 {
		parts = append(parts, "delay "+m.Delay.String())
	}
	if m.Status > 0 {
		parts = append(parts, "status "+strconv.Itoa(m.Status))
	}
	if m.GRPC > 0 {
		parts = append(parts, "grpc-status "+strconv.Itoa(m.GRPC))
	}
	if m.Reset {
		parts = append(parts, "reset")
	}
	if m.BytesPS > 0 {
		parts = append(parts, strconv.Itoa(m.BytesPS)+" bytes a second")
	}
	s := strings.Join(parts, ", ") + "; " + strconv.FormatFloat(float64(m.PerMillion)/1e4, 'g', -1, 64) + " % of requests"
	for i := range f.headers {
		if i == 0 {
			s += " with header "
		} else {
			s += " and "
		}
		s += f.headers[i].describe()
	}
	return s
}
