package overload

import "math"

// The steps of ratios: sixteen to a doubling, from 1/16 to 256.
const (
	perDoubling = 16
	below       = 4 * perDoubling
	above       = 8 * perDoubling
)

// ratios is a histogram of how many times as long as usual requests took. The zero value is empty.
type ratios struct {
	n     int
	count [below + above]int32
}

func (r *ratios) add(ratio float64) {
	i := 0
	if ratio > 0 {
		i = int(math.Log2(ratio)*perDoubling) + below
	}
	r.count[min(max(i, 0), len(r.count)-1)]++
	r.n++
}

// rank gives the ratio of which so many are smaller: 0 is the least.
func (r *ratios) rank(k int) float64 {
	for i, n := range r.count {
		if k -= int(n); k < 0 {
			return math.Exp2((float64(i-below) + 0.5) / perDoubling)
		}
	}
	return 0
}
