package core

import (
	"cmp"
	"crypto/sha256"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
)

const (
	comparedBody    = 256 << 10 // of a body as far as contents are compared; its length is always
	comparedFields  = 32        // field names of one comparison
	comparedPath    = 200       // bytes of a path in a Difference
	maxComparing    = 1000      // comparisons under way
	maxComparisons  = 256       // rules that are remembered
	keptDifferences = 16        // of each
)

// Comparison is what the answers to mirrored requests of a rule were like (model.Compare). For each,
// the primary's answer, which the client got, is compared with the candidate's, the rule's mirror,
// and with that of a baseline, which runs what the primary runs: what differs between those two is
// noise (a time, a random ID), and does not count as a difference of the candidate's (Twitter's
// Diffy).
type Comparison struct {
	Service             model.Name // that was addressed
	Port                uint16
	Rule                string // "HTTPRoute shop/cart rule 0"; empty: none
	Candidate, Baseline model.Name

	Compared   uint64 // three complete answers
	Noisy      uint64 // of them: primary and baseline differed
	Different  uint64 // of them: the candidate differed in what was not noise
	Incomplete uint64 // not compared: one of the three did not answer to its end
	Skipped    uint64 // mirrored without comparison, since too many were under way

	Differences []Difference // the latest, the oldest first
}

// Difference is one request whose candidate answered otherwise. It says what differed, never what a
// field or a body held.
type Difference struct {
	Unix   int64 // when, in seconds; 0: there is no wall clock
	Method string
	Path   string   // canonical, without the query, cut after 200 bytes
	What   []string // "status: 200, candidate 500"; "field x-a"; "body: 5 bytes, candidate 7 bytes"
}

// comparisonKey finds a Comparison without building strings.
type comparisonKey struct {
	service             model.Name
	port                uint16
	rule                string
	candidate, baseline model.Name
}

// The three who answer.
const (
	primary = iota
	candidate
	baseline
)

// comparison is three answers to one request.
type comparison struct {
	core         *Core
	into         *Comparison
	fields       []string
	method, path string
	answers      [3]answer
	open         int // exchanges that are not over yet
}

// answer is what is kept of one.
type answer struct {
	status int
	grpc   string
	fields [][sha256.Size]byte
	body   hash.Hash
	length uint64
	whole  bool
}

// compare begins a comparison if the decision asks for one and there is room. m is the candidate's
// exchange.
func (c *Core) compare(x, m *exchange, r *message.Request) *comparison {
	b := x.d.Baseline()
	if b == nil {
		return nil
	}
	k := comparisonKey{service: x.port.Service.Name(), port: x.port.Port.Port, candidate: m.d.Backend.Service(), baseline: b.Service()}
	if x.d.Rule != nil {
		k.rule = x.d.Rule.Label
	}
	row := c.comparisons[k]
	if row == nil {
		if len(c.comparisons) >= maxComparisons || c.comparisons == nil {
			c.comparisons = map[comparisonKey]*Comparison{}
		}
		row = &Comparison{Service: k.service, Port: k.port, Rule: k.rule, Candidate: k.candidate, Baseline: k.baseline}
		c.comparisons[k] = row
	}
	if c.comparing >= maxComparing {
		row.Skipped++
		return nil
	}
	c.comparing++
	path := c.canon.Path
	p := &comparison{
		core: c, into: row, fields: x.d.Calls().Compare.Headers, open: 3,
		method: string(r.Method), path: string(path[:min(len(path), comparedPath)]),
	}
	p.fields = p.fields[:min(len(p.fields), comparedFields)]
	p.join(x, primary)
	p.join(m, candidate)
	return p
}

// join makes an exchange one of the three.
func (p *comparison) join(x *exchange, who uint8) { x.compared, x.role = p, who }

// head takes the head of an answer.
func (p *comparison) head(who uint8, r *message.Response) {
	a := &p.answers[who]
	*a = answer{status: r.Status, grpc: short(message.Get(r.Fields, "grpc-status")), body: sha256.New()}
	a.fields = make([][sha256.Size]byte, len(p.fields))
	h := sha256.New()
	for i, name := range p.fields {
		h.Reset()
		for j := range r.Fields {
			if f := &r.Fields[j]; string(f.Name) == name {
				h.Write([]byte{1})
				h.Write(f.Value)
			}
		}
		h.Sum(a.fields[i][:0])
	}
}

// data takes a piece of the body of an answer.
func (p *comparison) data(who uint8, b []byte) {
	a := &p.answers[who]
	if a.body != nil && a.length < comparedBody {
		a.body.Write(b[:min(uint64(len(b)), comparedBody-a.length)])
	}
	a.length += uint64(len(b))
}

// trailers takes the trailers of an answer.
func (p *comparison) trailers(who uint8, f []message.Field) {
	if v := message.Get(f, "grpc-status"); v != nil {
		p.answers[who].grpc = short(v)
	}
}

// short is a field's value, cut: of a hostile application it could be anything.
func short(v []byte) string { return printable(string(v[:min(len(v), 16)])) }

// over: one of the three exchanges has ended. With the last the answers are compared.
func (p *comparison) over(x *exchange) {
	a := &p.answers[x.role]
	a.whole = x.respDone && a.status > 0
	x.compared = nil
	if p.open--; p.open > 0 {
		return
	}
	c, row := p.core, p.into
	c.comparing--
	for i := range p.answers {
		if !p.answers[i].whole {
			row.Incomplete++
			return
		}
	}
	row.Compared++
	noise := p.differ(baseline)
	if noise != 0 {
		row.Noisy++
	}
	found := p.differ(candidate) &^ noise
	if found == 0 {
		return
	}
	row.Different++
	if len(row.Differences) >= keptDifferences {
		row.Differences = slices.Delete(row.Differences, 0, 1)
	}
	row.Differences = append(row.Differences, Difference{Unix: c.unix(), Method: p.method, Path: p.path, What: p.describe(found)})
}

// Parts of an answer, as bits. The compared fields follow.
const (
	partStatus uint64 = 1 << iota
	partGRPC
	partBody
	partField
)

// differ gives the parts in which an answer is not the primary's.
func (p *comparison) differ(who uint8) (parts uint64) {
	a, b := &p.answers[primary], &p.answers[who]
	if a.status != b.status {
		parts |= partStatus
	}
	if a.grpc != b.grpc {
		parts |= partGRPC
	}
	if a.length != b.length || !slices.Equal(a.body.Sum(nil), b.body.Sum(nil)) {
		parts |= partBody
	}
	for i := range a.fields {
		if a.fields[i] != b.fields[i] {
			parts |= partField << i
		}
	}
	return parts
}

// describe tells the parts in words.
func (p *comparison) describe(parts uint64) (out []string) {
	a, b := &p.answers[primary], &p.answers[candidate]
	if parts&partStatus != 0 {
		out = append(out, "status: "+strconv.Itoa(a.status)+", candidate "+strconv.Itoa(b.status))
	}
	if parts&partGRPC != 0 {
		out = append(out, "grpc-status: "+orNone(a.grpc)+", candidate "+orNone(b.grpc))
	}
	for i, name := range p.fields {
		if parts&(partField<<i) != 0 {
			out = append(out, "field "+name)
		}
	}
	if parts&partBody != 0 {
		s := "body: " + strconv.FormatUint(a.length, 10) + " bytes, candidate "
		if a.length == b.length {
			s += "as many others"
		} else {
			s += strconv.FormatUint(b.length, 10) + " bytes"
		}
		out = append(out, s)
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Comparisons gives what is known of the answers to mirrored requests, by service, port and rule. It
// is a copy. On the loop's goroutine only.
func (c *Core) Comparisons() []Comparison {
	out := make([]Comparison, 0, len(c.comparisons))
	for _, row := range c.comparisons {
		r := *row
		r.Differences = slices.Clone(row.Differences)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Comparison) int {
		return cmp.Or(compareNames(a.Service, b.Service), cmp.Compare(a.Port, b.Port), strings.Compare(a.Rule, b.Rule),
			compareNames(a.Candidate, b.Candidate), compareNames(a.Baseline, b.Baseline))
	})
	return out
}
