#!/bin/sh
# unpack.sh [--local] NAME...   puts the servers of the suite (dovecot, exim, cyrus, courier, postfix ...) under build/servers/NAME
# unpack.sh --libraries TREE    the folders of an unpacked tree that hold shared libraries, as seen from it
# Nothing is installed and no rights are needed: the packages are downloaded, with those libraries that this
# machine lacks, and unpacked; package lists live under build/ when the system has none. A tree is unpacked anew
# when one of its files, or of the libraries that it uses of this machine, has gone. --local only compiles the
# helpers. What cannot be had is said in one line, and the specs that need it are skipped and counted.
set -u

# What the packages find by RUNPATH is named here too.
libraries() {
  (cd "$1" && ls -d usr/lib/*-linux-* lib/*-linux-* usr/lib usr/lib/courier-authlib usr/lib/dovecot usr/lib/dovecot/modules \
    usr/lib/postfix usr/lib/dovecot/modules/old-stats 2>/dev/null)
}
if [ "${1:-}" = --libraries ]; then libraries "$2"; exit 0; fi

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
  plan=$(apt -y --simulate --no-install-recommends install "$@" 2>&1) || { echo "$plan" >&2; return 1; }
  echo "$plan" | sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -v -e '^exim4-' -e '^ssl-cert$' -e '^gawk$' -e '-dev$'
  for p in "$@"; do echo "$p"; done
}

# A tree of before a package was added to the list is none.
whole() {
  [ -e "$root/$1/complete" ] || return 1
  for p in $(packages "$1"); do grep -q "^${p}_" "$root/$1/complete" || return 1; done
}

# Three lists beside a tree: NAME.files, its own files; NAME.uses, the libraries of this machine that its programs
# are linked with; NAME.lacks, those that its packages did not bring, either.
own_files() { (cd "$root/$1" && find . ! -type d -printf '%p %s %l\n' | LC_ALL=C sort); }
used_of_system() { sed 's/ .*//' "$root/$1.uses" | xargs -r stat -L -c '%n %s %Y' 2>/dev/null; }

# linked NAME: what ldd says of all its programs and libraries, a line each
linked() {
  command -v ldd >/dev/null || return 0
  paths=$(libraries "$root/$1" | sed "s|^|$root/$1/|" | tr '\n' :)
  (cd "$root/$1" && find . -type f \( -perm -u+x -o -name '*.so*' \) -exec env LD_LIBRARY_PATH="$paths" ldd {} + 2>&1)
}

lacking() {
  sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p; s/.*version \([^ ]*\) not found.*/\1/p
    s/.* loading shared libraries: \([^:]*\): .*/\1/p' "$root/$1.ldd" | sort -u
}

# A tree may be one file with another's, by hard links: its lists are replaced, and never written into.
record() {
  sed -n 's/.* => \(\/[^ ]*\) (0x.*/\1/p' "$root/$1.ldd" | grep -v "^$root/" | sort -u > "$root/$1.uses.new"
  mv "$root/$1.uses.new" "$root/$1.uses"
  used_of_system "$1" > "$root/$1.uses.new" && mv "$root/$1.uses.new" "$root/$1.uses"
  own_files "$1" > "$root/$1.files.new" && mv "$root/$1.files.new" "$root/$1.files"
  lacking "$1" > "$root/$1.lacks.new" && mv "$root/$1.lacks.new" "$root/$1.lacks"
  rm "$root/$1.ldd"
}

# Whether a tree is as it was unpacked, and its programs find their libraries. ldd takes a second for the larger
# ones, and is asked only where what they use of this machine is not what it was.
sound() {
  gone=
  [ ! -e "$root/$1.files" ] || gone=$(own_files "$1" | LC_ALL=C comm -13 - "$root/$1.files" | sed 's/ .*//')
  if [ -z "$gone" ]; then
    [ -e "$root/$1.files" ] && used_of_system "$1" | cmp -s - "$root/$1.uses" && return 0
    linked "$1" > "$root/$1.ldd"
    gone=$(lacking "$1")
    [ ! -e "$root/$1.lacks" ] || gone=$(lacking "$1" | comm -23 - "$root/$1.lacks")
    [ -n "$gone" ] || { record "$1"; return 0; }
  fi
  # shellcheck disable=SC2086
  echo "unpack: $1 under build/servers is stale, without" $(echo "$gone" | head -n 3)
  return 1
}

download() {
  # shellcheck disable=SC2046
  list=$(closure $(packages "$1")) || return 1
  # shellcheck disable=SC2086
  apt download $(echo "$list" | sort -u)
}

unpack() {
  name=$1
  whole "$name" && sound "$name" && return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  rm -rf "$root/$name.debs"
  mkdir -p "$root/$name.debs"
  (
    cd "$root/$name.debs" || exit 1
    download "$name" || { own_lists && download "$name"; }
  ) >"$root/$name.log" 2>&1 || return 1
  rm -rf "${root:?}/$name"
  mkdir -p "$root/$name"
  for deb in "$root/$name.debs"/*.deb; do dpkg-deb -x "$deb" "$root/$name" || return 1; done
  chmod -R u-s,g-s,go+rX "$root/$name" || return 1  # nothing here may ever gain rights
  (cd "$root/$name.debs" && ls) > "$root/$name.list"
  rm -rf "$root/$name.debs" "$root/$name/usr/share/doc" "$root/$name/usr/share/man"
  mv "$root/$name.list" "$root/$name/complete"  # which packages, of which versions
  linked "$name" > "$root/$name.ldd"
  record "$name"
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
  why=$(tail -n 1 "$root/$name.log" 2>/dev/null || echo 'no apt')
  if [ -e "$root/$name/complete" ]; then
    echo "unpack: $name cannot be unpacked anew ($why); specs against it fail where it does not start"
    continue
  fi
  program=$name
  case $name in exim) program=exim4 ;; cyrus) program=cyrmaster ;; courier) program=couriertcpd ;; kerberos) program=krb5kdc ;; esac
  if command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ]; then
    echo "unpack: $name as it is installed here"
  else
    echo "unpack: $name cannot be had here ($why); specs against it are skipped"
  fi
done
exit 0
