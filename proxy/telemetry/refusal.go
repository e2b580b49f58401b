package telemetry

import (
	"slices"
	"sync/atomic"

	"github.com/weft-mesh/weft/api/report"
)

// refusals counts by code of the catalogue what one series was refused. The owning loop adds,
// anybody reads: the list is replaced when a code comes that it does not have, never changed.
// There are as many codes as report.MaxRefusals, and in practice few: they are looked through.
type refusals struct {
	list atomic.Pointer[[]*refusal]
}

type refusal struct {
	code string
	n    atomic.Uint64
}

// Refused counts a request of the series that the proxy answered itself instead of carrying it,
// by code of the catalogue. Owning loop only.
func (s *Series) Refused(code string) {
	var list []*refusal
	if p := s.refusals.list.Load(); p != nil {
		list = *p
	}
	for _, r := range list {
		if r.code == code {
			add(&r.n, 1)
			return
		}
	}
	if len(list) >= report.MaxRefusals-1 && code != report.OtherCode {
		s.Refused(report.OtherCode)
		return
	}
	r := &refusal{code: code}
	r.n.Store(1)
	grown := append(slices.Clip(list), r)
	s.refusals.list.Store(&grown)
}

// counts gives the totals, ascending by code.
func (r *refusals) counts() []report.Refusal {
	p := r.list.Load()
	if p == nil {
		return nil
	}
	var out []report.Refusal
	for _, one := range *p {
		out = report.MergeRefusals(out, []report.Refusal{{Code: one.code, Count: one.n.Load()}})
	}
	return out
}

// refusedSince subtracts earlier totals. A code never leaves the list.
func refusedSince(before, now []report.Refusal) []report.Refusal {
	var out []report.Refusal
	for _, r := range now {
		for _, b := range before {
			if b.Code == r.Code {
				r.Count -= b.Count
			}
		}
		if r.Count > 0 {
			out = append(out, r)
		}
	}
	return out
}
