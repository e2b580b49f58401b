package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// footprint is all that transparent capture could leave on a machine, as a text to compare.
func footprint(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, c := range [][]string{
		{"nft", "list", "ruleset"}, {"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "route", "show", "table", "all"},
		{"ip", "-6", "route", "show", "table", "all"}, {"ip", "rule"}, {"ip", "netns"},
	} {
		out, err := exec.CommandContext(within(t, patience), c[0], c[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
		b.WriteString("# " + strings.Join(c, " ") + "\n" + string(out))
	}
	named, _ := filepath.Glob("/run/netns/*")
	slices.Sort(named)
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/route_localnet", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		text, _ := os.ReadFile(f) // absent without IPv6
		b.WriteString(f + " " + string(text))
	}
	return b.String() + strings.Join(named, " ") + "\n" + string(mounts)
}

// TestUnchangedProgramsAreMeshedTransparently: curl with plain URLs, in a network namespace of
// its own, over IPv4 and IPv6; an application that listens on 127.0.0.1 only is reached; and the
// machine is afterwards as it was, after kill -9 as well.
func TestUnchangedProgramsAreMeshedTransparently(t *testing.T) {
	need(t, "nft", "ip", "curl", "python3")
	if !isolate(t) {
		return
	}
	before := footprint(t)
	w := newWorld(t, nil)
	if err := os.WriteFile(filepath.Join(w.dir, "tmp", "page.html"), []byte("the page"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(name, port string) *member {
		return w.run(name, []string{"--transparent", "--port", port}, "python3", "-u", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", filepath.Join(w.dir, "tmp"))
	}
	front := serve("front", "80") // its own port 80, which nobody else's is
	other := serve("other", "8080")

	curl := func(args ...string) (code int, out string) {
		t.Helper()
		p := w.weft(append([]string{"run", "--transparent", "--name", "me", "--", "curl", "-sS", "--fail", "--max-time", "10", "--noproxy", "*"}, args...)...)
		code = p.wait()
		return code, p.out.String() + p.err.String()
	}
	eventually(t, "curl reaches front", func() bool { code, out := curl("http://front/page.html"); return code == 0 && out == "the page" })
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"by IPv4", []string{"-4", "http://front/page.html"}},
		{"by IPv6", []string{"-6", "http://front/page.html"}},
		{"with the namespace", []string{"http://front.default/page.html"}},
		{"as in a cluster", []string{"http://front.default.svc.cluster.local/page.html"}},
		{"a second service", []string{"http://other/page.html"}},
		{"by the application's port", []string{"http://other:8080/page.html"}},
	} {
		if code, out := curl(tc.args...); code != 0 || out != "the page" {
			t.Errorf("%s: exit code %d, %q", tc.name, code, out)
		}
	}
	if code, out := curl("http://nobody/"); code != 6 { // could not resolve host
		t.Errorf("a name that is nobody's: exit code %d, %q; want 6 of curl", code, out)
	}
	w.onlyMTLS("front")
	w.onlyMTLS("other")

	// A process in the mesh without capture reaches it as well.
	me := w.call("plain")
	me.until(me.client(), "http://front/page.html")

	// Killed as by a crash, and cleaned up by the next run.
	other.kill()
	eventually(t, "application and proxy are dead", func() bool { return !alive(other.app) && !alive(other.proxy) })
	front.end()
	me.end()
	w.ask(0, "run", "--name", "next", "--", "true")
	w.up.end()
	ignore := regexp.MustCompile(`(?m)^.*(valid_lft|dadfailed|tentative).*$`)
	after := footprint(t)
	if ignore.ReplaceAllString(after, "") != ignore.ReplaceAllString(before, "") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if left := w.runDirs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
