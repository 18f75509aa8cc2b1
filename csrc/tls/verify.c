/*
** verify.c: is the peer who it should be: chain, host name or address, pins, ALPN.
**
** OpenSSL builds and judges the chain and compares the name (RFC 9525: subjectAltName alone, one
** whole left-most label may be a wildcard); pins are compared here. All of it runs inside the
** handshake, before our own certificate or any data goes out. A resumed handshake shows no
** certificate: there the one kept in the session is judged again.
*/
#include "tls/engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
  NAME_FLAGS = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
  NAMES_SHOWN = 6,
  HOST_MAX = 253
};

/* --- pins ------------------------------------------------------------------------------------ */

static bool key_digest(X509 *cert, unsigned char *digest_out) {
  unsigned char *der = NULL;
  int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
  bool made = n > 0 && EVP_Digest(der, (size_t)n, digest_out, NULL, EVP_sha256(), NULL) == 1;
  OPENSSL_free(der);
  return made;
}

static bool is_among(const struct lm_tls_policy *p, const unsigned char *digest) {
  size_t i;
  for (i = 0; i < p->pins_n; i++) {
    if (memcmp(p->pins[i], digest, LM_TLS_DIGEST) == 0) return true;
  }
  return false;
}

/* A pin is the digest of the key (as RFC 7469 has it), or of the whole certificate: its fingerprint. */
static bool is_pinned(const struct lm_tls_policy *p, X509 *cert) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n;
  if (p->pins_n == 0) return true;
  if (cert == NULL || !key_digest(cert, digest)) return false;
  if (is_among(p, digest)) return true;
  return X509_digest(cert, EVP_sha256(), digest, &n) == 1 && is_among(p, digest);
}

/* --- words ----------------------------------------------------------------------------------- */

static void say(struct lm_tls *t, const char *text) {
  lm_tls_says(&t->why, text);
  t->named = true;
}

static void say_names(struct lm_buf *why, X509 *cert) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  BIO *bio = BIO_new(BIO_s_mem());
  char *text;
  long n;
  int i, count = sk_GENERAL_NAME_num(names);
  for (i = 0; bio && i < count && i < NAMES_SHOWN; i++) {
    if (i) BIO_puts(bio, ", ");
    GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i));
  }
  if (bio && count > NAMES_SHOWN) BIO_puts(bio, ", ...");
  n = bio ? BIO_get_mem_data(bio, &text) : 0;
  if (n > 512) n = 512;
  if (n > 0) lm_tls_say(why, text, (size_t)n);
  if (count <= 0) lm_tls_says(why, "no name at all");
  BIO_free(bio);
  GENERAL_NAMES_free(names);
}

static void explain(struct lm_tls *t, X509_STORE_CTX *store) {
  int error = X509_STORE_CTX_get_error(store);
  if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    say(t, "host name mismatch: certificate is for ");
    say_names(&t->why, X509_STORE_CTX_get0_cert(store));
    return;
  }
  say(t, "certificate verify failed: ");
  say(t, X509_verify_cert_error_string(error));
}

/* --- inside the handshake -------------------------------------------------------------------- */

int lm_tls_verify(X509_STORE_CTX *store, void *unused) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  struct lm_tls *t = SSL_get_app_data(ssl);
  (void)unused;
  if (t->policy.verify && X509_verify_cert(store) != 1) {
    explain(t, store);
    return 0;
  }
  /* the result is kept in the session: one that was never verified must not look as if it was */
  if (!t->policy.verify) X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
  if (is_pinned(&t->policy, X509_STORE_CTX_get0_cert(store))) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  say(t, "the server's key is none of those pinned");
  return 0;
}

/* --- names ----------------------------------------------------------------------------------- */

static bool is_address(const char *name) {
  ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
  ASN1_OCTET_STRING_free(ip);
  return ip != NULL;
}

static bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

static bool is_host_name(struct lm_str s) {
  size_t i, label = 0;
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '.' ? label == 0 : !is_name_char(s.p[i])) return false;
    label = s.p[i] == '.' ? 0 : label + 1;
    if (label > 63) return false;
  }
  return s.n > 0;
}

/* The name without what is no part of it for the certificate: the root's dot (RFC 6066 §3), an
** IPv6 zone. False where it is no name. */
static bool plain_name(struct lm_str name, char *out) {
  const char *zone = name.n ? memchr(name.p, '%', name.n) : NULL;
  if (zone) name.n = (size_t)(zone - name.p);
  if (name.n > 1 && name.p[name.n - 1] == '.') name.n--;
  if (name.n == 0 || name.n > HOST_MAX || memchr(name.p, '\0', name.n)) return false;
  memcpy(out, name.p, name.n);
  out[name.n] = '\0';
  return is_address(out) || (zone == NULL && is_host_name(name));
}

bool lm_tls_name_ok(struct lm_str name) {
  char plain[HOST_MAX + 1];
  return plain_name(name, plain);
}

bool lm_tls_expect(SSL *ssl, const struct lm_tls_policy *p, struct lm_str name) {
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  char plain[HOST_MAX + 1];
  if (!plain_name(name, plain)) return false;
  X509_VERIFY_PARAM_set_hostflags(param, NAME_FLAGS);
  if (is_address(plain)) return !p->verify || X509_VERIFY_PARAM_set1_ip_asc(param, plain) == 1;
  if (p->verify && X509_VERIFY_PARAM_set1_host(param, plain, 0) != 1) return false;
  return SSL_set_tlsext_host_name(ssl, plain) == 1;
}

/* --- after the handshake --------------------------------------------------------------------- */

static bool is_named(SSL *ssl, X509 *cert) {
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
  char *ip = host ? NULL : X509_VERIFY_PARAM_get1_ip_asc(param);
  bool right = host ? X509_check_host(cert, host, 0, NAME_FLAGS, NULL) == 1
                    : ip != NULL && X509_check_ip_asc(cert, ip, 0) == 1;
  OPENSSL_free(ip);
  return right;
}

static bool refuse(struct lm_tls *t, const char *why) {
  say(t, why);
  return false;
}

static bool accept_peer(struct lm_tls *t) {
  X509 *cert = SSL_get0_peer_certificate(t->ssl);
  if (t->policy.verify && (cert == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)) {
    return refuse(t, "certificate verify failed: none was shown, or it was never verified");
  }
  if (t->policy.verify && !t->policy.server && !is_named(t->ssl, cert)) {
    return refuse(t, "host name mismatch: the resumed session is another server's");
  }
  return is_pinned(&t->policy, cert) || refuse(t, "the server's key is none of those pinned");
}

/* True where `name` is one of those that we offered. */
static bool is_offered(const struct lm_tls_policy *p, const unsigned char *name, unsigned n) {
  size_t i;
  for (i = 0; i < p->alpn_n; i += (size_t)p->alpn[i] + 1) {
    if (p->alpn[i] == n && memcmp(p->alpn + i + 1, name, n) == 0) return true;
  }
  return false;
}

bool lm_tls_accept(struct lm_tls *t) {
  const unsigned char *name;
  unsigned n;
  if (!accept_peer(t)) return false;
  SSL_get0_alpn_selected(t->ssl, &name, &n);
  if (n == 0 || is_offered(&t->policy, name, n)) return true;
  return refuse(t, "the server chose a protocol that was not offered (ALPN)");
}
