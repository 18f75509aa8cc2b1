/*
** cms_make.c: CMS objects made: signatures beside or around content, and content sealed for others.
**
** A detached signature digests what passes by. Sealed content is written by OpenSSL's streaming BIO as
** BER of indefinite length: content of any size costs one slice of memory and what has not been taken
** yet. Content inside of a signature is kept until the end, and the whole is DER: the stream would be
** begun before OpenSSL knows how PSS is written. Ed25519 has a way of its own: cms_ed25519.c.
*/
#include "tls/cms_inside.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 65536 };

struct lm_cms_maker {
  CMS_ContentInfo *info;
  enum lm_cms_form form;
  BIO *in;  /* what content is written to; NULL before the first of it */
  BIO *out; /* what is ready; NULL where nothing is before the end */
  bool ended;
  unsigned signers;
  struct lm_cms_ed25519 ed; /* the only signer, where its key is of that kind */
};

/* Ends OpenSSL's filters, but not what they write to. */
static void drop_filters(BIO *from, const BIO *until) {
  while (from && from != until) {
    BIO *next = BIO_pop(from);
    BIO_free(from);
    from = next;
  }
}

void lm_cms_maker_free(struct lm_cms_maker *m) {
  if (m == NULL) return;
  drop_filters(m->in, m->out);
  BIO_free(m->out);
  CMS_ContentInfo_free(m->info);
  lm_cms_ed25519_free(&m->ed);
  free(m);
}

/* --- beginning ----------------------------------------------------------------------------------- */

static const EVP_CIPHER *cipher_of(struct lm_str name, bool *authenticated) {
  static const struct {
    const char *name;
    const EVP_CIPHER *(*cipher)(void);
    bool authenticated;
  } known[] = {{"aes-128-cbc", EVP_aes_128_cbc, false}, {"aes-192-cbc", EVP_aes_192_cbc, false},
               {"aes-256-cbc", EVP_aes_256_cbc, false}, {"aes-128-gcm", EVP_aes_128_gcm, true},
               {"aes-192-gcm", EVP_aes_192_gcm, true},  {"aes-256-gcm", EVP_aes_256_gcm, true}};
  size_t i;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    if (strlen(known[i].name) != name.n || memcmp(known[i].name, name.p, name.n) != 0) continue;
    *authenticated = known[i].authenticated;
    return known[i].cipher();
  }
  return NULL;
}

static CMS_ContentInfo *sealed(struct lm_str name, struct lm_buf *why) {
  bool authenticated = false;
  const EVP_CIPHER *cipher = cipher_of(name, &authenticated);
  if (cipher == NULL) {
    lm_cms_refuse_plain(why, "no cipher that mail is sealed with here");
    return NULL;
  }
  return authenticated ? CMS_AuthEnvelopedData_create(cipher) : CMS_EnvelopedData_create(cipher);
}

static CMS_ContentInfo *signing(enum lm_cms_form form) {
  unsigned flags = CMS_PARTIAL | CMS_BINARY;
  if (form == LM_CMS_DETACHED) flags |= CMS_DETACHED;
  return CMS_sign(NULL, NULL, NULL, NULL, flags);
}

struct lm_cms_maker *lm_cms_maker_new(enum lm_cms_form form, struct lm_str cipher,
                                      struct lm_buf *why) {
  struct lm_cms_maker *m = calloc(1, sizeof *m);
  if (m == NULL) return NULL;
  ERR_clear_error();
  m->form = form;
  m->info = form == LM_CMS_SEALED ? sealed(cipher, why) : signing(form);
  ERR_clear_error();
  if (m->info) return m;
  free(m);
  return NULL;
}

/* --- signers ------------------------------------------------------------------------------------- */

static const EVP_MD *digest_of(struct lm_str name) {
  if (name.n == 6 && memcmp(name.p, "sha256", 6) == 0) return EVP_sha256();
  if (name.n == 6 && memcmp(name.p, "sha384", 6) == 0) return EVP_sha384();
  if (name.n == 6 && memcmp(name.p, "sha512", 6) == 0) return EVP_sha512();
  return NULL;
}

static bool has(CMS_ContentInfo *info, X509 *cert) {
  STACK_OF(X509) *there = CMS_get1_certs(info);
  bool found = false;
  int i;
  for (i = 0; !found && i < sk_X509_num(there); i++) {
    found = X509_cmp(sk_X509_value(there, i), cert) == 0;
  }
  sk_X509_pop_free(there, X509_free);
  return found;
}

static bool add_cert(CMS_ContentInfo *info, X509 *cert) {
  return has(info, cert) || CMS_add1_cert(info, cert) == 1;
}

static bool add_certs(CMS_ContentInfo *info, const struct lm_certs *c) {
  int i;
  for (i = 0; i < sk_X509_num(c->certs); i++) {
    if (!add_cert(info, sk_X509_value(c->certs, i))) return false;
  }
  return true;
}

/* PSS with a salt as long as the digest (RFC 4056 §3), by the same digest. */
static bool set_pss(CMS_SignerInfo *si) {
  EVP_PKEY_CTX *c = CMS_SignerInfo_get0_pkey_ctx(si);
  return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool set_time(CMS_SignerInfo *si, int64_t when) {
  ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)when);
  bool set = t && CMS_signed_add1_attr_by_NID(si, NID_pkcs9_signingTime, t->type, t, -1) == 1;
  ASN1_TIME_free(t);
  return set;
}

static bool add_signer(struct lm_cms_maker *m, const struct lm_cms_id *id,
                       const struct lm_cms_manner *how, const EVP_MD *digest) {
  bool pss = EVP_PKEY_get_base_id(id->key) == EVP_PKEY_RSA_PSS ||
             (how->pss && EVP_PKEY_get_base_id(id->key) == EVP_PKEY_RSA);
  /* CADES: with signingCertificateV2, as RFC 8551 §2.5 wants it */
  unsigned flags = CMS_BINARY | CMS_PARTIAL | CMS_NOCERTS | CMS_CADES | (pss ? CMS_KEY_PARAM : 0);
  CMS_SignerInfo *si = CMS_add1_signer(m->info, id->cert, id->key, digest, flags);
  if (si == NULL || (pss && !set_pss(si)) || !set_time(si, how->time)) return false;
  if (lm_cms_is_ed25519(id->key)) return lm_cms_ed25519_begin(&m->ed, si, id->key);
  return true;
}

static const char *unfit(const struct lm_cms_maker *m, const struct lm_cms_id *id,
                         const EVP_MD *digest) {
  if (m->in) return "the content has begun without this signer";
  if (id->cert == NULL) return "there is no certificate to sign with";
  if (digest == NULL) return "no digest that mail is signed with here";
  if (X509_check_purpose(id->cert, X509_PURPOSE_SMIME_SIGN, 0) != 1) {
    return "the certificate is not for signing mail";
  }
  if (m->ed.signer) return "Ed25519 signs alone";
  if (!lm_cms_is_ed25519(id->key)) return NULL;
  if (m->signers > 0) return "Ed25519 signs alone";
  return EVP_MD_is_a(digest, "SHA512") ? NULL : "Ed25519 signs with SHA-512";
}

bool lm_cms_maker_sign(struct lm_cms_maker *m, const struct lm_cms_id *id,
                       const struct lm_cms_manner *how, struct lm_buf *why) {
  const EVP_MD *digest = digest_of(how->digest);
  const char *words = unfit(m, id, digest);
  bool good;
  ERR_clear_error();
  if (words) return lm_cms_refuse_plain(why, words);
  good =
      add_signer(m, id, how, digest) && add_cert(m->info, id->cert) && add_certs(m->info, id->more);
  m->signers++;
  if (!good) return lm_cms_refuse(why, "this key cannot sign");
  ERR_clear_error();
  return true;
}

bool lm_cms_maker_chain(struct lm_cms_maker *m, const struct lm_certs *c, struct lm_buf *why) {
  ERR_clear_error();
  return add_certs(m->info, c) || lm_cms_refuse(why, "the certificates cannot be added");
}

/* --- recipients ---------------------------------------------------------------------------------- */

static const char *unfit_to_seal(X509 *cert, int64_t now) {
  time_t t = (time_t)now;
  if (cert == NULL) return "there is no such certificate";
  if (X509_cmp_time(X509_get0_notBefore(cert), &t) >= 0 ||
      X509_cmp_time(X509_get0_notAfter(cert), &t) <= 0) {
    return "the recipient's certificate is not valid now";
  }
  if (X509_check_purpose(cert, X509_PURPOSE_SMIME_ENCRYPT, 0) != 1) {
    return "the recipient's certificate is not for encrypting mail";
  }
  return NULL;
}

/* RFC 8551 §2.3: SHA-256 all over. */
static bool set_wrapping(CMS_RecipientInfo *ri, enum lm_cms_padding padding) {
  EVP_PKEY_CTX *c = CMS_RecipientInfo_get0_pkey_ctx(ri);
  if (c == NULL) return false;
  if (CMS_RecipientInfo_type(ri) == CMS_RECIPINFO_AGREE) {
    return EVP_PKEY_CTX_set_ecdh_kdf_md(c, EVP_sha256()) == 1;
  }
  if (padding == LM_CMS_PKCS1) return true;
  return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_sha256()) == 1;
}

/* Whether a certificate's key can wrap another: RSA, or ECDH on a curve. */
static bool can_wrap(X509 *cert) {
  const EVP_PKEY *key = X509_get0_pubkey(cert);
  int kind = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
  return kind == EVP_PKEY_RSA || kind == EVP_PKEY_EC;
}

bool lm_cms_maker_seal(struct lm_cms_maker *m, const struct lm_cms_recipient *r,
                       struct lm_buf *why) {
  X509 *cert = r->i < lm_certs_count(r->certs) ? sk_X509_value(r->certs->certs, (int)r->i) : NULL;
  const char *words = unfit_to_seal(cert, r->time);
  CMS_RecipientInfo *ri;
  ERR_clear_error();
  if (words) return lm_cms_refuse_plain(why, words);
  if (!can_wrap(cert)) {
    return lm_cms_refuse_plain(why, "the recipient's key is neither RSA nor one of an EC curve");
  }
  ri = CMS_add1_recipient_cert(m->info, cert, CMS_KEY_PARAM);
  if (ri == NULL || !set_wrapping(ri, r->padding)) {
    return lm_cms_refuse(why, "nothing can be sealed with the recipient's key");
  }
  ERR_clear_error();
  return true;
}

/* --- content ------------------------------------------------------------------------------------- */

static bool begin(struct lm_cms_maker *m) {
  if (m->in) return true;
  if (m->form != LM_CMS_SEALED) {
    m->in = m->ed.signer ? BIO_new(BIO_s_null()) : CMS_dataInit(m->info, NULL);
    return m->in != NULL;
  }
  m->out = BIO_new(BIO_s_mem());
  if (m->out) m->in = BIO_new_CMS(m->out, m->info);
  return m->in != NULL;
}

/* Hands it to the caller; where there is no room OpenSSL's queue says so. */
static bool hand(struct lm_buf *out, const char *p, size_t n) {
  if (lm_buf_put(out, p, n)) return true;
  ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
  return false;
}

/* What is ready goes to the caller. */
static bool drain(struct lm_cms_maker *m, struct lm_buf *out) {
  char *p = NULL;
  long n = m->out ? BIO_get_mem_data(m->out, &p) : 0;
  if (n > 0 && !hand(out, p, (size_t)n)) return false;
  return n <= 0 || BIO_reset(m->out) == 1;
}

bool lm_cms_maker_put(struct lm_cms_maker *m, struct lm_str piece, struct lm_buf *out,
                      struct lm_buf *why) {
  size_t at, n;
  bool good;
  ERR_clear_error();
  if (m->ended) return lm_cms_refuse_plain(why, "the object has ended");
  good = begin(m);
  if (good && m->ed.signer) good = lm_cms_ed25519_put(&m->ed, piece, m->form == LM_CMS_OPAQUE);
  for (at = 0; good && at < piece.n; at += n) {
    n = piece.n - at < SLICE ? piece.n - at : SLICE;
    good = BIO_write(m->in, piece.p + at, (int)n) == (int)n && drain(m, out);
  }
  return good || lm_cms_refuse(why, "the object cannot be made");
}

static bool write_whole(struct lm_cms_maker *m, struct lm_buf *out) {
  unsigned char *der = NULL;
  int n = i2d_CMS_ContentInfo(m->info, &der);
  bool good = n > 0 && hand(out, (const char *)der, (size_t)n);
  OPENSSL_free(der);
  return good;
}

static bool end(struct lm_cms_maker *m, struct lm_buf *out) {
  if (!begin(m)) return false;
  if (m->ed.signer) return lm_cms_ed25519_end(&m->ed, m->info) && write_whole(m, out);
  if (BIO_flush(m->in) != 1) return false;
  if (m->form == LM_CMS_SEALED) return drain(m, out);
  return CMS_dataFinal(m->info, m->in) == 1 && write_whole(m, out);
}

bool lm_cms_maker_end(struct lm_cms_maker *m, struct lm_buf *out, struct lm_buf *why) {
  bool good;
  ERR_clear_error();
  if (m->ended) return lm_cms_refuse_plain(why, "the object has ended");
  m->ended = true;
  good = end(m, out);
  if (!good) return lm_cms_refuse(why, "the object cannot be made");
  ERR_clear_error();
  return true;
}
