package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// smallBody is the small answer: 65 bytes, as much as a tiny JSON object.
var smallBody = strings.Repeat("weft ", smallBytes/5)

// nginxConfig is the HTTP backend: one process, no logs, everything from memory, connections that
// are never closed. /small is a constant, /64k a file in dir that stays in the page cache.
func nginxConfig(dir string) string {
	return fmt.Sprintf(`daemon off;
master_process off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  open_file_cache max=16;
  open_file_cache_valid 1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  default_type application/octet-stream;
  server {
    listen %[2]d;
    listen %[3]d http2;
    location = /small { return 200 "%[4]s"; }
    location = /64k { root %[1]s; }
  }
}
`, filepath.Clean(dir), portH1, portH2, smallBody)
}
