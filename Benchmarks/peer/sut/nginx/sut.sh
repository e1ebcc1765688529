#!/bin/bash
# nginx in the client pod, one hop and no TLS: what a proxy costs that does much less. start VARIANT WORKERS
#  stream  TCP proxy (needs libnginx-mod-stream)     http  HTTP/1.1 proxy with keep-alive to the server
# Static listeners on the pod's loopback address, no capture.
. "$(dirname "$0")/../../lib/sutlib.sh"
configuration() { # variant workers
  local module; module=$(ls /usr/lib/nginx/modules/ngx_stream_module.so /usr/lib64/nginx/modules/ngx_stream_module.so 2>/dev/null | head -n 1)
  echo "worker_processes $2; worker_rlimit_nofile 200000; daemon off; pid $PB_RUN/nginx.pid; error_log stderr warn;"
  [ "$1" != stream ] || [ -z "$module" ] || echo "load_module $module;"
  echo "events { worker_connections 60000; }"
  if [ "$1" = stream ]; then
    echo "stream { proxy_buffer_size 128k; proxy_half_close on; access_log off;"
    for port in $PB_PORT_HTTP $PB_PORT_SINK $PB_PORT_SOURCE; do
      echo "server { listen 127.0.0.1:$((port + 10000)) reuseport backlog=65535; proxy_pass $PB_IP_SERVER:$port; }"
    done
    echo "}"
  else
    cat <<CONF
http { access_log off; keepalive_requests 100000000;
  client_body_temp_path $PB_RUN/ng1; proxy_temp_path $PB_RUN/ng2; fastcgi_temp_path $PB_RUN/ng3;
  uwsgi_temp_path $PB_RUN/ng4; scgi_temp_path $PB_RUN/ng5;
  upstream u { server $PB_IP_SERVER:$PB_PORT_HTTP; keepalive 1024; keepalive_requests 100000000; }
  server { listen 127.0.0.1:$((PB_PORT_HTTP + 10000)) reuseport backlog=65535;
    location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
CONF
  fi
}
case $1 in
start)
  V=${2:-http}; reset_run; configuration "$V" "${3:-1}" > "$PB_RUN/nginx.conf"
  launch node1 "$PB_NS_CLIENT" nginx -c "$PB_RUN/nginx.conf" -e stderr
  target http 127.0.0.1:$((PB_PORT_HTTP + 10000))
  [ "$V" != stream ] || { target sink 127.0.0.1:$((PB_PORT_SINK + 10000)); target source 127.0.0.1:$((PB_PORT_SOURCE + 10000)); };;
stop) stop_all;;
esac
