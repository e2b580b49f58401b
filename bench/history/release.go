package main

import (
	"encoding/json"
	"strconv"
	"time"
)

// Release is what is kept of one run of the bench.
type Release struct {
	Version  string            `json:"version"`
	Time     time.Time         `json:"time"` // of the run; releases are ordered by it
	Machine  Machine           `json:"machine"`
	Software map[string]string `json:"software"` // versions of the peers, of Go and of load generators
	Rounds   int               `json:"rounds"`   // that the medians are of, at most
	Seconds  float64           `json:"seconds"`  // of load in each measurement; 0: not noted
	Cases    []Case            `json:"cases"`    // in the order of the run
	Goals    []Goal            `json:"goals"`
}

// Machine is what a run was made on. It names no host.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
}

// Figures are numbers by name; the name ends in the unit, such as cpu_us or rss_mb.
type Figures map[string]float64

// Case is one case of the bench.
type Case struct {
	Case   string             `json:"case"`   // such as "two/h1/small/32"
	Peers  map[string]Figures `json:"peers"`  // medians
	Ratios map[string]Figures `json:"ratios"` // by peer: weft's figure divided by the peer's
}

// Goal is a figure that weft was to reach with the release.
type Goal struct {
	Goal     string   `json:"goal"`
	Unit     string   `json:"unit"`
	Limit    float64  `json:"limit"`
	AtMost   bool     `json:"at_most"`  // or at least
	Measured *float64 `json:"measured"` // null: it was not
	Met      bool     `json:"met"`
}

// ratio gives weft's figure divided by a peer's; ok is false if one of them was not measured.
func (r *Release) ratio(id, peer, figure string) (v float64, ok bool) {
	for i := range r.Cases {
		if r.Cases[i].Case == id {
			v, ok = r.Cases[i].Ratios[peer][figure]
			return v, ok
		}
	}
	return 0, false
}

// notRelated are figures that say how good a measurement is, not what a peer needs.
var notRelated = map[string]bool{"failed": true, "cpu_spread": true, "other_busy": true}

// noisy is the share of the machine from which on what others used meanwhile is worth a word.
const noisy = 0.10

// othersBusy is the largest share of the machine, 0 to 1, that processes other than the bench's used
// in any case.
func (r *Release) othersBusy() float64 {
	most := 0.0
	for i := range r.Cases {
		for _, f := range r.Cases[i].Peers {
			most = max(most, f["other_busy"])
		}
	}
	return most
}

// relate fills in the ratios of a case, of all figures that both sides have.
func (c *Case) relate() {
	c.Ratios = map[string]Figures{}
	us := c.Peers["weft"]
	for peer, them := range c.Peers {
		if peer == "weft" || peer == "direct" {
			continue
		}
		f := Figures{}
		for name, v := range us {
			if w := them[name]; v > 0 && w > 0 && !notRelated[name] {
				f[name] = rounded(v / w)
			}
		}
		if len(f) > 0 {
			c.Ratios[peer] = f
		}
	}
}

// rounded keeps four digits: more is noise, and makes files that differ everywhere.
func rounded(v float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // of what was just formatted
	return short
}

// text is the release as it is written to its file.
func (r *Release) text() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", " ")
	return append(b, '\n'), err
}
