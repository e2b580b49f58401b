package cli

import (
	"testing"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/cli/render"
)

func TestWhatStayedInAProxyIsNotShownAsInTheClear(t *testing.T) {
	for _, tc := range []struct {
		mtls, local float64
		text        string
		tone        render.Tone
	}{
		{1, 0, render.Percent(1), render.Plain},
		{0.5, 0, render.Percent(0.5), render.Warn},
		{0, 1, "local", render.Plain},
		{1. / 3, 2. / 3, render.Percent(1./3) + "+" + render.Percent(2./3) + " local", render.Plain},
		{0.25, 0.25, render.Percent(0.25) + "+" + render.Percent(0.25) + " local", render.Warn},
	} {
		if got := mtlsCell(mesh.Edge{MTLS: tc.mtls, Local: tc.local}); got.Text != tc.text || got.Tone != tc.tone {
			t.Errorf("%v over mTLS, %v local: %q in tone %v", tc.mtls, tc.local, got.Text, got.Tone)
		}
	}
}
