/*
** cms_ed25519.c: signatures by Ed25519 in CMS (RFC 8419), which OpenSSL 3.0 can neither make nor verify:
** its CMS digests what is to be signed, and Ed25519 takes text alone.
**
** What is signed is the DER of the signed attributes as a SET OF (RFC 5652 §5.4), among them SHA-512
** of the content; attributes are always there.
*/
#include "tls/cms_inside.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNATURE = 64, ATTRIBUTES = 64, ATTRIBUTES_SIZE = 65536 };

bool lm_cms_is_ed25519(const EVP_PKEY *key) {
  return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
}

/* --- the attributes as DER ----------------------------------------------------------------------- */

struct der {
  unsigned char *p;
  size_t n;
};

/* X.690 §11.6: elements of a SET OF go by their octets, a shorter one as if zeros followed it. */
static int by_octets(const void *a, const void *b) {
  const struct der *x = a, *y = b;
  int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
  if (order != 0 || x->n == y->n) return order;
  return x->n < y->n ? -1 : 1;
}

/* The octets of all attributes, each by itself and in order; how many, or -1. */
static int encode_all(const CMS_SignerInfo *si, struct der *list, size_t *total) {
  int n = CMS_signed_get_attr_count(si), i;
  if (n <= 0 || n > ATTRIBUTES) return -1;
  *total = 0;
  for (i = 0; i < n; i++) {
    int size = i2d_X509_ATTRIBUTE(CMS_signed_get_attr(si, i), &list[i].p);
    if (size <= 0) return -1;
    list[i].n = (size_t)size;
    *total += list[i].n;
  }
  qsort(list, (size_t)n, sizeof *list, by_octets);
  return *total > ATTRIBUTES_SIZE ? -1 : n;
}

/* SET OF: tag 0x31, length, elements. */
static bool put_set(const struct der *list, int n, size_t total, struct lm_buf *out) {
  unsigned char head[4] = {0x31, (unsigned char)total};
  size_t head_n = 2;
  int i;
  if (total > 255) {
    head[1] = 0x82;
    head[2] = (unsigned char)(total >> 8);
    head[3] = (unsigned char)(total & 255);
    head_n = 4;
  } else if (total > 127) {
    head[1] = 0x81;
    head[2] = (unsigned char)total;
    head_n = 3;
  }
  if (!lm_buf_put(out, (const char *)head, head_n)) return false;
  for (i = 0; i < n; i++) {
    if (!lm_buf_put(out, (const char *)list[i].p, list[i].n)) return false;
  }
  return true;
}

static bool signed_octets(const CMS_SignerInfo *si, struct lm_buf *out) {
  struct der list[ATTRIBUTES];
  size_t total;
  bool good;
  int n, i;
  memset(list, 0, sizeof list);
  n = encode_all(si, list, &total);
  good = n > 0 && total <= 65535 && put_set(list, n, total, out);
  for (i = 0; i < ATTRIBUTES; i++) OPENSSL_free(list[i].p);
  return good;
}

/* --- signing ------------------------------------------------------------------------------------- */

bool lm_cms_ed25519_begin(struct lm_cms_ed25519 *e, CMS_SignerInfo *signer, EVP_PKEY *key) {
  e->digest = EVP_MD_CTX_new();
  if (e->digest == NULL || EVP_DigestInit_ex(e->digest, EVP_sha512(), NULL) != 1) return false;
  if (EVP_PKEY_up_ref(key) != 1) return false;
  e->key = key;
  e->signer = signer;
  return true;
}

bool lm_cms_ed25519_put(struct lm_cms_ed25519 *e, struct lm_str piece, bool keep) {
  if (piece.n == 0) return true;
  if (EVP_DigestUpdate(e->digest, piece.p, piece.n) != 1) return false;
  return !keep || lm_buf_put(&e->content, piece.p, piece.n);
}

void lm_cms_ed25519_free(struct lm_cms_ed25519 *e) {
  EVP_MD_CTX_free(e->digest);
  EVP_PKEY_free(e->key);
  lm_buf_free(&e->content);
}

static bool add_attributes(CMS_SignerInfo *si, CMS_ContentInfo *info, const unsigned char *digest) {
  return CMS_signed_add1_attr_by_NID(si, NID_pkcs9_contentType, V_ASN1_OBJECT,
                                     CMS_get0_eContentType(info), -1) == 1 &&
         CMS_signed_add1_attr_by_NID(si, NID_pkcs9_messageDigest, V_ASN1_OCTET_STRING, digest,
                                     64) == 1;
}

static bool set_signature(struct lm_cms_ed25519 *e) {
  ASN1_OCTET_STRING *into = CMS_SignerInfo_get0_signature(e->signer);
  unsigned char signature[SIGNATURE];
  struct lm_buf text = {NULL, 0, 0, 0};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  size_t n = sizeof signature;
  bool good = md && signed_octets(e->signer, &text) &&
              EVP_DigestSignInit(md, NULL, NULL, NULL, e->key) == 1 &&
              EVP_DigestSign(md, signature, &n, (const unsigned char *)lm_buf_str(&text).p,
                             lm_buf_len(&text)) == 1;
  EVP_MD_CTX_free(md);
  lm_buf_free(&text);
  return good && ASN1_OCTET_STRING_set(into, signature, (int)n) == 1;
}

/* RFC 8419 §3.1: the signature's algorithm is named without parameters. */
static bool set_algorithm(CMS_SignerInfo *si) {
  X509_ALGOR *algorithm = NULL;
  CMS_SignerInfo_get0_algs(si, NULL, NULL, NULL, &algorithm);
  return X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_ED25519), V_ASN1_UNDEF, NULL) == 1;
}

static bool set_content(struct lm_cms_ed25519 *e, CMS_ContentInfo *info) {
  struct lm_str text = lm_buf_str(&e->content);
  ASN1_OCTET_STRING **where = CMS_get0_content(info);
  if (where == NULL || *where == NULL) return true;
  (*where)->flags = 0;
  return text.n <= INT32_MAX &&
         ASN1_OCTET_STRING_set(*where, (const unsigned char *)text.p, (int)text.n) == 1;
}

bool lm_cms_ed25519_end(struct lm_cms_ed25519 *e, CMS_ContentInfo *info) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  return EVP_DigestFinal_ex(e->digest, digest, &n) == 1 && n == 64 && set_algorithm(e->signer) &&
         add_attributes(e->signer, info, digest) && set_content(e, info) && set_signature(e);
}

/* --- verifying ----------------------------------------------------------------------------------- */

bool lm_cms_ed25519_verify(CMS_SignerInfo *signer, EVP_PKEY *key) {
  const ASN1_OCTET_STRING *signature = CMS_SignerInfo_get0_signature(signer);
  struct lm_buf text = {NULL, 0, 0, 0};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool good =
      md && signed_octets(signer, &text) && EVP_DigestVerifyInit(md, NULL, NULL, NULL, key) == 1 &&
      EVP_DigestVerify(md, ASN1_STRING_get0_data(signature), (size_t)ASN1_STRING_length(signature),
                       (const unsigned char *)lm_buf_str(&text).p, lm_buf_len(&text)) == 1;
  EVP_MD_CTX_free(md);
  lm_buf_free(&text);
  return good;
}
