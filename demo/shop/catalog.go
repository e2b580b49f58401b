package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/weft-mesh/weft/demo/pb"
)

// catalog implements the gRPC service.
type catalog struct {
	pb.UnimplementedCatalogServer
}

// serveCatalog serves gRPC until ctx ends.
func serveCatalog(ctx context.Context, l net.Listener) error {
	s := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 2 * time.Minute}))
	pb.RegisterCatalogServer(s, catalog{})
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }() // ends by GracefulStop or Stop below
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	cut := time.AfterFunc(drainTime, s.Stop)
	s.GracefulStop()
	cut.Stop()
	return <-failed
}

func find(sku string) (product, error) {
	for _, p := range products {
		if p.sku == sku {
			return p, nil
		}
	}
	return product{}, status.Errorf(codes.NotFound, "no product %q", sku)
}

// Get gives one product.
func (catalog) Get(_ context.Context, r *pb.GetRequest) (*pb.Product, error) {
	p, err := find(r.GetSku())
	if err != nil {
		return nil, err
	}
	return &pb.Product{Sku: p.sku, Title: p.title, Cents: p.cents}, nil
}

// List streams all products.
func (catalog) List(_ *pb.ListRequest, out grpc.ServerStreamingServer[pb.Product]) error {
	for _, p := range products {
		if err := out.Send(&pb.Product{Sku: p.sku, Title: p.title, Cents: p.cents}); err != nil {
			return err
		}
	}
	return nil
}

// Quote prices lines as they come.
func (catalog) Quote(s grpc.BidiStreamingServer[pb.QuoteLine, pb.QuotedLine]) error {
	for {
		line, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := find(line.GetSku())
		if err != nil {
			return err
		}
		if err := s.Send(&pb.QuotedLine{Sku: p.sku, Cents: p.cents * int64(line.GetCount())}); err != nil {
			return err
		}
	}
}

// list collects the stream of all products.
func list(ctx context.Context, c pb.CatalogClient) ([]*pb.Product, error) {
	stream, err := c.List(ctx, &pb.ListRequest{})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	var out []*pb.Product
	for {
		p, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("catalog: %w", err)
		}
		out = append(out, p)
	}
}

// quote sends line after line, each only when the one before was answered: a mesh that buffered
// either direction would hang it.
func quote(ctx context.Context, c pb.CatalogClient, skus []string) (cents int64, err error) {
	stream, err := c.Quote(ctx)
	if err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	for _, sku := range skus {
		// After io.EOF from Send, Recv has the reason.
		if err := stream.Send(&pb.QuoteLine{Sku: sku, Count: 1}); err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("catalog: %w", err)
		}
		line, err := stream.Recv()
		if err != nil {
			return 0, fmt.Errorf("catalog: %w", err)
		}
		cents += line.GetCents()
	}
	if err := stream.CloseSend(); err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("catalog: the stream did not end: %w", err)
	}
	return cents, nil
}
