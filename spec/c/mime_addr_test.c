/*
** mime_addr_test.c: address lists, envelope addresses, and their text.
**
** An entry is shown as name<local@domain>, a group as {name: ... }; a missing address as <>.
*/
#include "mime/addr.h"

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/idn.h"
#include "check.h"

#define UE "\xC3\xBC"

enum { CLEAN = 0, ODD = 1 };

static const struct {
  const char *text;
  int defects;
  const char *shown;
} lists[] = {
    {"ann@x.org", CLEAN, "<ann@x.org>"},
    {"Ann <ann@x.org>", CLEAN, "Ann<ann@x.org>"},
    {"Ann <ann@x.org>, Team: bob@x.org;", CLEAN, "Ann<ann@x.org> {Team: <bob@x.org> }"},
    {"\"Smith, John\" <j@x.org>, b@y", CLEAN, "Smith, John<j@x.org> <b@y>"},
    {"\"a \\\"b\\\" \\\\c\" <j@x.org>", CLEAN, "a \"b\" \\c<j@x.org>"},
    {"J. R. Smith <j@x.org>", CLEAN, "J. R. Smith<j@x.org>"},
    {"J.R. Smith <j@x.org>", CLEAN, "J.R. Smith<j@x.org>"},
    {"Ann\r\n  Smith\r\n <ann@x.org>", CLEAN, "Ann Smith<ann@x.org>"},
    {"ann@x.org (Ann Smith)", CLEAN, "Ann Smith<ann@x.org>"},
    {"ann@x.org (Ann (the (old)) \\(one)", CLEAN, "Ann (the (old)) (one<ann@x.org>"},
    {"<ann@x.org> (Ann)", CLEAN, "Ann<ann@x.org>"},
    {"(Ann) <ann@x.org>", CLEAN, "Ann<ann@x.org>"},
    {"Ann (Sales) <ann@x.org> (x)", CLEAN, "Ann<ann@x.org>"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", CLEAN,
     "Pete<pete@silly.test>"},
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
     CLEAN, "{A Group: Chris Jones<c@public.example> <joe@example.org> John<jdoe@one.test> }"},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", CLEAN,
     "{Hidden recipients: }"},
    {"Joe Q. Public <john.q.public@example.com>", CLEAN,
     "Joe Q. Public<john.q.public@example.com>"},
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example", CLEAN,
     "Mary Smith<mary@example.net> <jdoe@test.example>"},
    {"<@a,@b.c:d@e>", CLEAN, "<d@e>"},
    {"ann @ x . org", CLEAN, "<ann@x.org>"},
    {"\"a b\"@x.org", CLEAN, "<\"a b\"@x.org>"},
    {"\"a\".b@x.org", CLEAN, "<a.b@x.org>"},
    {"\"a@b\"@x.org", CLEAN, "<\"a@b\"@x.org>"},
    {"\"a>\" <b@x.org>", CLEAN, "a><b@x.org>"},
    {"ann@[127.0.0.1]", CLEAN, "<ann@[127.0.0.1]>"},
    {"ann@[IPv6:::1], b@c", CLEAN, "<ann@[IPv6:::1]> <b@c>"},
    {"ann@x.org,", CLEAN, "<ann@x.org>"},
    {",,ann@x.org", CLEAN, "<ann@x.org>"},
    {"", CLEAN, ""},
    {"  \t ", CLEAN, ""},
    {"Gr" UE " <" UE "@b" UE "cher.de>", CLEAN, "Gr" UE "<" UE "@b" UE "cher.de>"},
    {"=?utf-8?Q?Gr=C3=BC?= =?utf-8?Q?n?= <a@b>", CLEAN, "Gr" UE "n<a@b>"},
    {"\"=?utf-8?Q?Gr=C3=BC?=\" <a@b>", CLEAN, "Gr" UE "<a@b>"},
    {"a@b (=?utf-8?Q?Gr=C3=BC?=)", CLEAN, "Gr" UE "<a@b>"},
    {"ann@x.org <ann@x.org>", CLEAN, "ann@x.org<ann@x.org>"},
    {"'Ann' <ann@x.org>", CLEAN, "Ann<ann@x.org>"},
    {"\"'Ann'\" <ann@x.org>", CLEAN, "'Ann'<ann@x.org>"},
    {"G1: a@b;, c@d, G2: e@f, g@h;, i@j", CLEAN, "{G1: <a@b> } <c@d> {G2: <e@f> <g@h> } <i@j>"},
    /* encoded words never make an address */
    {"=?utf-8?Q?a=40b.c?=@x.org", CLEAN, "<=?utf-8?Q?a=40b.c?=@x.org>"},
    {"=?utf-8?Q?a=40b=3E?= <c@d>", CLEAN, "a@b><c@d>"},
    {"=?utf-8?Q?Smith,_John?= <j@x.org>", ODD, "Smith, John<j@x.org>"},
    {"=?utf-8?Q?<a@b>,?= <j@x.org>", CLEAN, "=?utf-8?Q?<a@b> ?=<j@x.org>"},
    /* what mailers send */
    {"Smith, John <j@x.org>, b@y", ODD, "Smith, John<j@x.org> <b@y>"},
    {"Ann <ann@x.org", ODD, "Ann<ann@x.org>"},
    {"Ann <ann@x.org, Bob <bob@x.org>", ODD, "Ann<ann@x.org> Bob<bob@x.org>"},
    {"Ann ann@x.org>", ODD, NULL},
    {"a@b; c@d", ODD, "<a@b> <c@d>"},
    {"Ann <a@b>; Bob <c@d>", ODD, "Ann<a@b> Bob<c@d>"},
    {"<a@b> <c@d>", ODD, "<a@b> <c@d>"},
    {"<a@b> foo, c@d", ODD, "<a@b> <c@d>"},
    {"<<a@b>>", ODD, "<a@b>"},
    {"<>", ODD, ""},
    {"<>, a@b", ODD, "<a@b>"},
    {"Ann <>", ODD, "Ann<>"},
    {"Team: a@b, c@d", ODD, "{Team: <a@b> <c@d> }"},
    {"Team: a@b;; c@d", ODD, "{Team: <a@b> } <c@d>"},
    {"Team: a@b; c@d", ODD, "{Team: <a@b> } <c@d>"},
    {"A: B: c@d; e@f", ODD, NULL},
    {"root", ODD, "<root>"},
    {"john.smith", ODD, "<john.smith>"},
    {"John Smith", ODD, "John Smith<>"},
    {"bob smith@x.org", ODD, "bob<smith@x.org>"},
    {"a..b@x.org, c@d", ODD, "<\"a..b\"@x.org> <c@d>"},
    {".a@x.org", ODD, "<\".a\"@x.org>"},
    {"a.@x.org", ODD, "<\"a.\"@x.org>"},
    {"a@x.org.", ODD, "<a@x.org.>"},
    {"a@b@c, d@e", ODD, "a@b@c<> <d@e>"},
    {"<a@b@c>", ODD, ""},
    {"@b", ODD, "@b<>"},
    {"a@", ODD, "a@<>"},
    {"a@b c", ODD, "<a@b>"},
    {"x@y <a@b>", ODD, "x@y<a@b>"},
    {"\"never closed <a@b>, c@d", ODD, "\"never closed<a@b> <c@d>"},
    {"Ann :( <a@b>, c@d", ODD, NULL},
    {"[SPAM] Ann <a@b>", ODD, "[SPAM] Ann<a@b>"},
    {"Ann \\ <a@b>", ODD, "Ann \\<a@b>"},
    {"a@b\r\nBcc: c@d", ODD, NULL},
    {".", ODD, ""},
    {"a@[1.2.3.4", ODD, "a@[1.2.3.4<>"},
    {"\xFC <a@b>", CLEAN, UE "<a@b>"},
    {"\xFC@b", ODD, "<" UE "@b>"},
};

static void show(struct lm_arena *a, const struct lm_addr_list *list, char *out) {
  const struct lm_addr *addr;
  out[0] = '\0';
  for (addr = list->first; addr; addr = addr->next) {
    struct lm_str spec = LM_NOSTR;
    if (out[0]) strcat(out, " ");
    if (addr->kind == LM_ADDR_GROUP_END) strcat(out, "}");
    if (addr->kind == LM_ADDR_GROUP) strcat(out, "{");
    if (addr->name.n) strncat(out, addr->name.p, addr->name.n);
    if (addr->kind == LM_ADDR_GROUP) strcat(out, ":");
    if (addr->kind != LM_ADDR_MAILBOX) continue;
    EXPECT(lm_addr_spec(a, addr, &spec));
    strcat(out, "<");
    strncat(out, spec.p, spec.n);
    strcat(out, ">");
  }
}

static void test_lists(void) {
  struct lm_arena a = {NULL, 0};
  char shown[4096];
  size_t i;
  for (i = 0; i < sizeof lists / sizeof *lists; i++) {
    struct lm_addr_list list;
    EXPECT(lm_addr_list(&a, str(lists[i].text), &list));
    show(&a, &list, shown);
    if (lists[i].shown) EXPECT_TEXT(str(shown), str(lists[i].shown), lists[i].text);
    if (!EXPECT((list.defects > 0) == lists[i].defects)) {
      fprintf(stderr, "  %s: %s\n", lists[i].text, list.why ? list.why : "clean");
    }
  }
  lm_arena_free(&a);
}

#define L64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D63 "a0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd"

static const struct {
  const char *text;
  const char *sent; /* NULL: refused */
  bool utf8;
} envelopes[] = {
    {"ann@x.org", "ann@x.org", false},
    {"<ann@x.org>", "ann@x.org", false},
    {"Ann <ann@x.org>", "ann@x.org", false},
    {"Ann B. Cee <ann@x.org>", "ann@x.org", false},
    {"\"Cee, <x@y> Ann\" <ann@x.org>", "ann@x.org", false},
    {"Gr" UE "n <ann@x.org>", "ann@x.org", false},
    {"=?utf-8?Q?Gr=C3=BC?= <ann@x.org>", "ann@x.org", false},
    {"ann@x.org <ann@x.org>", "ann@x.org", false},
    {"\"a b\"@x.org", "\"a b\"@x.org", false},
    {"\"a>b\"@x.org", "\"a>b\"@x.org", false},
    {"\"a\\\"b\"@x.org", "\"a\\\"b\"@x.org", false},
    {"\"ann\"@x.org", "ann@x.org", false},
    {"\"\"@x.org", "\"\"@x.org", false},
    {"o'neil+tag/x=y@x.org", "o'neil+tag/x=y@x.org", false},
    {"ann@localhost", "ann@localhost", false},
    {"ann@[127.0.0.1]", "ann@[127.0.0.1]", false},
    {"ann@[IPv6:::1]", "ann@[IPv6:::1]", false},
    {"ann@b" UE "cher.de", "ann@xn--bcher-kva.de", false},
    {UE "@x.org", UE "@x.org", true},
    {UE "@b" UE "cher.de", UE "@xn--bcher-kva.de", true},
    {L64 "@x.org", L64 "@x.org", false},
    {"a@" D63 ".org", "a@" D63 ".org", false},
    {"a" L64 "@x.org", NULL, false},
    {"a@a" D63 ".org", NULL, false},
    {L64 "@" D63 "." D63 "." D63 ".org", NULL, false}, /* 260 in all */
    {"", NULL, false},
    {"<>", NULL, false},
    {" ann@x.org", NULL, false},
    {"ann@x.org ", NULL, false},
    {"ann @x.org", NULL, false},
    {"ann@x.org\r\n", NULL, false},
    {"ann@x.org\r\nRCPT TO:<b@c>", NULL, false},
    {"ann\n@x.org", NULL, false},
    {"\"a\rb\"@x.org", NULL, false},
    {"a\tb@x.org", NULL, false},
    {"\"a\tb\"@x.org", NULL, false},
    {"a\x7F@x.org", NULL, false},
    {"a\xC2\x85@x.org", NULL, false},
    {"a\xFF@x.org", NULL, false},
    {"ann@x.org> SIZE=1", NULL, false},
    {"<ann@x.org> SIZE=1", NULL, false},
    {"<ann@x.org>,<b@c>", NULL, false},
    {"ann@x.org,b@c", NULL, false},
    {"ann@x.org b@c", NULL, false},
    {"ann", NULL, false},
    {"ann@", NULL, false},
    {"@x.org", NULL, false},
    {"a@b@c", NULL, false},
    {"a@evil.org <ann@x.org>", NULL, false},
    {"<a@b> <ann@x.org>", NULL, false},
    {"<<a@b>>", NULL, false},
    {"Ann <ann@x.org", NULL, false},
    {"ann@x.org>", NULL, false},
    {"Ann (Sales) <ann@x.org>", NULL, false},
    {"Cee, Ann <ann@x.org>", NULL, false},
    {"T: ann@x.org;", NULL, false},
    {"<@a:ann@x.org>", NULL, false},
    {"a..b@x.org", NULL, false},
    {".a@x.org", NULL, false},
    {"a.@x.org", NULL, false},
    {"a@x..org", NULL, false},
    {"a@.org", NULL, false},
    {"a@x.org.", NULL, false},
    {"a@-x.org", NULL, false},
    {"a@x-.org", NULL, false},
    {"a@x_y.org", NULL, false},
    {"a@[1.2.3.4", NULL, false},
    {"a@[]", NULL, false},
    {"a@[1 2]", NULL, false},
    {"a@[1>2]", NULL, false},
    {"a@[x:<y>]", NULL, false},
    {"\"a@x.org", NULL, false},
    {"\"a\"b@x.org", NULL, false},
    {"a(c)@x.org", NULL, false},
    {"a@x.org(c)", NULL, false},
    {"a@\xE2\x84\x80x.org", NULL, false},  /* U+2100 maps to "a/c" */
    {"a@x\xEF\xBC\xA0y.org", NULL, false}, /* U+FF20 maps to "@" */
    {"a\\@b@x.org", NULL, false},
};

static void test_envelopes(void) {
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof envelopes / sizeof *envelopes; i++) {
    struct lm_addr addr;
    struct lm_str spec;
    const char *why = NULL;
    bool ok = lm_addr_envelope(&a, str(envelopes[i].text), LM_ADDR_NULL_REFUSED, &addr, &why);
    if (!EXPECT(ok == (envelopes[i].sent != NULL))) fprintf(stderr, "  %s\n", envelopes[i].text);
    EXPECT(ok || why);
    if (!ok || !envelopes[i].sent) continue;
    EXPECT(lm_addr_spec(&a, &addr, &spec) && addr.utf8 == envelopes[i].utf8);
    EXPECT_TEXT(spec, str(envelopes[i].sent), envelopes[i].text);
  }
  lm_arena_free(&a);
}

static void test_null_path(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_addr addr;
  struct lm_str spec;
  const char *why;
  EXPECT(lm_addr_envelope(&a, LM_STR(""), LM_ADDR_NULL_TAKEN, &addr, &why));
  EXPECT(lm_addr_spec(&a, &addr, &spec) && spec.n == 0);
  EXPECT(lm_addr_envelope(&a, LM_STR("<>"), LM_ADDR_NULL_TAKEN, &addr, &why));
  EXPECT(!lm_addr_envelope(&a, LM_STR("<> "), LM_ADDR_NULL_TAKEN, &addr, &why));
  EXPECT(!lm_addr_envelope(&a, (struct lm_str){"a\0@b", 4}, LM_ADDR_NULL_TAKEN, &addr, &why));
  lm_arena_free(&a);
}

/* Every octet at every place of an envelope address: what passes has none that could end the path or
** the line. */
static void test_no_octet_slips_through(void) {
  struct lm_arena a = {NULL, 0};
  unsigned c;
  size_t at;
  for (c = 0; c < 256; c++) {
    for (at = 0; at <= 7; at++) {
      char text[9] = "ab@cd.ef";
      struct lm_addr addr;
      struct lm_str spec;
      const char *why;
      text[at] = (char)c;
      if (lm_addr_envelope(&a, (struct lm_str){text, 8}, LM_ADDR_NULL_REFUSED, &addr, &why)) {
        EXPECT(lm_addr_spec(&a, &addr, &spec) && !lm_str_breaks_line(spec));
        EXPECT(!memchr(spec.p, ' ', spec.n) && !memchr(spec.p, '>', spec.n) &&
               !memchr(spec.p, '<', spec.n));
      }
    }
    lm_arena_reset(&a);
  }
  lm_arena_free(&a);
}

static const struct {
  const char *name;
  const char *text; /* of <a@b> behind it; NULL: refused */
} names[] = {
    {"", "a@b"},
    {"Ann", "Ann <a@b>"},
    {"Ann Smith", "Ann Smith <a@b>"},
    {"J. Smith", "\"J. Smith\" <a@b>"},
    {"Smith, John", "\"Smith, John\" <a@b>"},
    {"a \"b\" \\c", "\"a \\\"b\\\" \\\\c\" <a@b>"},
    {" Ann", "\" Ann\" <a@b>"},
    {"'Ann'", "\"'Ann'\" <a@b>"},
    {"Gr" UE, "=?UTF-8?Q?Gr=C3=BC?= <a@b>"},
    {"=?utf-8?Q?x?=", "=?UTF-8?B?PT91dGYtOD9RP3g/PQ==?= <a@b>"},
    {"a\tb", "=?UTF-8?B?YQli?= <a@b>"},
    {"a\nBcc: x", NULL},
    {"a\rb", NULL},
    {"a\xFF", NULL},
};

static void test_formats(void) {
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    struct lm_addr addr = {LM_ADDR_MAILBOX, false,       false, str(names[i].name),
                           LM_STR("a"),     LM_STR("b"), NULL};
    struct lm_str out;
    const char *why = NULL;
    bool ok = lm_addr_format(&a, &addr, &out, &why);
    EXPECT(ok == (names[i].text != NULL) && (ok || why));
    if (ok && names[i].text) EXPECT_TEXT(out, str(names[i].text), names[i].name);
  }
  lm_arena_free(&a);
}

/* Any name with any local part, written and read again, is the same and clean. */
static void test_round_trip(void) {
  static const char *const pieces[] = {"a", " ", ".", "@", "\"", "\\", "<",  ">", ",", ";",  ":",
                                       "(", ")", "[", "]", "'",  "=?", "?=", UE,  "_", "-x", "q?"};
  struct lm_arena a = {NULL, 0};
  uint32_t state = 99;
  unsigned round;
  for (round = 0; round < 20000; round++) {
    char name[128] = "";
    char local[64] = "a";
    unsigned n = seeded(&state) % 20;
    unsigned m = seeded(&state) % 12;
    struct lm_addr addr = {LM_ADDR_MAILBOX, false,           false, {name, 0},
                           {local, 0},      LM_STR("x.org"), NULL};
    struct lm_addr_list list;
    struct lm_str out;
    const char *why;
    while (n-- > 0) strcat(name, pieces[seeded(&state) % 22]);
    while (m-- > 0) strcat(local, pieces[seeded(&state) % 22]);
    addr.name.n = strlen(name);
    addr.local.n = strlen(local);
    if (!EXPECT(lm_addr_format(&a, &addr, &out, &why) && lm_addr_list(&a, out, &list))) break;
    if (!EXPECT(list.count == 1 && list.defects == 0)) {
      fprintf(stderr, "  %.*s: %s\n", (int)out.n, out.p, list.why ? list.why : "");
      break;
    }
    EXPECT_TEXT(list.first->name, addr.name, "name written and read");
    EXPECT_TEXT(list.first->local, addr.local, "local part written and read");
    lm_arena_reset(&a);
  }
  lm_arena_free(&a);
}

/* What the strict reader takes, the tolerant one reads as the same address. */
static void test_readers_agree(void) {
  static const char *const pieces[] = {
      "a", "b", ".", "@", "\"", "\\", "<", ">",   ",",     ";",
      ":", "(", ")", "[", "]",  " ",  UE,  "x@y", "<a@b>", "=?utf-8?q?x?="};
  struct lm_arena a = {NULL, 0};
  uint32_t state = 4242;
  unsigned round;
  unsigned taken = 0;
  for (round = 0; round < 100000; round++) {
    char text[128] = "";
    unsigned n = seeded(&state) % 7 + 1;
    struct lm_addr addr;
    struct lm_addr_list list;
    struct lm_str spec;
    struct lm_str read;
    const char *why;
    while (n-- > 0) strcat(text, pieces[seeded(&state) % 20]);
    lm_arena_reset(&a);
    if (!lm_addr_envelope(&a, str(text), LM_ADDR_NULL_REFUSED, &addr, &why)) continue;
    taken++;
    if (!EXPECT(lm_addr_list(&a, str(text), &list) && list.count == 1 && list.defects == 0)) {
      fprintf(stderr, "  %s: %s\n", text, list.why ? list.why : "count");
      break;
    }
    if (!EXPECT(list.first && lm_addr_spec(&a, &addr, &spec))) break;
    EXPECT(lm_addr_envelope(&a, spec, LM_ADDR_NULL_REFUSED, &addr, &why)); /* stands by itself */
    EXPECT(lm_addr_spec(&a, list.first, &read));
    if (lm_str_is_ascii(str(text))) EXPECT_TEXT(read, spec, text);
  }
  EXPECT(taken > 50);
  lm_arena_free(&a);
}

/* Labels of letters, digits and inner hyphens, octet by octet. */
static bool model_hostname(struct lm_str s) {
  size_t i, label = 0;
  for (i = 0; i < s.n; i++) {
    bool edge = label == 0 || i + 1 == s.n || s.p[i + 1] == '.';
    if (s.p[i] == '.') {
      if (label == 0) return false;
      label = 0;
    } else if ((!lm_is(s.p[i], LM_ALPHA | LM_DIGIT) && (s.p[i] != '-' || edge)) || ++label > 63) {
      return false;
    }
  }
  return label > 0 && s.n <= 255;
}

/* A plain address is one that the long way takes and gives back as it is, and no other; quotes and literals
** are left to it. Returns whether it was one. */
static bool check_plain(struct lm_arena *a, struct lm_str text) {
  struct lm_addr addr;
  struct lm_str spec;
  const char *why, *at = memchr(text.p, '@', text.n);
  bool as_is = lm_addr_envelope(a, text, LM_ADDR_NULL_REFUSED, &addr, &why) && !addr.utf8 &&
               lm_addr_spec(a, &addr, &spec) && lm_str_eq(spec, text) && text.p[0] != '"' &&
               addr.domain.p[0] != '[';
  struct lm_str host =
      at ? (struct lm_str){at + 1, text.n - (size_t)(at + 1 - text.p)} : LM_STR("");
  if (!EXPECT(lm_addr_is_plain(text) == as_is)) fprintf(stderr, "  %.*s\n", (int)text.n, text.p);
  EXPECT(lm_idn_is_hostname(host) == model_hostname(host));
  lm_arena_reset(a);
  return as_is;
}

/* All texts of up to five of these, and those in which each octet stands at each place. */
static void test_plain(void) {
  static const char letters[] = "aZ9.@-\"< ";
  enum { LETTERS = sizeof letters - 1, LONGEST = 5 };
  struct lm_arena a = {NULL, 0};
  unsigned long code, all = 1, taken = 0;
  unsigned c, n;
  for (n = 1; n <= LONGEST; n++) {
    all *= LETTERS;
    for (code = 0; code < all; code++) {
      char text[LONGEST];
      unsigned long rest = code;
      unsigned i;
      for (i = 0; i < n; i++, rest /= LETTERS) text[i] = letters[rest % LETTERS];
      taken += check_plain(&a, (struct lm_str){text, n});
    }
  }
  for (c = 0; c < 256 * 8; c++) {
    char text[9] = "ab@cd.ef";
    text[c % 8] = (char)(c / 8);
    taken += check_plain(&a, (struct lm_str){text, 8});
  }
  EXPECT(taken > 1000);
  lm_arena_free(&a);
}

/* Around each limit: the local part, a label, the whole. */
static void test_plain_limits(void) {
  struct lm_arena a = {NULL, 0};
  size_t local, label, labels, last, taken = 0;
  for (local = 62; local <= 66; local++) {
    for (label = 61; label <= 65; label++) {
      for (labels = 0; labels <= 3; labels++) {
        for (last = 0; last <= 66; last++) {
          char text[512], *p = text;
          size_t i;
          for (i = 0; i < local; i++) *p++ = 'l';
          for (*p++ = '@', i = 0; i < labels * (label + 1); i++) {
            *p++ = i % (label + 1) == label ? '.' : 'd';
          }
          for (i = 0; i < last; i++) *p++ = '0';
          taken += check_plain(&a, (struct lm_str){text, (size_t)(p - text)});
        }
      }
    }
  }
  EXPECT(taken > 100);
  lm_arena_free(&a);
}

static void test_linear(void) {
  static const char *const hostile[] = {
      "a@b,",       "a,",          "(",         "()",        "((a)",       "\"",       "\"\\",
      "\"a\" ",     "[",           "[]",        "<",         ">",          "a@",       "@",
      "a ",         ",",           ":",         "a:",        ";",          "a:;",      "a:b;,",
      "=?",         "=?a?q?",      "=?a?q?<?=", "=?a?q?,?=", "=?a?q?x?= ", "\r\n",     "\r\n ",
      "a@b <a@b>,", "a, b <c@d>,", ".",         "a.",        "\\",         "<@a,",     "<@a:",
      "(a)b@c,",    "\"\\a\" ",    "\xFF",      "\xFF,",     "(\\",        "a@b (c),", "a b, <",
      "a b, c <"};
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    struct lm_str text = repeat(hostile[i], 1 << 20);
    struct lm_addr_list list;
    struct lm_addr addr;
    const char *why;
    EXPECT(lm_addr_list(&a, text, &list));
    EXPECT(!lm_addr_envelope(&a, text, LM_ADDR_NULL_TAKEN, &addr, &why));
    lm_arena_free(&a);
    free((void *)(uintptr_t)text.p);
  }
}

static void test_limits(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_str many = repeat("a,", 2 * LM_ADDRESSES + 100);
  struct lm_addr_list list;
  char deep[2 * LM_COMMENT_DEPTH + 8] = "";
  int i;
  EXPECT(lm_addr_list(&a, many, &list) && list.count == LM_ADDRESSES && list.defects > 0);
  for (i = 0; i < LM_COMMENT_DEPTH; i++) strcat(deep, "(");
  for (i = 0; i < LM_COMMENT_DEPTH; i++) strcat(deep, ")");
  strcat(deep, "a@b");
  EXPECT(lm_addr_list(&a, str(deep), &list) && list.defects == 0 && list.count == 1);
  memmove(deep + 1, deep, sizeof deep - 1);
  memcpy(deep + 2 * LM_COMMENT_DEPTH + 1, ")a@b", 5);
  EXPECT(lm_addr_list(&a, str(deep), &list) && list.defects > 0);
  free((void *)(uintptr_t)many.p);
  lm_arena_free(&a);
}

int main(void) {
  test_lists();
  test_envelopes();
  test_null_path();
  test_no_octet_slips_through();
  test_formats();
  test_round_trip();
  test_readers_agree();
  test_plain();
  test_plain_limits();
  test_linear();
  test_limits();
  return check_end();
}
