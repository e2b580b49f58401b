// Package version knows which build this is.
package version

import "runtime/debug"

// Release is the version of a released binary, set by the linker; empty in other builds.
var Release string

// String gives the release, or what the compiler noted of the source.
func String() string {
	if Release != "" {
		return Release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
