package generate

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Docs are the doc comments of struct types and their fields, by "package.Type" and
// "package.Type.Field", the package by its name.
type Docs map[string]string

// ReadDocs parses the Go files of the given directories.
func ReadDocs(dirs ...string) (Docs, error) {
	docs := Docs{}
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", dir, err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, f.Name()), nil, parser.ParseComments)
			if err != nil {
				return nil, fmt.Errorf("parsing: %w", err)
			}
			docs.file(file)
		}
	}
	return docs, nil
}

func (d Docs) file(f *ast.File) {
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			name := f.Name.Name + "." + ts.Name.Name
			d[name] = oneLine(gen.Doc.Text())
			for _, field := range st.Fields.List {
				for _, n := range field.Names {
					d[name+"."+n.Name] = oneLine(field.Doc.Text())
				}
			}
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Of gives the comment of a type or of one of its fields.
func (d Docs) Of(t reflect.Type, field string) string {
	name := t.String()
	if field != "" {
		name += "." + field
	}
	return d[name]
}
