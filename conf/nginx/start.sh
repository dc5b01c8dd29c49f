#!/bin/sh
# Write nginx' configuration from environment variables, test it, and run nginx.
#
#   start.sh [DIRECTORY]            DIRECTORY is nginx' prefix: it writes files only there. The default is /tmp.
#   start.sh --render [DIRECTORY]   only write DIRECTORY/nginx.conf
#
# docs/operations.md describes the variables. These are for use without compose.yaml (with their defaults):
#   UPSTREAM            the address of the service (api:8000). nginx looks a name up again and again, by the first server in
#                       /etc/resolv.conf
#   UPSTREAM_KEEPALIVE  the number of idle connections to the service that each nginx worker keeps (256)
#   LISTEN              the port, or the address and the port (8080)
#   LISTEN_TLS          the same for HTTPS (8443)
#   TLS_DIRECTORY       the directory of the certificate and its key (/mnt/tls)
#   TLS_SHOWN_AS        the name of that directory in error messages (conf/tls)
#   NGINX_VERSION       the version of nginx that reads the configuration (the version of the installed nginx)
set -eu
trap 'exit 0' INT QUIT TERM # in a container this is process 1: without a trap the kernel ignores these signals

here=$(dirname "$0")
BODY_FILES=503316480 # the most bytes of all bodies in files: 480 MiB of the tmpfs of 512 MiB in compose.yaml

fail() {
    echo "$1" >&2
    exit 1
}

# setting NAME DEFAULT PATTERN SENTENCE: if the variable is empty, set the default. If its value does not match the
# pattern (an extended regular expression), end with the sentence.
setting() {
    eval "value=\${$1:-\$2}"
    if [ -n "$value" ]; then
        printf %s "$value" | tr '\n' '\1' | grep -Eqx -e "$3" || fail "$1: $4"
    fi
    eval "$1=\$value"
}

# is_at_least MAJOR MINOR PATCH: succeed if nginx has this version or a newer one.
is_at_least() {
    echo "$NGINX_VERSION $1.$2.$3" | tr '.' ' ' |
        awk '{ exit ($1 * 1000000 + $2 * 1000 + $3 < $4 * 1000000 + $5 * 1000 + $6) }'
}

read_settings() {
    number='[1-9][0-9]{0,8}'
    setting MAX_BODY_BYTES 16777216 "$number" "It must be a number of bytes, such as 16777216."
    [ "$MAX_BODY_BYTES" -le $BODY_FILES ] || fail "MAX_BODY_BYTES: It must be at most $BODY_FILES, so that a body fits in nginx' tmpfs."
    setting REQUEST_SECONDS 25 '[1-9][0-9]{0,2}' "It must be a number of seconds below 1000, such as 25."
    setting AIP_HEALTH_ROUTE '' '(/[A-Za-z0-9._~:@-]+)+' "It must be a path, such as /health."
    setting RATE_LIMIT '' '[1-9][0-9]{0,5}/[sm]' "It must be a number of requests a second or a minute, such as 100/s or 30/m."
    setting CONNECTIONS_PER_ADDRESS '' '[1-9][0-9]{0,3}' "It must be a number of connections below 10000, such as 20."
    setting TRUSTED_PROXIES '' '[0-9a-fA-F:.]+(/[0-9]{1,3})?([ ,]+[0-9a-fA-F:.]+(/[0-9]{1,3})?)*' \
        "It must be addresses or networks, such as 10.0.0.0/8, 192.168.1.1."
    origin='https?://[a-z0-9.-]+(:[0-9]{1,5})?'
    setting CORS_ORIGINS '' "[*]|$origin([ ,]+$origin)*" \
        "It must be * or origins in lower case, such as https://app.example.com, http://localhost:3000."
    setting UPSTREAM api:8000 '[A-Za-z0-9._-]+:[0-9]{1,5}|unix:/[A-Za-z0-9._/-]+' \
        "It must be a host and a port, or a socket, such as api:8000 or unix:/run/serving/api.sock."
    setting UPSTREAM_KEEPALIVE 256 '[0-9]{1,4}' "It must be a number of connections, such as 256."
    setting NGINX_VERSION "$(nginx -v 2>&1 | sed 's|.*nginx/\([0-9.]*\).*|\1|')" '[0-9]+[.][0-9]+[.][0-9]+' \
        "It must be a version, such as 1.30.0, or nginx must be installed."
    setting TLS '' 1 "It must be 1, or nothing."
    setting HTTPS_PORT 443 '[0-9]{1,5}' "It must be a port, such as 8443."
    setting HSTS_SECONDS '' '[0-9]{1,9}' "It must be a number of seconds, such as 31536000."
    setting TLS_DIRECTORY /mnt/tls '/[A-Za-z0-9._/-]+' "It must be the path of a directory."
    setting TLS_SHOWN_AS conf/tls '.+' "It must be the path of a directory."
    setting LISTEN_TLS 8443 '([0-9.]+:)?[0-9]{1,5}' "It must be a port, or an address and a port, such as 127.0.0.1:8443."
    setting LISTEN 8080 '([0-9.]+:)?[0-9]{1,5}' "It must be a port, or an address and a port, such as 127.0.0.1:8080."
}

# derive: compute the variables that follow from the settings.
derive() {
    SHUTDOWN_SECONDS=$((REQUEST_SECONDS + 15))
    BODIES_IN_FILES=$((BODY_FILES / MAX_BODY_BYTES))
    [ "$BODIES_IN_FILES" -le 128 ] || BODIES_IN_FILES=128
    PROBES="healthz|readyz|ping|v2/health/live|v2/health/ready"
    [ -z "$AIP_HEALTH_ROUTE" ] || PROBES="$PROBES|$(printf %s "${AIP_HEALTH_ROUTE#/}" | sed 's/[.]/\\./g')"
    SET_REAL_IP_FROM=
    for proxy in $(echo "$TRUSTED_PROXIES" | tr , ' '); do
        SET_REAL_IP_FROM="$SET_REAL_IP_FROM set_real_ip_from $proxy;"
    done
    derive_tls
    derive_origins
    derive_rate
    [ "$UPSTREAM_KEEPALIVE" != 0 ] || UPSTREAM_KEEPALIVE=
    RESOLVER=
    case $UPSTREAM in
    unix:*) ;;
    *[A-Za-z]*)
        if is_at_least 1 27 3; then
            RESOLVER=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)
            UPSTREAM="$UPSTREAM resolve"
        fi
        ;;
    esac
    KEEPALIVE_MIN_TIMEOUT=
    ! is_at_least 1 27 4 || KEEPALIVE_MIN_TIMEOUT=yes
}

derive_tls() {
    HTTPS_SUFFIX='' HTTP2='' HTTP2_OF_LISTEN=
    if [ -z "$TLS" ]; then
        HSTS_SECONDS=
        return
    fi
    [ "$HTTPS_PORT" = 443 ] || HTTPS_SUFFIX=":$HTTPS_PORT"
    if is_at_least 1 25 1; then HTTP2=yes; else HTTP2_OF_LISTEN=" http2"; fi
}

# check_certificate: end if nginx could not read the certificate or its key.
check_certificate() {
    for file in fullchain.pem privkey.pem; do
        [ -e "$TLS_DIRECTORY/$file" ] || fail "TLS: there is no $file in $TLS_SHOWN_AS."
        [ -r "$TLS_DIRECTORY/$file" ] ||
            fail "TLS: user $(id -u), who runs nginx, cannot read $TLS_SHOWN_AS/$file: chown $(id -u) $TLS_SHOWN_AS/$file lets it."
    done
}

# derive_origins: the lines of the map $cors_origin. A key begins with a blank if the service has not set the header.
derive_origins() {
    ORIGINS='' VARIES=
    if [ "$CORS_ORIGINS" = "*" ]; then
        ORIGINS='"~^ ." "*";'
        return
    fi
    for origin in $(echo "$CORS_ORIGINS" | tr , ' '); do
        ORIGINS="$ORIGINS\" $origin\" \$http_origin; " VARIES=yes
    done
}

# derive_rate: with 30/m, 30 requests may come at once. After that, one request may come every two seconds.
derive_rate() {
    RATE='' BURST='' RETRY_AFTER=1
    [ -n "$RATE_LIMIT" ] || return 0
    number=${RATE_LIMIT%/*}
    RATE=${number}r/${RATE_LIMIT#*/}
    [ "$number" = 1 ] || BURST=" burst=$((number - 1)) nodelay"
    case $RATE in */m) RETRY_AFTER=$(((59 + number) / number)) ;; esac
}

# render NAME...: print the template with the values of these variables.
render() {
    script=
    for name in "$@"; do
        eval "value=\$$name"
        value=$(printf %s "$value" | sed 's/[&\\|]/\\&/g')
        if [ -n "$value" ]; then keep=$name drop="!$name"; else keep="!$name" drop=$name; fi
        script="$script
/^@$drop /d
s|^@$keep | |
s|\${$name}|$value|g"
    done
    sed "$script" "$here/nginx.conf.template"
}

# test_configuration DIRECTORY: end with the reason if nginx does not take the configuration.
test_configuration() {
    said=$(nginx -p "$1/" -c "$1/nginx.conf" -e stderr -t -q 2>&1) && return
    case $said in
    *"key values mismatch"*) fail "TLS: privkey.pem in $TLS_SHOWN_AS is not the key of fullchain.pem." ;;
    *"cannot load certificate key "*) fail "TLS: privkey.pem in $TLS_SHOWN_AS is no key without a passphrase in PEM." ;;
    *"cannot load certificate "*) fail "TLS: fullchain.pem in $TLS_SHOWN_AS is no certificate in PEM." ;;
    esac
    reason=$(echo "$said" | sed -n '/\[emerg\]/{s/^.*\[emerg\] [^:]*: //p;q;}')
    fail "nginx does not take its configuration: ${reason:-$said}."
}

only_render=
if [ "${1:-}" = --render ]; then
    only_render=yes
    shift
fi
prefix=${1:-/tmp}
read_settings
derive
render MAX_BODY_BYTES REQUEST_SECONDS SHUTDOWN_SECONDS BODIES_IN_FILES PROBES RESOLVER UPSTREAM UPSTREAM_KEEPALIVE LISTEN \
    KEEPALIVE_MIN_TIMEOUT TRUSTED_PROXIES SET_REAL_IP_FROM RATE_LIMIT RATE BURST RETRY_AFTER CONNECTIONS_PER_ADDRESS \
    CORS_ORIGINS ORIGINS VARIES TLS LISTEN_TLS TLS_DIRECTORY HTTP2 HTTP2_OF_LISTEN HTTPS_SUFFIX HSTS_SECONDS >"$prefix/nginx.conf" || fail "nginx' configuration cannot be written to $prefix."
[ -z "$only_render" ] || exit 0
[ -z "$TLS" ] || check_certificate
test_configuration "$prefix"
exec nginx -p "$prefix/" -c "$prefix/nginx.conf" -e stderr -g "daemon off;"
