#!/bin/sh
# A whole production with curl alone: clone, plan, approve, launch, wait, certificate.
#
#   PRODSYS_AIRFLOW_URL=http://127.0.0.1:8080 PRODSYS_LOGIN=manager PRODSYS_PASSWORD_FILE=secrets/airflow-manager.password \
#     docs/examples/production.sh PROD2025-016 DEMO2026-001 [SEEDS [EVENTS_PER_SEED]]
#
# It may be killed and started again with the same arguments: what was done is not done twice. Acts are safe to repeat;
# where a call says on which picture of the request it was decided, a key with this picture lets a lost answer come again,
# and no answer outlives the picture: after a reject or a withdraw the same call is another. Exit code: 0 with a certificate, 1 when the API refuses or the production fails, 2 wrong usage.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: production.sh SOURCE NEW [SEEDS [EVENTS_PER_SEED]]" >&2
    exit 2
fi
source=$1 new=$2 seeds=${3:-3} events=${4:-20}
airflow=${PRODSYS_AIRFLOW_URL%/}
api=$airflow/prodsys/api/v1
wait_s=${PRODSYS_WAIT_S:-1800}

umask 077 # the token stays ours: neither in `ps` nor in anybody's hands
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
token=$scratch/token headers=$scratch/headers body=$scratch/body

# value NAME: the first string of this name in the last body; JSON of the API is written without blanks.
value() { grep -o "\"$1\":\"[^\"]*\"" "$body" | head -n 1 | cut -d '"' -f 4; }
etag() { tr -d '\r' < "$headers" | sed -n 's/^[Ee][Tt][Aa][Gg]: //p' | tail -n 1; }
retry_after() { tr -d '\r' < "$headers" | sed -n 's/^[Rr]etry-[Aa]fter: //p' | tail -n 1; }

# call METHOD PATH [JSON [HEADER [KEY]]]: the answer in $body, its headers in $headers. curl waits and tries again on 503;
# while another call with the key is being worked on, we do.
call() {
    busy_until=$(($(date +%s) + wait_s))
    while :; do
        status=$(curl -sS --retry 5 --max-time 180 -X "$1" -H @"$token" -H 'Content-Type: application/json' \
            ${5:+-H} ${5:+"Idempotency-Key: production-sh.$new.$5"} -H "${4:-Accept: application/json}" \
            ${3:+--data} ${3:+"$3"} -D "$headers" -o "$body" -w '%{http_code}' "$api$2")
        [ "$status $(value type)" = '409 urn:prodsys:problem:key-busy' ] || break
        [ "$(date +%s)" -lt "$busy_until" ] || break
        sleep "$(retry_after)"
    done
    case $status in
    2*) ;;
    *)
        echo "$1 $2: $status $(value title): $(value detail)" >&2
        exit 1
        ;;
    esac
}

login() {
    printf '{"username": "%s", "password": "%s"}' "$PRODSYS_LOGIN" "$(cat "$PRODSYS_PASSWORD_FILE")" |
        curl -sS --fail --retry 5 --max-time 60 -H 'Content-Type: application/json' --data @- -o "$body" "$airflow/auth/token"
    echo "Authorization: Bearer $(value access_token)" > "$token"
}

login
call POST "/requests/$source/clone" "{\"request_id\": \"$new\", \"seed_count\": $seeds, \"events_per_file\": $events}" '' \
    "clone.$source.$seeds.$events"
echo "$new: a clone of $source, $(value state)"

call GET "/requests/$new"
state=$(value state)
case $state in
draft | checked | planned)
    call POST "/requests/$new/plan" '{}'
    digest=$(value digest)
    echo "$new: $(value state), plan $digest"
    call POST "/requests/$new/approve?dry_run=true" "{\"digest\": \"$digest\"}"
    echo "$new: approving it would make it $(value state)"
    call GET "/requests/$new"
    seen=$(etag)
    call POST "/requests/$new/approve" "{\"digest\": \"$digest\"}" "If-Match: $seen" "approve.$digest.$seen"
    echo "$new: $(value state)"
    state=$(value state)
    ;;
esac
if [ "$state" = approved ]; then
    seen=$(etag)
    call POST "/requests/$new/launch" '{"wait": true}' "If-Match: $seen" "launch.$seen"
    state=$(value state) # 202 while Airflow does not show the DAG yet: the dispatcher starts the run, we look below
    echo "$new: $state, $(value message), run $(value dag_run_id) of $(value dag_id)"
fi

end=$(($(date +%s) + wait_s))
while :; do
    call GET "/requests/$new"
    now=$(value state)
    [ "$now" = "$state" ] || echo "$new: $now"
    state=$now
    case $state in
    complete | accepted) break ;;
    failed | aborted)
        echo "$new: $state: $(value reason)" >&2
        exit 1
        ;;
    esac
    if [ "$(date +%s)" -ge "$end" ]; then
        echo "$new: still $state after $wait_s s" >&2
        exit 1
    fi
    sleep 2
done

call GET "/certificates/$new"
echo "$new: certificate $(value path), verdict $(value verdict), $(value digest)"
