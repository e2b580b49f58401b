//go:build plantedbugs

package planted

// Possible tells whether bugs can be planted in this build.
const Possible = true

var present Bug

// On reports whether a bug is planted at present.
func On(b Bug) bool { return b == present }

// Plant makes b the one planted bug; None removes it. Nothing of the mesh may run meanwhile.
func Plant(b Bug) { present = b }
