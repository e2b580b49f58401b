package process

import (
	"testing"
	"testing/fstest"
)

func TestTheLowestLimitOfTheControlGroupsIsFound(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, tc := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"no control groups", fstest.MapFS{}, 0},
		{"version 2 in a container", fstest.MapFS{
			"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("67108864\n"),
		}, 64 << 20},
		{"version 2 without a limit", fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("max\n"),
		}, 0},
		{"a limit further up", fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("200\n"), "sys/fs/cgroup/a/memory.max": file("100\n"),
		}, 100},
		{"version 1", fstest.MapFS{
			"proc/self/cgroup": file("4:memory:/x\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("1048576\n"),
		}, 1 << 20},
		{"version 1 without a limit", fstest.MapFS{"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 0},
		{"a path that leaves the tree", fstest.MapFS{
			"proc/self/cgroup": file("0::/../../etc\n"), "sys/fs/cgroup/memory.max": file("5\n"),
		}, 5},
		{"nonsense", fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("lots\n")}, 0},
	} {
		got, ok := cgroupLimit(tc.files)
		if !ok {
			got = 0
		}
		if got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}
