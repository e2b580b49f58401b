package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// maxReleases bounds how many files are read.
const maxReleases = 10_000

// versionName is what may stand in a file's name.
var versionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)

// save writes a release to its file, in place of one of the same day and version, and gives the
// file's name.
func save(dir string, r *Release) (string, error) {
	if !versionName.MatchString(r.Version) {
		return "", fmt.Errorf("version %q cannot be a file's name: letters, digits, dots, plus and minus, at most 64", r.Version)
	}
	b, err := r.text()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(dir, r.Time.Format("2006-01-02")+"-"+r.Version+".json")
	return name, writeFile(name, b)
}

// writeFile writes beside the file and renames, so that what was there is whole or replaced.
func writeFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".history-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// load reads all releases of a directory, oldest first.
func load(dir string) ([]Release, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) > maxReleases {
		return nil, fmt.Errorf("%d releases in %s, more than the %d that are read", len(files), dir, maxReleases)
	}
	out := make([]Release, 0, len(files))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var r Release
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Release) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Version, b.Version))
	})
	return out, nil
}
