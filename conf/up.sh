#!/bin/sh
# Build and start the containers, and say why if they do not start: make up, or make up TLS=1
set -u

compose() {
    if [ -n "${TLS:-}" ]; then
        docker compose -f compose.yaml -f compose.override.yaml -f compose.tls.yaml "$@"
    else
        docker compose "$@"
    fi
}

# explain SERVICE: say why its containers do not run, or are not healthy.
explain() {
    case $(compose ps --all --format '{{.State}} {{.Health}}' "$1" | head -n 1) in
    "running healthy") return ;;
    "running unhealthy" | "running starting")
        # A container that crashes again and again runs for a moment, too. Then `check` names no refused model.
        if [ "$1" = api ] && ! refused=$(compose exec -T api python -m service check 2>/dev/null) && [ -n "$refused" ]; then
            echo "The service runs, but it is not ready:"
            echo "$refused"
            return
        fi
        ;;
    esac
    echo "The last lines in the log of $1:"
    compose logs --no-log-prefix --tail 5 "$1" | uniq
}

output=$(mktemp)
trap 'rm -f "$output" "$output.status"' EXIT
{
    compose up --build --detach --wait 2>&1
    echo $? >"$output.status"
} | tee "$output"
[ "$(cat "$output.status")" != 0 ] || exit 0

echo
if grep -q 'port is already allocated\|address already in use' "$output"; then
    port=$(sed -n 's/.*0\.0\.0\.0:\([0-9]*\).*/\1/p' "$output" | head -n 1)
    echo "Port ${port:-${HTTP_PORT:-80}} is in use by another program. Set another port: HTTP_PORT=8080, or HTTPS_PORT=8443 for TLS."
elif grep -qi 'invalid hostPort\|invalid port\|invalid containerPort' "$output"; then
    echo "HTTP_PORT: It must be a port, such as 8080. HTTPS_PORT must be a port, too, if it is set."
else
    explain api
    explain nginx
fi
exit 1
