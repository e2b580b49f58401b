//go:build plantedbugs

package plane

import (
	"testing"

	"github.com/weft-mesh/weft/planted"
)

// TestPlantedBugsAreFound shows that these tests would notice.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, b := range []struct {
		planted.Bug
		name string
	}{
		{planted.RemovedStays, "RemovedStays"},
		{planted.ForgetSubscriptions, "ForgetSubscriptions"},
		{planted.StaleAfterReconnect, "StaleAfterReconnect"},
		{planted.NeverRenew, "NeverRenew"},
	} {
		t.Run(b.name, func(t *testing.T) {
			planted.Plant(b.Bug)
			defer planted.Plant(planted.None)
			for seed := uint64(1); seed <= 40; seed++ {
				if w := live(t, seed); len(w.wrong) > 0 {
					t.Logf("seed %d: %s", seed, w.wrong[0])
					return
				}
			}
			t.Errorf("not found within 40 seeds")
		})
	}
}
