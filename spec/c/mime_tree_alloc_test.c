/*
** mime_tree_alloc_test.c: each allocation of the parser, the tree, parameters, contents and winmail.dat
** fails once; the function says so and leaks nothing. The linker sends malloc and its kin here.
*/
#include "base/chars.h"
#include "base/text.h"
#include "check.h"
#include "fail.h"
#include "mime/content.h"
#include "mime/params.h"
#include "mime/parser.h"
#include "mime/rtf.h"
#include "mime/tnef.h"
#include "mime/tree.h"
#include "mime/word2047.h"

#define NAMED                                                                                      \
  "Content-Type: application/x; name*0*=utf-8''%C3%BC; name*1=\"a;b\"\r\n b; x=y\r\n\r\n"

/* Parts in parts, more than there is room for at first; headers that are held over a cut; defects. */
static struct lm_str message(struct lm_buf *b) {
  static const char inner[] =
      "Content-Type: multipart/mixed; boundary=\"b%\"\r\n\r\n--b%\r\nContent-ID: <i>\r\n"
      "X: a\r\n b\r\n" NAMED "one\r\n--b%\r\n";
  char text[sizeof inner];
  char level;
  size_t i;
  for (level = 'a'; level < 'p'; level++) {
    memcpy(text, inner, sizeof inner);
    for (i = 0; i < sizeof inner - 1; i++) {
      if (text[i] == '%' && text[i - 1] == 'b') text[i] = level;
    }
    CHECK(lm_buf_put(b, text, sizeof inner - 1));
  }
  CHECK(lm_buf_puts(b, LM_STR("Content-Type: message/rfc822\r\n\r\nno field\r\nA: b\r\n\r\nx")));
  return lm_buf_str(b);
}

static struct lm_str whole; /* made once, before anything fails */

/* The octets of all events, in pieces; false where memory was short. */
static bool parse(void) {
  struct lm_parser *p = lm_parser_new(NULL);
  struct lm_mime_event ev;
  enum lm_status status = LM_FAIL;
  size_t at = 0;
  if (p == NULL) return false;
  while (at < whole.n) {
    size_t n = whole.n - at < 37 ? whole.n - at : 37;
    if (!lm_parser_feed(p, (struct lm_str){whole.p + at, n})) break;
    at += n;
    if (at == whole.n) lm_parser_eof(p);
    do {
      status = lm_parser_next(p, &ev);
    } while (status == LM_EVENT);
    if (status == LM_FAIL) break;
  }
  if (at < whole.n || status == LM_FAIL) { /* what it looked at is gone: it must not go on */
    fail_never();
    EXPECT(lm_parser_next(p, &ev) == LM_FAIL);
    EXPECT(!lm_parser_feed(p, whole) && lm_parser_next(p, &ev) == LM_FAIL);
  }
  lm_parser_free(p);
  return at == whole.n && status == LM_WAIT;
}

static bool tree(void) {
  struct lm_tree t;
  if (!lm_tree_read(&t, whole, NULL)) return false;
  EXPECT(t.count > 30);
  lm_tree_free(&t);
  return true;
}

static bool params(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_params out;
  bool ok =
      lm_params_read(&a,
                     LM_STR("attachment; filename*1=\"b\\\"c\"; filename*0*=koi8-r''%C1;\r\n"
                            " a=b\r\n c; name==?utf-8?B?w7w=?=; d=\"e\r\n f\"; g*=big5''%A4%40"),
                     100, &out);
  if (ok) EXPECT(out.count == 5);
  lm_arena_free(&a);
  return ok;
}

static bool content(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_converters kept;
  struct lm_buf room = {NULL, 0, 0, 0};
  struct lm_text_kind kind = {LM_STR("gb2312"), false, &kept};
  struct lm_str out, utf8;
  size_t defects;
  bool ok;
  memset(&kept, 0, sizeof kept);
  ok = lm_content_decode(LM_TRANSFER_BASE64, LM_STR("xOO6w6Ox\r\n"), &room, &out, &defects) &&
       lm_content_text(&a, &kind, out, &utf8);
  if (ok) EXPECT(utf8.n == 9);
  kind = (struct lm_text_kind){LM_STR("iso-8859-2"), true, NULL};
  ok = ok && lm_content_text(&a, &kind, LM_STR("\xB1"), &utf8);
  kind = (struct lm_text_kind){LM_NOSTR, true, NULL};
  ok = ok && lm_content_text(&a, &kind, LM_STR("<meta charset=utf-16le>a\xFF"), &utf8);
  lm_converters_free(&kept);
  lm_arena_free(&a);
  lm_buf_free(&room);
  return ok;
}

/* A subject and a body in code page 1251, a file with its name in UTF-16. */
static bool tnef(void) {
  static const char bytes[] =
      "\x78\x9F\x3E\x22\x01\x00"
      "\x01\x07\x90\x06\x00\x08\x00\x00\x00\xE3\x04\x00\x00\x00\x00\x00\x00\xE7\x00"
      "\x01\x04\x80\x01\x00\x02\x00\x00\x00\xFC\x00\xFC\x00"
      "\x01\x0C\x80\x02\x00\x02\x00\x00\x00\xFC\x00\xFC\x00"
      "\x02\x02\x90\x06\x00\x00\x00\x00\x00\x00\x00"
      "\x02\x05\x90\x06\x00\x14\x00\x00\x00\x01\x00\x00\x00\x1F\x00\x07\x37\x01\x00\x00\x00"
      "\x04\x00\x00\x00\xFC\x00\x00\x00\x00\x00";
  struct lm_arena a = {NULL, 0};
  struct lm_tnef out;
  bool ok = lm_tnef_read(&a, (struct lm_str){bytes, sizeof bytes - 1}, &out);
  if (ok) {
    EXPECT(out.count == 1 && !out.broken);
    EXPECT_TEXT(out.subject, LM_STR("\xD1\x8C"), "subject");
    EXPECT_TEXT(out.body, LM_STR("\xD1\x8C"), "body");
    EXPECT_TEXT(out.first->name, LM_STR("\xC3\xBC"), "name");
  }
  lm_arena_free(&a);
  return ok;
}

static bool rtf(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_str out;
  bool ok = lm_rtf_unpack(&a, LM_STR("\x08\0\0\0\x08\0\0\0LZFu\0\0\0\0\0abcdefgh"), &out);
  if (ok) EXPECT_TEXT(out, LM_STR("abcdefgh"), "rich text");
  lm_arena_free(&a);
  return ok;
}

/* What tells of defects goes on without memory, and says less. */
static void test_troubles(void) {
  struct lm_arena a = {NULL, 0};
  struct lm_text_kind kind = {LM_STR("big5"), false, NULL};
  struct lm_str word = LM_STR("=?utf-8?q?a=0Ab?=");
  size_t offset = 9;
  long n;
  for (n = 0; n < 20; n++) {
    const char *why;
    fail_at(n);
    why = lm_word2047_trouble(word, false, &offset);
    EXPECT(why || refused);
    why = lm_content_trouble(&a, &kind, LM_STR("\xFF\xFF"));
    fail_never();
    EXPECT(why || refused);
    lm_arena_free(&a);
  }
  EXPECT(offset == 0);
}

int main(void) {
  struct lm_buf b = {NULL, 0, 0, 0};
  whole = message(&b);
  survive(parse, 5);
  survive(tree, 5);
  survive(params, 1);
  survive(content, 2);
  survive(tnef, 1);
  survive(rtf, 1);
  test_troubles();
  lm_buf_free(&b);
  return check_end();
}
