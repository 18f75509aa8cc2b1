/*
** sign.c: base/sign.h answered by OpenSSL.
**
** A key is read, used once and wiped with it: nothing of it is kept.
*/
#include "base/sign.h"
#include "base/text.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

enum { HALF = 32, RSA_LEAST = 2048 };

static int no_password(char *buf, int size, int writing, void *unused) {
  (void)buf, (void)size, (void)writing, (void)unused;
  return -1;
}

static EVP_PKEY *read_key(struct lm_str pem) {
  BIO *bio = pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
  EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
  BIO_free(bio);
  return key;
}

/* RFC 7518 §3.3 and §3.4 name the kinds and sizes of keys. */
static const char *unfit(enum lm_signature kind, const EVP_PKEY *key) {
  char curve[32] = "";
  if (kind == LM_RS256) {
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return "RS256 needs an RSA key";
    return EVP_PKEY_get_bits(key) < RSA_LEAST ? "RS256 needs a key of 2048 bits or more" : NULL;
  }
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return "ES256 needs an EC key";
  EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL);
  return strcmp(curve, "prime256v1") == 0 ? NULL : "ES256 needs a key on the curve P-256";
}

/* The signature as OpenSSL writes it; its length, or 0. */
static size_t make(EVP_PKEY *key, struct lm_str text, unsigned char *out, size_t room) {
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  const unsigned char *p = (const unsigned char *)text.p;
  bool good = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(md, out, &room, p, text.n) == 1;
  EVP_MD_CTX_free(md);
  return good ? room : 0;
}

/* DER becomes R and S, each with zeros in front to its full length (RFC 7518 §3.4). */
static bool put_halves(const unsigned char *der, size_t n, struct lm_buf *out) {
  ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
  unsigned char halves[2 * HALF];
  bool good = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), halves, HALF) == HALF &&
              BN_bn2binpad(ECDSA_SIG_get0_s(pair), halves + HALF, HALF) == HALF;
  ECDSA_SIG_free(pair);
  return good && lm_buf_puts(out, (struct lm_str){(const char *)halves, sizeof halves});
}

static const char *sign(enum lm_signature kind, EVP_PKEY *key, struct lm_str text,
                        struct lm_buf *out) {
  const char *why = unfit(kind, key);
  size_t n, room = (size_t)EVP_PKEY_get_size(key);
  unsigned char *bytes;
  bool good;
  if (why) return why;
  if (lm_buf_room(out, room) == NULL || (bytes = malloc(room)) == NULL) return "out of memory";
  n = make(key, text, bytes, room);
  good = n > 0;
  if (kind == LM_ES256) {
    good = good && put_halves(bytes, n, out);
  } else {
    good = good && lm_buf_puts(out, (struct lm_str){(const char *)bytes, n});
  }
  free(bytes);
  return good ? NULL : "the key cannot sign";
}

const char *lm_sign(enum lm_signature kind, struct lm_str pem, struct lm_str text,
                    struct lm_buf *out) {
  EVP_PKEY *key = read_key(pem);
  const char *why = key ? sign(kind, key, text, out) : "no private key in PEM without a password";
  EVP_PKEY_free(key);
  ERR_clear_error();
  return why;
}
