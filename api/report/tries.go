package report

import "slices"

// Tries is how many tries the finished requests were made of: one each, retries and hedges.
func (c *Counts) Tries() uint64 { return c.Requests() + c.Retries + c.Hedges }

// TrySuccess is the share of tries that did not fail, 1 if there were none: the success that
// callers would see if nothing were tried again. A request that failed without any try, because
// its proxy refused it, counts as one try that failed.
func (c *Counts) TrySuccess() float64 {
	n := c.Tries()
	if n == 0 {
		return 1
	}
	return 1 - float64(min(max(c.TriesFailed, c.Failure), n))/float64(n)
}

// Refusal is how many requests a proxy answered itself with one code of the catalogue.
type Refusal struct {
	Code  string
	Count uint64
}

const (
	// MaxRefusals bounds the codes of one series. What is beyond counts under OtherCode.
	MaxRefusals = 16
	// OtherCode stands for all codes for which there was no room.
	OtherCode = "other"
)

// MergeRefusals adds b into a; both ascend by code. The result may share memory with a, never
// with b.
func MergeRefusals(a, b []Refusal) []Refusal {
	if len(b) == 0 {
		return a
	}
	for _, r := range b {
		a = addRefusal(a, r)
	}
	return a
}

func addRefusal(a []Refusal, r Refusal) []Refusal {
	at, there := slices.BinarySearchFunc(a, r.Code, compareCode)
	if !there && len(a) >= MaxRefusals-1 && r.Code != OtherCode {
		r.Code = OtherCode
		at, there = slices.BinarySearchFunc(a, r.Code, compareCode)
	}
	if !there {
		return slices.Insert(a, at, r)
	}
	a[at].Count += r.Count
	return a
}

func compareCode(r Refusal, code string) int {
	switch {
	case r.Code < code:
		return -1
	case r.Code > code:
		return 1
	}
	return 0
}

// Shed is how many of the refusals guarded an application from more than it can do: those by its
// concurrency limit, its queue, its deadlines and its rate limits (W3320 to W3329).
func Shed(list []Refusal) uint64 {
	var n uint64
	for _, r := range list {
		if IsShed(r.Code) {
			n += r.Count
		}
	}
	return n
}

// IsShed reports whether a code says that an application was guarded from a request.
func IsShed(code string) bool { return len(code) == len("W3320") && code[:4] == "W332" }
