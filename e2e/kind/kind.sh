#!/usr/bin/env bash
# All of it on kind: `kind.sh up`, `kind.sh logs`, `kind.sh down`. What it needs and what to see: README.md beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=iocloud
state=$root/.iocloud/kind
kubectl() { command kubectl --context "kind-$name" "$@"; }
helm() { command helm --kube-context "kind-$name" "$@"; }

need() {
  for program in docker kind kubectl helm node npm; do
    command -v "$program" >/dev/null || { echo "kind.sh: $program is needed (e2e/kind/README.md)" >&2; exit 1; }
  done
  docker info >/dev/null 2>&1 || { echo 'kind.sh: Docker does not answer' >&2; exit 1; }
}

up() {
  need
  cd "$root"
  [ -d node_modules ] || npm ci
  npx tsc -b contracts
  for image in control-plane ray-operator; do
    docker build -t "iocloud/$image:kind" -f "containers/$image.Dockerfile" .
  done
  kind get clusters 2>/dev/null | grep -qx "$name" || kind create cluster --name "$name" --config "$here/cluster.yaml" --wait 2m
  kind load docker-image --name "$name" iocloud/control-plane:kind iocloud/ray-operator:kind

  helm upgrade --install ray-operator charts/ray-operator -n ray-system --create-namespace --wait --timeout 3m \
    --set image.repository=iocloud/ray-operator,image.tag=kind,image.pullPolicy=Never

  umask 077
  node scripts/deployment-secrets.mjs "$state" >/dev/null
  [ -e "$state/postgres-password" ] || node -e 'process.stdout.write(require("node:crypto").randomBytes(24).toString("hex"))' >"$state/postgres-password"
  printf 'postgres://iocloud:%s@postgres:5432/iocloud' "$(cat "$state/postgres-password")" >"$state/database-url"
  printf 'redis://:%s@redis:6379' "$(cat "$state/redis-password")" >"$state/redis-url"
  kubectl create namespace iocloud --dry-run=client -o yaml | kubectl apply -f -
  kubectl -n iocloud create secret generic iocloud --from-file="$state" --dry-run=client -o yaml | kubectl apply -f -
  kubectl apply -f "$here/databases.yaml"
  kubectl -n iocloud rollout status deployment/postgres deployment/redis --timeout=3m
  helm dependency build charts/iocloud
  helm upgrade --install iocloud charts/iocloud -n iocloud -f "$here/values.yaml" --wait --timeout 5m

  kubectl apply -f "$here/raycluster.yaml"
  kubectl wait raycluster/demo --for=jsonpath='{.status.state}'=ready --timeout=10m
  kubectl get raycluster demo
  echo
  echo 'The control plane answers at http://127.0.0.1:8265; its first API key is in .iocloud/kind/bootstrap.json'
}

logs() {
  kubectl get pods -A
  kubectl -n ray-system logs deployment/ray-operator --all-containers --tail=100 || true
  kubectl -n iocloud logs statefulset/iocloud --tail=100 || true
  kubectl describe raycluster demo || true
}

down() {
  kind delete cluster --name "$name"
  rm -rf "$state"
}

case "${1:-}" in
  up | logs | down) "$1" ;;
  *) echo 'usage: kind.sh up | logs | down' >&2; exit 2 ;;
esac
