#!/bin/sh
# unpack.sh [--local] NAME...   puts the servers of the suite (dovecot, exim, cyrus, courier, postfix ...) under build/servers/NAME
# Nothing is installed and no rights are needed: the packages are downloaded, with those libraries that this
# machine lacks, and unpacked; package lists live under build/ when the system has none. --local only compiles
# the helpers. What cannot be had is said in one line, and the specs that need it are skipped and counted.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD/build/servers
mkdir -p "$root/bin" 2>/dev/null

packages() {
  case $1 in
  dovecot) echo dovecot-core dovecot-imapd dovecot-pop3d dovecot-submissiond dovecot-lmtpd dovecot-gssapi ;;
  exim) echo exim4-base exim4-daemon-light ;;
  cyrus) echo cyrus-common cyrus-imapd cyrus-pop3d libsasl2-2 libsasl2-modules libsasl2-modules-db \
    libsasl2-modules-gssapi-mit sasl2-bin ;;
  courier) echo courier-base courier-pop courier-imap courier-authlib courier-authdaemon courier-authlib-userdb ;;
  postfix) echo postfix ;;
  opensmtpd) echo opensmtpd ;;
  nginx) echo nginx libnginx-mod-http-lua libnginx-mod-http-ndk lua-resty-core lua-resty-lrucache libluajit2-5.1-2 \
    libluajit2-5.1-common ;;
  kerberos) echo krb5-kdc krb5-admin-server krb5-user ;;
  dnsmasq) echo dnsmasq-base ;;
  proxies) echo microsocks tinyproxy-bin ;;
  hosts) echo lua-luv lua-socket lua-copas lua-coxpcall tarantool ;;
  cqueues) echo lua-cqueues ;;  # hosts of spec/hosts_spec.lua are no servers, and come the same way
  *) echo "unpack: no such server: $1" >&2; exit 1 ;;
  esac
}

compile() {  # compile OUTPUT SOURCE FLAGS...: whole or not at all, and only when the source is newer
  out=$root/bin/$1 src=spec/servers/$2; shift 2
  [ -e "$out" ] && [ -z "$(find "$src" -newer "$out")" ] && return 0
  ${CC:-cc} -std=gnu99 -O2 "$@" "$src" -o "$out.$$" -ldl && mv "$out.$$" "$out"
}

# Root's apt would drop to a user who may not reach this folder.
apt() {
  set -- -q -o Debug::NoLocking=1 -o Acquire::Retries=2 -o Acquire::http::Timeout=20 "$@"
  [ "$(id -u)" != 0 ] || set -- -o APT::Sandbox::User=root "$@"
  [ ! -d "$root/apt/lists" ] ||
    set -- -o Dir::State::lists="$root/apt/lists" -o Dir::Cache="$root/apt/cache" "$@"
  apt-get "$@"
}

own_lists() {
  mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial"
  apt update
}

# The packages themselves, and of what they depend on those that are not installed here. Cyrus wants some mail
# transport agent, and libraries of scanners and calendars that its programs are linked with.
closure() {
  apt -y --simulate --no-install-recommends install "$@" 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -v -e '^exim4-' -e '^ssl-cert$' -e '^gawk$' -e '-dev$'
  for p in "$@"; do echo "$p"; done
}

# A tree of before a package was added to the list is none.
whole() {
  [ -e "$root/$1/complete" ] || return 1
  for p in $(packages "$1"); do grep -q "^${p}_" "$root/$1/complete" || return 1; done
}

unpack() {
  name=$1
  whole "$name" && return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  rm -rf "$root/$name.debs"
  mkdir -p "$root/$name.debs"
  # shellcheck disable=SC2046
  list=$(closure $(packages "$name") | sort -u)
  (
    cd "$root/$name.debs" || exit 1
    # shellcheck disable=SC2086
    apt download $list || { own_lists && apt download $list; }
  ) >"$root/$name.log" 2>&1 || return 1
  rm -rf "${root:?}/$name"
  mkdir -p "$root/$name"
  for deb in "$root/$name.debs"/*.deb; do dpkg-deb -x "$deb" "$root/$name" || return 1; done
  chmod -R u-s,g-s,go+rX "$root/$name" || return 1  # nothing here may ever gain rights
  (cd "$root/$name.debs" && ls) > "$root/$name.list"
  rm -rf "$root/$name.debs" "$root/$name/usr/share/doc" "$root/$name/usr/share/man"
  mv "$root/$name.list" "$root/$name/complete"  # which packages, of which versions
  echo "unpack: $name is under build/servers"
}

[ "$(uname)" = Linux ] || { echo "unpack: the servers of the suite need Linux; specs against them are skipped"; exit 0; }
if [ ! -w "$root" ]; then  # somebody else's tree: with what he built, or not at all
  [ -x "$root/bin/keeper" ] && exit 0
  echo "unpack: $root cannot be written"; exit 1
fi
# One at a time: several runs may share a tree.
if command -v flock >/dev/null; then exec 9>"$root/lock"; flock 9; fi
compile keeper keeper.c || exit 1
compile reroot.so reroot.c -fPIC -shared || exit 1
compile asroot.so asroot.c -fPIC -shared || exit 1
if [ "${1:-}" = --local ]; then exit 0; fi
for name in "$@"; do
  unpack "$name" && continue
  program=$name
  case $name in exim) program=exim4 ;; cyrus) program=cyrmaster ;; courier) program=couriertcpd ;; kerberos) program=krb5kdc ;; esac
  if command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ]; then
    echo "unpack: $name as it is installed here"
  else
    echo "unpack: $name cannot be had here ($(tail -n 1 "$root/$name.log" 2>/dev/null || echo 'no apt')); specs against it are skipped"
  fi
done
exit 0
