#!/usr/bin/env bash
# `docker compose up`, exercised from outside: built from this checkout, bought at, scaled, broken,
# stopped, started again, audited; and browsed, where cargo and Chromium are.
#
# On free ports and under a name of its own, so that it disturbs no other shop on this machine; all of
# it is removed in the end. Where no Docker engine answers it says so and does nothing.
#
#   tests/compose.sh            everything
#   ORDERLY_KEEP=1 …            leaves the containers running, to be looked at
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! docker info >/dev/null 2>&1; then
  echo "skipped: no Docker engine"
  exit 0
fi
if ! docker compose version >/dev/null 2>&1; then
  echo "skipped: no Docker engine with Compose v2"
  exit 0
fi

export COMPOSE_PROJECT_NAME="orderly-test-$$"
# Ports that the engine chooses, and quick deliveries.
export ORDERLY_PORT=0 ORDERLY_GRPC_PORT=0 ORDERLY_SHIP_AFTER=1s ORDERLY_DELIVER_AFTER=1s
roles=(inventory order payment notification query auditor gateway)

say() { printf '\n==> %s\n' "$*"; }

die() {
  printf '\nerror: %s\n' "$*" >&2
  docker compose ps --all >&2 || true
  docker compose logs --tail 30 >&2 || true
  exit 1
}

remove() {
  [[ -n ${ORDERLY_KEEP:-} ]] || docker compose down --volumes --timeout 2 >/dev/null 2>&1 || true
}
trap remove EXIT

up() { docker compose up --detach --wait --wait-timeout 300 "$@" || die "not healthy: docker compose up $*"; }

# Where the gateway's HTTP port has been published.
url() { echo "http://$(docker compose port gateway 8080)"; }

# One GraphQL request; dies without data.
ask() {
  local answer
  answer=$(curl --silent --show-error --max-time 20 "$(url)/graphql" --header 'content-type: application/json' \
    ${token:+--header "authorization: Bearer $token"} --data "{\"query\":\"${1//\"/\\\"}\"}") || return 1
  [[ $answer == *'"data":{'* && $answer != *'"errors"'* ]] || { echo "$answer" >&2; return 1; }
  printf '%s\n' "$answer"
}

# The value of a text field in an answer: the first one of that name.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# Tries a command for a minute.
until_true() {
  local what=$1 tries=0
  shift
  until "$@"; do
    tries=$((tries + 1))
    [[ $tries -lt 300 ]] || die "waited in vain: $what"
    sleep 0.2
  done
}

stands_at() { [[ $(ask "{ order(id: \"$1\") { status } }" 2>/dev/null | field status) == "$2" ]]; }

place() { ask "mutation { placeOrder(input: {lines: [{sku: \"SOAP-OLIVE-BAR\", quantity: 1}], card: \"4242 4242 4242 4242\"}) { id } }"; }

# Buys once, asking again while something is away, and waits for the delivery.
buy() {
  local answer='' id
  ordered() { answer=$(place 2>/dev/null); }
  until_true "an order is taken" ordered
  id=$(field id <<<"$answer")
  until_true "order $id is delivered" stands_at "$id" DELIVERED
  echo "    delivered: $id"
}

log_in() {
  token=$(ask 'mutation { logIn(email: "ada@example.com", password: "orderly") { token } }' 2>/dev/null | field token)
  [[ -n $token ]]
}

in_stock() { [[ $(ask '{ products(first: 1) { totalCount } }' | tr -dc '0-9') -gt 10 ]]; }

begun=$SECONDS
say "building and starting everything"
docker compose build --quiet || die "the image cannot be built"
echo "    image: $(docker image inspect --format '{{.Size}}' orderly | awk '{ printf "%.0f MB", $1 / 1000000 }'), built in $((SECONDS - begun)) s"
begun=$SECONDS
up
echo "    healthy after $((SECONDS - begun)) s"

say "as it should be: no root, nothing but 127.0.0.1"
for role in "${roles[@]}"; do
  [[ $(docker compose exec -T "$role" id -u) != 0 ]] || die "$role runs as root"
done
published=$(docker compose ps --format '{{.Ports}}')
[[ $published == *127.0.0.1:* ]] || die "nothing is published: $published"
[[ $published != *0.0.0.0:* && $published != *'[::]:'* ]] || die "open to the network: $published"

say "a customer buys"
until_true "the demo log-in" log_in
until_true "the demo products" in_stock
buy

say "without the token nobody calls a service"
if docker compose exec -T -e ORDERLY_GRPC_TOKEN=another-token-of-16 gateway orderly ops inspect >/dev/null 2>&1; then
  die "a wrong token was taken"
fi
docker compose exec -T gateway orderly ops inspect || die "the operator's tools do not work"

say "three order services, two inventories"
up --no-recreate --scale order=3 --scale inventory=2
[[ $(docker compose ps --quiet order | wc -l) == 3 ]] || die "not three order services"
buy
victim=$(docker compose ps --quiet order | head -n 1)
docker kill --signal KILL "$victim" >/dev/null
for _ in 1 2 3; do buy; done
docker start "$victim" >/dev/null

say "Redis is emptied, Redis and Postgres are started again"
docker compose exec -T redis redis-cli flushall >/dev/null
buy
docker compose restart --timeout 5 redis postgres
buy

if [[ ${1:-} != --no-browser ]] && command -v cargo >/dev/null && [[ -d target ]]; then
  say "a browser, from the log-in to the delivery"
  ORDERLY_TEST_SHOP=$(url) cargo test --quiet --test it -- --ignored at_the_shop_that_the_environment_names
fi

say "a polite stop: every process ends by itself, within the ten seconds that it has"
begun=$SECONDS
docker compose stop "${roles[@]}"
echo "    stopped after $((SECONDS - begun)) s"
for container in $(docker compose ps --all --quiet "${roles[@]}"); do
  status=$(docker inspect --format '{{.State.ExitCode}}' "$container")
  [[ $status == 0 ]] || die "$(docker inspect --format '{{.Name}}' "$container") ended with $status"
done

say "started again: all is there, and the audit is green"
up
until_true "the session is good" ask '{ me { email } }'
buy
docker compose exec -T auditor orderly audit || die "the audit has found a breach"
say "compose: all of it in $SECONDS s"
