package shop

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Rating is the answer of GET /ratings/SKU.
type Rating struct {
	SKU     string  `json:"sku"`
	Stars   float64 `json:"stars"`
	Version string  `json:"version"`
}

// broken are the products for which ratings v2 fails: the demo's planted fault. v2 expects all
// reviews to have a language, and those that were written before it was asked for have none.
// 3 of 10 products, so about 30 % of v2's requests.
var broken = map[string]bool{"tea": true, "pot": true, "book": true}

// newRatings serves ratings in the old or in the new, faulty version.
func newRatings(version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ratings/{sku}", func(w http.ResponseWriter, r *http.Request) {
		sku := r.PathValue("sku")
		if _, err := find(sku); err != nil {
			http.Error(w, "no such product", http.StatusNotFound)
			return
		}
		if version == "v2" && broken[sku] {
			http.Error(w, fmt.Sprintf("ratings v2: reviews of %q have no language (written before 2024); v2 cannot read them", sku), http.StatusInternalServerError)
			return
		}
		writeJSON(w, http.StatusOK, Rating{SKU: sku, Stars: 3.5 + float64(len(sku)%3)/2, Version: version})
	})
	return mux
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client went away; nobody is left to be told
}
