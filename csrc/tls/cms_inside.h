/*
** cms_inside.h: what the cms_*.c files share; nobody else includes it.
*/
#ifndef LM_TLS_CMS_INSIDE_H
#define LM_TLS_CMS_INSIDE_H

#include "tls/cms.h"
#include "tls/engine.h"

#include <openssl/cms.h>
#include <openssl/x509.h>

struct lm_certs {
  STACK_OF(X509) * certs;
  STACK_OF(X509_CRL) * lists;
};

struct lm_cms_id {
  EVP_PKEY *key;
  X509 *cert;            /* NULL: none was given */
  struct lm_certs *more; /* those that came with it */
};

struct lm_cms_trust {
  X509_STORE *store;
};

struct lm_cms {
  CMS_ContentInfo *info;
  bool many_digests; /* more than are looked at */
  BIO *digests;      /* what content passes through while it is digested; or NULL */
  struct lm_cms_signer *signers;
  size_t signers_n;
};

/* Appends "what: OpenSSL's reason", and empties its queue. Always false. */
bool lm_cms_refuse(struct lm_buf *why, const char *what);

/* Appends static words, and empties OpenSSL's queue. Always false. */
bool lm_cms_refuse_plain(struct lm_buf *why, const char *what);

/* Seconds since 1970. */
bool lm_cms_epoch(const ASN1_TIME *t, int64_t *out);

/* Facts of any certificate. */
bool lm_cert_facts(X509 *cert, struct lm_cert_facts *out);

/* --- cms_ed25519.c: Ed25519 in CMS (RFC 8419), which OpenSSL 3.0 does not do by itself --------------- */

bool lm_cms_is_ed25519(const EVP_PKEY *key);

/* A signature under way. */
struct lm_cms_ed25519 {
  CMS_SignerInfo *signer; /* NULL: none is; belongs to the object */
  EVP_PKEY *key;
  EVP_MD_CTX *digest;
  struct lm_buf content; /* where the object is to hold it */
};

bool lm_cms_ed25519_begin(struct lm_cms_ed25519 *e, CMS_SignerInfo *signer, EVP_PKEY *key);
bool lm_cms_ed25519_put(struct lm_cms_ed25519 *e, struct lm_str piece, bool keep);

/* Signs, and puts content that was kept into the object. */
bool lm_cms_ed25519_end(struct lm_cms_ed25519 *e, CMS_ContentInfo *info);
void lm_cms_ed25519_free(struct lm_cms_ed25519 *e);

/* True where the signature over a signer's attributes is by this key. */
bool lm_cms_ed25519_verify(CMS_SignerInfo *signer, EVP_PKEY *key);

#endif
