package gateway

// HTTPRouteFilter is one filter; the field named like its type is set.
type HTTPRouteFilter struct {
	// Type says which filter this is.
	Type string `json:"type" rule:"required,enum=RequestHeaderModifier|ResponseHeaderModifier|RequestMirror|RequestRedirect|URLRewrite|CORS|ExternalAuth|ExtensionRef"`
	// RequestHeaderModifier changes the header of requests.
	RequestHeaderModifier *HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// ResponseHeaderModifier changes the header of responses.
	ResponseHeaderModifier *HTTPHeaderFilter `json:"responseHeaderModifier,omitempty"`
	// RequestMirror sends a copy of requests elsewhere and drops the response.
	RequestMirror *HTTPRequestMirrorFilter `json:"requestMirror,omitempty"`
	// RequestRedirect answers with a redirect.
	RequestRedirect *HTTPRequestRedirectFilter `json:"requestRedirect,omitempty"`
	// URLRewrite changes host and path of what is forwarded.
	URLRewrite *HTTPURLRewriteFilter `json:"urlRewrite,omitempty"`
	// CORS answers preflights and marks responses for browsers.
	CORS *HTTPCORSFilter `json:"cors,omitempty"`
	// ExternalAuth is not carried out by weft yet; a route with it is not accepted.
	ExternalAuth *HTTPExternalAuthFilter `json:"externalAuth,omitempty"`
	// ExtensionRef is not carried out by weft; a route with it is not accepted.
	ExtensionRef *LocalObjectReference `json:"extensionRef,omitempty"`
}

// HTTPHeader is a header field to write.
type HTTPHeader struct {
	// Name of the field; case does not matter.
	Name string `json:"name" rule:"required,format=header-name"`
	// Value of the field.
	Value string `json:"value" rule:"required,format=header-value,minLen=1,maxLen=4096"`
}

// HTTPHeaderFilter changes a header: set, then add, then remove.
type HTTPHeaderFilter struct {
	// Set overwrites fields.
	Set []HTTPHeader `json:"set,omitempty" rule:"maxItems=16,uniqueKey=name"`
	// Add appends fields.
	Add []HTTPHeader `json:"add,omitempty" rule:"maxItems=16,uniqueKey=name"`
	// Remove takes fields out.
	Remove []string `json:"remove,omitempty" rule:"maxItems=16,unique,format=header-name"`
}

// HTTPPathModifier replaces the path or its matched prefix.
type HTTPPathModifier struct {
	// Type says which.
	Type string `json:"type" rule:"required,enum=ReplaceFullPath|ReplacePrefixMatch"`
	// ReplaceFullPath is the new path.
	ReplaceFullPath *string `json:"replaceFullPath,omitempty" rule:"maxLen=1024"`
	// ReplacePrefixMatch is the new prefix in place of the matched one.
	ReplacePrefixMatch *string `json:"replacePrefixMatch,omitempty" rule:"maxLen=1024"`
}

// HTTPRequestRedirectFilter answers with a redirect.
type HTTPRequestRedirectFilter struct {
	// Scheme of the new URL; the request's if not given.
	Scheme string `json:"scheme,omitempty" rule:"enum=http|https"`
	// Hostname of the new URL; the request's if not given.
	Hostname string `json:"hostname,omitempty" rule:"format=precise-hostname"`
	// Path changes the path.
	Path *HTTPPathModifier `json:"path,omitempty"`
	// Port of the new URL; if not given, the scheme's own, or the request's.
	Port *int32 `json:"port,omitempty" rule:"min=1,max=65535"`
	// StatusCode of the answer.
	StatusCode int32 `json:"statusCode,omitempty" rule:"enum=301|302|303|307|308,default=302"`
}

// HTTPURLRewriteFilter changes what is forwarded.
type HTTPURLRewriteFilter struct {
	// Hostname is the new host.
	Hostname string `json:"hostname,omitempty" rule:"format=precise-hostname"`
	// Path changes the path.
	Path *HTTPPathModifier `json:"path,omitempty"`
}

// HTTPRequestMirrorFilter sends a copy elsewhere.
type HTTPRequestMirrorFilter struct {
	// BackendRef is where copies go.
	BackendRef BackendObjectReference `json:"backendRef" rule:"required"`
	// Percent of requests that are copied; all if neither it nor fraction is given.
	Percent *int32 `json:"percent,omitempty" rule:"min=0,max=100"`
	// Fraction of requests that are copied.
	Fraction *Fraction `json:"fraction,omitempty"`
}

// HTTPCORSFilter tells browsers which origins may read responses.
type HTTPCORSFilter struct {
	// AllowOrigins are the origins, SCHEME://HOST[:PORT]; "*" in the host matches any labels to
	// the left, "*" alone any origin.
	AllowOrigins []string `json:"allowOrigins,omitempty" rule:"maxItems=64,unique,format=cors-origin"`
	// AllowCredentials lets browsers send cookies and the like.
	AllowCredentials *bool `json:"allowCredentials,omitempty"`
	// AllowMethods are the methods; "*" alone means all.
	AllowMethods []string `json:"allowMethods,omitempty" rule:"maxItems=9,unique,enum=GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|*"`
	// AllowHeaders are the request fields that scripts may set; "*" alone means all.
	AllowHeaders []string `json:"allowHeaders,omitempty" rule:"maxItems=64,unique,format=header-name"`
	// ExposeHeaders are the response fields that scripts may read.
	ExposeHeaders []string `json:"exposeHeaders,omitempty" rule:"maxItems=64,unique,format=header-name"`
	// MaxAge is how many seconds a browser may keep the answer to a preflight.
	MaxAge int32 `json:"maxAge,omitempty" rule:"min=1,default=5"`
}

// HTTPExternalAuthFilter asks another service whether a request may pass.
type HTTPExternalAuthFilter struct {
	// Protocol spoken with that service.
	Protocol string `json:"protocol" rule:"required,enum=HTTP|GRPC"`
	// BackendRef is that service.
	BackendRef BackendObjectReference `json:"backendRef" rule:"required"`
	// GRPC refines the question.
	GRPC *GRPCAuthConfig `json:"grpc,omitempty"`
	// HTTP refines the question.
	HTTP *HTTPAuthConfig `json:"http,omitempty"`
	// ForwardBody sends the body along.
	ForwardBody *ForwardBodyConfig `json:"forwardBody,omitempty"`
}

// GRPCAuthConfig refines external authorization over gRPC.
type GRPCAuthConfig struct {
	// AllowedHeaders are sent along.
	AllowedHeaders []string `json:"allowedHeaders,omitempty" rule:"maxItems=64,unique"`
}

// HTTPAuthConfig refines external authorization over HTTP.
type HTTPAuthConfig struct {
	// Path is put before the request's path.
	Path string `json:"path,omitempty" rule:"maxLen=1024"`
	// AllowedHeaders are sent along.
	AllowedHeaders []string `json:"allowedHeaders,omitempty" rule:"maxItems=64,unique"`
	// AllowedResponseHeaders are copied from the answer.
	AllowedResponseHeaders []string `json:"allowedResponseHeaders,omitempty" rule:"maxItems=64,unique"`
}

// ForwardBodyConfig sends the body along.
type ForwardBodyConfig struct {
	// MaxSize in bytes.
	MaxSize int32 `json:"maxSize,omitempty" rule:"min=0,max=65535"`
}
