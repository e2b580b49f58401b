package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weft-mesh/weft/demo/pb"
)

// web is the front of the shop.
type web struct {
	catalog       pb.CatalogClient
	cart, ratings *url.URL
	http          *http.Client
}

// newWeb serves the shop's pages; done ends its connections to the others.
func newWeb(getenv func(string) string) (h http.Handler, done func(), err error) {
	w := &web{http: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(), Timeout: 5 * time.Second}}
	if w.cart, err = locate(getenv, "cart"); err != nil {
		return nil, nil, err
	}
	if w.ratings, err = locate(getenv, "ratings"); err != nil {
		return nil, nil, err
	}
	at, err := locate(getenv, "catalog")
	if err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+at.Host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, fmt.Errorf("catalog: %w", err)
	}
	w.catalog = pb.NewCatalogClient(conn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.index)
	mux.HandleFunc("GET /products/{sku}", w.product)
	mux.HandleFunc("GET /quote", w.quote)
	mux.HandleFunc("POST /cart/{id}/items", w.toCart)
	mux.HandleFunc("POST /cart/{id}/checkout", w.toCart)
	done = func() {
		_ = conn.Close()
		w.http.CloseIdleConnections()
	}
	return mux, done, nil
}

var page = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tea and more</title>
<h1>Tea and more</h1>
<ul>{{range .}}
<li><a href="/products/{{.Sku}}">{{.Title}}</a></li>{{end}}
</ul></html>
`))

// index lists the products (gRPC server streaming).
func (w *web) index(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	all, err := list(ctx, w.catalog)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	var b bytes.Buffer
	if err := page.Execute(&b, all); err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = rw.Write(b.Bytes()) // the client went away
}

// product shows one product with its rating. A shop still sells when ratings fail: the page says
// that there is none.
func (w *web) product(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	p, err := w.catalog.Get(ctx, &pb.GetRequest{Sku: r.PathValue("sku")})
	if err != nil {
		http.Error(rw, "catalog: "+err.Error(), http.StatusBadGateway)
		return
	}
	answer := map[string]any{"sku": p.GetSku(), "title": p.GetTitle(), "cents": p.GetCents()}
	if rating, err := w.rating(ctx, p.GetSku()); err != nil {
		answer["rating"] = "not available"
	} else {
		answer["rating"] = rating
	}
	writeJSON(rw, http.StatusOK, answer)
}

func (w *web) rating(ctx context.Context, sku string) (*Rating, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.ratings.JoinPath("ratings", sku).String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := w.http.Do(req) //nolint:bodyclose // drain closes it
	if err != nil {
		return nil, err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ratings: %s", resp.Status)
	}
	var out Rating
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&out); err != nil {
		return nil, fmt.Errorf("ratings: %w", err)
	}
	return &out, nil
}

// quote prices some products (gRPC, bidirectional), as in /quote?sku=tea&sku=mug.
func (w *web) quote(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	skus := r.URL.Query()["sku"]
	if len(skus) > maxItems {
		http.Error(rw, "too many products", http.StatusBadRequest)
		return
	}
	cents, err := quote(ctx, w.catalog, skus)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	writeJSON(rw, http.StatusOK, map[string]int64{"cents": cents})
}

// toCart hands a request on to the cart.
func (w *web) toCart(rw http.ResponseWriter, r *http.Request) {
	to := w.cart.JoinPath("carts", r.PathValue("id"), r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	req, err := http.NewRequestWithContext(r.Context(), r.Method, to.String(), http.MaxBytesReader(rw, r.Body, 4096))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	req.ContentLength = r.ContentLength
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	resp, err := w.http.Do(req) //nolint:bodyclose // drain closes it
	if err != nil {
		http.Error(rw, "cart: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer drain(resp.Body)
	rw.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	rw.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(rw, io.LimitReader(resp.Body, 1<<16)) // the client went away
}

// drain reads what is left, so that the connection is used again, and closes.
func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 1<<16))
	_ = body.Close()
}
