/*
** tls_fixture.h: certificates made on the spot, and two filters that talk to each other in memory.
**
** For tls_test.c and tls_alloc_test.c: no file, no process, no socket.
*/
#ifndef LM_SPEC_TLS_FIXTURE_H
#define LM_SPEC_TLS_FIXTURE_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "check.h"
#include "tls/tls.h"

/* --- certificates ---------------------------------------------------------------------------- */

/* What a certificate is asked to be; times in days from now. */
struct wish {
  const char *common_name;
  const char *san;   /* as in openssl.cnf: "DNS:a.example,IP:::1"; NULL for none */
  const char *usage; /* extendedKeyUsage; NULL for none */
  int from, to;
  bool ca;
};

struct identity {
  X509 *cert;
  EVP_PKEY *key;
  char *cert_pem; /* the certificate and, behind it, whoever issued it where that is no root */
  char *key_pem;
};

static inline bool has(struct lm_str s, const char *part) {
  size_t n = strlen(part), i;
  for (i = 0; i + n <= s.n; i++) {
    if (memcmp(s.p + i, part, n) == 0) return true;
  }
  return false;
}

static inline char *text_of(BIO *bio) {
  char *p, *text;
  long n = BIO_get_mem_data(bio, &p);
  text = malloc((size_t)n + 1);
  memcpy(text, p, (size_t)n);
  text[n] = '\0';
  BIO_free(bio);
  return text;
}

static inline void extend(X509 *cert, int nid, const char *value) {
  X509_EXTENSION *ext = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
  if (ext) X509_add_ext(cert, ext, -1);
  X509_EXTENSION_free(ext);
}

/* An identity by `issuer`, or self-signed where that is NULL. */
static inline struct identity identity(const struct wish *w, const struct identity *issuer) {
  static long serial = 1;
  struct identity id;
  X509_NAME *name;
  BIO *bio = BIO_new(BIO_s_mem());
  id.key = EVP_EC_gen("P-256");
  id.cert = X509_new();
  X509_set_version(id.cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(id.cert), w->from * 86400L);
  X509_gmtime_adj(X509_getm_notAfter(id.cert), w->to * 86400L);
  X509_set_pubkey(id.cert, id.key);
  name = X509_get_subject_name(id.cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)w->common_name, -1,
                             -1, 0);
  X509_set_issuer_name(id.cert, issuer ? X509_get_subject_name(issuer->cert) : name);
  extend(id.cert, NID_basic_constraints, w->ca ? "critical,CA:TRUE" : "CA:FALSE");
  extend(id.cert, NID_subject_alt_name, w->san);
  extend(id.cert, NID_ext_key_usage, w->usage);
  X509_sign(id.cert, issuer ? issuer->key : id.key, EVP_sha256());
  PEM_write_bio_X509(bio, id.cert);
  if (issuer && X509_check_issued(issuer->cert, issuer->cert) != X509_V_OK) {
    PEM_write_bio_X509(bio, issuer->cert);
  }
  id.cert_pem = text_of(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, id.key, NULL, NULL, 0, NULL, NULL);
  id.key_pem = text_of(bio);
  return id;
}

static inline void forget(struct identity *id) {
  X509_free(id->cert);
  EVP_PKEY_free(id->key);
  free(id->cert_pem);
  free(id->key_pem);
}

/* The pin of an identity, NUL-terminated base64. */
static inline void pin_of(const struct identity *id, char out[64]) {
  unsigned char *der = NULL, digest[32];
  int n = i2d_PUBKEY(id->key, &der);
  EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL);
  EVP_EncodeBlock((unsigned char *)out, digest, 32);
  OPENSSL_free(der);
}

/* --- contexts -------------------------------------------------------------------------------- */

/* A context that must come to be. */
static inline struct lm_tls_context *context(const struct lm_tls_options *o) {
  struct lm_buf why = {NULL, 0, 0, 0};
  struct lm_tls_context *c = lm_tls_context_new(o, &why);
  if (c == NULL) fprintf(stderr, "%.*s\n", (int)lm_buf_len(&why), lm_buf_str(&why).p);
  lm_buf_free(&why);
  return c;
}

static inline struct lm_tls_options server_options(const struct identity *id) {
  struct lm_tls_options o = {0};
  o.server = true;
  o.cert = str(id->cert_pem);
  o.key = str(id->key_pem);
  return o;
}

static inline struct lm_tls_options client_options(const struct identity *root) {
  struct lm_tls_options o = {0};
  o.verify = true;
  o.ca_file = str(root->cert_pem);
  return o;
}

/* --- two ends -------------------------------------------------------------------------------- */

/* One side: the session's wire, and the filter around it. */
struct side {
  struct lm_wire wire;
  struct lm_link link;
  struct lm_filter *tls; /* the link's */
};

static inline bool side_open(struct side *s, const struct lm_tls_context *c, const char *name,
                             struct lm_tls_session *resume) {
  const char *refusal;
  memset(s, 0, sizeof *s);
  lm_wire_init(&s->wire);
  s->link.wire = &s->wire;
  s->tls = lm_tls_new(c, str(name), resume, &refusal);
  return s->tls && lm_link_insert(&s->link, s->tls);
}

static inline void side_free(struct side *s) {
  lm_link_free(&s->link);
  lm_wire_free(&s->wire);
}

/* Carries what `from` has to send over to `to`, at most `split` bytes at a time; true if it had. */
static inline bool carry(struct side *from, struct side *to, size_t split) {
  struct lm_wire *a = lm_link_outer(&from->link), *b = lm_link_outer(&to->link);
  struct lm_str s;
  bool carried = false;
  lm_link_turn(&from->link);
  while ((s = lm_wire_output(a)).n) {
    if (s.n > split) s.n = split;
    lm_wire_feed(b, s);
    lm_wire_sent(a, s.n);
    lm_link_turn(&to->link);
    lm_link_turn(&from->link);
    carried = true;
  }
  return carried;
}

/* Until nobody has anything to say. */
static inline void converse(struct side *a, struct side *b, size_t split) {
  bool first, second;
  do {
    first = carry(a, b, split);
    second = carry(b, a, split);
  } while (first || second);
}

static inline bool heard(const struct side *s, const char *text) {
  struct lm_str in = lm_wire_input(&s->wire);
  return in.n == strlen(text) && memcmp(in.p, text, in.n) == 0;
}

#endif
