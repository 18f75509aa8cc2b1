/*
** cms_read.c: CMS objects read: what kind they are, what they hold, and what is sealed in them.
**
** What is decrypted is collected whole, and given out only if the cipher's end (padding, or GCM's tag)
** was right: a message whose half was altered is no message (EFAIL).
*/
#include "tls/cms_inside.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { SLICE = 16384, TAG_MIN = 12 };

/* --- before OpenSSL does --------------------------------------------------------------------------- */

enum { BROKEN = 0x80, INDEFINITE = 1 }; /* of what ASN1_get_object says */

/* Steps into the element at *p; *end is then where it ends at the latest. */
static bool enter(const unsigned char **p, const unsigned char **end, int tag) {
  long n;
  int found, class, said = ASN1_get_object(p, &n, &found, &class, *end - *p);
  if (said & BROKEN) return false;
  if (!(said & INDEFINITE)) *end = *p + n;
  return found == tag;
}

/* Steps over the element at *p, if it says how long it is. */
static bool pass(const unsigned char **p, const unsigned char *end) {
  long n;
  int tag, class, said = ASN1_get_object(p, &n, &tag, &class, end - *p);
  if (said & (BROKEN | INDEFINITE)) return false;
  *p += n;
  return true;
}

/*
** ContentInfo ::= SEQUENCE { contentType, content [0] EXPLICIT }
** SignedData ::= SEQUENCE { version, digestAlgorithms SET OF AlgorithmIdentifier, ... }
** OpenSSL makes a chain of all digests in a time that grows with their square, and shows nobody how many
** they are. Where they cannot be counted they do not fit.
*/
static bool digests_fit(struct lm_str octets) {
  const unsigned char *p = (const unsigned char *)octets.p, *end = p + octets.n;
  int n = 0;
  if (!enter(&p, &end, V_ASN1_SEQUENCE) || !pass(&p, end) || !enter(&p, &end, 0) ||
      !enter(&p, &end, V_ASN1_SEQUENCE) || !pass(&p, end) || !enter(&p, &end, V_ASN1_SET)) {
    return false;
  }
  while (p < end && *p != 0) {
    if (++n > LM_CMS_DIGESTS || !pass(&p, end)) return false;
  }
  return true;
}

/* --- objects ------------------------------------------------------------------------------------- */

struct lm_cms *lm_cms_read(struct lm_str octets, struct lm_buf *why) {
  const unsigned char *p = (const unsigned char *)octets.p;
  struct lm_cms *c = calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  ERR_clear_error();
  if (octets.n > 0 && octets.n <= INT_MAX) c->info = d2i_CMS_ContentInfo(NULL, &p, (long)octets.n);
  c->many_digests = c->info && lm_cms_kind(c) == LM_CMS_SIGNED && !digests_fit(octets);
  ERR_clear_error();
  if (c->info) return c;
  lm_cms_free(c);
  lm_cms_refuse_plain(why, "no CMS object that can be read");
  return NULL;
}

void lm_cms_free(struct lm_cms *c) {
  if (c == NULL) return;
  BIO_free_all(c->digests);
  CMS_ContentInfo_free(c->info);
  free(c->signers);
  free(c);
}

enum lm_cms_kind lm_cms_kind(const struct lm_cms *c) {
  switch (OBJ_obj2nid(CMS_get0_type(c->info))) {
  case NID_pkcs7_signed:
    return sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(c->info)) > 0 ? LM_CMS_SIGNED : LM_CMS_CERTS;
  case NID_pkcs7_enveloped: return LM_CMS_ENVELOPED;
  case NID_id_smime_ct_authEnvelopedData: return LM_CMS_AUTH_ENVELOPED;
  case NID_id_smime_ct_compressedData: return LM_CMS_COMPRESSED;
  default: return LM_CMS_OTHER;
  }
}

struct lm_str lm_cms_content(const struct lm_cms *c) {
  enum lm_cms_kind kind = lm_cms_kind(c);
  ASN1_OCTET_STRING **where = NULL;
  if (kind == LM_CMS_SIGNED || kind == LM_CMS_COMPRESSED) where = CMS_get0_content(c->info);
  ERR_clear_error();
  if (where == NULL || *where == NULL) return LM_NOSTR;
  /* content of no octets is there all the same */
  if (ASN1_STRING_length(*where) == 0) return LM_STR("");
  return (struct lm_str){(const char *)ASN1_STRING_get0_data(*where),
                         (size_t)ASN1_STRING_length(*where)};
}

struct lm_certs *lm_cms_certs(const struct lm_cms *c) {
  struct lm_certs *list = lm_certs_new();
  STACK_OF(X509) *there = list ? CMS_get1_certs(c->info) : NULL;
  ERR_clear_error();
  if (there == NULL) return list;
  sk_X509_free(list->certs);
  list->certs = there;
  return list;
}

/* --- decrypting ---------------------------------------------------------------------------------- */

static bool is_sealed(const struct lm_cms *c) {
  enum lm_cms_kind kind = lm_cms_kind(c);
  return kind == LM_CMS_ENVELOPED || kind == LM_CMS_AUTH_ENVELOPED;
}

static bool is_for(CMS_RecipientInfo *ri, X509 *cert) {
  STACK_OF(CMS_RecipientEncryptedKey) * keys;
  int i;
  if (CMS_RecipientInfo_type(ri) == CMS_RECIPINFO_TRANS) {
    return CMS_RecipientInfo_ktri_cert_cmp(ri, cert) == 0;
  }
  if (CMS_RecipientInfo_type(ri) != CMS_RECIPINFO_AGREE) return false;
  keys = CMS_RecipientInfo_kari_get0_reks(ri);
  for (i = 0; i < sk_CMS_RecipientEncryptedKey_num(keys); i++) {
    CMS_RecipientEncryptedKey *key = sk_CMS_RecipientEncryptedKey_value(keys, i);
    if (CMS_RecipientEncryptedKey_cert_cmp(key, cert) == 0) return true;
  }
  return false;
}

/* Whether a key of this kind may open it. OpenSSL is not asked: it goes on with a key made up where RSA's does not
** fit, so as not to tell (RFC 3218 §2.3.2), and padding is right by chance once in 256. */
static bool is_of_kind(CMS_RecipientInfo *ri, const EVP_PKEY *key) {
  return CMS_RecipientInfo_type(ri) != CMS_RECIPINFO_TRANS ||
         EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
}

/* Whether it was sealed for this identity; without a certificate, for a key of its kind. */
static bool is_recipient(const struct lm_cms *c, const struct lm_cms_id *id) {
  STACK_OF(CMS_RecipientInfo) *all = CMS_get0_RecipientInfos(c->info);
  bool found = false;
  int i;
  for (i = 0; !found && i < sk_CMS_RecipientInfo_num(all); i++) {
    CMS_RecipientInfo *ri = sk_CMS_RecipientInfo_value(all, i);
    found = id->cert ? is_for(ri, id->cert) : is_of_kind(ri, id->key);
  }
  ERR_clear_error();
  return found;
}

static bool read_all(BIO *from, struct lm_buf *out) {
  int n;
  do {
    char *room = lm_buf_room(out, SLICE);
    if (room == NULL) return false;
    n = BIO_read(from, room, SLICE);
    if (n > 0) lm_buf_added(out, (size_t)n);
  } while (n > 0);
  return n == 0 || !BIO_should_retry(from);
}

/* RFC 5084 §3.2: a tag has 12 to 16 octets. Not every OpenSSL 3 minds a shorter one, which can be guessed, or a
** cipher without any in an object that claims one. */
static bool is_guarded(const struct lm_cms *c, EVP_CIPHER_CTX *ctx) {
  return lm_cms_kind(c) != LM_CMS_AUTH_ENVELOPED || EVP_CIPHER_CTX_get_tag_length(ctx) >= TAG_MIN;
}

/* The content through the cipher; true only if its end was right. */
static bool open_content(const struct lm_cms *c, struct lm_buf *out, const char **cipher_out) {
  BIO *from = CMS_dataInit(c->info, NULL);
  BIO *through = from ? BIO_find_type(from, BIO_TYPE_CIPHER) : NULL;
  EVP_CIPHER_CTX *ctx = NULL;
  bool good = through && BIO_get_cipher_ctx(through, &ctx) == 1 && is_guarded(c, ctx) &&
              read_all(from, out) && BIO_get_cipher_status(through) == 1;
  if (good) *cipher_out = OBJ_nid2ln(EVP_CIPHER_CTX_get_nid(ctx));
  BIO_free_all(from);
  return good;
}

bool lm_cms_decrypt(struct lm_cms *c, const struct lm_cms_id *id, struct lm_buf *out,
                    const char **cipher_out, struct lm_buf *why) {
  struct lm_buf text = {NULL, 0, 0, 0};
  bool good;
  ERR_clear_error();
  if (!is_sealed(c)) return lm_cms_refuse_plain(why, "the object holds nothing encrypted");
  if (sk_CMS_RecipientInfo_num(CMS_get0_RecipientInfos(c->info)) > LM_CMS_RECIPIENTS) {
    return lm_cms_refuse_plain(why, "more recipients than are looked at");
  }
  if (!is_recipient(c, id)) {
    return lm_cms_refuse_plain(why, id->cert ? "the message was not encrypted for this certificate"
                                             : "the message was encrypted for no key of this kind");
  }
  good = CMS_decrypt_set1_pkey(c->info, id->key, id->cert) == 1;
  good = good && open_content(c, &text, cipher_out);
  good = good && lm_buf_put(out, lm_buf_str(&text).p, lm_buf_len(&text));
  lm_buf_wipe(&text);
  /* which step failed is not told: that would be an oracle for whoever can send messages */
  return good ||
         lm_cms_refuse_plain(why, "the content cannot be opened with this key, or was altered");
}
