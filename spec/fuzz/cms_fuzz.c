/*
** cms_fuzz.c: any octets as a CMS object, as certificates, and as keys.
**
** What holds for all input: who reads it says why not; a signature is good over nothing that a key of
** ours did not sign, since nobody is trusted; nothing opens for a key that it was not sealed for; and
** what a text's own kinds and counts say agrees.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "tls/cms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

/* A refusal has words, and they can be printed. */
static void told(bool done, struct lm_buf *why) {
  struct lm_str s = lm_buf_str(why);
  size_t i;
  must(done || s.n > 0);
  for (i = 0; i < s.n; i++) must(s.p[i] >= ' ' && s.p[i] <= '~');
  lm_buf_clear(why);
}

static void check_certs(struct lm_certs *c) {
  size_t i;
  for (i = 0; c && i < lm_certs_count(c); i++) {
    struct lm_cert_facts f;
    memset(&f, 0, sizeof f);
    if (lm_certs_facts(c, i, &f)) must(lm_buf_len(&f.fingerprint) == 64);
    lm_cert_facts_free(&f);
  }
  lm_certs_free(c);
}

static void check_signers(struct lm_cms *c, struct lm_cms_trust *nobody, struct lm_str text) {
  struct lm_cms_policy p = {nobody, NULL, NULL, 1790000000, true, true, true};
  struct lm_buf why = {NULL, 0, 0, 0};
  size_t i;
  bool begun = lm_cms_digest_begin(c, &why), judged;
  told(begun, &why);
  if (begun) lm_cms_digest(c, text);
  judged = begun && lm_cms_judge(c, &p, &why);
  if (begun) told(judged, &why);
  for (i = 0; judged && i < lm_cms_signers(c); i++) {
    must(lm_cms_signer(c, i)->fault != LM_CMS_GOOD && lm_cms_signer(c, i)->why);
  }
  lm_buf_free(&why);
}

static void check_object(struct lm_str octets, struct lm_cms_id *id, struct lm_cms_trust *nobody) {
  struct lm_buf why = {NULL, 0, 0, 0}, out = {NULL, 0, 0, 0};
  struct lm_cms *c = lm_cms_read(octets, &why);
  const char *cipher = NULL;
  told(c != NULL, &why);
  if (c) {
    enum lm_cms_kind kind = lm_cms_kind(c);
    must(kind == LM_CMS_SIGNED || kind == LM_CMS_COMPRESSED || lm_cms_content(c).p == NULL);
    check_certs(lm_cms_certs(c));
    if (kind == LM_CMS_SIGNED) check_signers(c, nobody, LM_STR("Content-Type: text/plain\r\n\r\n"));
    must(!lm_cms_decrypt(c, id, &out, &cipher, &why) && lm_buf_len(&out) == 0);
    told(false, &why);
  }
  lm_cms_free(c);
  lm_buf_free(&why);
  lm_buf_free(&out);
}

static void check_keys(struct lm_str text) {
  struct lm_cms_secret as_key = {LM_NOSTR, text, LM_NOSTR, LM_STR("x")};
  struct lm_cms_secret as_bag = {LM_NOSTR, LM_NOSTR, text, LM_STR("x")};
  struct lm_buf why = {NULL, 0, 0, 0};
  struct lm_certs *c = lm_certs_new();
  struct lm_cms_id *id;
  must(c != NULL);
  told(lm_certs_add(c, text, &why), &why);
  check_certs(c);
  id = lm_cms_id_new(&as_key, &why);
  told(id != NULL, &why);
  lm_cms_id_free(id);
  id = text.n ? lm_cms_id_new(&as_bag, &why) : NULL;
  if (text.n) told(id != NULL, &why);
  lm_cms_id_free(id);
  lm_buf_free(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  /* the key of RFC 8410 §10.3: with it nothing is opened */
  static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
                            "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                            "-----END PRIVATE KEY-----\n";
  static struct lm_cms_id *id;
  static struct lm_cms_trust *nobody;
  struct lm_str text = {(const char *)data + 1, n - 1};
  struct lm_buf why = {NULL, 0, 0, 0};
  if (id == NULL) {
    struct lm_cms_secret s = {LM_NOSTR, {key, sizeof key - 1}, LM_NOSTR, LM_NOSTR};
    struct lm_certs *none = lm_certs_new();
    id = lm_cms_id_new(&s, &why);
    nobody = lm_cms_trust_new(none, &why);
    lm_certs_free(none);
    must(id && nobody);
  }
  if (n == 0) return 0;
  check_object(text, id, nobody);
  if (data[0] % 4 == 0) check_keys(text); /* OpenSSL takes its time over each */
  lm_buf_free(&why);
  return 0;
}
