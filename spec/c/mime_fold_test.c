/*
** mime_fold_test.c: header fields as they are written: what is refused, where lines end, that all comes
** back.
*/
#include "mime/fold.h"

#include "check.h"
#include "mime/survey.h"
#include "mime/word2047.h"

#define UE "\xC3\xBC"
#define W20 "12345678901234567890"

enum kind { AS_TEXT, AS_UTF8, AS_TOKENS };

static const struct {
  enum kind kind;
  const char *value;
  const char *line;
} rows[] = {
    {AS_TEXT, "", "S:\r\n"},
    {AS_TEXT, "hello", "S: hello\r\n"},
    {AS_TEXT, "two  spaces", "S: two  spaces\r\n"},
    {AS_TEXT, "gr" UE "n", "S: =?UTF-8?Q?gr=C3=BCn?=\r\n"},
    {AS_UTF8, "gr" UE "n", "S: gr" UE "n\r\n"},
    {AS_TEXT, "a gr" UE "n b", "S: a =?UTF-8?Q?gr=C3=BCn?= b\r\n"},
    {AS_TEXT, "gr" UE "n gr" UE "n", "S: =?UTF-8?Q?gr=C3=BCn_gr=C3=BCn?=\r\n"},
    {AS_TEXT, UE UE UE, "S: =?UTF-8?B?w7zDvMO8?=\r\n"},
    {AS_TEXT, "a =?b", "S: a =?UTF-8?B?PT9i?=\r\n"},
    {AS_UTF8, "a =?b", "S: a =?UTF-8?B?PT9i?=\r\n"},
    {AS_TEXT, " a", "S: =?UTF-8?Q?_a?=\r\n"},
    {AS_TEXT, "a ", "S: =?UTF-8?Q?a_?=\r\n"},
    {AS_TEXT, "a\tb", "S: =?UTF-8?Q?a=09b?=\r\n"},
    {AS_TEXT, W20 " " W20 " " W20 " " W20, "S: " W20 " " W20 " " W20 "\r\n " W20 "\r\n"},
    {AS_TOKENS, "a,   b", "S: a, b\r\n"},
    {AS_TOKENS, W20 "  " W20 " " W20 " " W20, "S: " W20 " " W20 " " W20 "\r\n " W20 "\r\n"},
    {AS_TOKENS, "\"a  b\" <c@d>", "S: \"a  b\" <c@d>\r\n"},
    {AS_TOKENS, "\"" W20 " " W20 " c\\\" d  e\" <c@d>, \"f  g\"",
     "S: \"" W20 " " W20 " c\\\" d  e\" <c@d>, \"f  g\"\r\n"},
};

static struct lm_buf field(enum kind kind, struct lm_str value) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_fold f;
  CHECK(lm_fold_begin(&f, &out, LM_STR("S"), kind == AS_UTF8));
  CHECK(kind == AS_TOKENS ? lm_fold_tokens(&f, value) : lm_fold_text(&f, value));
  CHECK(lm_fold_end(&f));
  return out;
}

static void test_rows(void) {
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct lm_buf out = field(rows[i].kind, str(rows[i].value));
    EXPECT_TEXT(lm_buf_str(&out), str(rows[i].line), rows[i].value);
    lm_buf_free(&out);
  }
}

/* Lines of a field: no longer than `limit` where they have encoded words or spaces to fold at. */
static void check_lines(struct lm_str s, size_t limit) {
  while (s.n) {
    const char *lf = memchr(s.p, '\n', s.n);
    size_t n = lf ? (size_t)(lf - s.p) + 1 : s.n;
    CHECK(lf != NULL && n >= 2 && s.p[n - 2] == '\r');
    if (!EXPECT(n - 2 <= limit)) fprintf(stderr, "  %.*s\n", (int)n, s.p);
    s = (struct lm_str){s.p + n, s.n - n};
    if (s.n) EXPECT(s.p[0] == ' ');
  }
}

static void test_round_trip(void) {
  static const char *const pieces[] = {"word", " ",  UE,   "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "=?",
                                       "?=",   "  ", "\t", "\"",           "a b c d e f g",    " "};
  struct lm_arena a = {NULL, 0};
  uint32_t state = 11;
  unsigned round;
  for (round = 0; round < 4000; round++) {
    char text[1500] = "";
    struct lm_buf out;
    struct lm_str back, raw;
    unsigned n = seeded(&state) % 100;
    while (n-- > 0) strcat(text, pieces[seeded(&state) % 12]);
    out = field(round & 1 ? AS_UTF8 : AS_TEXT, str(text));
    check_lines(lm_buf_str(&out), round & 1 ? 998 : 400);
    raw = lm_buf_str(&out);
    raw = (struct lm_str){raw.p + 2, raw.n - 4};
    if (raw.n) raw = (struct lm_str){raw.p + 1, raw.n - 1};
    if (raw.n > 2 && raw.p[0] == '\n') raw = (struct lm_str){raw.p + 2, raw.n - 2};
    CHECK(lm_word2047_decode(&a, raw, &back));
    EXPECT_TEXT(back, str(text), "written and read");
    lm_buf_free(&out);
    lm_arena_reset(&a);
  }
  lm_arena_free(&a);
}

static void test_long_words(void) {
  struct lm_str text = repeat(UE, 4000), ascii = repeat("x", 4000);
  struct lm_buf out = field(AS_TEXT, text);
  check_lines(lm_buf_str(&out), 76);
  lm_buf_free(&out);
  out = field(AS_TEXT, ascii);
  check_lines(lm_buf_str(&out), 76);
  lm_buf_free(&out);
  free((void *)(uintptr_t)text.p);
  free((void *)(uintptr_t)ascii.p);
}

static void test_refusals(void) {
  EXPECT(lm_fold_refusal(LM_STR("Subject"), LM_STR("fine")) == NULL);
  EXPECT(lm_fold_refusal(LM_STR("Subject"), LM_STR("a\rb")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR("Subject"), LM_STR("a\nb")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR("Subject"), LM_STR("a\0b")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR("Subject"), LM_STR("a\xFF")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR(""), LM_STR("a")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR("A B"), LM_STR("a")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR("A:"), LM_STR("a")) != NULL);
  EXPECT(lm_fold_refusal(LM_STR("A\xC3\xBC"), LM_STR("a")) != NULL);
}

static const struct {
  const char *value;
  const char *written;
} parameters[] = {
    {"a.txt", "S: x; f=a.txt\r\n"},
    {"a b.txt", "S: x; f=\"a b.txt\"\r\n"},
    {"", "S: x; f=\"\"\r\n"},
    {UE ".txt", "S: x; f*=UTF-8''%C3%BC.txt\r\n"},
    {"a\"b", "S: x; f*=UTF-8''a%22b\r\n"},
    {"C:\\a", "S: x; f*=UTF-8''C%3A%5Ca\r\n"},
    {"=?x?=", "S: x; f*=UTF-8''%3D%3Fx%3F%3D\r\n"},
    {"a'*%b\t" UE, "S: x; f*=UTF-8''a%27%2A%25b%09%C3%BC\r\n"},
    {W20 W20 W20 W20, "S: x;\r\n f*0*=UTF-8''" W20 W20 W20 "12;\r\n f*1*=345678901234567890\r\n"},
};

static void test_parameters(void) {
  size_t i;
  for (i = 0; i < sizeof parameters / sizeof *parameters; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    struct lm_fold f;
    CHECK(lm_fold_begin(&f, &out, LM_STR("S"), false) && lm_fold_tokens(&f, LM_STR("x")));
    CHECK(lm_fold_param(&f, LM_STR("f"), str(parameters[i].value)) && lm_fold_end(&f));
    EXPECT_TEXT(lm_buf_str(&out), str(parameters[i].written), parameters[i].value);
    lm_buf_free(&out);
  }
}

static void test_survey(void) {
  struct lm_survey s;
  lm_survey(LM_STR("ab\r\n" UE "=\x01 \r\nlonger"), &s);
  EXPECT(s.eight == 2 && s.escapes == 4 && s.longest == 6 && !s.nul && !s.bare && s.blank_ends);
  lm_survey(LM_STR("a\nb\rc\0"), &s);
  EXPECT(s.bare && s.nul && !s.blank_ends && s.longest == 2);
  lm_survey(LM_STR(""), &s);
  EXPECT(s.longest == 0 && s.escapes == 0);
  lm_survey(LM_STR("a "), &s);
  EXPECT(s.blank_ends);
}

int main(void) {
  test_rows();
  test_round_trip();
  test_long_words();
  test_refusals();
  test_parameters();
  test_survey();
  return check_end();
}
