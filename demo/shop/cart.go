package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Item is a line of a cart.
type Item struct {
	SKU   string `json:"sku"`
	Count int    `json:"count"`
}

// maxCarts and maxItems bound what the demo keeps; the oldest cart is dropped.
const (
	maxCarts = 1000
	maxItems = 50
)

// cart keeps carts in memory. mu guards carts and order.
type cart struct {
	stockAddr string

	mu    sync.Mutex
	carts map[string][]Item
	order []string
}

// newCart serves POST /carts/ID/items, GET /carts/ID and POST /carts/ID/checkout.
func newCart(getenv func(string) string) (http.Handler, error) {
	u, err := locate(getenv, "stock")
	if err != nil {
		return nil, err
	}
	c := &cart{stockAddr: u.Host, carts: map[string][]Item{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /carts/{id}/items", c.add)
	mux.HandleFunc("GET /carts/{id}", c.show)
	mux.HandleFunc("POST /carts/{id}/checkout", c.checkout)
	return mux, nil
}

func (c *cart) add(w http.ResponseWriter, r *http.Request) {
	var it Item
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&it); err != nil || it.Count < 1 || it.Count > 100 {
		http.Error(w, "want {\"sku\": …, \"count\": 1..100}", http.StatusBadRequest)
		return
	}
	if _, err := find(it.SKU); err != nil {
		http.Error(w, "no such product", http.StatusNotFound)
		return
	}
	id := r.PathValue("id")
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.carts[id]; !known {
		if len(c.order) == maxCarts {
			delete(c.carts, c.order[0])
			c.order = c.order[1:]
		}
		c.order = append(c.order, id)
	}
	if len(c.carts[id]) >= maxItems {
		http.Error(w, "the cart is full", http.StatusConflict)
		return
	}
	c.carts[id] = append(c.carts[id], it)
	writeJSON(w, http.StatusCreated, it)
}

func (c *cart) show(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	items := append([]Item{}, c.carts[r.PathValue("id")]...)
	c.mu.Unlock()
	writeJSON(w, http.StatusOK, items)
}

// checkout reserves everything at the stock service and empties the cart.
func (c *cart) checkout(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c.mu.Lock()
	items := c.carts[id]
	if items != nil {
		c.carts[id] = []Item{}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	for _, it := range items {
		if err := reserve(ctx, c.stockAddr, it.SKU, it.Count); err != nil {
			http.Error(w, fmt.Sprintf("checkout: %v", err), http.StatusBadGateway)
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]int{"reserved": len(items)})
}
