/*
** mime_parser_test.c: the structure of messages: events for every cut, limits, the tree, the searches.
*/
#include "mime/parser.h"

#include "base/chars.h"
#include "mime/params.h"
#include "mime/scan.h"
#include "mime/tree.h"
#include "check.h"

/* The log: "(" a part, "name=value;" a field, "|L" "|P" "|M" its content, text of a body as it is, "<...>" a
** preamble, "{...}" an epilogue, ")" its end, "!" a defect, "." the end; line ends shown as / */
static const struct {
  const char *message;
  const char *log;
} messages[] = {
    {"", "(|L)."},
    {"A: 1\r\n\r\nbody\r\n", "(A=1;|Lbody/)."},
    {"A: 1\n\nbody", "(A=1;|Lbody)."},
    {"A: 1\r\rbody\r", "(A=1;|Lbody/)."},
    {"A: 1", "(A=1;|L)."},
    {"\r\n--b\r\n", "(|L--b/)."},
    {"From x y\nA: 1\n\n", "(!A=1;|L)."},
    {"A: 1\nno colon\nB: 2\n\n", "(A=1;=no colon;!B=2;|L)."},
    {"A: 1\nHello\nyou\n", "(A=1;|L!Hello/you/)."},
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define MIXED_LOG "(Content-Type=multipart/mixed; boundary=b;|P"
    {MIXED "--b\r\n\r\none\r\n--b\r\nX: 1\r\n\r\ntwo\r\n--b--\r\n",
     MIXED_LOG "(|Lone)(X=1;|Ltwo))."},
    {MIXED "pre\r\n\r\n--b\r\n\r\none\r\n\r\n--b--\r\nepi\r\n", MIXED_LOG "<pre/>(|Lone/){epi/})."},
    {MIXED "--b\r\n\r\n--b--", MIXED_LOG "(|L))."},
    {MIXED "--b \t\r\n\r\none\r\n--b--  \r\n", MIXED_LOG "(|Lone))."},
    {MIXED "--b\r\n\r\none\r\n--bb\r\n-b\r\n--\r\n--b-\r\n--b--\r\n",
     MIXED_LOG "(|Lone/--bb/-b/--/--b-))."},
    {MIXED "--b\r\n\r\none\r\n--b--x\r\n--b--\r\n", MIXED_LOG "(|Lone/--b--x))."},
    {MIXED "--b\r\n\r\none", MIXED_LOG "(|Lone)!)."},
    {MIXED "no parts", MIXED_LOG "<no parts>!)."},
    {MIXED, MIXED_LOG "!)."},
    {MIXED "--b\r\nX: 1\r\n--b--\r\n", MIXED_LOG "(X=1;|L!))."},
    {MIXED "--b\r\ntext\r\n--b--\r\n", MIXED_LOG "(|L!text))."},
    {MIXED "--b--\r\n--b\r\n\r\nlate\r\n", MIXED_LOG "!{--b//late/})."},
    {MIXED "--b\r\n" MIXED "--b\r\n\r\nin\r\n--b--\r\n--b\r\n\r\nout\r\n--b--\r\n",
     MIXED_LOG "(Content-Type=multipart/mixed; boundary=b;|P!(|Lin))(|Lout))."},
    {"Content-Type: multipart/mixed; boundary=\"b \"\n\n--b\n\none\n--b--\n",
     "(Content-Type=multipart/mixed; boundary=\"b \";|P(|Lone))."},
    {"Content-Type: multipart/mixed\n\n-- \n--zz\n\none\n--zz--\n",
     "(Content-Type=multipart/mixed;|P<-- >!(|Lone))."},
    {"Content-Type: message/rfc822\n\nA: 1\n\nx\n", "(Content-Type=message/rfc822;|M(A=1;|Lx/))."},
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQQ==\n",
     "(Content-Type=message/rfc822;Content-Transfer-Encoding=base64;|L!QQ==/)."},
    {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: 1\n\nx\n--b\nContent-Type: "
     "text/plain\n\n"
     "y\n--b--\n",
     "(Content-Type=multipart/digest; boundary=b;|P(|M(A=1;|Lx))(Content-Type=text/plain;|Ly))."},
    {"Content-Type: multipart/mixed; boundary=b\nContent-Type: text/plain\n\n--b\n\n1\n--b--\n",
     "(Content-Type=multipart/mixed; boundary=b;Content-Type=text/plain;!|P(|L1))."},
};

static void put(struct lm_buf *log, struct lm_str s) {
  CHECK(lm_buf_put(log, s.p, s.n));
}

static void show(struct lm_buf *log, struct lm_str s) {
  size_t i;
  while (s.n && lm_is(s.p[0], LM_SPACE)) s = (struct lm_str){s.p + 1, s.n - 1};
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') continue;
    CHECK(lm_buf_putc(log, (char)(s.p[i] == '\r' || s.p[i] == '\n' ? '/' : s.p[i])));
  }
}

/* Content is shown once it is whole: a CRLF may be cut. */
struct shower {
  struct lm_buf log;
  struct lm_buf content;
  enum lm_mime_kind kind;
};

static void end_content(struct shower *s) {
  struct lm_str text = lm_buf_str(&s->content);
  size_t i;
  if (text.n == 0) return;
  if (s->kind != LM_MIME_BODY)
    put(&s->log, s->kind == LM_MIME_PREAMBLE ? LM_STR("<") : LM_STR("{"));
  for (i = 0; i < text.n; i++) {
    if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n') continue;
    CHECK(lm_buf_putc(&s->log, (char)(text.p[i] == '\r' || text.p[i] == '\n' ? '/' : text.p[i])));
  }
  if (s->kind != LM_MIME_BODY)
    put(&s->log, s->kind == LM_MIME_PREAMBLE ? LM_STR(">") : LM_STR("}"));
  lm_buf_clear(&s->content);
}

static void take(struct shower *s, const struct lm_mime_event *ev) {
  if (ev->kind >= LM_MIME_BODY && ev->kind <= LM_MIME_EPILOGUE) {
    EXPECT(ev->text.n > 0);
    s->kind = ev->kind;
    put(&s->content, ev->text);
    return;
  }
  end_content(s);
  switch (ev->kind) {
  case LM_MIME_PART: put(&s->log, LM_STR("(")); break;
  case LM_MIME_FIELD:
    put(&s->log, ev->field.name);
    put(&s->log, LM_STR("="));
    show(&s->log, ev->field.value);
    put(&s->log, LM_STR(";"));
    break;
  case LM_MIME_CONTENT:
    put(&s->log, ev->shape == LM_MIME_LEAF        ? LM_STR("|L")
                 : ev->shape == LM_MIME_MULTIPART ? LM_STR("|P")
                                                  : LM_STR("|M"));
    break;
  case LM_MIME_PART_END: put(&s->log, LM_STR(")")); break;
  case LM_MIME_DEFECT: put(&s->log, LM_STR("!")); break;
  default: put(&s->log, LM_STR(".")); break;
  }
}

/* Pieces of `size` octets; each lies in memory of its own, so that a read behind it is seen. */
static void run(struct shower *s, struct lm_str text, size_t size,
                const struct lm_mime_limits *limits) {
  struct lm_parser *p = lm_parser_new(limits);
  struct lm_mime_event ev;
  size_t at = 0;
  CHECK(p != NULL);
  do {
    size_t n = text.n - at < size ? text.n - at : size;
    char *piece = malloc(n ? n : 1);
    CHECK(piece != NULL);
    memcpy(piece, text.p + at, n);
    EXPECT(lm_parser_feed(p, (struct lm_str){piece, n}));
    at += n;
    if (at == text.n) lm_parser_eof(p);
    while (lm_parser_next(p, &ev) == LM_EVENT) take(s, &ev);
    free(piece);
  } while (at < text.n);
  EXPECT(lm_parser_next(p, &ev) == LM_WAIT);
  lm_parser_free(p);
}

static void end(struct shower *s) {
  lm_buf_free(&s->log);
  lm_buf_free(&s->content);
}

static void test_events(void) {
  size_t i;
  size_t size;
  for (i = 0; i < sizeof messages / sizeof *messages; i++) {
    struct lm_str text = str(messages[i].message);
    for (size = 1; size <= text.n + 1; size = size < 8 ? size + 1 : size * 2) {
      struct shower s = {{NULL, 0, 0, 0}, {NULL, 0, 0, 0}, LM_MIME_BODY};
      run(&s, text, size, NULL);
      EXPECT_TEXT(lm_buf_str(&s.log), str(messages[i].log), messages[i].message);
      end(&s);
    }
  }
}

/* A limit is passed in every cut alike, and what lies beyond is kept as text. */
static const struct {
  const char *message;
  struct lm_mime_limits limits;
  const char *log;
} limited[] = {
    {"A: 123456\r\nB: 2\r\n\r\nx", {9, 9, 10, 99, 99, 9}, "(|L!A: 123456/B: 2//x)."},
    {"A: 1\r\nB: 2345\r\n\r\nx", {9, 9, 10, 99, 99, 9}, "(A=1;|L!B: 2345//x)."},
    {"A: 1\r\nB: 2\r\n\r\nx", {9, 9, 99, 8, 99, 9}, "(A=1;|L!B: 2//x)."},
    {"A: 1\r\nB: 2\r\n 3\r\n\r\nx", {9, 9, 99, 99, 9, 9}, "(A=1;|L!B: 2/ 3//x)."},
    {"A: 1\r\nB: 2\r\n 3\r\n\r\nx", {9, 9, 99, 99, 10, 9}, "(A=1;B=2/ 3;|Lx)."},
    {MIXED "--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n",
     {9, 2, 99, 999, 99, 9},
     MIXED_LOG "(|L1!){/2/--b--/})."},
    {MIXED "--b\r\n" MIXED "--b\r\n\r\nin\r\n--b--\r\n",
     {1, 9, 99, 999, 99, 9},
     "(Content-Type=multipart/mixed; boundary=b;|L!--b/Content-Type: multipart/mixed; boundary=b//"
     "--b//in/--b--/)."},
    {"Content-Type: message/rfc822\n\nA: 1\n\nx",
     {1, 9, 99, 99, 99, 9},
     "(Content-Type=message/rfc822;|L!A: 1//x)."},
};

static void test_limits(void) {
  size_t i;
  size_t size;
  for (i = 0; i < sizeof limited / sizeof *limited; i++) {
    struct lm_str text = str(limited[i].message);
    for (size = 1; size <= text.n + 1; size++) {
      struct shower s = {{NULL, 0, 0, 0}, {NULL, 0, 0, 0}, LM_MIME_BODY};
      run(&s, text, size, &limited[i].limits);
      EXPECT_TEXT(lm_buf_str(&s.log), str(limited[i].log), limited[i].message);
      end(&s);
    }
  }
}

static struct lm_str slice(const struct lm_tree *t, size_t from, size_t to) {
  return (struct lm_str){t->text.p + from, to - from};
}

static void test_tree(void) {
  struct lm_tree t;
  struct lm_media m;
  struct lm_str text = str(MIXED "pre\r\n--b\r\nContent-ID: <i>\r\n\r\none\r\n--b\r\nContent-Type: "
                                 "message/rfc822\r\n\r\nA: 1\r\n\r\nin\r\n--b--\r\nepi");
  CHECK(lm_tree_read(&t, text, NULL));
  CHECK(t.count == 4);
  EXPECT(t.defects_all == 0 && t.parts[0].end == text.n && t.parts[0].parent == LM_NO_PART);
  EXPECT(t.parts[0].first == 1 && t.parts[1].next == 2 && t.parts[2].first == 3);
  EXPECT_TEXT(slice(&t, t.parts[0].body, t.parts[0].preamble), str("pre"), "preamble");
  EXPECT_TEXT(slice(&t, t.parts[0].epilogue, t.parts[0].end), str("epi"), "epilogue");
  EXPECT_TEXT(slice(&t, t.parts[1].body, t.parts[1].end), str("one"), "first part");
  EXPECT_TEXT(t.parts[1].id, str(" <i>"), "id");
  EXPECT_TEXT(slice(&t, t.parts[3].start, t.parts[3].end), str("A: 1\r\n\r\nin"), "message");
  lm_tree_media(&t.parts[3], &m);
  EXPECT(lm_media_is(&m, "text", "plain"));
  EXPECT(lm_tree_behind(&t, &t.parts[1]) == &t.parts[2]);
  EXPECT(lm_tree_behind(&t, &t.parts[2]) == t.parts + 4);
  lm_tree_free(&t);
}

/* All levels of vectors find the same, wherever it stands. */
static void test_searches(void) {
  enum lm_vector levels[] = {LM_VECTOR_NONE, LM_VECTOR_SSSE3, LM_VECTOR_AVX2};
  uint32_t state = 5;
  char text[400];
  size_t round, i, n, from;
  for (round = 0; round < 6000; round++) {
    const char *line[3], *hyphens[3];
    n = seeded(&state) % sizeof text;
    for (i = 0; i < n; i++) text[i] = "aaaaaaaaa-\r\n--"[seeded(&state) % (round % 2 ? 14 : 12)];
    if (round % 3 == 0 && n > 8) { /* a long way to the only one */
      memset(text, 'a', n);
      memcpy(text + seeded(&state) % (n - 4), "\n---", 4);
    }
    from = n ? seeded(&state) % n : 0;
    for (i = 0; i < 3; i++) {
      if (levels[i] > lm_vector_best()) levels[i] = LM_VECTOR_NONE;
      line[i] = lm_scan_line_end_with(levels[i], text + from, text + n);
      hyphens[i] = lm_scan_hyphens_with(levels[i], text + from, text + n);
    }
    EXPECT(line[0] == line[1] && line[0] == line[2]);
    EXPECT(hyphens[0] == hyphens[1] && hyphens[0] == hyphens[2]);
  }
}

static void test_linear(void) {
  static const char *const hostile[] = {"--b\r\n",
                                        "--",
                                        "\r\n--",
                                        "\r",
                                        "\n",
                                        "A: x\n",
                                        " x\n",
                                        "--bb\n",
                                        "--b\n\n--b--\n",
                                        "a",
                                        "Content-Type: message/rfc822\n\n"};
  size_t i;
  for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    struct lm_str rest = repeat(hostile[i], 1 << 20);
    struct shower s = {{NULL, 0, 0, 0}, {NULL, 0, 0, 0}, LM_MIME_BODY};
    struct lm_buf all = {NULL, 0, 0, 0};
    struct lm_tree t;
    put(&all, str(MIXED));
    put(&all, rest);
    CHECK(lm_tree_read(&t, lm_buf_str(&all), NULL));
    EXPECT(t.count <= 10000);
    lm_tree_free(&t);
    run(&s, lm_buf_str(&all), 3, NULL);
    end(&s);
    lm_buf_free(&all);
    free((void *)(uintptr_t)rest.p);
  }
}

/* Offsets behind 4 GiB: the same megabyte is lent again and again. */
static void test_far(void) {
  enum { PIECES = 4200, PIECE = 1 << 20 };
  static const char line[] = "a line of a large file, as base64 would have it\r\n";
  struct lm_parser *p = lm_parser_new(NULL);
  struct lm_mime_event ev;
  uint64_t octets = 0, end = 0, second = 0;
  size_t i, parts = 0;
  char *piece = malloc(PIECE);
  CHECK(p != NULL && piece != NULL);
  for (i = 0; i < PIECE; i++) piece[i] = line[i % (sizeof line - 1)];
  for (i = 0; i < PIECES + 2; i++) {
    struct lm_str text = {piece, PIECE};
    if (i == 0) text = str(MIXED "--b\r\n\r\n");
    if (i == PIECES + 1) text = str("\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n");
    CHECK(lm_parser_feed(p, text));
    if (i == PIECES + 1) lm_parser_eof(p);
    while (lm_parser_next(p, &ev) == LM_EVENT) {
      if (ev.kind == LM_MIME_BODY) octets += ev.text.n;
      if (ev.kind == LM_MIME_PART && ++parts == 3) second = ev.offset;
      if (ev.kind == LM_MIME_END) end = ev.offset;
    }
  }
  EXPECT(parts == 3 && octets == (uint64_t)PIECES * PIECE + 1);
  EXPECT(second > UINT32_MAX && end == second + 18);
  free(piece);
  lm_parser_free(p);
}

int main(void) {
  test_events();
  test_limits();
  test_tree();
  test_searches();
  test_linear();
  test_far();
  return check_end();
}
