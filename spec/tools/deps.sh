#!/bin/sh
# deps.sh PURPOSE...: sees to what a purpose of the Makefile needs (build test all check servers bench fuzz).
# Nothing is fetched when nothing is missing. On Debian missing packages are installed (sudo where not root);
# elsewhere, or where that is not allowed, what is missing is named and the exit status stays 0: the run goes on
# with what there is and counts the rest as skipped. No package here starts a service; the servers of the suite
# are unpacked under build/ by spec/servers/unpack.sh and never installed. libkrb5-dev is for the tests only: a
# build without it knows no GSSAPI, and is whole all the same.
set -u
cd "$(dirname "$0")/../.." || exit 1

packages() {  # one line for each purpose and packager; luajit2 is Debian's maintained branch of LuaJIT 2.1
  case $1.$2 in
  build.deb) echo gcc libc6-dev make pkg-config lua5.4 liblua5.4-dev libssl-dev zlib1g-dev libc-ares-dev libidn2-dev libunistring-dev ;;
  test.deb)  echo lua-busted luajit2 libluajit2-5.1-dev openssl libkrb5-dev python3 ;;
  all.deb)   echo lua5.1 liblua5.1-0-dev lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev ;;
  check.deb) echo lua-check clang-format binutils ;;
  bench.deb) echo python3 ;;  # the peers themselves are unpacked under build/bench
  fuzz.deb)  echo clang ;;
  doc.deb)   echo lua-ldoc ;;
  build.brew) echo lua pkgconf openssl@3 zlib c-ares libidn2 libunistring ;;
  test.brew)  echo luajit luarocks python, then: luarocks install busted ;;
  check.brew) echo clang-format, then: luarocks install luacheck ;;
  build.dnf) echo gcc make pkgconf lua lua-devel openssl-devel zlib-devel c-ares-devel libidn2-devel libunistring-devel ;;
  test.dnf)  echo luajit luajit-devel luarocks openssl krb5-devel python3 dovecot exim, then: luarocks install busted ;;
  check.dnf) echo clang-tools-extra libasan libubsan, then: luarocks install luacheck ;;
  build.apk) echo build-base pkgconf lua5.4 lua5.4-dev openssl-dev zlib-dev c-ares-dev libidn2-dev libunistring-dev ;;
  test.apk)  echo luajit luajit-dev lua5.4-busted openssl krb5-dev python3 dovecot exim ;;
  check.apk) echo clang-extra-tools, then: luarocks-5.4 install luacheck ;;
  esac
}

say() { printf 'deps: %s\n' "$*"; }

# as_root COMMAND...: directly, by sudo where it asks no password or there is a terminal to ask at, or not at all
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then sudo "$@"
  else return 1; fi
}

missing_debian() {
  for p in "$@"; do
    dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q ' installed$' || printf ' %s' "$p"
  done
}

# A Debian that has them all answers with one query; the loop above runs only to name what is missing.
have_debian() {
  [ "$(dpkg-query -W -f '${Status}\n' "$@" 2>/dev/null | grep -c ' installed$')" -ge $# ]
}

install_debian() {
  APT='env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300'
  if as_root $APT update >/dev/null 2>&1 || [ -d /var/lib/apt/lists ]; then
    as_root $APT install -y --no-install-recommends --no-remove "$@" >/dev/null 2>build/deps.err && return
  fi
  return 1
}

debian() {
  # shellcheck disable=SC2046
  set -- $(packages "$1" deb)
  [ $# -gt 0 ] || return 0
  have_debian "$@" && return 0
  set -- $(missing_debian "$@")
  [ $# -gt 0 ] || return 0
  say "installing: $*"
  mkdir -p build
  install_debian "$@" || say "could not be installed here: $(missing_debian "$@"); going on without"
}

others() {
  for m in brew dnf apk; do
    command -v $m >/dev/null || continue
    list=$(packages "$1" $m)
    [ -z "$list" ] || [ -e "build/deps-$1" ] || say "needed for $1 ($m): $list"
    mkdir -p build && : > "build/deps-$1"
    return 0
  done
}

for purpose in "$@"; do
  if [ "$purpose" = servers ]; then sh spec/servers/unpack.sh dovecot exim cyrus courier postfix opensmtpd nginx dnsmasq proxies kerberos cqueues hosts
  elif command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then debian "$purpose"
  else others "$purpose"; fi
done
exit 0
