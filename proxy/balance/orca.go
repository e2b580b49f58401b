package balance

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// Load reports of applications in response fields, as gRPC and Envoy write and read them
// (xds.data.orca.v3.OrcaLoadReport; gRFC A51). Names are lower case.
const (
	ReportField       = "endpoint-load-metrics"     // "TEXT cpu_utilization=0.3,rps_fractional=10", "JSON {...}", "BIN <base64>"
	ReportFieldBinary = "endpoint-load-metrics-bin" // base64
	maxReport         = 4 << 10
)

var errReport = errors.New("not a load report")

// ParseReport reads the value of ReportField. Without a word for the format it is TEXT, or JSON if it
// begins like that. It allocates nothing and reads at most 4 KiB.
func ParseReport(v []byte) (Load, error) {
	if len(v) > maxReport {
		return Load{}, errReport
	}
	format, rest, ok := bytes.Cut(v, []byte(" "))
	if ok {
		switch string(format) {
		case "TEXT":
			return parseText(bytes.TrimSpace(rest))
		case "JSON":
			return parseJSON(bytes.TrimSpace(rest))
		case "BIN":
			return ParseBinaryReport(bytes.TrimSpace(rest))
		}
	}
	if len(v) > 0 && v[0] == '{' {
		return parseJSON(v)
	}
	return parseText(v)
}

// metrics is what a report says before it is known which figures count.
type metrics struct {
	Load
	cpu, application float64
}

func (m *metrics) set(name []byte, v float64) {
	switch string(name) {
	case "rps_fractional", "rpsFractional":
		m.QPS = v
	case "eps":
		m.EPS = v
	case "cpu_utilization", "cpuUtilization":
		m.cpu = v
	case "application_utilization", "applicationUtilization":
		m.application = v
	}
}

// load gives what counts: an application's own figure is worth more than its CPU's.
func (m *metrics) load() Load {
	if m.Utilization = m.application; m.Utilization == 0 {
		m.Utilization = m.cpu
	}
	return m.Load
}

func parseText(v []byte) (Load, error) {
	var m metrics
	for len(v) > 0 {
		var item []byte
		item, v, _ = bytes.Cut(v, []byte(","))
		name, value, ok := bytes.Cut(bytes.TrimSpace(item), []byte("="))
		if !ok {
			return Load{}, errReport
		}
		f, ok := number(bytes.TrimSpace(value))
		if !ok {
			return Load{}, errReport
		}
		m.set(bytes.TrimSpace(name), f)
	}
	return m.load(), nil
}

// number reads a decimal number, and nothing else that Go takes for one.
func number(v []byte) (float64, bool) {
	if len(v) == 0 || len(v) > 32 {
		return 0, false
	}
	for _, c := range v {
		if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '-' && c != '+' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(v), 64) // short enough to stay on the stack
	return f, err == nil
}

// parseJSON reads the numbers of an object; what is in objects inside it is passed over.
func parseJSON(v []byte) (Load, error) {
	var m metrics
	p := jsonReader{v}
	if !p.eat('{') {
		return Load{}, errReport
	}
	if p.eat('}') {
		return m.load(), p.end()
	}
	for {
		name, ok := p.text()
		if !ok || !p.eat(':') {
			return Load{}, errReport
		}
		if p.peek() == '{' {
			if !p.skip() {
				return Load{}, errReport
			}
		} else {
			f, ok := p.number()
			if !ok {
				return Load{}, errReport
			}
			m.set(name, f)
		}
		if p.eat('}') {
			return m.load(), p.end()
		}
		if !p.eat(',') {
			return Load{}, errReport
		}
	}
}

// jsonReader reads as much of JSON as reports have: flat objects of numbers.
type jsonReader struct{ rest []byte }

func (p *jsonReader) peek() byte {
	p.rest = bytes.TrimLeft(p.rest, " \t\r\n")
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

func (p *jsonReader) eat(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *jsonReader) end() error {
	if p.peek() != 0 || len(p.rest) > 0 {
		return errReport
	}
	return nil
}

// text reads a string without escapes.
func (p *jsonReader) text() ([]byte, bool) {
	if !p.eat('"') {
		return nil, false
	}
	i := bytes.IndexByte(p.rest, '"')
	if i < 0 || bytes.IndexByte(p.rest[:i], '\\') >= 0 {
		return nil, false
	}
	s := p.rest[:i]
	p.rest = p.rest[i+1:]
	return s, true
}

// number reads a number, also one in quotes: protobuf writes those that are large, and NaN, that way.
func (p *jsonReader) number() (float64, bool) {
	if p.peek() == '"' {
		s, ok := p.text()
		if !ok {
			return 0, false
		}
		return number(s)
	}
	i := bytes.IndexAny(p.rest, ",} \t\r\n")
	if i < 0 {
		return 0, false
	}
	f, ok := number(p.rest[:i])
	p.rest = p.rest[i:]
	return f, ok
}

// skip passes an object of names and numbers over.
func (p *jsonReader) skip() bool {
	if !p.eat('{') {
		return false
	}
	if p.eat('}') {
		return true
	}
	for {
		if _, ok := p.text(); !ok || !p.eat(':') {
			return false
		}
		if _, ok := p.number(); !ok {
			return false
		}
		if p.eat('}') {
			return true
		}
		if !p.eat(',') {
			return false
		}
	}
}

// ParseBinaryReport reads the value of ReportFieldBinary: base64, with or without padding, of the
// message's protobuf form.
func ParseBinaryReport(v []byte) (Load, error) {
	var buf [1 << 10]byte
	v = bytes.TrimRight(v, "=")
	if base64.RawStdEncoding.DecodedLen(len(v)) > len(buf) {
		return Load{}, errReport
	}
	n, err := base64.RawStdEncoding.Decode(buf[:], v)
	if err != nil {
		return Load{}, errReport
	}
	return parseProto(buf[:n])
}

// The fields of OrcaLoadReport that count.
const (
	protoCPU         = 1
	protoQPS         = 6
	protoEPS         = 7
	protoApplication = 9
)

// parseProto reads the doubles of the message and passes everything else over.
func parseProto(p []byte) (Load, error) {
	var m metrics
	for len(p) > 0 {
		tag, n := binary.Uvarint(p)
		if n <= 0 || tag>>3 == 0 {
			return Load{}, errReport
		}
		p = p[n:]
		var size int
		switch tag & 7 {
		case 0:
			if _, size = binary.Uvarint(p); size <= 0 {
				return Load{}, errReport
			}
		case 1:
			size = 8
		case 2:
			length, k := binary.Uvarint(p)
			if k <= 0 || length > uint64(len(p)-k) {
				return Load{}, errReport
			}
			size = k + int(length)
		case 5:
			size = 4
		default:
			return Load{}, errReport
		}
		if size > len(p) {
			return Load{}, errReport
		}
		if tag&7 == 1 {
			v := math.Float64frombits(binary.LittleEndian.Uint64(p))
			switch tag >> 3 {
			case protoCPU:
				m.cpu = v
			case protoQPS:
				m.QPS = v
			case protoEPS:
				m.EPS = v
			case protoApplication:
				m.application = v
			}
		}
		p = p[size:]
	}
	return m.load(), nil
}
