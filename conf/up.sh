#!/bin/sh
# Build and start the containers, and say why if they do not start: make up
set -u

compose() {
    docker compose "$@"
}

# Say why the containers of a service do not run, or do not get healthy.
explain() {
    case $(compose ps --all --format '{{.State}} {{.Health}}' "$1" | head -n 1) in
    "running healthy") return ;;
    "running unhealthy" | "running starting")
        if [ "$1" = api ]; then
            echo "The service runs, but it is not ready:"
            compose exec -T api python -m service check
            return
        fi
        ;;
    esac
    echo "The last words of $1:"
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
    echo "Port ${port:-${HTTP_PORT:-80}} is in use by another program. This takes another one: HTTP_PORT=8080 make up"
elif grep -qi 'invalid hostPort\|invalid port\|invalid containerPort' "$output"; then
    echo "HTTP_PORT: It must be a port, such as 8080."
else
    explain api
    explain nginx
fi
exit 1
