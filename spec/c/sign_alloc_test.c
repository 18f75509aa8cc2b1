/*
** sign_alloc_test.c: each allocation of a signature's making fails once; the function says so and leaks
** nothing.
*/
#include "base/digest.h"
#include "sign/head.h"
#include "sign/tags.h"
#include "check.h"
#include "fail.h"

#define SEED "01234567890123456789012345678901"

static bool covers(void) {
  struct lm_head *h = lm_head_new();
  struct lm_buf out = {NULL, 0, 0, 0};
  size_t used;
  bool good = h && lm_head_add(h, LM_STR("A: 1\r\nB: 2\r\nA: 3\r\n\r\n"), &used) == LM_HEAD_WHOLE &&
              lm_head_cover(h, LM_STR("a:b:a"), LM_CANON_RELAXED, &out) &&
              lm_canon_field(&out, lm_head_field(h, 0), LM_CANON_SIMPLE);
  lm_buf_free(&out);
  lm_head_free(h);
  return good;
}

static bool signature(void) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_header_walk w = lm_header_walk(LM_STR("S: a=1; b=x y; c=2\r\n"));
  struct lm_header_field f;
  bool good = lm_header_next(&w, &f) && lm_canon_signature(&out, &f, LM_CANON_RELAXED);
  lm_buf_free(&out);
  return good;
}

static bool unfolds(void) {
  struct lm_buf out = {NULL, 0, 0, 0};
  bool good = lm_tags_unfold(&out, LM_STR("a b"));
  lm_buf_free(&out);
  return good;
}

static bool digests(void) {
  struct lm_hash *h = lm_hash_new(LM_SHA256);
  bool good = h && lm_hash_add(h, LM_STR("x"));
  lm_hash_free(h);
  return good;
}

/* The first key makes OpenSSL fetch its algorithms, which are then there: main has made one before. */
static bool keys(void) {
  const char *why = NULL;
  struct lm_key *k = lm_key_private(LM_STR(SEED), &why);
  unsigned char out[LM_SIGNATURE_MAX], *published = NULL;
  size_t n;
  bool good = k && lm_key_sign(k, LM_STR(SEED), out) == 64;
  if (good) {
    published = lm_key_publish(k, &n);
    good = published != NULL;
  }
  free(published);
  lm_key_free(k);
  return good;
}

static void torture(bool (*run)(void), const char *name) {
  long nth;
  for (nth = 0; nth < 1000; nth++) {
    bool ok;
    fail_at(nth);
    ok = run();
    fail_never();
    if (refused == 0) {
      if (!EXPECT(ok && nth > 0)) fprintf(stderr, "  %s\n", name);
      return;
    }
    if (!EXPECT(!ok)) fprintf(stderr, "  %s: allocation %ld\n", name, nth);
  }
  EXPECT(!"ends");
}

int main(void) {
  CHECK(keys());
  torture(covers, "covers");
  torture(signature, "signature");
  torture(unfolds, "unfolds");
  torture(digests, "digests");
  torture(keys, "keys");
  return check_end();
}
