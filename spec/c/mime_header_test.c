/*
** mime_header_test.c: fields and their offsets, and the envelope that a header asks for.
*/
#include "mime/header.h"

#include "base/chars.h"
#include "mime/idn.h"
#include "mime/recipients.h"
#include "check.h"

static const struct {
  const char *message;
  const char *fields; /* name=value, line ends in values shown as / */
  const char *body;
  bool clean;
} messages[] = {
    {"A: 1\r\nB:2\r\n\r\nbody", "A= 1|B=2|", "body", true},
    {"A: 1\nB: 2\n\nbody", "A= 1|B= 2|", "body", true},
    {"A: 1\rB: 2\r\rbody", "A= 1|B= 2|", "body", true},
    {"A: 1\r\n 2\r\n\t3\r\nB: x\r\n\r\n", "A= 1// 2//\t3|B= x|", "", true},
    {"A: 1\n\r\nbody", "A= 1|", "body", true},
    {"A: 1\r\n\r\nB: 2\r\n", "A= 1|", "B: 2\r\n", true},
    {"A: 1", "A= 1|", "", true},
    {"A:", "A=|", "", true},
    {"", "", "", true},
    {"\r\nbody", "", "body", true},
    {"A : 1\r\n\r\n", "A= 1|", "", true},
    {"From ann@x.org Thu Nov 19 10:00:00 2026\nA: 1\n\nx", "A= 1|", "x", false},
    {">From ann Thu Nov 19\r\nA: 1\r\n\r\nx", "A= 1|", "x", false},
    {"From : x\r\n\r\n", "From= x|", "", true},
    {"A: 1\r\nno colon\r\nB: 2\r\n\r\nx", "A= 1|=no colon|B= 2|", "x", false},
    {"A: 1\r\nHello Bob,\r\nhow are you?\r\n", "A= 1|", "Hello Bob,\r\nhow are you?\r\n", false},
    {"A: 1\r\nHello", "A= 1|", "Hello", false},
    {" fold of nothing\r\nA: 1\r\n\r\n", "= fold of nothing|A= 1|", "", false},
    {"A: 1\r\n \r\nB: 2\r\n\r\nx", "A= 1// |B= 2|", "x", true},
    {": 1\r\n\r\n", "", ": 1\r\n\r\n", false},
    {"A: x\rBcc: y\r\n\r\n", "A= x|Bcc= y|", "", true},
};

static void test_walks(void) {
  size_t i;
  for (i = 0; i < sizeof messages / sizeof *messages; i++) {
    struct lm_str text = str(messages[i].message);
    struct lm_header_walk w = lm_header_walk(text);
    struct lm_header_field f;
    char shown[256] = "";
    size_t last = 0;
    char *p;
    while (lm_header_next(&w, &f)) {
      EXPECT(f.start >= last && f.end > f.start && f.end <= text.n);
      EXPECT(f.name.n == 0 || f.name.p == text.p + f.start);
      last = f.end;
      strncat(shown, f.name.p, f.name.n);
      strcat(shown, "=");
      strncat(shown, f.value.p, f.value.n);
      strcat(shown, "|");
    }
    for (p = shown; *p; p++) {
      if (*p == '\r' || *p == '\n') *p = '/';
    }
    EXPECT_TEXT(str(shown), str(messages[i].fields), messages[i].message);
    EXPECT_TEXT((struct lm_str){text.p + w.at, text.n - w.at}, str(messages[i].body), "body");
    EXPECT((w.defects == 0) == messages[i].clean && !lm_header_next(&w, &f));
  }
}

/* from > to, to ... then what stands in the Bcc lines */
static const struct {
  const char *message;
  const char *shown; /* NULL: refused */
} envelopes[] = {
    {"From: Ann <ann@x.org>\nTo: b@x, C <c@x>\nCc: d@x\nBcc: e@x\n\n",
     "ann@x.org > b@x c@x d@x e@x [Bcc: e@x\n]"},
    {"Bcc: a@x,\r\n b@x\r\nFrom: c@x\r\nbcc:\r\n\r\nBcc: body",
     "c@x > a@x b@x [Bcc: a@x,\r\n b@x\r\n][bcc:\r\n]"},
    {"From: a@x, b@x\nSender: c@x\nTo: T: d@x, e@x;\n\n", "c@x > d@x e@x "},
    {"From: a@b\xC3\xBC"
     "cher.de\nTo: b@x\n\n",
     "a@xn--bcher-kva.de > b@x "},
    {"To: undisclosed-recipients:;\nFrom: a@x\n\n", "a@x > "},
    {"Subject: x\n\n", "- > "},
    {"Resent-From: r@x\nResent-To: s@x\nResent-Bcc: t@x\nFrom: a@x\nTo: b@x\nBcc: c@x\n\n",
     "r@x > s@x t@x [Resent-Bcc: t@x\n][Bcc: c@x\n]"},
    {"Resent-From: r@x\nResent-To: s@x\nResent-From: q@x\nResent-To: p@x\nFrom: a@x\n\n",
     "r@x > s@x "},
    {"Received: x\nResent-From: r@x\nResent-Sender: w@x\nResent-To: s@x\nReceived: y\n"
     "Resent-To: p@x\nFrom: a@x\n\n",
     "w@x > s@x "},
    {"From: a@x, b@x\nTo: c@x\n\n", NULL},
    {"From: a@x\nTo: b@x@y\n\n", NULL},
    {"From: a@x\nTo: b@x c@y\n\n", NULL},
    {"From: a@x\nTo: evil@y <b@x>\n\n", NULL},
    {"From: a@x\nTo: root\n\n", NULL},
    {"From: <>\nTo: b@x\n\n", NULL},
    {"From: Nobody:;\nTo: b@x\n\n", NULL},
};

static void show(struct lm_arena *a, struct lm_str text, const struct lm_recipients *r, char *out) {
  const struct lm_addr *to;
  const struct lm_span *cut;
  size_t count = 0;
  strcpy(out, r->from.p ? "" : "-");
  strncat(out, r->from.p ? r->from.p : "", r->from.n);
  strcat(out, " > ");
  for (to = r->to; to; to = to->next, count++) {
    struct lm_str spec;
    EXPECT(lm_addr_spec(a, to, &spec));
    strncat(out, spec.p, spec.n);
    strcat(out, " ");
  }
  EXPECT(count == r->count);
  for (cut = r->cut; cut; cut = cut->next) {
    strcat(out, "[");
    strncat(out, text.p + cut->start, cut->end - cut->start);
    strcat(out, "]");
  }
}

static void test_envelopes(void) {
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof envelopes / sizeof *envelopes; i++) {
    struct lm_recipients r;
    char shown[512];
    struct lm_str text = str(envelopes[i].message);
    bool ok = lm_recipients(&a, text, &r);
    if (!EXPECT(ok == (envelopes[i].shown != NULL))) {
      fprintf(stderr, "  %s%s\n", text.p, r.why ? r.why : "");
    }
    EXPECT(ok || (r.why && r.field.n));
    if (!ok || !envelopes[i].shown) continue;
    show(&a, text, &r, shown);
    EXPECT_TEXT(str(shown), str(envelopes[i].shown), "envelope of a header");
  }
  lm_arena_free(&a);
}

static void test_linear(void) {
  static const char *const hostile[] = {
      "A: x\n",  "A", " ",      "A\n",        "A: x\n\n ",       "\r",
      "a a\nA:", ":", "A: x\r", "Bcc: a@b\n", "Resent-To:a@b\n", "To: a@b\n",
      "A \n"};
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    struct lm_str text = repeat(hostile[i], 1 << 20);
    struct lm_recipients r;
    bool ok = lm_recipients(&a, text, &r);
    EXPECT(ok || r.why);
    lm_arena_free(&a);
    free((void *)(uintptr_t)text.p);
  }
}

static const struct {
  const char *name;
  const char *ascii;
} domains[] = {
    {"example.org", "example.org"},
    {"Example.ORG", "Example.ORG"},
    {"b\xC3\xBC"
     "cher.de",
     "xn--bcher-kva.de"},
    {"B\xC3\x9C"
     "CHER.de",
     "xn--bcher-kva.de"},
    {"fa\xC3\x9F.de", "xn--fa-hia.de"}, /* non-transitional */
    {"x\xE3\x80\x82org", "x.org"},      /* ideographic full stop */
    {"\xE2\x84\x80x.org", NULL},
    {"x\xEF\xBC\xA0y.org", NULL},
    {"\xC3\xBC_x.de", NULL},
    {"\xC3\xBC..de", NULL},
    {"a b", NULL},
    {"a\nb", NULL},
    {"", NULL},
    {"\xFF.de", NULL},
};

static void test_domains(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_str long_name = repeat("\xC3\xBC", 2000);
  struct lm_str out;
  size_t i;
  for (i = 0; i < sizeof domains / sizeof *domains; i++) {
    bool ok = lm_idn_to_ascii(&a, str(domains[i].name), &out);
    EXPECT(ok == (domains[i].ascii != NULL) && out.p != NULL);
    if (ok && domains[i].ascii) EXPECT_TEXT(out, str(domains[i].ascii), domains[i].name);
  }
  EXPECT(!lm_idn_to_ascii(&a, long_name, &out));
  EXPECT(!lm_idn_to_ascii(&a, (struct lm_str){"\xC3\xBC\0.de", 6}, &out));
  free((void *)(uintptr_t)long_name.p);
  lm_arena_free(&a);
}

int main(void) {
  test_walks();
  test_envelopes();
  test_linear();
  test_domains();
  return check_end();
}
