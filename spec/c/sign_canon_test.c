/*
** sign_canon_test.c: tag lists, and the canonical forms of bodies and fields (RFC 6376 §3.2, §3.4): the
** same for any cut of a body.
*/
#include "sign/canon.h"

#include "sign/tags.h"
#include "check.h"

static bool into_buffer(void *to, struct lm_str canonical) {
  return lm_buf_put(to, canonical.p, canonical.n);
}

/* The canonical form of a body in pieces of `size`, shown with / for CRLF. */
static struct lm_buf body(struct lm_str text, enum lm_canon kind, enum lm_canon_cr cr, size_t size,
                          uint64_t limit) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_canon_body b;
  size_t at, n;
  lm_canon_body_start(&b, kind, cr, limit);
  lm_canon_body_to(&b, into_buffer, &out);
  for (at = 0; at < text.n; at += n) {
    n = text.n - at < size ? text.n - at : size;
    CHECK(lm_canon_body_add(&b, (struct lm_str){text.p + at, n}));
  }
  CHECK(lm_canon_body_end(&b));
  EXPECT(lm_buf_len(&out) == (b.length < limit ? b.length : limit));
  return out;
}

static const struct {
  const char *body, *simple, *relaxed;
} bodies[] = {
    {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"}, /* RFC 6376 §3.4.5 */
    {"", "\r\n", ""},
    {"\r\n", "\r\n", ""},
    {"\r\n\r\n\r\n", "\r\n", ""},
    {" ", " \r\n", ""},
    {" \t\r\n \r\n", " \t\r\n \r\n", ""},
    {"x", "x\r\n", "x\r\n"},
    {"x\n", "x\r\n", "x\r\n"},
    {"x\n\n\ny\n\n", "x\r\n\r\n\r\ny\r\n", "x\r\n\r\n\r\ny\r\n"},
    {"\r\n\r\nx\r\n", "\r\n\r\nx\r\n", "\r\n\r\nx\r\n"},
    {"a  \t b\t\r\n\t\r\nc", "a  \t b\t\r\n\t\r\nc\r\n", "a b\r\n\r\nc\r\n"},
    {"a\r\n \r\n", "a\r\n \r\n", "a\r\n"},
    {"\t x", "\t x\r\n", " x\r\n"},
    {"a\n\r\nb", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"},
    {"\x0b\x0c\x01 x", "\x0b\x0c\x01 x\r\n", "\x0b\x0c\x01 x\r\n"},
};

static void test_bodies(void) {
  size_t i, size;
  for (i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    struct lm_str text = str(bodies[i].body);
    for (size = 1; size <= text.n + 1; size++) {
      struct lm_buf s = body(text, LM_CANON_SIMPLE, LM_CANON_CR_IS_TEXT, size, UINT64_MAX);
      struct lm_buf r = body(text, LM_CANON_RELAXED, LM_CANON_CR_ENDS_LINE, size, UINT64_MAX);
      EXPECT_TEXT(lm_buf_str(&s), str(bodies[i].simple), bodies[i].body);
      EXPECT_TEXT(lm_buf_str(&r), str(bodies[i].relaxed), bodies[i].body);
      lm_buf_free(&s);
      lm_buf_free(&r);
    }
  }
}

static const struct {
  const char *body, *ends, *text; /* relaxed: a bare CR as the end of a line, and as text */
} returns[] = {
    {"a\rb", "a\r\nb\r\n", "a\rb\r\n"},
    {"a \r\r\nb", "a\r\n\r\nb\r\n", "a \r\r\nb\r\n"},
    {"a\r", "a\r\n", "a\r\r\n"},
    {"\r \n", "", "\r\r\n"},
    {"\r\n\rx", "\r\n\r\nx\r\n", "\r\n\rx\r\n"},
};

static void test_bare_returns(void) {
  size_t i, size;
  for (i = 0; i < sizeof returns / sizeof *returns; i++) {
    struct lm_str text = str(returns[i].body);
    for (size = 1; size <= text.n; size++) {
      struct lm_buf e = body(text, LM_CANON_RELAXED, LM_CANON_CR_ENDS_LINE, size, UINT64_MAX);
      struct lm_buf t = body(text, LM_CANON_RELAXED, LM_CANON_CR_IS_TEXT, size, UINT64_MAX);
      EXPECT_TEXT(lm_buf_str(&e), str(returns[i].ends), returns[i].body);
      EXPECT_TEXT(lm_buf_str(&t), str(returns[i].text), returns[i].body);
      lm_buf_free(&e);
      lm_buf_free(&t);
    }
  }
}

/* Whole and in random pieces: the same, also across the block inside, and cut by a limit. */
static void test_cuts(void) {
  static const char alphabet[] = "ab \t\r\n\r\n\n\n xyz";
  uint32_t seed = 4711;
  int round;
  for (round = 0; round < 60; round++) {
    size_t n = seeded(&seed) % 20000, i;
    char *p = malloc(n + 1);
    struct lm_buf whole, cut;
    uint64_t limit = round % 3 ? UINT64_MAX : seeded(&seed) % 9000;
    enum lm_canon kind = round % 2 ? LM_CANON_RELAXED : LM_CANON_SIMPLE;
    CHECK(p != NULL);
    for (i = 0; i < n; i++) p[i] = alphabet[seeded(&seed) % (sizeof alphabet - 1)];
    whole = body((struct lm_str){p, n}, kind, LM_CANON_CR_IS_TEXT, n + 1, limit);
    cut = body((struct lm_str){p, n}, kind, LM_CANON_CR_IS_TEXT, 1 + seeded(&seed) % 5000, limit);
    EXPECT(lm_str_eq(lm_buf_str(&whole), lm_buf_str(&cut)));
    lm_buf_free(&whole);
    lm_buf_free(&cut);
    free(p);
  }
}

static const struct {
  const char *field, *simple, *relaxed;
} fields[] = {
    {"A: X\r\n", "A: X", "a:X"}, /* RFC 6376 §3.4.5 */
    {"B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  ", "b:Y Z"},
    {"Subject:\r\n x\n y\r\n", "Subject:\r\n x\r\n y", "subject:x y"},
    {"A:\r\n", "A:", "a:"},
    {"A: \t\r\n", "A: \t", "a:"},
    {"A: b\r\n \r\n", "A: b\r\n ", "a:b"},
};

static void test_fields(void) {
  size_t i;
  for (i = 0; i < sizeof fields / sizeof *fields; i++) {
    struct lm_header_walk w = lm_header_walk(str(fields[i].field));
    struct lm_header_field f;
    struct lm_buf s = {NULL, 0, 0, 0}, r = {NULL, 0, 0, 0};
    CHECK(lm_header_next(&w, &f));
    EXPECT(lm_canon_field(&s, &f, LM_CANON_SIMPLE) && lm_canon_field(&r, &f, LM_CANON_RELAXED));
    EXPECT_TEXT(lm_buf_str(&s), str(fields[i].simple), fields[i].field);
    EXPECT_TEXT(lm_buf_str(&r), str(fields[i].relaxed), fields[i].field);
    lm_buf_free(&s);
    lm_buf_free(&r);
  }
}

static const struct {
  const char *field, *simple;
} signatures[] = {
    {"DKIM-Signature: v=1; b=abc;\r\n bh=xyz\r\n", "DKIM-Signature: v=1; b=;\r\n bh=xyz"},
    {"S: a=1;\r\n\tb=\r\n  ab\r\n  cd\r\n", "S: a=1;\r\n\tb="},
    {"S: bh=b=; b = q ; x=b\r\n", "S: bh=b=; b =; x=b"},
    {"S: b=\r\n", "S: b="},
};

static void test_signatures(void) {
  size_t i;
  for (i = 0; i < sizeof signatures / sizeof *signatures; i++) {
    struct lm_header_walk w = lm_header_walk(str(signatures[i].field));
    struct lm_header_field f;
    struct lm_buf out = {NULL, 0, 0, 0};
    CHECK(lm_header_next(&w, &f));
    EXPECT(lm_canon_signature(&out, &f, LM_CANON_SIMPLE));
    EXPECT_TEXT(lm_buf_str(&out), str(signatures[i].simple), signatures[i].field);
    lm_buf_free(&out);
  }
}

static const struct {
  const char *text, *shown; /* NULL: refused */
} lists[] = {
    {"v=1; a=rsa-sha256", "v=1|a=rsa-sha256|"},
    {" v = 1 ;\r\n\ta=x\r\n y ; ", "v=1|a=x\r\n y|"},
    {"p=", "p=|"},
    {"p=;", "p=|"},
    {"a=b=c==", "a=b=c==|"},
    {"d=b\xC3\xBC"
     "cher.de",
     "d=b\xC3\xBC"
     "cher.de|"},
    {"A=1;a=2", "A=1|a=2|"},
    {"a=1;a=2", NULL},
    {"a=1;;b=2", NULL},
    {";a=1", NULL},
    {"a", NULL},
    {"a=1; b", NULL},
    {"=1", NULL},
    {"1a=1", NULL},
    {"a-b=1", NULL},
    {"a=\x01", NULL},
    {"a=\x7f", NULL},
    {"", NULL},
    {" ; ", NULL},
};

static void test_tags(void) {
  size_t i, k;
  for (i = 0; i < sizeof lists / sizeof *lists; i++) {
    struct lm_tags t;
    char shown[256] = "";
    bool ok = lm_tags_read(str(lists[i].text), &t);
    if (!EXPECT_ROW(ok == (lists[i].shown != NULL), "taken", lists[i].text) || !ok) {
      EXPECT(ok || t.why);
      continue;
    }
    for (k = 0; k < t.n; k++) {
      strncat(shown, t.tag[k].name.p, t.tag[k].name.n);
      strcat(shown, "=");
      strncat(shown, t.tag[k].value.p, t.tag[k].value.n);
      strcat(shown, "|");
    }
    EXPECT_TEXT(str(shown), str(lists[i].shown), lists[i].text);
  }
}

static void test_tag_limits(void) {
  struct lm_tags t;
  struct lm_str many = repeat("a", 4 << 20);
  char list[LM_SIGN_TAGS * 8 + 64] = "";
  int i;
  EXPECT(!lm_tags_read(many, &t));
  free((void *)(uintptr_t)many.p);
  for (i = 0; i < LM_SIGN_TAGS; i++) sprintf(list + strlen(list), "a%d=;", i);
  EXPECT(lm_tags_read(str(list), &t) && t.n == LM_SIGN_TAGS);
  strcat(list, "z=");
  EXPECT(!lm_tags_read(str(list), &t) && strstr(t.why, "too many"));
}

int main(void) {
  test_bodies();
  test_bare_returns();
  test_cuts();
  test_fields();
  test_signatures();
  test_tags();
  test_tag_limits();
  return check_end();
}
