package rig

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// Find looks for a program in PATH, and at a place that is often not in it.
func Find(name, at string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	return exec.LookPath(at)
}

// FirstLine gives the first line that a program prints, for the record; empty if it fails.
func FirstLine(ctx context.Context, path string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.Join(strings.Fields(line), " ")
}
