#!/bin/sh
# certificates.sh FOLDER: an authority made for the run, and certificates good and bad in every way that a client
# must notice. NAME.crt (leaf first), NAME.key, NAME.pin (base64 of SHA-256 of the public key). P-256 throughout.
set -eu
cd "$1"
export OPENSSL_CONF="$1/empty.cnf"
: > empty.cnf

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# root NAME COMMON_NAME: an authority
root() {
  key "$1"
  printf '[req]\ndistinguished_name=d\n[d]\n[x]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n' > "$1.cnf"
  openssl req -x509 -new -sha256 -key "$1.key" -config "$1.cnf" -extensions x -days 30 -subj "/CN=$2" -out "$1.crt"
}

# leaf NAME ISSUER COMMON_NAME EXTENSIONS [DATES...]
leaf() {
  name=$1 issuer=$2 cn=$3 ext=$4; shift 4
  key "$name"
  printf '[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=%s.db\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n[req]\ndistinguished_name=d\n[d]\n[x]\n%b\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' "$name" "$ext" > "$name.cnf"
  : > "$name.db"
  openssl req -new -sha256 -key "$name.key" -config "$name.cnf" -subj "/CN=$cn" -out "$name.csr"
  [ $# -gt 0 ] || set -- -days 30
  openssl ca -batch -notext -config "$name.cnf" -extensions x "$@" -cert "$issuer.crt" -keyfile "$issuer.key" \
    -in "$name.csr" -out "$name.crt" 2>/dev/null || { echo "openssl ca failed for $name" >&2; exit 1; }
}

server='basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName='
client='basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth'
here='DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:::1'

root ca 'lua-mail test authority'
root foreign_ca 'somebody else'
leaf intermediate ca 'lua-mail intermediate' \
  'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign'
leaf good ca localhost "$server$here"
leaf good2 ca localhost "$server$here"
leaf expired ca localhost "$server$here" -startdate 20200101000000Z -enddate 20200201000000Z
leaf not_yet ca localhost "$server$here" -startdate 20400101000000Z -enddate 20400201000000Z
leaf wrong_host ca elsewhere.example.test "${server}DNS:elsewhere.example.test"
leaf name_only ca localhost "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth"
leaf wildcard ca '*.example.test' "${server}DNS:*.example.test"
leaf cn_only_right ca localhost "${server}DNS:elsewhere.example.test"
leaf star ca localhost "${server}DNS:*,DNS:*.*.test,DNS:mx.*.test,DNS:m*.example.test"
leaf idn ca localhost "${server}DNS:xn--bcher-kva.test"
leaf wrong_purpose ca localhost "$client\nsubjectAltName=$here"
leaf foreign foreign_ca localhost "$server$here"
leaf chain intermediate localhost "$server$here"
leaf client ca user1 "$client"
leaf client_foreign foreign_ca user1 "$client"
leaf by_leaf good localhost "$server$here"
cat good.crt >> by_leaf.crt
cp chain.crt chain_incomplete.crt; cp chain.key chain_incomplete.key
cat intermediate.crt >> chain.crt
key self_signed
printf '[req]\ndistinguished_name=d\n[d]\n[x]\nsubjectAltName=%s\n' "$here" > self_signed.cnf
openssl req -x509 -new -sha256 -key self_signed.key -config self_signed.cnf -extensions x -days 30 \
  -subj /CN=localhost -out self_signed.crt
for name in good good2 self_signed; do
  openssl pkey -in $name.key -pubout -outform DER | openssl dgst -sha256 -binary | openssl base64 > $name.pin
done
chmod 644 ./*.key
rm -f ./*.csr ./*.cnf ./*.db* ./[0-9A-F]*.pem
