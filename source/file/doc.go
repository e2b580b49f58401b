// Package file reads the configuration from a directory of YAML files and follows its changes.
//
// It owns which files count (all *.yaml and *.yml below the directory, nothing that begins with a
// dot), when a change is complete, and what stays in force when a file breaks: the last good
// version of each object. It never interprets objects; package decode does the reading and
// control/compile gives them meaning.
package file
