package process

import (
	"runtime/debug"
	"testing"
)

func TestOnlyUnwrittenMappingsOfTheProgramAreDropped(t *testing.T) {
	const exe = "/opt/weft/weft-proxy"
	for _, tc := range []struct {
		name, line string
		from, to   uintptr
		want       bool
	}{
		{"code", "00400000-00a1b000 r-xp 00000000 fe:00 1234                       /opt/weft/weft-proxy", 0x400000, 0xa1b000, true},
		{"constants", "00a1b000-010bf000 r--p 0061b000 fe:00 1234                       /opt/weft/weft-proxy", 0xa1b000, 0x10bf000, true},
		{"variables", "010bf000-01121000 rw-p 00cbf000 fe:00 1234                       /opt/weft/weft-proxy", 0, 0, false},
		{"another file", "7f0000000000-7f0000001000 r-xp 00000000 fe:00 99                 /lib/libc.so.6", 0, 0, false},
		{"a deleted file of that name", "00400000-00a1b000 r-xp 00000000 fe:00 1 /opt/weft/weft-proxy (deleted)", 0, 0, false},
		{"no file", "c000000000-c000400000 rw-p 00000000 00:00 0", 0, 0, false},
		{"the wrong way round", "00a1b000-00400000 r-xp 00000000 fe:00 1234 /opt/weft/weft-proxy", 0, 0, false},
		{"not hexadecimal", "004000zz-00a1b000 r-xp 00000000 fe:00 1234 /opt/weft/weft-proxy", 0, 0, false},
		{"too large", "11111111111111111-22222222222222222 r-xp 00000000 fe:00 1234 /opt/weft/weft-proxy", 0, 0, false},
		{"nothing", "", 0, 0, false},
	} {
		from, to, ok := fileMapping(tc.line, exe)
		if ok != tc.want || ok && (from != tc.from || to != tc.to) {
			t.Errorf("%s: %#x to %#x, %v", tc.name, from, to, ok)
		}
	}
}

func TestRelocatedProgramsKeepTheirPages(t *testing.T) {
	build := func(mode, cgo string) *debug.BuildInfo {
		return &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "-buildmode", Value: mode}, {Key: "CGO_ENABLED", Value: cgo}}}
	}
	for _, tc := range []struct {
		info *debug.BuildInfo
		want bool
	}{
		{build("exe", "0"), true}, {build("exe", "1"), false}, {build("pie", "0"), false}, {&debug.BuildInfo{}, false},
	} {
		if got := unrelocated(tc.info); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.info.Settings, got, tc.want)
		}
	}
}
