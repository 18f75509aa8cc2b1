/*
** mime_word2047_test.c: encoded words, well formed and otherwise.
*/
#include "mime/word2047.h"

#include "base/chars.h"
#include "mime/charset.h"
#include "check.h"

#define UE "\xC3\xBC"

static const struct {
  const char *raw;
  const char *utf8;
} words[] = {
    {"plain", "plain"},
    {"", ""},
    {"gr" UE, "gr" UE},
    {"gr\xFC", "gr" UE},
    {"=?utf-8?Q?gr=C3=BC?=", "gr" UE},
    {"=?UTF-8?q?gr=c3=bc_x?=", "gr" UE " x"},
    {"=?utf-8?B?Z3LDvA==?=", "gr" UE},
    {"=?utf-8?B?Z3LDvA?=", "gr" UE},
    {"=?utf-8*de?Q?gr=C3=BC?=", "gr" UE},
    {"=?iso-8859-1?Q?gr=FC?= x", "gr" UE " x"},
    {"a =?utf-8?Q?b?= c", "a b c"},
    {"=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"}, /* RFC 2047 §8 */
    {"=?utf-8?Q?a?=  \r\n =?utf-8?Q?b?=", "ab"},
    {"=?utf-8?Q?a_?= =?utf-8?Q?b?=", "a b"},
    {"=?utf-8?Q?a?= b", "a b"},
    {"=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=", UE},  /* cut in the middle */
    {"=?utf-8?B?ww==?= =?UTF-8?Q?=BC?=", UE}, /* B and Q in a row */
    {"=?iso-2022-jp?B?GyRCJCI=?= =?iso-2022-jp?B?JCIbKEI=?=", "\xE3\x81\x82\xE3\x81\x82"},
    {"=?utf-8?Q?=C3?= =?iso-8859-1?Q?=FC?=", "\xEF\xBF\xBD" UE},
    {"x=?utf-8?Q?a?=y", "xay"}, /* touching text */
    {"=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"},
    {"=?utf-8?Q?two words?=", "two words"}, /* space inside */
    {"=?utf-8?Q?Why? Because?=", "Why? Because"},
    {"=?utf-8?Q?never closed", "=?utf-8?Q?never closed"},
    {"=?utf-8?Q?open =?utf-8?Q?good?=", "=?utf-8?Q?open good"},
    {"=?utf-8?X?a?=", "=?utf-8?X?a?="},
    {"=?utf-8?Q", "=?utf-8?Q"},
    {"=?", "=?"},
    {"=?utf-8?Q?\?=", ""},
    {"=?utf-8?Q?=4?=", "=4"},
    {"=?utf-8?Q?=ZZ?=", "=ZZ"},
    {"=?x-invented?Q?gr=FC?=", "gr" UE},
    {"=?utf-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x"}, /* no line is forged */
    {"one\r\n two", "one two"},
    {"one\n\ttwo", "one\ttwo"},
    {"one\r\ntwo", "one two"},
    {"one\r\n ", "one "},
    {"=?utf-8?Q?=C3=BC?= raw \xFC", UE " raw " UE},
    {"=?us-ascii?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
     " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
     "If you can read this you understand the example."},
};

static void test_table(void) {
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof words / sizeof *words; i++) {
    struct lm_str out = LM_NOSTR;
    EXPECT(lm_word2047_decode(&a, str(words[i].raw), &out));
    EXPECT_TEXT(out, str(words[i].utf8), words[i].raw);
  }
  lm_arena_free(&a);
}

static void test_plain_is_not_copied(void) {
  struct lm_str raw = str("a = b ? gr" UE);
  struct lm_str out = LM_NOSTR;
  EXPECT(lm_word2047_decode(NULL, raw, &out) && out.p == raw.p && out.n == raw.n);
}

static void test_span(void) {
  EXPECT(lm_word2047_span(str("=?utf-8?Q?a?= b")) == 13);
  EXPECT(lm_word2047_span(str("=?utf-8?Q?a b?=")) == 0);
  EXPECT(lm_word2047_span(str("utf-8?Q?a?=")) == 0);
}

/* No word over 75 characters (RFC 2047 §2), and reading gives back what was written. */
static void check_round_trip(struct lm_arena *a, struct lm_str text) {
  struct lm_str coded = LM_NOSTR;
  struct lm_str back = LM_NOSTR;
  size_t at = 0;
  EXPECT(lm_word2047_encode(a, text, &coded) && lm_word2047_decode(a, coded, &back));
  EXPECT_TEXT(back, text, "written and read");
  while (at < coded.n) {
    size_t n = lm_word2047_span((struct lm_str){coded.p + at, coded.n - at});
    if (!EXPECT(n > 0 && n <= 75)) break;
    at += n + 1;
  }
}

static void test_round_trip(void) {
  static const char *const pieces[] = {"a",  " ",  UE,  "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                       "=?", "?=", "_", "\"",           "="};
  struct lm_arena a = {NULL, 0};
  uint32_t state = 7;
  unsigned round;
  for (round = 0; round < 2000; round++) {
    char text[512] = "";
    unsigned n = seeded(&state) % 100;
    while (n-- > 0) strcat(text, pieces[seeded(&state) % 10]);
    check_round_trip(&a, str(text));
    lm_arena_reset(&a);
  }
  lm_arena_free(&a);
}

/* Each of these took quadratic time in some reader. */
static void test_linear(void) {
  static const char *const hostile[] = {"=?",
                                        "=?a?q?",
                                        "=?a?q? ",
                                        "=?a?b?QQ==",
                                        "=?utf-8?Q?=C3?= ",
                                        "=?a?q?x?= ",
                                        "=?utf-8?q?x?=\r\n ",
                                        "=?a?q?x?=y ",
                                        "\r\n",
                                        "=",
                                        "=?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                        "=?a?q?x?y",
                                        "\xFF=?l1?q?=FC?=",
                                        "=?gb2312?q?=FC?= =?x?q?a?="};
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    struct lm_str text = repeat(hostile[i], 1 << 20);
    struct lm_str out = LM_NOSTR;
    EXPECT(lm_word2047_decode(&a, text, &out) && lm_utf8_valid(out));
    lm_arena_reset(&a);
    free((void *)(uintptr_t)text.p);
  }
  lm_arena_free(&a);
}

int main(void) {
  test_table();
  test_plain_is_not_copied();
  test_span();
  test_round_trip();
  test_linear();
  return check_end();
}
