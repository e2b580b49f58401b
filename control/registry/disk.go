package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model/wire"
)

const fileName = "registry.json"

// Storage is where the registry keeps its file; state.Dir is one.
type Storage interface {
	Read(name string) ([]byte, error) // nil without an error if there is no such file
	Write(name string, data []byte) error
	Path() string
}

// disk reads and writes the file: {"registrations": [...]}, sorted by name.
type disk struct{ dir Storage }

type fileFormat struct {
	Registrations []json.RawMessage `json:"registrations"`
}

func (d disk) write(all []*pb.Registration) error {
	slices.SortFunc(all, func(a, b *pb.Registration) int {
		return strings.Compare(wire.ToName(a.GetName()).String(), wire.ToName(b.GetName()).String())
	})
	f := fileFormat{Registrations: []json.RawMessage{}}
	for _, m := range all {
		text, err := protojson.Marshal(m)
		if err != nil {
			return fmt.Errorf("encoding a registration: %w", err)
		}
		f.Registrations = append(f.Registrations, text)
	}
	text, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("encoding registrations: %w", err)
	}
	return d.dir.Write(fileName, text)
}

// read gives what is in the file. A damaged file is a coded error; it holds nothing that does not
// come back by itself, so the message says how to go on.
func (d disk) read() ([]*pb.Registration, error) {
	text, err := d.dir.Read(fileName)
	if err != nil || text == nil {
		return nil, err
	}
	fail := func(err error) ([]*pb.Registration, error) {
		e := codes.New("W2002", "the file of registrations cannot be read")
		e.Why, e.Where, e.Err = err.Error(), d.dir.Path()+"/"+fileName, err
		e.Next = []string{"rm " + d.dir.Path() + "/" + fileName + "   (workloads register again within seconds)"}
		return nil, e
	}
	var f fileFormat
	if err := json.Unmarshal(text, &f); err != nil {
		return fail(err)
	}
	var out []*pb.Registration
	for _, raw := range f.Registrations {
		m := &pb.Registration{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, m); err != nil {
			return fail(err)
		}
		out = append(out, m)
	}
	return out, nil
}
