package decode

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rule is what a field must satisfy, read from its rule tag: words separated by commas.
//
//	required            it must be written
//	default=V           its value if it is not written
//	assume=V            what holds if it is not written, here or in what lies below; the field stays empty
//	enum=A|B            the values it may have
//	min=N, max=N        the range of a number
//	minDuration=D, maxDuration=D
//	                    the range of a duration
//	minLen=N, maxLen=N  the length of a string, in bytes
//	minItems, maxItems  the length of a list
//	format=F            the form of a string (see formats)
//	keyFormat=F         the form of a map's keys
//	unique              no value of the list occurs twice
//	uniqueKey=F         no two items of the list have the same field F, without case
//
// On a list, enum, min, max, minLen, maxLen and format speak of the items; on a map, of the values.
type Rule struct {
	Required        bool
	Default, Assume *string
	Enum            []string
	Min, Max        *int64
	// MinDuration and MaxDuration; 0: no bound.
	MinDuration, MaxDuration time.Duration
	MinLen, MaxLen           int // 0: no bound
	MinItems, MaxItems       int // 0: no bound
	Format, KeyFormat        string
	Unique                   bool
	UniqueKey                string
}

// Field is one field of a struct as users write it; fields of embedded structs count as the
// outer's own.
type Field struct {
	Name  string // in YAML
	Index []int  // for reflect.Value.FieldByIndex
	Type  reflect.Type
	Rule  Rule
	// Go is the struct and field that declare it, for documentation.
	Owner reflect.Type
	Go    string
}

var fieldCache sync.Map // reflect.Type -> []Field

// FieldsOf lists the fields of a struct type in the order of declaration. A malformed tag is a
// programming error and panics; a test visits all types.
func FieldsOf(t reflect.Type) []Field {
	if got, ok := fieldCache.Load(t); ok {
		return got.([]Field)
	}
	var out []Field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, inner := range FieldsOf(f.Type) {
				inner.Index = append([]int{i}, inner.Index...)
				out = append(out, inner)
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out = append(out, Field{Name: name, Index: []int{i}, Type: f.Type, Rule: parseRule(f.Tag.Get("rule")), Owner: t, Go: f.Name})
	}
	fieldCache.Store(t, out)
	return out
}

func parseRule(tag string) (r Rule) {
	if tag == "" {
		return r
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			panic("decode: malformed rule tag " + tag)
		}
		return n
	}
	duration := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		if err != nil {
			panic("decode: malformed rule tag " + tag)
		}
		return d
	}
	for word := range strings.SplitSeq(tag, ",") {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "required":
			r.Required = true
		case "default":
			r.Default = &value
		case "assume":
			r.Assume = &value
		case "minDuration":
			r.MinDuration = duration(value)
		case "maxDuration":
			r.MaxDuration = duration(value)
		case "enum":
			r.Enum = strings.Split(value, "|")
		case "min":
			n := number(value)
			r.Min = &n
		case "max":
			n := number(value)
			r.Max = &n
		case "minLen":
			r.MinLen = int(number(value))
		case "maxLen":
			r.MaxLen = int(number(value))
		case "minItems":
			r.MinItems = int(number(value))
		case "maxItems":
			r.MaxItems = int(number(value))
		case "format":
			r.Format = value
		case "keyFormat":
			r.KeyFormat = value
		case "unique":
			r.Unique = true
		case "uniqueKey":
			r.UniqueKey = value
		default:
			panic("decode: unknown word " + key + " in rule tag " + tag)
		}
		if f := r.Format + r.KeyFormat; (key == "format" || key == "keyFormat") && Formats[value].Means == "" {
			panic("decode: unknown format in rule tag " + f)
		}
	}
	return r
}
