#!/bin/sh
# smime.sh FOLDER: authorities made for the run, and certificates for mail of every kind of key, good and bad.
# NAME.crt, NAME.key; the authority "root", "middle" below it, which has issued all but `stranger`.
set -eu
cd "$1"
export OPENSSL_CONF="$1/empty.cnf"
: > empty.cnf

# key NAME KIND
key() {
  case $2 in
    rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key" ;;
    pss) openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out "$1.key" ;;
    ec) openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" ;;
    p384) openssl ecparam -name secp384r1 -genkey -noout -out "$1.key" ;;
    ed) openssl genpkey -quiet -algorithm ED25519 -out "$1.key" ;;
    x25519) openssl genpkey -quiet -algorithm X25519 -out "$1.key" ;;
  esac
}

authority='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n'

# root NAME COMMON_NAME
root() {
  key "$1" ec
  printf '[req]\ndistinguished_name=d\n[d]\n[x]\n%b' "$authority" > "$1.cnf"
  openssl req -x509 -new -sha256 -key "$1.key" -config "$1.cnf" -extensions x -days 30 -subj "/CN=$2" -out "$1.crt"
}

# leaf NAME KIND ISSUER SUBJECT EXTENSIONS [DATES...]
leaf() {
  name=$1 kind=$2 issuer=$3 subject=$4 ext=$5; shift 5
  key "$name" "$kind"
  printf '[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=%s.db\nrand_serial=yes\ndefault_md=sha256\ndefault_crl_days=30\npolicy=p\nunique_subject=no\n[p]\nO=optional\ncommonName=supplied\n[req]\ndistinguished_name=d\nstring_mask=utf8only\nutf8=yes\n[d]\n[x]\n%bsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' "$issuer" "$ext" > "$name.cnf"
  [ -f "$issuer.db" ] || : > "$issuer.db"
  # a key that cannot sign gets its certificate for a request of another's
  if [ "$kind" = x25519 ]; then
    printf '[x]\n%b' "$ext" > "$name.ext"
    openssl pkey -in "$name.key" -pubout -out "$name.pub"
    openssl x509 -req -in rsa.csr -force_pubkey "$name.pub" -CA "$issuer.crt" -CAkey "$issuer.key" -days 30 \
      -extfile "$name.ext" -extensions x -out "$name.crt" 2>/dev/null
    return
  fi
  openssl req -new -utf8 -key "$name.key" -config "$name.cnf" -subj "$subject" -out "$name.csr"
  [ $# -gt 0 ] || set -- -days 30
  openssl ca -utf8 -batch -notext -config "$name.cnf" -extensions x "$@" -cert "$issuer.crt" -keyfile "$issuer.key" \
    -in "$name.csr" -out "$name.crt" 2>/dev/null || { echo "openssl ca failed for $name" >&2; exit 1; }
}

mail='basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment,keyAgreement\nextendedKeyUsage=emailProtection\nsubjectAltName='

root root 'lua-mail mail authority'
root foreign 'somebody else'
leaf middle ec root '/CN=lua-mail middle' "$authority"
for kind in rsa pss ec p384 ed x25519; do
  leaf $kind $kind middle "/O=Fünf Äpfel/CN=Ann $kind" "${mail}email:ann@example.com,email:ann.other@example.com\n"
done
leaf bob rsa middle /CN=Bob "${mail}email:bob@example.org\n"
leaf nameless ec middle /CN=Nobody "${mail}DNS:example.com\n"
leaf stranger ec foreign /CN=Stranger "${mail}email:ann@example.com\n"
leaf web ec middle /CN=example.com 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=email:ann@example.com\n'
leaf expired ec middle /CN=Old "${mail}email:ann@example.com\n" -startdate 20200101000000Z -enddate 20210101000000Z
leaf revoked ec middle /CN=Lost "${mail}email:ann@example.com\n"
openssl ca -config revoked.cnf -cert middle.crt -keyfile middle.key -revoke revoked.crt 2>/dev/null
openssl ca -config revoked.cnf -cert middle.crt -keyfile middle.key -gencrl -out middle.crl 2>/dev/null

openssl pkcs12 -export -inkey rsa.key -in rsa.crt -certfile middle.crt -passout pass:letmein -out rsa.p12
openssl pkcs8 -topk8 -in rsa.key -passout pass:letmein -out locked.key
openssl pkcs8 -topk8 -in rsa.key -passout pass:letmein -outform DER -out locked.der
openssl pkcs8 -topk8 -nocrypt -in rsa.key -outform DER -out rsa.der
openssl x509 -in rsa.crt -outform DER -out rsa.crt.der
openssl crl2pkcs7 -nocrl -certfile rsa.crt -certfile middle.crt -outform DER -out bundle.p7c

# under the names that README.md gives them
cp rsa.key ann.key
cat rsa.crt middle.crt > ann.crt
cp root.crt authority.crt
