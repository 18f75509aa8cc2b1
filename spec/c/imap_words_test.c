/*
** imap_words_test.c: sets, mailbox names, and the forms in which text is written.
*/
#include "check.h"
#include "imap/put.h"
#include "imap/scan.h"
#include "imap/seqset.h"
#include "imap/utf7.h"

/* `want` NULL: a refusal. */
static void expect(const char *what, const char *in, bool ok, struct lm_str got, const char *want) {
  if (!EXPECT_ROW(ok == (want != NULL) && (!ok || is(got, want)), what, in)) {
    fprintf(stderr, "  got %.*s, want %s\n", ok ? (int)got.n : 9, ok ? got.p : "a refusal",
            want ? want : "a refusal");
  }
}

static const struct {
  const char *in, *want; /* want NULL: refused */
} sets[] = {
    {"1", "1"},
    {"4:1", "1:4"},
    {"1:4,2,5", "1:5"},
    {"9,1:3,2:6", "1:6,9"},
    {"*", "*"},
    {"*:3", "3:*"},
    {"5:*,1,7", "1,5:*,7"},
    {"1:*,1:*", "1:*"},
    {"*,*", "*"},
    {"4294967295", "4294967295"},
    {"4294967294:4294967295,1", "1,4294967294:4294967295"},
    {"1:4294967295,4294967295", "1:4294967295"},
    {"4294967296", NULL},
    {"0", NULL},
    {"1:", NULL},
    {":1", NULL},
    {"", NULL},
    {"1,", NULL},
    {",1", NULL},
    {"1 2", NULL},
    {"1:2:3", NULL},
    {"-1", NULL},
    {"a", NULL},
    {"1\r\n", NULL},
};

static void check_sets(void) {
  size_t i;
  for (i = 0; i < sizeof sets / sizeof *sets; i++) {
    struct lm_seqset set = {NULL, 0, 0};
    struct lm_buf b = {NULL, 0, 0, 0};
    bool ok = lm_seqset_parse(&set, str(sets[i].in)) == LM_SEQSET_OK;
    lm_seqset_sort(&set);
    lm_seqset_format(&set, &b);
    expect("set", sets[i].in, ok, lm_buf_str(&b), sets[i].want);
    EXPECT_ROW(ok == lm_seqset_valid(str(sets[i].in)), "valid", sets[i].in);
    lm_seqset_free(&set);
    lm_buf_free(&b);
  }
}

static const struct {
  const char *utf8, *utf7;
} names[] = {
    {"INBOX", "INBOX"},
    {"", ""},
    {"R&D", "R&-D"},
    {"été", "&AOk-t&AOk-"},
    {"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
    {"\xF0\x9F\x98\x80", "&2D3eAA-"},
    {"a\tb", "a&AAk-b"},
    {"\xC3\xA9&", "&AOk-&-"},
    {"\xC3", NULL},
    {"\xED\xA0\x80", NULL},
    {"\xC0\xAF", NULL},
    {"a\nb", NULL},
};

static const char *const not_utf7[] = {
    "R&D",   "&",        "&AOk",  "&AOk-&AOk-", "&AGE-", "&AOl",
    "&AOm-", "\xC3\xA9", "&2D0-", "&3gA-",      "a\tb",  "&A/k-",
};

static void check_names(void) {
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    struct lm_buf b = {NULL, 0, 0, 0};
    bool ok = lm_utf7_encode(&b, str(names[i].utf8)) == LM_UTF7_OK;
    expect("utf7_encode", names[i].utf8, ok, lm_buf_str(&b), names[i].utf7);
    lm_buf_free(&b);
    if (names[i].utf7 == NULL) continue;
    ok = lm_utf7_decode(&b, str(names[i].utf7)) == LM_UTF7_OK;
    expect("utf7_decode", names[i].utf7, ok, lm_buf_str(&b), names[i].utf8);
    lm_buf_free(&b);
  }
  for (i = 0; i < sizeof not_utf7 / sizeof *not_utf7; i++) {
    struct lm_buf b = {NULL, 0, 0, 0};
    bool ok = lm_utf7_decode(&b, str(not_utf7[i])) == LM_UTF7_OK;
    expect("utf7_decode", not_utf7[i], ok, lm_buf_str(&b), NULL);
    lm_buf_free(&b);
  }
}

static const struct {
  const char *in;
  bool utf8;
  enum lm_put_form astring, string;
} forms[] = {
    {"INBOX", false, LM_PUT_ATOM, LM_PUT_QUOTED},
    {"", false, LM_PUT_QUOTED, LM_PUT_QUOTED},
    {"a b", false, LM_PUT_QUOTED, LM_PUT_QUOTED},
    {"nil", false, LM_PUT_QUOTED, LM_PUT_QUOTED},
    {"a]", false, LM_PUT_ATOM, LM_PUT_QUOTED},
    {"a*", false, LM_PUT_QUOTED, LM_PUT_QUOTED},
    {"\xC3\xA9", false, LM_PUT_LITERAL, LM_PUT_LITERAL},
    {"\xC3\xA9", true, LM_PUT_QUOTED, LM_PUT_QUOTED},
    {"a\r", true, LM_PUT_LITERAL, LM_PUT_LITERAL},
    {"a\n", true, LM_PUT_LITERAL, LM_PUT_LITERAL},
    {"a\"\\", false, LM_PUT_QUOTED, LM_PUT_QUOTED},
    {"a{1}", false, LM_PUT_QUOTED, LM_PUT_QUOTED},
};

static void check_forms(void) {
  size_t i;
  for (i = 0; i < sizeof forms / sizeof *forms; i++) {
    struct lm_str s = str(forms[i].in);
    EXPECT_ROW(lm_put_astring_form(s, forms[i].utf8) == forms[i].astring, "astring", forms[i].in);
    EXPECT_ROW(lm_put_string_form(s, forms[i].utf8) == forms[i].string, "string", forms[i].in);
  }
}

/* What is written is read back as it was. */
static void check_round_trip(void) {
  static const char *const texts[] = {"plain", "a \"b\" \\c\\\\", "", "sixteen octets..",
                                      "0123456789\"01234567890123"};
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct lm_buf b = {NULL, 0, 0, 0};
    struct lm_cursor c;
    struct lm_str got = LM_NOSTR;
    bool ok;
    lm_put_quoted(&b, str(texts[i]));
    lm_buf_put(&b, " NIL NIL NIL NIL NIL", 20);
    c = lm_cursor(lm_buf_str(&b));
    c.arena = &a;
    ok = lm_imap_string(&c, &got);
    expect("quoted", texts[i], ok, got, texts[i]);
    lm_buf_free(&b);
  }
  lm_arena_free(&a);
}

static const struct {
  int64_t seconds;
  const char *text;
} dates[] = {
    {0, "\"01-Jan-1970 00:00:00 +0000\""},
    {837596665, "\"17-Jul-1996 09:44:25 +0000\""},
    {951782400, "\"29-Feb-2000 00:00:00 +0000\""},
    {-1, "\"31-Dec-1969 23:59:59 +0000\""},
    {4107542399, "\"28-Feb-2100 23:59:59 +0000\""},
    {4107542400, "\"01-Mar-2100 00:00:00 +0000\""},
    {253402300799, "\"31-Dec-9999 23:59:59 +0000\""},
    {253402300800, NULL},
    {-62135596801, NULL},
};

static void check_dates(void) {
  size_t i;
  for (i = 0; i < sizeof dates / sizeof *dates; i++) {
    struct lm_buf b = {NULL, 0, 0, 0};
    struct lm_cursor c;
    int64_t back = 0;
    bool ok = lm_put_date_time(&b, dates[i].seconds);
    expect("date", "", ok, lm_buf_str(&b), dates[i].text);
    c = lm_cursor(lm_buf_str(&b));
    if (ok) {
      EXPECT_ROW(lm_imap_date_time(&c, &back) && back == dates[i].seconds, "date read back",
                 dates[i].text);
    }
    lm_buf_free(&b);
  }
}

/* Two sets; what is in either, in both, in the first alone. */
static const struct {
  const char *a, *b, *either, *both, *first;
} pairs[] = {
    {"1:5", "3:9", "1:9", "3:5", "1:2"},
    {"1:5", "6:9", "1:9", "", "1:5"},
    {"1:5", "7", "1:5,7", "", "1:5"},
    {"1:9", "2:3,5,9:12", "1:12", "2:3,5,9", "1,4,6:8"},
    {"2,4,6,8", "1:3,5:7", "1:8", "2,6", "4,8"},
    {"5", "1:9", "1:9", "5", ""},
    {"1:9", "1:9", "1:9", "1:9", ""},
    {"1,3,5", "2,4", "1:5", "", "1,3,5"},
    {"4294967295", "1:4294967294", "1:4294967295", "", "4294967295"},
    {"1:4294967295", "4294967295", "1:4294967295", "4294967295", "1:4294967294"},
    {"1:4294967295", "1", "1:4294967295", "1", "2:4294967295"},
    {"3:4,8:9", "1:2", "1:4,8:9", "", "3:4,8:9"},
    {"1:100", "1:10,20:30,90:200", "1:200", "1:10,20:30,90:100", "11:19,31:89"},
};

typedef bool combine_fn(const struct lm_seqset *, const struct lm_seqset *, struct lm_seqset *);

static void check_combined(combine_fn *fn, const char *a, const char *b, const char *want) {
  struct lm_seqset x = {NULL, 0, 0}, y = {NULL, 0, 0}, out = {NULL, 0, 0};
  struct lm_buf text = {NULL, 0, 0, 0};
  bool ok;
  lm_seqset_parse(&x, str(a));
  lm_seqset_parse(&y, str(b));
  lm_seqset_sort(&x);
  lm_seqset_sort(&y);
  ok = fn(&x, &y, &out) && lm_seqset_format(&out, &text);
  expect("combined", a, ok, lm_buf_str(&text), want);
  lm_seqset_free(&x);
  lm_seqset_free(&y);
  lm_seqset_free(&out);
  lm_buf_free(&text);
}

static void check_algebra(void) {
  struct lm_seqset set = {NULL, 0, 0};
  size_t i;
  for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    check_combined(lm_seqset_union, pairs[i].a, pairs[i].b, pairs[i].either);
    check_combined(lm_seqset_union, pairs[i].b, pairs[i].a, pairs[i].either);
    check_combined(lm_seqset_intersection, pairs[i].a, pairs[i].b, pairs[i].both);
    check_combined(lm_seqset_intersection, pairs[i].b, pairs[i].a, pairs[i].both);
    check_combined(lm_seqset_difference, pairs[i].a, pairs[i].b, pairs[i].first);
  }
  EXPECT(lm_seqset_count(&set) == 0 && !lm_seqset_has(&set, 1));
  lm_seqset_parse(&set, LM_STR("2:3,7:4294967295"));
  EXPECT(lm_seqset_count(&set) == 4294967291u);
  EXPECT(!lm_seqset_has(&set, 1) && lm_seqset_has(&set, 3) && !lm_seqset_has(&set, 6));
  EXPECT(lm_seqset_has(&set, 4294967295u) && !lm_seqset_is_open(&set));
  lm_seqset_parse(&set, LM_STR("9:*"));
  EXPECT(lm_seqset_is_open(&set));
  lm_seqset_free(&set);
}

int main(void) {
  check_sets();
  check_algebra();
  check_names();
  check_forms();
  check_round_trip();
  check_dates();
  return check_end();
}
