/*
** cms_verify.c: who signed, and is it true (RFC 5652 §5.4 and §5.6, RFC 8550 §4, RFC 8551 §2.5).
**
** Each signer is judged by himself: digest, attributes, signature, chain, signing time, in this order.
** The first thing that speaks against him is his fault; the caller decides what a message with several
** signers is worth.
*/
#include "tls/cms_inside.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ess.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

enum { SLICE = 16384, LEVEL = 1 /* 80 bits: no SHA-1 in a chain, no RSA below 1024 bits */ };

/* --- the content's digests ----------------------------------------------------------------------- */

/* Content that lies in the object is read through the digests. */
static bool digest_inside(struct lm_cms *c) {
  char piece[SLICE];
  int n;
  if (lm_cms_content(c).p == NULL) return true;
  do {
    n = BIO_read(c->digests, piece, sizeof piece);
  } while (n > 0);
  return true;
}

bool lm_cms_digest_begin(struct lm_cms *c, struct lm_buf *why) {
  ERR_clear_error();
  if (lm_cms_kind(c) != LM_CMS_SIGNED || c->digests) {
    return lm_cms_refuse_plain(why, "the object is signed by nobody");
  }
  if (OBJ_obj2nid(CMS_get0_eContentType(c->info)) != NID_pkcs7_data) {
    return lm_cms_refuse_plain(why, "what was signed is no mail");
  }
  if (c->many_digests) return lm_cms_refuse_plain(why, "more digests than are looked at");
  c->digests = CMS_dataInit(c->info, NULL);
  if (c->digests == NULL) return lm_cms_refuse(why, "the content cannot be digested");
  return digest_inside(c);
}

bool lm_cms_digest(struct lm_cms *c, struct lm_str piece) {
  size_t at, n;
  if (c->digests == NULL || lm_cms_content(c).p) return false;
  for (at = 0; at < piece.n; at += n) {
    n = piece.n - at < SLICE ? piece.n - at : SLICE;
    if (BIO_write(c->digests, piece.p + at, (int)n) != (int)n) return false;
  }
  return true;
}

/* --- one signer ---------------------------------------------------------------------------------- */

struct judging {
  struct lm_cms *c;
  const struct lm_cms_policy *policy;
  STACK_OF(X509) * certs; /* all that may stand in a chain */
  CMS_SignerInfo *si;
  struct lm_cms_signer *signer; /* the verdict */
  X509 *cert;
  EVP_PKEY *key;
};

static bool fault(struct judging *j, enum lm_cms_fault what, const char *why) {
  j->signer->fault = what;
  j->signer->why = why;
  ERR_clear_error();
  return false;
}

static bool is_strong(int digest) {
  switch (digest) {
  case NID_sha256:
  case NID_sha384:
  case NID_sha512:
  case NID_sha512_256:
  case NID_sha3_256:
  case NID_sha3_384:
  case NID_sha3_512: return true;
  default: return false;
  }
}

static bool check_algorithms(struct judging *j) {
  X509_ALGOR *digest = NULL;
  const ASN1_OBJECT *name = NULL;
  int nid;
  CMS_SignerInfo_get0_algs(j->si, &j->key, &j->cert, &digest, NULL);
  X509_ALGOR_get0(&name, NULL, NULL, digest);
  nid = OBJ_obj2nid(name);
  j->signer->digest = nid == NID_undef ? NULL : OBJ_nid2sn(nid);
  if (j->cert == NULL) return fault(j, LM_CMS_UNKNOWN, "the signer's certificate is not there");
  if (j->key == NULL) return fault(j, LM_CMS_UNSUPPORTED, "a key of an unknown kind");
  if (nid == NID_undef || EVP_get_digestbynid(nid) == NULL) {
    return fault(j, LM_CMS_UNSUPPORTED, "a digest that is not known");
  }
  if (is_strong(nid) || j->policy->allow_weak) return true;
  return fault(j, LM_CMS_WEAK, "the digest is weak");
}

static const ASN1_TIME *signing_time(CMS_SignerInfo *si) {
  ASN1_OBJECT *name = OBJ_nid2obj(NID_pkcs9_signingTime);
  const ASN1_TIME *t = CMS_signed_get0_data_by_OBJ(si, name, -3, V_ASN1_UTCTIME);
  return t ? t : CMS_signed_get0_data_by_OBJ(si, name, -3, V_ASN1_GENERALIZEDTIME);
}

/* RFC 5652 §5.3: where there are attributes, one is the type of the content. */
static bool check_attributes(struct judging *j) {
  const ASN1_TIME *t;
  const ASN1_OBJECT *type;
  if (CMS_signed_get_attr_count(j->si) < 0) return true;
  type = CMS_signed_get0_data_by_OBJ(j->si, OBJ_nid2obj(NID_pkcs9_contentType), -3, V_ASN1_OBJECT);
  if (type == NULL || OBJ_cmp(type, CMS_get0_eContentType(j->c->info)) != 0) {
    return fault(j, LM_CMS_MALFORMED, "the signature names another type of content");
  }
  t = signing_time(j->si);
  j->signer->timed = t && lm_cms_epoch(t, &j->signer->time);
  return true;
}

/* With attributes, these hold the digest, and are what is signed; without, the digest is. */
static bool check_signature(struct judging *j) {
  bool ed25519 = lm_cms_is_ed25519(j->key);
  if (CMS_signed_get_attr_count(j->si) < 0) {
    if (ed25519) return fault(j, LM_CMS_UNSUPPORTED, "Ed25519 without signed attributes");
    if (CMS_SignerInfo_verify_content(j->si, j->c->digests) == 1) return true;
    return fault(j, LM_CMS_ALTERED, "the content is not what was signed");
  }
  if (CMS_SignerInfo_verify_content(j->si, j->c->digests) != 1) {
    return fault(j, LM_CMS_ALTERED, "the content is not what was signed");
  }
  if (ed25519 ? lm_cms_ed25519_verify(j->si, j->key) : CMS_SignerInfo_verify(j->si) == 1)
    return true;
  return fault(j, LM_CMS_FORGED, "the signature is not by the signer's key");
}

/* --- the certificate ----------------------------------------------------------------------------- */

/* Only the signer's own issuer must have a revocation list; others are looked at where they are there. */
static int on_problem(int ok, X509_STORE_CTX *ctx) {
  int error = X509_STORE_CTX_get_error(ctx);
  if (ok || error != X509_V_ERR_UNABLE_TO_GET_CRL) return ok;
  return X509_STORE_CTX_get_error_depth(ctx) > 0;
}

static bool set_policy(const struct judging *j, X509_STORE_CTX *ctx) {
  const struct lm_cms_policy *p = j->policy;
  X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
  int64_t at = p->when_signed && j->signer->timed ? j->signer->time : p->time;
  if (!p->any_purpose && X509_STORE_CTX_set_default(ctx, "smime_sign") != 1) return false;
  X509_VERIFY_PARAM_set_time(param, (time_t)at);
  X509_VERIFY_PARAM_set_auth_level(param, p->allow_weak ? 0 : LEVEL);
  if (p->lists == NULL) return true;
  X509_STORE_CTX_set_verify_cb(ctx, on_problem);
  X509_STORE_CTX_set0_crls(ctx, p->lists->lists);
  return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

static enum lm_cms_fault fault_of(int error) {
  switch (error) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
  case X509_V_ERR_CERT_NOT_YET_VALID: return LM_CMS_EXPIRED;
  case X509_V_ERR_CERT_REVOKED: return LM_CMS_REVOKED;
  case X509_V_ERR_INVALID_PURPOSE:
  case X509_V_ERR_CERT_REJECTED: return LM_CMS_PURPOSE;
  case X509_V_ERR_EE_KEY_TOO_SMALL:
  case X509_V_ERR_CA_KEY_TOO_SMALL:
  case X509_V_ERR_CA_MD_TOO_WEAK: return LM_CMS_WEAK;
  default: return LM_CMS_UNTRUSTED;
  }
}

/* The value of an attribute that is there; *there_out is whether it is. */
static const ASN1_STRING *sequence_of(const struct judging *j, int nid, bool *there_out) {
  ASN1_OBJECT *name = OBJ_nid2obj(nid);
  *there_out = CMS_signed_get_attr_by_OBJ(j->si, name, -1) >= 0;
  return CMS_signed_get0_data_by_OBJ(j->si, name, -3, V_ASN1_SEQUENCE);
}

/* RFC 5035 §5: the certificate that the signer says he signed with must be the one that is judged. */
static bool is_named(const struct judging *j, STACK_OF(X509) * chain) {
  bool there, there2;
  const ASN1_STRING *text = sequence_of(j, NID_id_smime_aa_signingCertificate, &there);
  const ASN1_STRING *text2 = sequence_of(j, NID_id_smime_aa_signingCertificateV2, &there2);
  const unsigned char *p = text ? ASN1_STRING_get0_data(text) : NULL;
  const unsigned char *p2 = text2 ? ASN1_STRING_get0_data(text2) : NULL;
  ESS_SIGNING_CERT *ess = p ? d2i_ESS_SIGNING_CERT(NULL, &p, ASN1_STRING_length(text)) : NULL;
  ESS_SIGNING_CERT_V2 *ess2 =
      p2 ? d2i_ESS_SIGNING_CERT_V2(NULL, &p2, ASN1_STRING_length(text2)) : NULL;
  bool right = there == (ess != NULL) && there2 == (ess2 != NULL) &&
               OSSL_ESS_check_signing_certs(ess, ess2, chain, 0) == 1;
  ESS_SIGNING_CERT_free(ess);
  ESS_SIGNING_CERT_V2_free(ess2);
  return right;
}

static bool check_chain(struct judging *j) {
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  bool ready = ctx && X509_STORE_CTX_init(ctx, j->policy->trust->store, j->cert, j->certs) == 1 &&
               set_policy(j, ctx);
  int error = X509_V_ERR_UNSPECIFIED;
  bool good = ready && X509_verify_cert(ctx) == 1;
  bool named = good && is_named(j, X509_STORE_CTX_get0_chain(ctx));
  if (ready && !good) error = X509_STORE_CTX_get_error(ctx);
  X509_STORE_CTX_free(ctx);
  if (!good) return fault(j, fault_of(error), X509_verify_cert_error_string(error));
  return named || fault(j, LM_CMS_MALFORMED, "the signature names another certificate");
}

static bool check_time(struct judging *j) {
  int64_t from, to, at = j->signer->time;
  if (!j->signer->timed) return true;
  if (!lm_cms_epoch(X509_get0_notBefore(j->cert), &from) ||
      !lm_cms_epoch(X509_get0_notAfter(j->cert), &to)) {
    return fault(j, LM_CMS_MALFORMED, "the certificate has no dates");
  }
  if (at < from - LM_CMS_SKEW || at > to + LM_CMS_SKEW) {
    return fault(j, LM_CMS_TIME, "signed at a time at which the certificate was not valid");
  }
  if (at <= j->policy->time + LM_CMS_SKEW) return true;
  return fault(j, LM_CMS_TIME, "signed in the future");
}

static void judge(struct judging *j) {
  j->signer->fault = LM_CMS_GOOD;
  (void)(check_algorithms(j) && check_attributes(j) && check_signature(j) && check_chain(j) &&
         check_time(j));
  ERR_clear_error();
}

/* --- all signers --------------------------------------------------------------------------------- */

static bool push_all(STACK_OF(X509) * into, STACK_OF(X509) * from) {
  int i;
  for (i = 0; i < sk_X509_num(from); i++) {
    X509 *cert = sk_X509_value(from, i);
    if (X509_up_ref(cert) != 1) return false;
    if (sk_X509_push(into, cert) <= 0) {
      X509_free(cert);
      return false;
    }
  }
  return true;
}

static bool judge_all(struct judging *j, STACK_OF(CMS_SignerInfo) * all, struct lm_buf *why) {
  const struct lm_certs *known = j->policy->known;
  size_t i;
  j->certs = CMS_get1_certs(j->c->info);
  if (j->certs == NULL) j->certs = sk_X509_new_null();
  if (j->certs == NULL) return false;
  if (sk_X509_num(j->certs) > LM_CMS_CERTIFICATES) {
    return lm_cms_refuse_plain(why, "more certificates than are looked at");
  }
  if (known && !push_all(j->certs, known->certs)) return false;
  if (CMS_set1_signers_certs(j->c->info, j->certs, 0) < 0) return false;
  for (i = 0; i < j->c->signers_n; i++) {
    j->si = sk_CMS_SignerInfo_value(all, (int)i);
    j->signer = &j->c->signers[i];
    judge(j);
  }
  return true;
}

bool lm_cms_judge(struct lm_cms *c, const struct lm_cms_policy *p, struct lm_buf *why) {
  STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(c->info);
  struct judging j = {c, p, NULL, NULL, NULL, NULL, NULL};
  int n = sk_CMS_SignerInfo_num(all);
  bool good;
  ERR_clear_error();
  if (c->digests == NULL || n <= 0 || c->signers) {
    return lm_cms_refuse_plain(why, "the object is signed by nobody");
  }
  if (n > LM_CMS_SIGNERS) return lm_cms_refuse_plain(why, "more signers than are looked at");
  c->signers = calloc((size_t)n, sizeof *c->signers);
  if (c->signers == NULL) return false;
  c->signers_n = (size_t)n;
  good = judge_all(&j, all, why);
  sk_X509_pop_free(j.certs, X509_free);
  if (!good) c->signers_n = 0;
  ERR_clear_error();
  return good;
}

size_t lm_cms_signers(const struct lm_cms *c) {
  return c->signers_n;
}

const struct lm_cms_signer *lm_cms_signer(const struct lm_cms *c, size_t i) {
  return i < c->signers_n ? &c->signers[i] : NULL;
}

bool lm_cms_signer_facts(const struct lm_cms *c, size_t i, struct lm_cert_facts *out) {
  STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(c->info);
  X509 *cert = NULL;
  out->missing = true;
  if (i >= c->signers_n) return false;
  CMS_SignerInfo_get0_algs(sk_CMS_SignerInfo_value(all, (int)i), NULL, &cert, NULL, NULL);
  out->missing = cert == NULL;
  return cert && lm_cert_facts(cert, out);
}
