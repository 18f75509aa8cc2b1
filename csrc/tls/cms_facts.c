/*
** cms_facts.c: what a certificate says, as text and numbers.
**
** A certificate's text comes from anybody: names are printed as RFC 4514 has it, where what is no
** printable character is escaped, and an address with a NUL in it is none.
*/
#include "tls/cms_inside.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

bool lm_cms_epoch(const ASN1_TIME *t, int64_t *out) {
  ASN1_TIME *zero = ASN1_TIME_set(NULL, 0);
  int days = 0, seconds = 0;
  bool good = t && zero && ASN1_TIME_diff(&days, &seconds, zero, t) == 1;
  ASN1_TIME_free(zero);
  *out = (int64_t)days * 86400 + seconds;
  return good;
}

/* What was written to the BIO, which is freed. */
static bool take(BIO *bio, bool written, struct lm_buf *out) {
  char *p = NULL;
  long n = bio ? BIO_get_mem_data(bio, &p) : 0;
  bool good = bio && written && (n == 0 || lm_buf_put(out, p, (size_t)n));
  BIO_free(bio);
  return good;
}

static bool put_name(const X509_NAME *name, struct lm_buf *out) {
  unsigned long how = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
  BIO *bio = BIO_new(BIO_s_mem());
  return take(bio, bio && X509_NAME_print_ex(bio, name, 0, how) >= 0, out);
}

static bool put_serial(X509 *cert, struct lm_buf *out) {
  BIO *bio = BIO_new(BIO_s_mem());
  return take(bio, bio && i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(cert)) > 0, out);
}

static bool put_pem(X509 *cert, struct lm_buf *out) {
  BIO *bio = BIO_new(BIO_s_mem());
  return take(bio, bio && PEM_write_bio_X509(bio, cert) == 1, out);
}

static bool put_fingerprint(X509 *cert, struct lm_buf *out) {
  static const char hex[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n = 0, i;
  if (X509_digest(cert, EVP_sha256(), digest, &n) != 1) return false;
  for (i = 0; i < n; i++) {
    if (!lm_buf_putc(out, hex[digest[i] >> 4]) || !lm_buf_putc(out, hex[digest[i] & 15])) {
      return false;
    }
  }
  return true;
}

static bool put_emails(X509 *cert, struct lm_buf *out) {
  STACK_OF(OPENSSL_STRING) *list = X509_get1_email(cert);
  bool good = true;
  int i;
  for (i = 0; good && i < sk_OPENSSL_STRING_num(list); i++) {
    const char *one = sk_OPENSSL_STRING_value(list, i);
    good = lm_buf_put(out, one, strlen(one) + 1);
  }
  X509_email_free(list);
  return good;
}

bool lm_cert_facts(X509 *cert, struct lm_cert_facts *out) {
  bool good = put_name(X509_get_subject_name(cert), &out->subject) &&
              put_name(X509_get_issuer_name(cert), &out->issuer) &&
              put_serial(cert, &out->serial) && put_emails(cert, &out->emails) &&
              put_fingerprint(cert, &out->fingerprint) && put_pem(cert, &out->pem);
  good = good && lm_cms_epoch(X509_get0_notBefore(cert), &out->not_before) &&
         lm_cms_epoch(X509_get0_notAfter(cert), &out->not_after);
  ERR_clear_error();
  return good;
}

bool lm_certs_facts(const struct lm_certs *c, size_t i, struct lm_cert_facts *out) {
  X509 *cert = i < lm_certs_count(c) ? sk_X509_value(c->certs, (int)i) : NULL;
  return cert && lm_cert_facts(cert, out);
}

void lm_cert_facts_free(struct lm_cert_facts *f) {
  lm_buf_free(&f->subject);
  lm_buf_free(&f->issuer);
  lm_buf_free(&f->serial);
  lm_buf_free(&f->emails);
  lm_buf_free(&f->fingerprint);
  lm_buf_free(&f->pem);
}
