/*
** sign_fuzz.c: any text as a signed message, as a tag list and as a key.
**
** The first byte says how the rest is cut. What holds for all input: a header ends at the same place
** for any cut; a body's canonical form is the same for any cut, and canonical again; a relaxed field
** holds no line end; no text is a valid signature of a key that did not make it.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/digest.h"
#include "sign/head.h"
#include "sign/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static bool into_buffer(void *to, struct lm_str canonical) {
  return lm_buf_put(to, canonical.p, canonical.n);
}

static struct lm_buf canonical(struct lm_str text, enum lm_canon kind, enum lm_canon_cr cr,
                               size_t size) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_canon_body b;
  size_t at, n;
  lm_canon_body_start(&b, kind, cr, UINT64_MAX);
  lm_canon_body_to(&b, into_buffer, &out);
  for (at = 0; at < text.n; at += n) {
    n = text.n - at < size ? text.n - at : size;
    must(lm_canon_body_add(&b, (struct lm_str){text.p + at, n}));
  }
  must(lm_canon_body_end(&b) && b.length == lm_buf_len(&out));
  return out;
}

static void check_body(struct lm_str text, size_t size) {
  int i;
  for (i = 0; i < 4; i++) {
    enum lm_canon kind = i & 1 ? LM_CANON_RELAXED : LM_CANON_SIMPLE;
    enum lm_canon_cr cr = i & 2 ? LM_CANON_CR_ENDS_LINE : LM_CANON_CR_IS_TEXT;
    struct lm_buf whole = canonical(text, kind, cr, text.n + 1);
    struct lm_buf cut = canonical(text, kind, cr, size);
    struct lm_buf again = canonical(lm_buf_str(&whole), kind, cr, size);
    must(lm_str_eq(lm_buf_str(&whole), lm_buf_str(&cut)));
    must(lm_str_eq(lm_buf_str(&whole), lm_buf_str(&again)));
    lm_buf_free(&whole);
    lm_buf_free(&cut);
    lm_buf_free(&again);
  }
}

static void check_field(const struct lm_header_field *f) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_tags t;
  must(lm_canon_field(&out, f, LM_CANON_RELAXED));
  must(!memchr(lm_buf_str(&out).p, '\n', lm_buf_len(&out)));
  must(!memchr(lm_buf_str(&out).p, '\r', lm_buf_len(&out)));
  if (lm_tags_read(f->value, &t) && lm_tags_find(&t, LM_STR("b"))) {
    must(lm_canon_signature(&out, f, LM_CANON_SIMPLE));
  }
  lm_buf_free(&out);
}

/* How many bytes of the text are its header's; SIZE_MAX: beyond a limit. */
static size_t header(struct lm_head *h, struct lm_str text, size_t size) {
  size_t at = 0, used;
  enum lm_head_state state = LM_HEAD_MORE;
  while (state == LM_HEAD_MORE && at < text.n) {
    size_t n = text.n - at < size ? text.n - at : size;
    state = lm_head_add(h, (struct lm_str){text.p + at, n}, &used);
    at += used;
  }
  if (state == LM_HEAD_MORE) state = lm_head_end(h);
  must(state == LM_HEAD_WHOLE || state == LM_HEAD_LIMIT);
  return state == LM_HEAD_WHOLE ? at : SIZE_MAX;
}

static void check_message(struct lm_str text, size_t size) {
  struct lm_head *whole = lm_head_new(), *cut = lm_head_new();
  struct lm_buf out = {NULL, 0, 0, 0};
  size_t end, i;
  must(whole && cut);
  end = header(whole, text, text.n + 1);
  must(end == header(cut, text, size));
  if (end != SIZE_MAX) {
    must(lm_head_count(whole) == lm_head_count(cut));
    for (i = 0; i < lm_head_count(whole); i++) check_field(lm_head_field(whole, i));
    must(lm_head_cover(whole, text, LM_CANON_RELAXED, &out));
    check_body((struct lm_str){text.p + end, text.n - end}, size);
  }
  lm_buf_free(&out);
  lm_head_free(whole);
  lm_head_free(cut);
}

static void check_key(struct lm_str text) {
  const char *why = NULL;
  struct lm_key *k = lm_key_public(LM_KEY_RSA, text, &why);
  must(k || why);
  if (k) must(!lm_key_verify(k, LM_STR("01234567890123456789012345678901"), LM_STR("no")));
  lm_key_free(k);
  k = lm_key_private(text, &why);
  must(k || why);
  lm_key_free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str text = {(const char *)data + 1, n - 1};
  struct lm_tags t;
  if (n == 0) return 0;
  must(lm_tags_read(text, &t) ? t.n > 0 && t.n <= LM_SIGN_TAGS : t.why != NULL);
  check_message(text, 1 + data[0] % 61);
  if (data[0] == 77 && n < 4096) check_key(text); /* OpenSSL takes its time over each */
  return 0;
}
