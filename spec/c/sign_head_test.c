/*
** sign_head_test.c: where a header ends, whatever the cut, and which of its fields a signature covers
** (RFC 6376 §5.4.2).
*/
#include "sign/head.h"

#include "check.h"

/* Feeds a message in pieces of `size`; what is left of it is the body. */
static struct lm_head *feed(struct lm_str text, size_t size, struct lm_str *body_out) {
  struct lm_head *h = lm_head_new();
  size_t at = 0;
  CHECK(h != NULL);
  while (at < text.n) {
    size_t used, n = text.n - at < size ? text.n - at : size;
    enum lm_head_state state = lm_head_add(h, (struct lm_str){text.p + at, n}, &used);
    at += used;
    CHECK(state == LM_HEAD_MORE || state == LM_HEAD_WHOLE);
    *body_out = (struct lm_str){text.p + at, text.n - at};
    if (state == LM_HEAD_WHOLE) return h;
    EXPECT(used == n);
  }
  *body_out = LM_STR("");
  CHECK(lm_head_end(h) == LM_HEAD_WHOLE);
  return h;
}

static const struct {
  const char *message;
  size_t fields;
  const char *body;
  bool clean;
} messages[] = {
    {"A: 1\r\nB: 2\r\n\r\nbody", 2, "body", true},
    {"A: 1\nB: 2\n\nbody", 2, "body", true},
    {"A: 1\rB: 2\r\rbody", 2, "body", true},
    {"A: 1\n\r\nbody", 1, "body", true},
    {"A: 1\r\n\r\n", 1, "", true},
    {"A: 1\r\n", 1, "", true},
    {"A: 1", 1, "", true},
    {"\r\nbody", 0, "body", true},
    {"\nbody", 0, "body", true},
    {"", 0, "", true},
    {"A: 1\r\n\r\n\r\nx", 1, "\r\nx", true},
    {"A: 1\r\n x\r\n \r\n y\r\n\r\nx", 1, "x", true},
    {"From x Thu Nov 19\nA: 1\n\nx", 1, "x", true},
    {"A: 1\r\nstray\r\nB: 2\r\n\r\nx", 3, "x", false},
    {"A: 1\r\nHello,\r\nnothing here\r\n\r\nx", 1, "x", false},
    {"stray\r\nA: 1\r\n\r\nx", 2, "x", false},
};

static void test_ends(void) {
  size_t i, size;
  for (i = 0; i < sizeof messages / sizeof *messages; i++) {
    struct lm_str text = str(messages[i].message);
    check_row = messages[i].message;
    for (size = 1; size <= text.n + 1; size++) {
      struct lm_str rest;
      struct lm_head *h = feed(text, size, &rest);
      EXPECT(lm_head_count(h) == messages[i].fields);
      EXPECT(lm_head_is_clean(h) == messages[i].clean);
      EXPECT_TEXT(rest, str(messages[i].body), "body");
      lm_head_free(h);
    }
  }
  check_row = NULL;
}

#define MESSAGE "A: 1\r\nb: 2\r\na: 3\r\nC: 4\r\nA : 5\r\n\r\n"

static const struct {
  const char *names, *covered; /* relaxed */
} covers[] = {
    {"a", "a:5\r\n"},
    {"A:a", "a:5\r\na:3\r\n"},
    {"a:a:a:a", "a:5\r\na:3\r\na:1\r\n"},
    {" b : \r\n\ta :c", "b:2\r\na:5\r\nc:4\r\n"},
    {"x:b:x:b:b", "b:2\r\n"},
    {"", ""},
    {":::", ""},
    {"a:b:a", "a:5\r\nb:2\r\na:3\r\n"},
};

static void test_covers(void) {
  struct lm_str rest;
  struct lm_head *h = feed(str(MESSAGE), 1000, &rest);
  size_t i;
  for (i = 0; i < sizeof covers / sizeof *covers; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    EXPECT(lm_head_cover(h, str(covers[i].names), LM_CANON_RELAXED, &out));
    EXPECT_TEXT(lm_buf_str(&out), str(covers[i].covered), covers[i].names);
    lm_buf_free(&out);
  }
  EXPECT(lm_head_has(h, LM_STR("a")) == 3 && lm_head_has(h, LM_STR("B")) == 1);
  EXPECT(lm_head_has(h, LM_STR("aa")) == 0 && lm_head_has(h, LM_STR("")) == 0);
  lm_head_free(h);
}

static void test_limits(void) {
  struct lm_str many = repeat("A: 1\r\n", 6 * (LM_SIGN_FIELDS + 1)), big = repeat("x", 1 << 20);
  struct lm_head *h = lm_head_new();
  size_t used, i;
  enum lm_head_state state = LM_HEAD_MORE;
  CHECK(h != NULL);
  EXPECT(lm_head_add(h, many, &used) == LM_HEAD_MORE && lm_head_end(h) == LM_HEAD_LIMIT);
  lm_head_free(h);
  h = lm_head_new();
  CHECK(h != NULL);
  for (i = 0; i <= LM_SIGN_HEADER >> 20 && state == LM_HEAD_MORE; i++) {
    state = lm_head_add(h, big, &used);
  }
  EXPECT(state == LM_HEAD_LIMIT && i == (LM_SIGN_HEADER >> 20) + 1);
  lm_head_free(h);
  free((void *)(uintptr_t)many.p);
  free((void *)(uintptr_t)big.p);
}

/* Many fields of one name and a list as long: a search each, not a walk. */
static void test_linear(void) {
  struct lm_str many = repeat("A: 1\r\n", 6 * 9999), names = repeat("a:", 2 << 20), rest;
  struct lm_head *h = feed(many, 4096, &rest);
  struct lm_buf out = {NULL, 0, 0, 0};
  EXPECT(lm_head_cover(h, names, LM_CANON_RELAXED, &out) && lm_buf_len(&out) == 9999 * 5);
  lm_buf_free(&out);
  lm_head_free(h);
  free((void *)(uintptr_t)many.p);
  free((void *)(uintptr_t)names.p);
}

int main(void) {
  test_ends();
  test_covers();
  test_limits();
  test_linear();
  return check_end();
}
