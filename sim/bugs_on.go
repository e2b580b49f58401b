//go:build plantedbugs

package main

import (
	"fmt"
	"io"

	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/sim/bugs"
)

// findBugs plants each bug and looks for a life that shows it.
func findBugs(out io.Writer, first uint64, n, cores int, only string) int {
	missed := 0
	fmt.Fprintf(out, "%-20s %6s  %-4s %s\n", "bug", "seed", "by", "what")
	for _, b := range bugs.All {
		if only != "" && b.Name != only {
			continue
		}
		f, found := bugs.Find(b, first, n, cores)
		if !found {
			missed++
			fmt.Fprintf(out, "%-20s %6s  %-4s %s\n", b.Name, "-", "-", "NOT FOUND: "+b.What)
			continue
		}
		fmt.Fprintf(out, "%-20s %6d  %-4s %s\n", b.Name, f.Seed, f.By, b.What)
	}
	if missed > 0 {
		fmt.Fprintf(out, "%d bugs were not found within %d seeds\n", missed, n)
		return 1
	}
	return 0
}

// plant plants one for a single life.
func plant(out io.Writer, name string) bool {
	for _, b := range bugs.All {
		if b.Name == name {
			planted.Plant(b.Bug)
			return true
		}
	}
	fmt.Fprintf(out, "there is no bug %q\n", name)
	return false
}
