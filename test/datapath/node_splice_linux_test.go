package datapath

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// TestBulkBetweenWorkloadsOfOneNodeIsMovedByTheKernel: the proxy has made a pipe for it, which is all
// that can be seen of it from outside.
func TestBulkBetweenWorkloadsOfOneNodeIsMovedByTheKernel(t *testing.T) {
	x := newNodeTCP(t, "epoll")
	client, server := x.couple()
	before := pipes(t)
	big := noise(rand.New(rand.NewPCG(29, 29)), 8<<20)
	x.all("bulk", []func() error{
		func() error { _, err := client.Write(big); return errors.Join(err, client.CloseWrite()) },
		func() error { return hear(server, big) },
	})
	made := 0
	for p := range pipes(t) {
		if !before[p] {
			made++
		}
	}
	if made == 0 {
		t.Error("no pipe was made: the bytes went through the process")
	}
}

// pipes are those that this process has.
func pipes(t *testing.T) map[string]bool {
	t.Helper()
	const dir = "/proc/self/fd/"
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, e := range list {
		to, _ := os.Readlink(dir + e.Name()) // that of the listing itself is gone
		if strings.HasPrefix(to, "pipe:") {
			out[to] = true
		}
	}
	return out
}
