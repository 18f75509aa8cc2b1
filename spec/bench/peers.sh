#!/bin/sh
# peers.sh   puts the programs and libraries that the benchmarks compare with under
# build/bench/peers/NAME:
#   smtp-source (postfix), libcurl, libetpan, mpop, GMime
# Nothing is installed and no rights are needed: the packages are downloaded, with those libraries
# that this machine lacks, and unpacked. (Two of the development packages exclude each other, so
# they could not be installed together.) What cannot be had is left out; its rows then say "peer not
# installed". Nothing is fetched when all is there.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD/build/bench/peers
mkdir -p "$root"

# Root's apt would drop to a user who may not reach this folder; lists of our own where the system
# has none.
apt() {
  set -- -q -o Debug::NoLocking=1 -o Acquire::Retries=2 -o Acquire::http::Timeout=20 "$@"
  [ "$(id -u)" != 0 ] || set -- -o APT::Sandbox::User=root "$@"
  [ ! -d "$root/apt/lists" ] || set -- -o Dir::State::lists="$root/apt/lists" -o Dir::Cache="$root/apt/cache" "$@"
  apt-get "$@"
}

own_lists() {
  mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial"
  apt update
}

# What a package depends on and this machine lacks.
closure() {
  apt -y --print-uris --no-install-recommends install "$1" 2>/dev/null | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p"
}

# unpack NAME PROGRAM_OR_LIBRARY [PACKAGE...]: the first with its dependencies, the others (headers) alone
unpack() {
  name=$1 needs=$2
  shift 2
  headers=$*
  [ ! -e "$root/$name/complete" ] || return 0
  rm -rf "$root/$name" "$root/debs"
  mkdir -p "$root/debs"
  # shellcheck disable=SC2046,SC2086
  (cd "$root/debs" && { apt download $needs $(closure $needs) $headers ||
    { own_lists && apt download $needs $(closure $needs) $headers; }; }) >"$root/$name.log" 2>&1 || return 1
  mkdir -p "$root/$name"
  for deb in "$root/debs"/*.deb; do dpkg-deb -x "$deb" "$root/$name" || return 1; done
  chmod -R u-s,g-s,go+rX "$root/$name"
  rm -rf "$root/debs" "$root/$name/usr/share/doc" "$root/$name/usr/share/man"
  : > "$root/$name/complete"
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 0
for peer in 'postfix postfix' 'curl libcurl4 libcurl4-openssl-dev' 'etpan libetpan20 libetpan-dev' 'mpop mpop' \
  'gmime libgmime-3.0-0 libgmime-3.0-dev libglib2.0-0 libglib2.0-dev libgpgme11 libassuan0'; do
  # shellcheck disable=SC2086
  unpack $peer || echo "peers: ${peer%% *} cannot be had here"
done
exit 0
