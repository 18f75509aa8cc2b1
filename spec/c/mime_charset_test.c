/*
** mime_charset_test.c: charsets as their names say, and as they do not.
*/
#include "mime/charset.h"

#include "check.h"

static const struct {
  const char *charset;
  struct lm_str bytes;
  struct lm_str utf8;
} charsets[] = {
    {"utf-8", {"gr\xC3\xBC\xC3\x9F", 6}, {"gr\xC3\xBC\xC3\x9F", 6}},
    {"\"utf-8\"", {"\xC3\xBC", 2}, {"\xC3\xBC", 2}},
    {"utf-8;", {"\xC3\xBC", 2}, {"\xC3\xBC", 2}},
    {" UTF8 ", {"\xC3\xBC", 2}, {"\xC3\xBC", 2}},
    {"utf-8", {"a\xFFz", 3}, {"a\xEF\xBF\xBDz", 5}},
    {"utf-8", {"\xE2\x82", 2}, {"\xEF\xBF\xBD", 3}}, /* one for a cut character */
    {"utf-8", {"\xE2\x82z", 3}, {"\xEF\xBF\xBDz", 4}},
    {"utf-8", {"\xED\xA0\x80", 3}, {"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 9}}, /* surrogate */
    {"utf-8", {"\xC0\xAF", 2}, {"\xEF\xBF\xBD\xEF\xBF\xBD", 6}},                 /* overlong */
    {"utf-8", {"\xF4\x90\x80\x80", 4}, {"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 12}},
    {"iso-8859-1", {"\x93x\x94\xFC", 4}, {"\xE2\x80\x9Cx\xE2\x80\x9D\xC3\xBC", 9}},
    {"ISO_8859-1:1987", {"\xFC", 1}, {"\xC3\xBC", 2}},
    {"windows-1252", {"\x80\x81", 2}, {"\xE2\x82\xAC\xC2\x81", 5}},
    {"iso-8859-15", {"\xA4\xA6\xFC", 3}, {"\xE2\x82\xAC\xC5\xA0\xC3\xBC", 7}},
    {"us-ascii", {"plain", 5}, {"plain", 5}},
    {"us-ascii", {"\xC3\xBC", 2}, {"\xC3\xBC", 2}},
    {"us-ascii", {"\xFC", 1}, {"\xC3\xBC", 2}},
    {"", {"\xFC", 1}, {"\xC3\xBC", 2}},
    {"x-no-such-charset", {"\xFC", 1}, {"\xC3\xBC", 2}},
    {"x-no-such-charset", {"\xC3\xBC", 2}, {"\xC3\xBC", 2}},
    {"utf-8//TRANSLIT", {"\xC3\xBC", 2}, {"\xC3\xBC", 2}},
    {"iso-8859-2", {"\xB1", 1}, {"\xC4\x85", 2}},
    {"iso8859_5", {"\xD0", 1}, {"\xD0\xB0", 2}},
    {"koi8-r", {"\xC1", 1}, {"\xD0\xB0", 2}},
    {"windows-1251", {"\xE0", 1}, {"\xD0\xB0", 2}},
    {"cp-1251", {"\xE0", 1}, {"\xD0\xB0", 2}},
    {"gb2312", {"\xC4\xE3\x81\x40", 4}, {"\xE4\xBD\xA0\xE4\xB8\x82", 6}}, /* 8140: not in gb2312 */
    {"ks_c_5601-1987", {"\xB0\xA1\x81\x41", 4}, {"\xEA\xB0\x80\xEA\xB0\x82", 6}}, /* 8141: cp949 */
    {"x-sjis", {"\x82\xA0\x87\x40", 4}, {"\xE3\x81\x82\xE2\x91\xA0", 6}},         /* 8740: cp932 */
    {"shift_jis", {"\x82\xA0\x82", 3}, {"\xE3\x81\x82\xEF\xBF\xBD", 6}},          /* cut */
    {"euc-jp", {"\xA4\xA2", 2}, {"\xE3\x81\x82", 3}},
    {"iso-2022-jp", {"\x1B$B$\"\x1B(Bx", 9}, {"\xE3\x81\x82x", 4}},
    {"big5", {"\xA7\x41", 2}, {"\xE4\xBD\xA0", 3}},
    {"unicode-1-1-utf-7",
     {"a+APw-b", 7},
     {"a\xC3\xBC"
      "b",
      4}},
    {"utf-16", {"\xFF\xFE\xFC\0", 4}, {"\xC3\xBC", 2}},
    {"utf-16", {"\xFE\xFF\0\xFC", 4}, {"\xC3\xBC", 2}},
    {"utf-16", {"\0a\0b", 4}, {"ab", 2}},
    {"utf-16", {"a\0b\0", 4}, {"ab", 2}},
    {"utf-16be",
     {"\xD8\0\0a", 4},
     {"\xEF\xBF\xBD"
      "a",
      4}}, /* lone surrogate */
    {"utf-16le", {"a\0b", 3}, {"a\xEF\xBF\xBD", 4}},
};

static void test_table(void) {
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof charsets / sizeof *charsets; i++) {
    struct lm_str out = LM_NOSTR;
    EXPECT(lm_charset_to_utf8(&a, str(charsets[i].charset), charsets[i].bytes, &out));
    EXPECT_TEXT(out, charsets[i].utf8, charsets[i].charset);
  }
  lm_arena_free(&a);
}

/* Every two and three bytes against the definition, at every place in a word of 16. */
static void test_validator(void) {
  char text[40];
  unsigned c;
  size_t at;
  for (at = 0; at < 34; at++) {
    memset(text, 'a', sizeof text);
    memcpy(text + at, "\xF0\x9F\x98\x80", 4);
    EXPECT(lm_utf8_valid((struct lm_str){text, sizeof text}));
    EXPECT(!lm_utf8_valid((struct lm_str){text, at + 3}));
    text[at + 2] = 'x';
    EXPECT(lm_utf8_span((struct lm_str){text, sizeof text}) == at);
  }
  for (c = 0; c < 0x10000; c++) {
    char two[2] = {(char)(c >> 8), (char)(c & 255)};
    unsigned lead = c >> 8;
    unsigned tail = c & 255;
    bool valid = lead < 128 ? tail < 128 : lead >= 0xC2 && lead <= 0xDF && (tail & 0xC0) == 0x80;
    if (lm_utf8_valid((struct lm_str){two, 2}) != valid) EXPECT(!"two bytes");
  }
}

static bool agrees(const char *p, size_t n) {
  struct lm_str s = {p, n};
  return lm_utf8_valid(s) == (lm_utf8_span(s) == n);
}

/* What vectors say of a text, and what goes from character to character: every two octets with tails or
** ASCII behind them, over each end of a block, and texts in which up to two octets were changed. */
static void test_validators_agree(void) {
  static const char tails[4][3] = {"\x80\x80", "\xBF\x41", "aa", "\x9F\xA0"};
  static const char *const letters[] = {"a", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "zz"};
  char text[160];
  uint32_t state = 20261123;
  unsigned c, round;
  for (c = 0; c < 0x10000; c++) {
    size_t at = 28 + c % 5;
    memset(text, 'a', 70);
    text[at] = (char)(c >> 8);
    text[at + 1] = (char)(c & 255);
    memcpy(text + at + 2, tails[c % 4], 2);
    if (!agrees(text, 70) || !agrees(text, at + 2)) EXPECT(!"two octets");
    memcpy(text + at + 2, tails[(c + 1) % 4], 2);
    if (!agrees(text, 64) || !agrees(text, at + 3)) EXPECT(!"two octets");
  }
  for (round = 0; round < 20000; round++) {
    size_t n = 0, k;
    while (n < 150) {
      const char *letter = letters[seeded(&state) % 5];
      memcpy(text + n, letter, strlen(letter));
      n += strlen(letter);
    }
    for (k = seeded(&state) % 3; k > 0; k--) text[seeded(&state) % n] = (char)seeded(&state);
    EXPECT(agrees(text, n - seeded(&state) % 40));
  }
}

/* Tables say what iconv says: of every pair, and of texts in which pairs, ASCII and rubbish are mixed. */
static void test_pairs(void) {
  static const char *const names[] = {"gb2312", "shift_jis", "euc-kr", "cp950", "euc-jp"};
  struct lm_arena a = {NULL, 0};
  struct lm_converters kept;
  struct lm_str by_table, by_iconv;
  uint32_t state = 20261124;
  unsigned k, c, round;
  size_t i, n;
  char text[96];
  memset(&kept, 0, sizeof kept);
  kept.lasting = true;
  for (k = 0; k < 5; k++) {
    for (c = 0x8000; c < 0x10000; c++) {
      char pair[4] = {'a', (char)(c >> 8), (char)(c & 255), '-'};
      struct lm_str s = {pair, c % 3 ? 4 : 3};
      CHECK(lm_charset_convert(&a, &kept, str(names[k]), s, &by_table));
      CHECK(lm_charset_convert(&a, NULL, str(names[k]), s, &by_iconv));
      if (!lm_str_eq(by_table, by_iconv)) EXPECT_TEXT(by_table, by_iconv, names[k]);
      if (c % 64 == 0) lm_arena_reset(&a);
    }
    for (round = 0; round < 5000; round++) {
      n = seeded(&state) % sizeof text;
      for (i = 0; i < n; i++) {
        text[i] = (char)(0xB0 + seeded(&state) % 32);
        if (round % 4 == 0 && seeded(&state) % 30 == 0) text[i] = (char)seeded(&state);
        if (i % 2 == 0 && seeded(&state) % 8 == 0) text[i] = 'a';
      }
      CHECK(lm_charset_convert(&a, &kept, str(names[k]), (struct lm_str){text, n}, &by_table));
      CHECK(lm_charset_convert(&a, NULL, str(names[k]), (struct lm_str){text, n}, &by_iconv));
      EXPECT_TEXT(by_table, by_iconv, names[k]);
      lm_arena_reset(&a);
    }
  }
  lm_converters_free(&kept);
  lm_arena_free(&a);
}

/* Whatever the bytes and the charset, the result is UTF-8. */
static void test_always_utf8(void) {
  static const char *const names[] = {"utf-8",       "utf-16",    "utf-7",       "gb18030",
                                      "iso-2022-jp", "shift_jis", "iso-2022-kr", "big5",
                                      "euc-kr",      "utf-32",    "iso-8859-15", "x-nothing",
                                      "cp1255",      "tis-620",   "ucs-4",       "euc-tw"};
  struct lm_arena a = {NULL, 0};
  uint32_t state = 20261122;
  unsigned round;
  for (round = 0; round < 2000; round++) {
    char bytes[64];
    size_t i;
    struct lm_str out = LM_NOSTR;
    for (i = 0; i < sizeof bytes; i++) bytes[i] = (char)(seeded(&state) >> (round & 7));
    EXPECT(lm_charset_to_utf8(&a, str(names[round % 16]),
                              (struct lm_str){bytes, seeded(&state) % 65}, &out));
    EXPECT(lm_utf8_valid(out));
    lm_arena_reset(&a);
  }
  lm_arena_free(&a);
}

/* A megabyte of nothing but errors: each costs the same. */
static void test_linear(void) {
  static const char *const names[] = {"utf-8", "shift_jis", "iso-2022-jp", "utf-7", "utf-16le"};
  struct lm_arena a = {NULL, 0};
  struct lm_str hostile = repeat("\xFF\x1B$\xD8", 1 << 20);
  size_t i;
  for (i = 0; i < 5; i++) {
    struct lm_str out = LM_NOSTR;
    EXPECT(lm_charset_to_utf8(&a, str(names[i]), hostile, &out) && out.n > hostile.n / 8);
    lm_arena_reset(&a);
  }
  free((void *)(uintptr_t)hostile.p);
  lm_arena_free(&a);
}

/* Characters lie across the borders of the windows that iconv is shown. */
static void test_windows(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_str sjis = repeat("a\x82\xA0", 9000);
  struct lm_str want = repeat("a\xE3\x81\x82", 12000);
  struct lm_str out = LM_NOSTR;
  EXPECT(lm_charset_to_utf8(&a, str("shift_jis"), sjis, &out));
  EXPECT(out.n == want.n && memcmp(out.p, want.p, want.n) == 0);
  free((void *)(uintptr_t)sjis.p);
  free((void *)(uintptr_t)want.p);
  lm_arena_free(&a);
}

static const struct {
  const char *charset;
  const char *utf8;
  const char *bytes; /* NULL: it does not fit, or nobody knows the charset */
} written[] = {
    {"iso-8859-1", "gr\xC3\xBC\xC3\x9F", "gr\xFC\xDF"},
    {"ISO_8859-1", "\xE2\x80\x9C", NULL}, /* windows-1252 has it: exact is exact */
    {"windows-1252", "\xE2\x80\x9C", "\x93"},
    {"koi8-r", "\xD0\xB0", "\xC1"},
    {"shift_jis", "\xE6\x97\xA5", "\x93\xFA"},
    {"iso-2022-jp", "\xE6\x97\xA5", "\x1B$BF|\x1B(B"},
    {"us-ascii", "plain", "plain"},
    {"us-ascii", "\xC3\xBC", NULL},
    {"utf-8", "\xC3\xBC", "\xC3\xBC"},
    {"x-no-such-charset", "a", NULL},
    {"us-ascii//TRANSLIT", "\xC3\xBC", NULL},
    {"iso-8859-1", "a\xFF", NULL},
    {"iso-8859-1", "a\xC3", NULL},
    {"", "a", NULL},
};

static void test_written(void) {
  size_t i;
  for (i = 0; i < sizeof written / sizeof *written; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    bool ok = lm_charset_from_utf8(str(written[i].utf8), str(written[i].charset), &out) ==
              LM_CHARSET_FITS;
    EXPECT_ROW(ok == (written[i].bytes != NULL), "written", written[i].charset);
    if (ok) {
      struct lm_str want = str(written[i].bytes), got = lm_buf_str(&out);
      EXPECT_ROW(got.n == want.n && memcmp(got.p, want.p, want.n) == 0, "bytes",
                 written[i].charset);
    }
    lm_buf_free(&out);
  }
}

int main(void) {
  test_table();
  test_written();
  test_windows();
  test_validator();
  test_validators_agree();
  test_pairs();
  test_always_utf8();
  test_linear();
  return check_end();
}
