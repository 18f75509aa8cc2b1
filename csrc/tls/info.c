/*
** info.c: what can be told of a connection: facts, the peer's certificate, the session to resume
** it with, and the channel bindings that SASL ties a login to.
*/
#include "tls/engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { EXPORTER_N = 32 };

bool lm_tls_info(const struct lm_filter *f, struct lm_tls_info *info_out) {
  const struct lm_tls *t = lm_tls_peek(f);
  const unsigned char *alpn;
  unsigned n;
  if (!lm_tls_is_open(f)) return false;
  SSL_get0_alpn_selected(t->ssl, &alpn, &n);
  info_out->version = SSL_get_version(t->ssl);
  info_out->cipher = SSL_get_cipher_name(t->ssl);
  info_out->alpn = (struct lm_str){(const char *)alpn, n};
  info_out->resumed = SSL_session_reused(t->ssl) == 1;
  return true;
}

bool lm_tls_peer_pem(const struct lm_filter *f, struct lm_buf *out) {
  X509 *cert = SSL_get0_peer_certificate(lm_tls_peek(f)->ssl);
  BIO *bio;
  char *text = NULL;
  long n = 0;
  bool put;
  if (cert == NULL) return true;
  bio = BIO_new(BIO_s_mem());
  if (bio && PEM_write_bio_X509(bio, cert) == 1) n = BIO_get_mem_data(bio, &text);
  put = n > 0 && lm_buf_put(out, text, (size_t)n);
  BIO_free(bio);
  ERR_clear_error();
  return put;
}

struct lm_tls_session *lm_tls_session(const struct lm_filter *f) {
  const struct lm_tls *t = lm_tls_peek(f);
  SSL_SESSION *s;
  if (t->policy.server || !lm_tls_is_open(f)) return NULL;
  s = SSL_get1_session(t->ssl);
  if (s && SSL_SESSION_is_resumable(s)) return (struct lm_tls_session *)s;
  SSL_SESSION_free(s);
  return NULL;
}

void lm_tls_session_free(struct lm_tls_session *s) {
  SSL_SESSION_free((SSL_SESSION *)s);
}

/* Without the extended master secret two TLS 1.2 connections can share their keys (RFC 9266 §4.2).
** No context: what other implementations pass; in TLS 1.3 the same as an empty one. */
size_t lm_tls_exporter(const struct lm_filter *f, unsigned char *out) {
  static const char label[] = "EXPORTER-Channel-Binding";
  SSL *ssl = lm_tls_peek(f)->ssl;
  if (!lm_tls_is_open(f)) return 0;
  if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1) return 0;
  if (SSL_export_keying_material(ssl, out, EXPORTER_N, label, sizeof label - 1, NULL, 0, 0) != 1) {
    ERR_clear_error();
    return 0;
  }
  return EXPORTER_N;
}

/* The digest of the certificate's own signature; MD5 and SHA-1 give way to SHA-256; signatures
** without one (Ed25519) have no such binding (RFC 5929 §4.1). */
static const EVP_MD *binding_digest(X509 *cert) {
  int digest = NID_undef;
  if (X509_get_signature_info(cert, &digest, NULL, NULL, NULL) != 1) return NULL;
  if (digest == NID_md5 || digest == NID_sha1) return EVP_sha256();
  return digest == NID_undef ? NULL : EVP_get_digestbynid(digest);
}

size_t lm_tls_server_end_point(const struct lm_filter *f, unsigned char *out) {
  const struct lm_tls *t = lm_tls_peek(f);
  X509 *cert = t->policy.server ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
  const EVP_MD *digest = lm_tls_is_open(f) && cert ? binding_digest(cert) : NULL;
  unsigned n = 0;
  if (digest == NULL || EVP_MD_get_size(digest) > LM_TLS_BINDING_MAX ||
      X509_digest(cert, digest, out, &n) != 1) {
    ERR_clear_error();
    return 0;
  }
  return n;
}
