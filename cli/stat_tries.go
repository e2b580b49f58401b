package cli

import (
	"fmt"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

// tryColumns are the columns about tries of a table of edges. A mesh in which all is well is
// shown without them.
type tryColumns struct{ retries, hedges, shed bool }

// triesOf gives the columns in which there is something to show.
func triesOf(edges []mesh.Edge) tryColumns {
	var c tryColumns
	for _, e := range edges {
		c.retries = c.retries || e.Retries > 0
		c.hedges = c.hedges || e.Hedges > 0
		c.shed = c.shed || e.Shed > 0
	}
	return c
}

func (c tryColumns) head() []string {
	var out []string
	if c.retries || c.hedges {
		out = append(out, ">ACTUAL")
	}
	if c.retries {
		out = append(out, ">RETRIES/S")
	}
	if c.hedges {
		out = append(out, ">HEDGES")
	}
	if c.shed {
		out = append(out, ">SHED")
	}
	return out
}

func (c tryColumns) cells(e mesh.Edge) []render.Cell {
	var out []render.Cell
	if c.retries || c.hedges {
		tone := render.Plain
		if e.Actual < healthyShare {
			tone = render.Warn
		}
		out = append(out, render.Toned(tone, render.Percent(e.Actual)))
	}
	if c.retries {
		out = append(out, render.Text(render.Rate(e.RetriesPS)))
	}
	if c.hedges {
		out = append(out, render.Text(fmt.Sprint(e.Hedges)))
	}
	if c.shed {
		out = append(out, render.Text(fmt.Sprint(e.Shed)))
	}
	return out
}
