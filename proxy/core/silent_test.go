package core

import (
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

// A client that waits for its server to speak must not wait for a server that is not there.
func TestASilentClientOfAnUnreachableServiceIsLetGo(t *testing.T) {
	svc := &model.Service{Name: rigService, Ports: []model.Port{{Port: 80}}}
	r := newRig(t, svc, Limits{})
	r.down = true
	c := r.dial()
	r.pass(3*time.Second, 10*time.Millisecond)
	if !c.other.gone {
		t.Error("the connection is still open after 3 s")
	}
}
