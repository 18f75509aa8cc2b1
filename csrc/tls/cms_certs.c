/*
** cms_certs.c: certificates, own keys and trust, read from text.
**
** PEM or DER is told by what the text holds. Blocks of a PEM text that are neither certificates nor
** revocation lists (a key, mostly) are wiped unread.
*/
#include "tls/cms_inside.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

bool lm_cms_refuse(struct lm_buf *why, const char *what) {
  lm_tls_says(why, what);
  lm_tls_says(why, ": ");
  lm_tls_say_error(why);
  return false;
}

bool lm_cms_refuse_plain(struct lm_buf *why, const char *what) {
  lm_tls_says(why, what);
  ERR_clear_error();
  return false;
}

/* A BIO that reads the text; NULL: memory, or more text than OpenSSL can count. */
static BIO *source_of(struct lm_str text) {
  return text.n <= INT_MAX ? BIO_new_mem_buf(text.n ? text.p : "", (int)text.n) : NULL;
}

/* --- lists of certificates ----------------------------------------------------------------------- */

struct lm_certs *lm_certs_new(void) {
  struct lm_certs *c = malloc(sizeof *c);
  if (c == NULL) return NULL;
  c->certs = sk_X509_new_null();
  c->lists = sk_X509_CRL_new_null();
  if (c->certs && c->lists) return c;
  lm_certs_free(c);
  return NULL;
}

void lm_certs_free(struct lm_certs *c) {
  if (c == NULL) return;
  sk_X509_pop_free(c->certs, X509_free);
  sk_X509_CRL_pop_free(c->lists, X509_CRL_free);
  free(c);
}

size_t lm_certs_count(const struct lm_certs *c) {
  return (size_t)sk_X509_num(c->certs);
}

size_t lm_certs_lists(const struct lm_certs *c) {
  return (size_t)sk_X509_CRL_num(c->lists);
}

/* Takes the certificate over, NULL too. */
static bool keep(struct lm_certs *c, X509 *cert) {
  if (cert && sk_X509_push(c->certs, cert) > 0) return true;
  X509_free(cert);
  return false;
}

static bool keep_list(struct lm_certs *c, X509_CRL *list) {
  if (list && sk_X509_CRL_push(c->lists, list) > 0) return true;
  X509_CRL_free(list);
  return false;
}

/* The certificates and lists of a PKCS #7 bundle. */
static bool add_bundle(struct lm_certs *c, const unsigned char *p, long n) {
  CMS_ContentInfo *info = d2i_CMS_ContentInfo(NULL, &p, n);
  STACK_OF(X509) *certs = info ? CMS_get1_certs(info) : NULL;
  STACK_OF(X509_CRL) *lists = info ? CMS_get1_crls(info) : NULL;
  bool any = sk_X509_num(certs) > 0 || sk_X509_CRL_num(lists) > 0, good = any;
  while (good && sk_X509_num(certs) > 0) good = keep(c, sk_X509_shift(certs));
  while (good && sk_X509_CRL_num(lists) > 0) good = keep_list(c, sk_X509_CRL_shift(lists));
  sk_X509_pop_free(certs, X509_free);
  sk_X509_CRL_pop_free(lists, X509_CRL_free);
  CMS_ContentInfo_free(info);
  return good;
}

static bool add_der(struct lm_certs *c, struct lm_str text) {
  const unsigned char *start = (const unsigned char *)text.p, *p = start;
  X509_CRL *list;
  X509 *cert = d2i_X509(NULL, &p, (long)text.n);
  if (cert) return keep(c, cert);
  p = start;
  list = d2i_X509_CRL(NULL, &p, (long)text.n);
  return list ? keep_list(c, list) : add_bundle(c, start, (long)text.n);
}

/* One block of PEM text; those of other names are none of ours. */
static bool add_block(struct lm_certs *c, const char *name, const unsigned char *p, long n) {
  if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0 ||
      strcmp(name, PEM_STRING_X509_TRUSTED) == 0) {
    return keep(c, d2i_X509(NULL, &p, n));
  }
  if (strcmp(name, PEM_STRING_X509_CRL) == 0) return keep_list(c, d2i_X509_CRL(NULL, &p, n));
  if (strcmp(name, PEM_STRING_PKCS7) == 0 || strcmp(name, PEM_STRING_CMS) == 0) {
    return add_bundle(c, p, n);
  }
  return true;
}

/* The end of the text is an error to OpenSSL. */
static bool at_end(void) {
  unsigned long e = ERR_peek_last_error();
  return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static bool add_pem(struct lm_certs *c, struct lm_str text) {
  BIO *bio = source_of(text);
  bool good = bio != NULL;
  char *name, *header;
  unsigned char *data;
  long n;
  while (good && PEM_read_bio(bio, &name, &header, &data, &n) == 1) {
    good = add_block(c, name, data, n);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, (size_t)n);
  }
  BIO_free(bio);
  return good && at_end();
}

bool lm_certs_add(struct lm_certs *c, struct lm_str text, struct lm_buf *why) {
  size_t before = lm_certs_count(c) + lm_certs_lists(c);
  bool good = false;
  ERR_clear_error();
  if (text.n > 0 && text.n <= INT_MAX)
    good = lm_tls_is_pem(text) ? add_pem(c, text) : add_der(c, text);
  if (!good) return lm_cms_refuse_plain(why, "no certificate that can be read");
  ERR_clear_error();
  if (lm_certs_count(c) + lm_certs_lists(c) > before) return true;
  return lm_cms_refuse_plain(why, "there is no certificate in it");
}

/* --- private keys -------------------------------------------------------------------------------- */

/* What OpenSSL is told where it asks for a password, and whether it did. */
struct answer {
  struct lm_str passphrase;
  bool asked;
};

static int passphrase_for(char *buf, int size, int writing, void *user) {
  struct answer *a = user;
  (void)writing;
  a->asked = true;
  if (a->passphrase.p == NULL || a->passphrase.n > (size_t)size) return -1;
  memcpy(buf, a->passphrase.p, a->passphrase.n);
  return (int)a->passphrase.n;
}

static EVP_PKEY *read_key(struct lm_str text, struct answer *a) {
  const unsigned char *p = (const unsigned char *)text.p;
  BIO *bio = source_of(text);
  EVP_PKEY *key = NULL;
  if (bio && lm_tls_is_pem(text)) {
    key = PEM_read_bio_PrivateKey(bio, NULL, passphrase_for, a);
  } else if (bio && (key = d2i_AutoPrivateKey(NULL, &p, (long)text.n)) == NULL) {
    key = d2i_PKCS8PrivateKey_bio(bio, NULL, passphrase_for, a);
  }
  BIO_free(bio);
  return key;
}

static bool set_key(struct lm_cms_id *id, const struct lm_cms_secret *s, struct lm_buf *why) {
  struct answer a = {s->passphrase, false};
  id->key = s->key.n > 0 ? read_key(s->key, &a) : NULL;
  if (id->key) return true;
  if (!a.asked) return lm_cms_refuse_plain(why, "no private key that can be read");
  if (a.passphrase.p) return lm_cms_refuse_plain(why, "the passphrase does not open the key");
  return lm_cms_refuse_plain(why, "the key is encrypted, and there is no passphrase");
}

/* --- PKCS #12 ------------------------------------------------------------------------------------ */

static bool unpack(struct lm_cms_id *id, PKCS12 *bag, const char *passphrase) {
  STACK_OF(X509) *others = NULL;
  bool good = PKCS12_parse(bag, passphrase, &id->key, &id->cert, &others) == 1;
  while (good && sk_X509_num(others) > 0) good = keep(id->more, sk_X509_shift(others));
  sk_X509_pop_free(others, X509_free);
  return good;
}

static bool set_pkcs12(struct lm_cms_id *id, const struct lm_cms_secret *s, struct lm_buf *why) {
  const unsigned char *p = (const unsigned char *)s->pkcs12.p;
  PKCS12 *bag = s->pkcs12.n <= INT_MAX ? d2i_PKCS12(NULL, &p, (long)s->pkcs12.n) : NULL;
  char *passphrase = malloc(s->passphrase.n + 1);
  bool read = bag != NULL, good = false;
  if (passphrase) {
    if (s->passphrase.n) memcpy(passphrase, s->passphrase.p, s->passphrase.n);
    passphrase[s->passphrase.n] = '\0';
    good = read && unpack(id, bag, passphrase);
    lm_wipe(passphrase, s->passphrase.n);
  }
  free(passphrase);
  PKCS12_free(bag);
  if (!read) return lm_cms_refuse_plain(why, "no PKCS #12 that can be read");
  if (!good) return lm_cms_refuse(why, "the PKCS #12 cannot be opened");
  if (id->key && id->cert) return true;
  return lm_cms_refuse_plain(why, "the PKCS #12 holds no key with a certificate");
}

/* --- identities ---------------------------------------------------------------------------------- */

/* The key's own certificate, taken out of those that were given. */
static bool set_own(struct lm_cms_id *id, struct lm_buf *why) {
  int i;
  for (i = 0; id->cert == NULL && i < sk_X509_num(id->more->certs); i++) {
    if (X509_check_private_key(sk_X509_value(id->more->certs, i), id->key) == 1) {
      id->cert = sk_X509_delete(id->more->certs, i);
    }
  }
  return id->cert || lm_cms_refuse_plain(why, "the certificate does not belong to the key");
}

static bool fill(struct lm_cms_id *id, const struct lm_cms_secret *s, struct lm_buf *why) {
  if ((id->more = lm_certs_new()) == NULL) return false;
  if (s->pkcs12.n) return set_pkcs12(id, s, why);
  if (!set_key(id, s, why)) return false;
  if (s->certificate.n == 0) return true;
  return lm_certs_add(id->more, s->certificate, why) && set_own(id, why);
}

struct lm_cms_id *lm_cms_id_new(const struct lm_cms_secret *s, struct lm_buf *why) {
  struct lm_cms_id *id = calloc(1, sizeof *id);
  bool good;
  if (id == NULL) return NULL;
  ERR_clear_error();
  good = fill(id, s, why);
  ERR_clear_error();
  if (good) return id;
  lm_cms_id_free(id);
  return NULL;
}

bool lm_cms_id_facts(const struct lm_cms_id *id, struct lm_cert_facts *out) {
  out->missing = id->cert == NULL;
  return id->cert && lm_cert_facts(id->cert, out);
}

const char *lm_cms_id_digest(const struct lm_cms_id *id) {
  return lm_cms_is_ed25519(id->key) ? "sha512" : "sha256";
}

void lm_cms_id_free(struct lm_cms_id *id) {
  if (id == NULL) return;
  EVP_PKEY_free(id->key);
  X509_free(id->cert);
  lm_certs_free(id->more);
  free(id);
}

/* --- trust --------------------------------------------------------------------------------------- */

static bool add_roots(X509_STORE *store, const struct lm_certs *roots) {
  int i;
  for (i = 0; i < sk_X509_num(roots->certs); i++) {
    if (X509_STORE_add_cert(store, sk_X509_value(roots->certs, i)) != 1) return false;
  }
  return true;
}

struct lm_cms_trust *lm_cms_trust_new(const struct lm_certs *roots, struct lm_buf *why) {
  struct lm_cms_trust *t = malloc(sizeof *t);
  bool good;
  if (t == NULL) return NULL;
  ERR_clear_error();
  t->store = X509_STORE_new();
  good = t->store != NULL;
  if (good) good = roots ? add_roots(t->store, roots) : X509_STORE_set_default_paths(t->store) == 1;
  if (!good) lm_cms_refuse(why, "no trusted certificates");
  ERR_clear_error();
  if (good) return t;
  lm_cms_trust_free(t);
  return NULL;
}

void lm_cms_trust_free(struct lm_cms_trust *t) {
  if (t == NULL) return;
  X509_STORE_free(t->store);
  free(t);
}
