package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine bounds a line of the bench's output, in bytes; its longest have some hundred.
const maxLine = 1 << 20

// notKept are numbers of a summary that are no figures of a case.
var notKept = map[string]bool{"rounds": true, "proxies": true}

// runLine says where and how a run was made.
type runLine struct {
	Time     time.Time         `json:"time"`
	Machine  string            `json:"machine"`
	Cores    int               `json:"cores"`
	Kernel   string            `json:"kernel"`
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Seconds  float64           `json:"seconds"`
}

// summaryLine is whose figures a summary has.
type summaryLine struct {
	Case   string `json:"case"`
	Peer   string `json:"peer"`
	Rounds int    `json:"rounds"`
}

// quantity is a figure that only some kinds of cases have.
type quantity struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Record makes a release of the JSON lines of one run. Lines of unknown types, and samples, are
// passed over. A run without a description or without a summary is an error.
func Record(lines io.Reader, version string) (Release, error) {
	r := Release{Version: version, Cases: []Case{}, Goals: []Goal{}}
	at := map[string]int{} // of a case in r.Cases
	s := bufio.NewScanner(lines)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	for n := 1; s.Scan(); n++ {
		if err := r.take(s.Bytes(), at); err != nil {
			return r, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return r, err
	}
	if r.Time.IsZero() {
		return r, errors.New(`no line of type "run" says when and where it was made`)
	}
	if len(r.Cases) == 0 {
		return r, errors.New(`no line of type "summary": nothing was measured to the end`)
	}
	for i := range r.Cases {
		r.Cases[i].relate()
	}
	return r, nil
}

// take takes one line.
func (r *Release) take(raw []byte, at map[string]int) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return err
	}
	switch kind.Type {
	case "run":
		var l runLine
		if err := json.Unmarshal(raw, &l); err != nil {
			return err
		}
		if !r.Time.IsZero() {
			return errors.New("a second run; one release is one run")
		}
		r.Time, r.Software, r.Rounds, r.Seconds = l.Time.UTC(), l.Versions, l.Rounds, l.Seconds
		r.Machine = Machine{CPU: l.Machine, Cores: l.Cores, Kernel: l.Kernel}
	case "summary":
		return r.add(raw, at)
	case "goal":
		var g Goal
		if err := json.Unmarshal(raw, &g); err != nil {
			return err
		}
		r.Goals = append(r.Goals, g)
	}
	return nil
}

// add takes the summary of one peer in one case.
func (r *Release) add(raw []byte, at map[string]int) error {
	var l summaryLine
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	if l.Case == "" || l.Peer == "" {
		return errors.New("a summary without case or peer")
	}
	if l.Rounds == 0 {
		return nil // not measured
	}
	f, err := figures(raw)
	if err != nil {
		return err
	}
	i, ok := at[l.Case]
	if !ok {
		i = len(r.Cases)
		at[l.Case] = i
		r.Cases = append(r.Cases, Case{Case: l.Case, Peers: map[string]Figures{}})
	}
	r.Cases[i].Peers[l.Peer] = f
	return nil
}

// figures gives all numbers of a summary: its fields, and its list "figures" if it has one. Zeros
// are left out: they stand for what could not be measured.
func figures(raw []byte) (Figures, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	f := Figures{}
	for name, v := range fields {
		var x float64
		if !notKept[name] && json.Unmarshal(v, &x) == nil && x != 0 {
			f[name] = rounded(x)
		}
	}
	var more []quantity
	if v := fields["figures"]; v != nil {
		if err := json.Unmarshal(v, &more); err != nil {
			return nil, fmt.Errorf("figures: %w", err)
		}
	}
	for _, q := range more {
		if q.Value != 0 {
			f[q.Name] = rounded(q.Value)
		}
	}
	return f, nil
}
