// Package cli is the command line of weft: one file a verb. A verb parses its flags, asks
// (cli/mesh), calls (control, join, demo) and shows (cli/render); what it shows is decided
// elsewhere.
//
// What holds for all verbs, and a test walks the tree for it: an example that runs, the common
// -o for every verb that reads, the exit codes of exit.go, coded errors on stderr, and no color
// or cursor movement unless standard output is a terminal that wants it.
package cli
