package decide

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/model"
)

// Step is a stage of the data path.
type Step string

// The steps, in the order of the data path.
const (
	StepCanonical Step = "canonical"
	StepService   Step = "service"
	StepRoute     Step = "route"
	StepRule      Step = "rule"
	StepFilters   Step = "filters"
	StepBackend   Step = "backend"
	StepCalls     Step = "calls" // how the request is tried
	StepEndpoints Step = "endpoints"
)

// Outcomes of a step.
const (
	OK        = "ok"
	Chosen    = "chosen"
	Missed    = "missed"    // one condition does not hold; Detail names it
	Outranked = "outranked" // it matches too, and loses
	Ignored   = "ignored"
	Refused   = "refused"
)

// Reason is one step of a decision.
type Reason struct {
	Step    Step   `json:"step"`
	Object  string `json:"object,omitempty"`  // what was looked at, e.g. "HTTPRoute shop/cart rule 0"
	Source  string `json:"source,omitempty"`  // file:line
	Outcome string `json:"outcome,omitempty"` // one of the constants
	Detail  string `json:"detail,omitempty"`
}

// Reasons collects why a decision came out as it did. A nil *Reasons records nothing.
type Reasons struct {
	Steps []Reason
}

// maxMissed bounds how many matches that do not hold are listed one by one.
const maxMissed = 100

func (w *Reasons) add(step Step, object, source, outcome, detail string) {
	w.Steps = append(w.Steps, Reason{step, object, source, outcome, detail})
}

// decided records all steps of a finished decision. The matches are walked with the very
// comparisons that the indexes end in; a fuzz test holds that the first that holds is the chosen.
func (w *Reasons) decided(q *Query, g *group, d *Decision) {
	if w == nil {
		return
	}
	w.canonical(q)
	if q.Port == nil {
		w.add(StepService, "", "", Refused, d.Reason)
		return
	}
	w.add(StepService, "Service "+q.Port.Service.Name().String(), "", OK,
		"port "+strconv.Itoa(int(q.Port.Port.Port))+", protocol "+q.Port.Port.Protocol.String())
	w.routes(q, g, d)
	w.rules(q, g, d)
	w.filters(d)
	w.session(d)
	w.faults(q, d)
	w.backend(d, !q.Opaque && !opaque(q.Port.Port.Protocol))
}

func (w *Reasons) canonical(q *Query) {
	if q.Opaque {
		detail := "opaque connection"
		if len(q.SNI) > 0 {
			detail = "TLS connection, SNI " + string(q.SNI)
		}
		w.add(StepCanonical, "", "", OK, detail)
		return
	}
	detail := string(q.Method) + " host " + string(q.Host) + " path " + string(q.Path)
	if len(q.RawQuery) > 0 {
		detail += "?" + string(q.RawQuery)
	}
	w.add(StepCanonical, "", "", OK, detail)
}

// routes tells whose routes apply.
func (w *Reasons) routes(q *Query, g *group, d *Decision) {
	switch p := q.Port; {
	case g == nil:
		w.add(StepRoute, "", "", OK, "no route is attached: the service itself is the backend")
		return
	case g.consumer:
		w.add(StepRoute, "", "", OK, "consumer routes of the client's namespace "+g.namespace)
		if p.producer != nil {
			w.add(StepRoute, "", "", Ignored, "producer routes of namespace "+p.producer.namespace+": the client's namespace has its own")
		}
	default:
		w.add(StepRoute, "", "", OK, "producer routes of namespace "+g.namespace)
	}
	if _, _, held := g.find(q); !held {
		w.add(StepRoute, "", "", Refused, d.Reason)
	}
}

// rules tells how each match fared, in order of precedence.
func (w *Reasons) rules(q *Query, g *group, d *Decision) {
	if g == nil {
		return
	}
	missed := 0
	for _, m := range g.considered(q) {
		outcome, detail := Chosen, m.describe()
		part, i := m.misses(q)
		switch {
		case part != partNone:
			if missed++; missed > maxMissed {
				continue
			}
			outcome, detail = Missed, m.miss(q, part, i)
		case m != d.Match && d.Match != nil:
			_, why := outranks(d.Match, m)
			outcome, detail = Outranked, m.describe()+" matches too; "+why
		}
		w.add(StepRule, m.Rule.Label, m.Rule.Source(), outcome, detail)
	}
	if missed > maxMissed {
		w.add(StepRule, "", "", Missed, strconv.Itoa(missed-maxMissed)+" more matches do not hold")
	}
	if d.Match == nil && d.Rule != nil {
		w.add(StepRule, d.Rule.Label, d.Rule.Source(), Chosen, hostnames(d.Rule.Route.Model))
	}
	if d.Match == nil && d.Rule == nil && q.Opaque && g.tls != nil && len(q.SNI) > 0 {
		for _, r := range g.tls.rules {
			w.add(StepRule, r.Label, r.Source(), Missed, hostnames(r.Route.Model)+", the SNI is "+string(q.SNI))
		}
	}
	if d.Rule == nil {
		w.add(StepRule, "", "", Refused, d.Reason)
	}
}

// considered returns the matches of the kind that applies to the query, in order of precedence.
func (g *group) considered(q *Query) []*Match {
	kind := model.RouteHTTP
	switch {
	case q.Opaque:
		return nil
	case q.GRPC && g.grpc != nil:
		kind = model.RouteGRPC
	case g.http == nil:
		return nil
	}
	var out []*Match
	for _, m := range g.all {
		if m.Rule.Route.Model.Kind == kind {
			out = append(out, m)
		}
	}
	return out
}

func hostnames(r *model.Route) string {
	if len(r.Hostnames) == 0 {
		return "any connection"
	}
	return "hostnames " + strings.Join(r.Hostnames, ", ")
}

func (w *Reasons) filters(d *Decision) {
	if d.Rule == nil {
		return
	}
	if d.Rule.broken != "" {
		w.add(StepFilters, d.Rule.Label, d.Rule.Source(), Refused, d.Reason)
		return
	}
	for _, f := range d.Rule.filters {
		w.filter(d, "", f)
	}
	if d.Backend != nil {
		for _, f := range d.Backend.filters {
			w.filter(d, "backend "+d.Backend.label(), f)
		}
	}
	if d.Code == CodeCORSRefused {
		w.add(StepFilters, "CORS", d.Rule.Source(), Refused, d.Reason)
	}
}

func (w *Reasons) filter(d *Decision, object string, f filter) {
	name, detail := f.describe()
	if object != "" {
		name = object + " " + name
	}
	outcome := OK
	if f.redirect != nil && f.redirect == d.redirect || f.cors != nil && d.Action == Respond {
		outcome = Chosen
	}
	w.add(StepFilters, name, d.Rule.Source(), outcome, detail)
}

// describe names the filter as Gateway API does.
func (f *filter) describe() (name, detail string) {
	switch {
	case f.request != nil:
		return "RequestHeaderModifier", f.request.describe()
	case f.response != nil:
		return "ResponseHeaderModifier", f.response.describe()
	case f.redirect != nil:
		return "RequestRedirect", "status " + strconv.Itoa(redirectStatus(f.redirect))
	case f.rewrite != nil:
		return "URLRewrite", describeRewrite(f.rewrite)
	case f.mirror != nil:
		return "RequestMirror", "to " + f.mirror.backend.label() + f.mirror.share()
	case f.cors != nil:
		return "CORS", ""
	}
	return "", ""
}

func (m *mirror) share() string {
	if m.denominator == 0 {
		return ", every request"
	}
	return fmt.Sprintf(", %d of %d requests", m.numerator, m.denominator)
}

func (e *headerEdit) describe() string {
	var parts []string
	for _, f := range e.set {
		parts = append(parts, "set "+string(f.Name))
	}
	if e.host != nil {
		parts = append(parts, "set host")
	}
	for _, f := range e.add {
		parts = append(parts, "add "+string(f.Name))
	}
	for _, n := range e.remove {
		parts = append(parts, "remove "+n)
	}
	return strings.Join(parts, ", ")
}

func describeRewrite(r *model.Rewrite) string {
	var parts []string
	if r.Hostname != "" {
		parts = append(parts, "host "+r.Hostname)
	}
	if r.Path != nil && r.Path.Full != nil {
		parts = append(parts, "path "+*r.Path.Full)
	} else if r.Path != nil && r.Path.PrefixMatch != nil {
		parts = append(parts, "prefix "+*r.Path.PrefixMatch)
	}
	return strings.Join(parts, ", ")
}

// backend tells where the request goes, and how it is tried if somebody looks into it.
func (w *Reasons) backend(d *Decision, seen bool) {
	if d.Rule != nil && d.Code == CodeNoBackend {
		w.add(StepBackend, "", d.Rule.Source(), Refused, d.Reason)
		return
	}
	b := d.Backend
	if b == nil {
		return
	}
	var source, detail string
	if d.Rule != nil {
		source = d.Rule.Source()
		detail = fmt.Sprintf("weight %d of %d", b.Model.Weight, d.Rule.total)
	}
	if b.Invalid != "" {
		w.add(StepBackend, b.label(), source, Refused, strings.TrimPrefix(detail+"; "+b.Invalid, "; "))
		return
	}
	w.add(StepBackend, b.label(), source, Chosen, detail)
	if d.Action == Forward && seen {
		w.calls(d.Calls())
	}
	switch ready := len(b.Set.Endpoints); {
	case d.Action != Forward:
	case !b.Set.Known:
		w.add(StepEndpoints, b.label(), "", Missed, "nothing is known of its endpoints yet")
	case ready == 0:
		w.add(StepEndpoints, b.label(), "", Refused, "no endpoint is ready: answered 503")
	default:
		w.add(StepEndpoints, b.label(), "", OK, strconv.Itoa(ready)+" ready")
	}
}

func (b *Backend) label() string {
	return "Service " + b.Model.Service.String() + ":" + strconv.Itoa(int(b.Model.Port))
}
