// Package schema publishes JSON Schemas (draft 2020-12) of what users write, for editors and other
// tools. One file for each kind, and weft.json, which chooses by apiVersion and kind.
//
// The files are generated from the structs of api/k8s, api/gateway and api/weft, their tags and
// their doc comments; the test in this folder holds them up to date:
//
//	go test ./api/schema -update
//
// A schema is a first help while typing. Rules that span fields or objects are beyond it; `weft
// check DIR` knows them all.
package schema

import "embed"

// FS holds the schemas: weft.json and KIND.json for each kind in lower case.
//
//go:embed *.json
var FS embed.FS
