package wire

import (
	"fmt"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/api/report"
)

// maxCode bounds a code of the catalogue; they have five letters.
const maxCode = 16

// Refusals encodes refusals by code.
func Refusals(list []report.Refusal) []*pb.Refusal {
	return each(list, func(r report.Refusal) *pb.Refusal { return &pb.Refusal{Code: r.Code, Count: r.Count} })
}

// toRefusals decodes refusals. Too many, codes that are too long or not ascending are errors.
func toRefusals(list []*pb.Refusal) ([]report.Refusal, error) {
	if len(list) > report.MaxRefusals {
		return nil, fmt.Errorf("%d codes of refusals, want at most %d", len(list), report.MaxRefusals)
	}
	var out []report.Refusal
	last := ""
	for _, r := range list {
		code := r.GetCode()
		if len(code) > maxCode || code <= last {
			return nil, fmt.Errorf("the code %.20q is too long or out of order", code)
		}
		last = code
		out = append(out, report.Refusal{Code: code, Count: r.GetCount()})
	}
	return out, nil
}
