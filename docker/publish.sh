#!/usr/bin/env bash
# publish.sh build|sign|verify|tag|chart|list: the three images of one commit, and the
# chart of a version, to a registry.
#
#   IMAGE      the repository, such as ghcr.io/owner/name
#   REVISION   the commit, all 40 digits
#   NAME       what else the commit is called: main, or a version such as v1.2.3
#   SIGNER     whose signature `verify` wants: the address of a workflow at a branch
#
# Tags are <name>-<target>: sha-<commit>-base, main-production, v1.2.3-observability.
# A commit is built once, when it is on main: what sha-<commit>-<target> names already is
# used again, and a version is the very image that was tried in staging. An image is
# pushed by its digest, then signed, and only then named; no tag leads to an unsigned one.
# `main` moves only forward, and a version never moves. Its chart is
# <repository>/charts/ml-assets, and names the images by their digests.
set -euo pipefail
cd "$(dirname "$0")/.."

# Last comes the one that the delivery follows: when it has a name, all have.
targets=(production observability base)
main=origin/main

fail() {
  echo "publish.sh: $*" >&2
  exit 1
}

look_up() { # what the registry has below a name, or nothing; the options come first
  local ref=${*: -1}
  if ! docker buildx imagetools inspect "$@" 2>"$errors"; then
    # An outage must not pass for what was never pushed.
    grep -qF "$ref: not found" "$errors" ||
      fail "$ref cannot be looked up: $(cat "$errors")"
  fi
}

digest_of() { # the digest that a tag leads to, or nothing
  look_up --format '{{.Manifest.Digest}}' "$repository:$1"
}

chart_of() { # the digest of a version's chart, which is no image, or nothing
  look_up --raw "$charts/ml-assets:$1" >"$manifest"
  if [[ -s $manifest ]]; then echo "sha256:$(sha256sum <"$manifest" | cut -d ' ' -f 1)"; fi
}

kept() { # the digest of a target that `build` or `verify` wrote down
  cat "$digests/$1"
}

build_one() {
  local target=$1 metadata
  metadata=$(mktemp)
  docker buildx build . --target "$target" \
    --build-arg "REVISION=$REVISION" \
    --build-arg "VERSION=$REVISION" \
    --build-arg "CREATED=$(git show --no-patch --format=%cI "$REVISION")" \
    --cache-from "type=registry,ref=$repository:cache-$target" \
    --cache-to "type=registry,ref=$repository:cache-$target,mode=max" \
    --sbom=true --provenance=mode=max \
    --output "type=image,name=$repository,push-by-digest=true,name-canonical=true,push=true" \
    --metadata-file "$metadata"
  python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' \
    "$metadata" >"$digests/$target"
  rm "$metadata"
}

build() {
  local target found
  # The image says of which commit it is.
  [[ $(git rev-parse HEAD) == "$REVISION" ]] || fail "$REVISION is not checked out"
  git diff --quiet HEAD || fail "files differ from those of $REVISION"
  for target in "${targets[@]}"; do
    found=$(digest_of "sha-$REVISION-$target")
    if [[ $found ]]; then
      echo "$target of $REVISION was built before: $found"
      echo "$found" >"$digests/$target"
    else
      build_one "$target"
    fi
  done
}

sign() {
  local target
  for target in "${targets[@]}"; do
    cosign sign --yes "$repository@$(kept "$target")"
  done
}

verify() { # what a version is about to name was built from main, and signed there
  : "${SIGNER:?is the address of the workflow that signs, at its branch}"
  local target found
  for target in "${targets[@]}"; do
    found=$(digest_of "sha-$REVISION-$target")
    if [[ ! $found ]]; then
      fail "there is no $target of $REVISION: main has not published this commit." \
        "Wait until it has, and run this again"
    fi
    cosign verify --certificate-identity "$SIGNER" \
      --certificate-oidc-issuer https://token.actions.githubusercontent.com \
      "$repository@$found" >/dev/null
    echo "$found" >"$digests/$target"
  done
}

newer_is_main() { # whether `main` names a commit that came after this one
  # As a condition it would go on after an error, so it ends by itself.
  local current commit commits found
  current=$(digest_of main-base) || exit 1
  [[ $current ]] || return 1
  # Of a shallow clone no commit would seem to be newer.
  [[ $(git rev-parse --is-shallow-repository) == false ]] || fail "the clone is shallow"
  commits=$(git rev-list "$REVISION..$main") || fail "git does not know $REVISION and $main"
  for commit in $commits; do
    found=$(digest_of "sha-$commit-base") || exit 1
    if [[ $found == "$current" ]]; then
      echo "main is at $commit already, which came later"
      return
    fi
  done
  return 1
}

name_all() { # let a name lead to the images of this commit
  local target found
  for target in "${targets[@]}"; do
    docker buildx imagetools create --tag "$repository:$1-$target" \
      "$repository@$(kept "$target")"
    found=$(digest_of "$1-$target")
    [[ $found == "$(kept "$target")" ]] ||
      fail "$1-$target leads to ${found:-nothing}, expected $(kept "$target")"
  done
}

tag() {
  local target found
  for target in "${targets[@]}"; do kept "$target" >/dev/null; done
  case ${NAME:-} in
    v*)
      for target in "${targets[@]}"; do
        found=$(digest_of "$NAME-$target")
        [[ ${found:-$(kept "$target")} == "$(kept "$target")" ]] ||
          fail "$NAME-$target is $found already; a version does not move"
      done
      name_all "$NAME"
      ;;
    main)
      name_all "sha-$REVISION"
      if ! newer_is_main; then name_all main; fi
      ;;
    *) name_all "sha-$REVISION" ;;
  esac
}

pin() { # let the values of a chart name an image by its digest
  sed -i "/^  $1:\$/,/^    digest:/{
    s|^    repository:.*|    repository: $repository|
    s|^    digest:.*|    digest: $(kept "$2")|
  }" "$3/values.yaml"
}

chart() { # push the chart of a version, and sign it
  [[ ${NAME:-} == v* ]] || fail "NAME is '${NAME:-}', expected a version: only it has a chart"
  local version=${NAME#v} target found folder
  for target in "${targets[@]}"; do kept "$target" >/dev/null; done
  found=$(chart_of "$version")
  if [[ $found ]]; then
    echo "chart $version was pushed before, and does not move: $found"
  else
    folder=$(mktemp --directory)
    cp --recursive helm/ml-assets "$folder"
    pin server production "$folder/ml-assets"
    pin base base "$folder/ml-assets"
    pin observability observability "$folder/ml-assets"
    [[ $(grep -c '^    digest: sha256:' "$folder/ml-assets/values.yaml") == 3 ]] ||
      fail "values.yaml does not name the images as expected"
    helm package "$folder/ml-assets" --version "$version" --app-version "$version" \
      --destination "$folder"
    helm push "$folder/ml-assets-$version.tgz" "oci://$charts" \
      --registry-config "${DOCKER_CONFIG:-$HOME/.docker}/config.json"
    rm -r "$folder"
    found=$(chart_of "$version")
    [[ $found ]] || fail "$charts/ml-assets:$version was pushed, and is not there"
  fi
  # Again where a run before ended between the two.
  cosign sign --yes "$charts/ml-assets@$found"
  echo "$found" >"$digests/chart"
}

list() {
  local target
  echo "repository=$repository"
  for target in "${targets[@]}"; do echo "$target=$(kept "$target")"; done
  if [[ -f $digests/chart ]]; then
    echo "charts=$charts/ml-assets"
    echo "chart=$(kept chart)"
  fi
}

case ${1:-} in
  build | sign | verify | tag | chart | list) ;;
  *)
    sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
: "${IMAGE:?is the repository, such as ghcr.io/owner/name}"
: "${REVISION:?is the commit}"
if [[ ! $REVISION =~ ^[0-9a-f]{40}$ ]]; then
  fail "REVISION is '$REVISION', expected the 40 digits of a commit"
fi
number='(0|[1-9][0-9]*)'
if [[ ! ${NAME:-main} =~ ^(main|v$number\.$number\.$number(-[0-9A-Za-z.-]+)?)$ ]]; then
  fail "NAME is '$NAME', expected main or a version such as v1.2.3"
fi
# A registry wants small letters; the owner of a repository may have others.
repository=${IMAGE,,}
charts=$repository/charts
digests=reports/images/$REVISION
mkdir -p "$digests"
errors=$(mktemp)
manifest=$(mktemp)
trap 'rm -f "$errors" "$manifest"' EXIT
"$1"
