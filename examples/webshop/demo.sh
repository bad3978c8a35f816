#!/usr/bin/env bash
# The whole story on this machine: a lab, one plan and one apply over machines and Kubernetes, drift in both, healed by one apply.
# Every claim is checked; the first that does not hold ends the demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

state=$(mktemp -d)
export ORCHESTRATOR_LAB_HOME="$state/lab"
export SHOP_DB_PASSWORD="demo-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')"
rm -rf .orchestrator
tidy() {
  [ -z "${KEEP:-}" ] || { echo "KEEP is set: the lab stays at $ORCHESTRATOR_LAB_HOME"; return; }
  orchestrator lab down >/dev/null 2>&1 || true
  rm -rf "$state" .orchestrator
}
trap tidy EXIT

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }
field() { python -c 'import json,sys; print(eval(sys.argv[1], {"d": json.load(sys.stdin)}))' "$1"; }

say "A lab on this computer: sandboxed machines and a real Kubernetes API"
run orchestrator lab up
export KUBECONFIG; KUBECONFIG=$(orchestrator lab status -o json | field 'd["kubeconfig"]')

say "What the documents say is checked before anything is contacted"
run orchestrator validate

say "One plan over both kinds of IT"
run orchestrator plan

say "One apply: Ansible makes the database, its address goes into the Deployment that Pulumi makes"
run orchestrator apply --yes
run orchestrator status
run orchestrator output

say "A second apply has nothing to do, and starts neither Ansible nor Pulumi"
run orchestrator apply --yes
orchestrator plan -o json > "$state/plan.json"
[ "$(field 'sum(n for a, n in d["summary"].items() if a != "none")' < "$state/plan.json")" = 0 ] || fail "the second plan is not empty"
[ "$(field 'd["observed"]["ansible_runs"] + d["observed"]["pulumi_runs"]' < "$state/plan.json")" = 0 ] || fail "Ansible or Pulumi was started"

say "Two changes by hand: a file on a machine, a Deployment's size"
machine=$(orchestrator lab status -o json | field 'sorted(m["name"] for m in d["machines"])[0]')
run orchestrator lab exec "$machine" -- sh -c 'echo "maxmemory 1mb" >> /etc/redis.conf'
run kubectl --namespace webshop scale deployment web --replicas 7

say "Drift finds both, and only these"
run orchestrator drift
orchestrator drift -o json > "$state/drift.json"
found=$(field '" ".join(sorted(c["address"].split("/", 4)[4].split("/")[0] for c in d["changes"]))' < "$state/drift.json")
[ "$found" = "Deployment.apps configuration" ] || fail "drift found: $found"

say "One apply heals them"
run orchestrator apply --yes
[ "$(kubectl --namespace webshop get deployment web -o 'jsonpath={.spec.replicas}')" = 3 ] || fail "the Deployment was not healed"
orchestrator drift --detailed-exitcode >/dev/null || fail "something still drifts"

say "Redis really answers, with the declared password and with no other"
address=$(orchestrator lab status -o json | field 'sorted((m["name"], m["address"]) for m in d["machines"])[0][1]')
wired=$(kubectl --namespace webshop get deployment web -o 'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="ORDERS_DB")].value}')
[ "$wired" = "$address:16379" ] || fail "the Deployment has $wired, the database is at $address:16379"
python redis_says.py "$wired" SHOP_DB_PASSWORD

say "That was it. Next:"
cat <<'EOF'
  orchestrator init my-estate      a small estate of your own; docs/tutorial.md goes on from there
  KEEP=1 make demo                 the same, and the lab stays up to look around (`orchestrator lab exec`, kubectl)
  orchestrator --help              everything else
EOF
