/*
** mime_html_test.c: HTML to text, format=flowed, previews.
*/
#include "mime/html.h"

#include "check.h"
#include "mime/flowed.h"

/* --- HTML --------------------------------------------------------------------------------------- */

static const struct {
  const char *html;
  const char *text;
} rows[] = {
    {"", ""},
    {"plain", "plain\n"},
    {"  a \r\n\t b  ", "a b\n"},
    {"<p>one</p><p>two", "one\n\ntwo\n"},
    {"a<br>b<br/>c<br><br><br>d", "a\nb\nc\n\nd\n"},
    {"<div>a</div><div>b</div>", "a\nb\n"},
    {"<div><div>a</div></div> <div> b", "a\nb\n"},
    {"x<b>y</b>z <i>w</i>", "xyz w\n"},
    {"<html><head><title>No</title><style>p > a {}</style></head><body>Yes</body></html>", "Yes\n"},
    {"<head><meta charset=utf-8><p>a head that is never closed", "a head that is never closed\n"},
    {"a<script>if (a < b) document.write('</p>')</script >b", "ab\n"},
    {"a<script>never closed", "a\n"},
    {"a<STYLE>b</sTyLe x=1>c", "ac\n"},
    {"a<script></scripty></script>b", "ab\n"},
    {"a<!-- b > <p> -- c -->d", "ad\n"},
    {"a<!-->b", "ab\n"},
    {"a<!--[if mso]><p>no</p><![endif]-->b<![if !mso]>c<![endif]>", "abc\n"},
    {"<!DOCTYPE html><?xml version='1.0'?>a", "a\n"},
    {"a<svg><svg>x</svg><p>y</svg>b", "ab\n"},
    {"&lt;a&gt; &amp;&quot;&apos;", "<a> &\"'\n"},
    {"&Uuml;&uuml;&euro;&hellip;", "\xC3\x9C\xC3\xBC\xE2\x82\xAC\xE2\x80\xA6\n"},
    {"&#8364;&#x20AC;&#X20ac;", "\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\n"},
    {"&#128;&#150;", "\xE2\x82\xAC\xE2\x80\x93\n"}, /* numbers of windows-1252 */
    {"&#0;&#xD800;&#99999999999;", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\n"},
    {"&#128512;", "\xF0\x9F\x98\x80\n"},
    {"a&b=c &unknown; &; & &#; &#x; &copy", "a&b=c &unknown; &; & &#; &#x; \xC2\xA9\n"},
    {"&nbsp;a&nbsp;&nbsp;b&#160;", "a b\n"},
    {"a&zwnj;&#8203;&shy;b", "ab\n"},
    {"a < b, 3<4", "a < b, 3<4\n"},
    {"a <", "a <\n"},
    {"a </", "a </\n"},
    {"a </>b</ x>c", "a bc\n"},
    {"a <b", "a\n"},
    {"a <b x", "a\n"},
    {"a <b x='y>z' k=v>c</b>", "a c\n"},
    {"a <b x=\"y'>\">c", "a c\n"},
    {"<ul><li>one<li>two</ul>after", "* one\n* two\n\nafter\n"},
    {"before<ol><li>one</li><li>two<ul><li>deep</li></ul></li><li>three</ol>",
     "before\n\n1. one\n2. two\n  * deep\n3. three\n"},
    {"<ul><li><p>in a block</p></li><li><div>another</div></ul>", "* in a block\n\n* another\n"},
    {"<table><tr><th>a<th>b</tr><tr><td>1</td> <td>2</td></tr></table>x", "a\tb\n1\t2\nx\n"},
    {"<table><tr><td><div>a</div></td><td>b</table>", "a\nb\n"},
    {"<blockquote>a<br>b<blockquote>c</blockquote></blockquote>d", "> a\n> b\n\n> > c\n\nd\n"},
    {"<pre>a  b\n  c</pre>d", "a  b\n  c\n\nd\n"},
    {"a<hr>b", "a\n----\nb\n"},
    {"<img src=x alt='A  cat'>b<img src=y>", "[A  cat]b\n"},
    {"<a href=\"https://x.org/?a=1&amp;b=2\">here</a>.", "here <https://x.org/?a=1&b=2>.\n"},
    {"<a href='https://x.org/'>https://x.org/</a>", "https://x.org/\n"}, /* shown already */
    {"<a href='javascript:x'>a</a><a href='#top'>b</a>", "ab\n"},
    {"<a href='https://x.org/'>", ""},
    {"<a name=x href='mailto:a@b'>write</a>", "write <mailto:a@b>\n"},
    {"</p></ul></blockquote></pre></a></svg>a", "a\n"},
    {"\xC3\xBC<p>\xFF", "\xC3\xBC\n\n\xFF\n"},
};

/* In pieces of `cut` octets; 0: whole. */
static struct lm_buf to_text(struct lm_str html, size_t cut, size_t limit) {
  struct lm_html h;
  struct lm_buf out = {NULL, 0, 0, 0};
  lm_html_init(&h, true, limit);
  while (html.n) {
    size_t n = cut && cut < html.n ? cut : html.n;
    CHECK(lm_html_put(&h, &out, (struct lm_str){html.p, n}));
    html = (struct lm_str){html.p + n, html.n - n};
  }
  CHECK(lm_html_end(&h, &out));
  return out;
}

static void test_rows(void) {
  size_t i, cut;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (cut = 0; cut < 8; cut++) {
      struct lm_buf out = to_text(str(rows[i].html), cut, SIZE_MAX);
      EXPECT_TEXT(lm_buf_str(&out), str(rows[i].text), rows[i].html);
      lm_buf_free(&out);
    }
  }
}

static void test_limit(void) {
  struct lm_str html = repeat("word <p>", 100000);
  struct lm_buf out = to_text(html, 0, 1000);
  EXPECT(lm_buf_len(&out) >= 1000 && lm_buf_len(&out) < 1100);
  lm_buf_free(&out);
  free((void *)(uintptr_t)html.p);
}

/* Each of these takes long in some converter, or much memory; here time and text are linear. */
static void test_linear(void) {
  static const char *const hostile[] = {
      "<",        "<p>",          "<ul>",
      "<ul><li>", "<blockquote>", "&",
      "&#",       "&#1",          "<a href=x>",
      "<!--",     "</",           "<a b='",
      "<script>", "</script",     "<pre>\n",
      "<ol><li>", "<td>",         "&amp",
      "<svg>",    "<br>x",        "<a href='http://aaaaaaaaaaaaaaaaaaaaaa&amp;'>x</a>"};
  size_t i;
  for (i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    struct lm_str html = repeat(hostile[i], 1 << 20);
    struct lm_buf out = to_text(html, 0, SIZE_MAX);
    EXPECT_ROW(lm_buf_len(&out) < (size_t)64 << 20, "bounded", hostile[i]);
    lm_buf_free(&out);
    free((void *)(uintptr_t)html.p);
  }
}

static void test_entities(void) {
  EXPECT(lm_html_entity(LM_STR("AElig")) == 0xC6);
  EXPECT(lm_html_entity(LM_STR("zwnj")) == 0x200C);
  EXPECT(lm_html_entity(LM_STR("eur")) == 0);
  EXPECT(lm_html_entity(LM_STR("euros")) == 0);
  EXPECT(lm_html_entity(LM_STR("")) == 0);
}

/* --- format=flowed ------------------------------------------------------------------------------ */

static const struct {
  const char *flowed;
  bool delsp;
  const char *text;
} flows[] = {
    {"", false, ""},
    {"a \r\nb\r\n", false, "a b\n"},
    {"a \nb \nc", false, "a b c\n"},
    {"a \r\nb\r\n", true, "ab\n"},
    {"> a \r\n> b\r\nc\r\n", false, "> a b\nc\n"},
    {"> a \r\n>> b\r\n", false, "> a \n>> b\n"}, /* the depth changes: the paragraph ends */
    {" >a\r\n  b\r\n", false, ">a\n b\n"},       /* stuffing */
    {"a \r\n-- \r\nb\r\n", false, "a \n-- \nb\n"},
    {"> -- \r\n> x \r\n", false, "> -- \n> x \n"},
    {"a \r\n\r\nb\r\n", false, "a \nb\n"}, /* an empty line ends it */
    {">\r\n>>\r\n", false, ">\n>>\n"},
};

static void test_flowed(void) {
  size_t i;
  for (i = 0; i < sizeof flows / sizeof *flows; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    EXPECT(lm_flowed_read(str(flows[i].flowed), flows[i].delsp, &out));
    EXPECT_TEXT(lm_buf_str(&out), str(flows[i].text), flows[i].flowed);
    lm_buf_free(&out);
  }
}

/* Text without space at its lines' ends comes back; no line is long where it has spaces. */
static void test_flowed_round_trip(void) {
  static const char *const pieces[] = {"word", " ",        "  ",    "\n",           "From ", ">",
                                       "\n> ", "\xC3\xBC", "--",    "\n",           "a ",    ".",
                                       "-- ",  "\n\n",     "\n>> ", "longer words "};
  uint32_t state = 5;
  unsigned round;
  for (round = 0; round < 3000; round++) {
    char text[2000] = "";
    struct lm_buf first = {NULL, 0, 0, 0}, plain = {NULL, 0, 0, 0}, again = {NULL, 0, 0, 0};
    struct lm_buf once = {NULL, 0, 0, 0};
    unsigned n = seeded(&state) % 150;
    while (n-- > 0) strcat(text, pieces[seeded(&state) % 16]);
    CHECK(lm_flowed_write(str(text), &first) && lm_flowed_read(lm_buf_str(&first), false, &plain));
    CHECK(lm_flowed_write(lm_buf_str(&plain), &again) &&
          lm_flowed_read(lm_buf_str(&again), false, &once));
    EXPECT_TEXT(lm_buf_str(&once), lm_buf_str(&plain), text);
    lm_buf_free(&first);
    lm_buf_free(&plain);
    lm_buf_free(&again);
    lm_buf_free(&once);
  }
}

static void test_flowed_width(void) {
  struct lm_str text = repeat("some words that go on, ", 1000);
  struct lm_buf out = {NULL, 0, 0, 0};
  size_t i, start = 0;
  EXPECT(lm_flowed_write(text, &out));
  for (i = 0; i < out.end; i++) {
    if (out.p[i] != '\n') continue;
    EXPECT(i - start <= 79);
    start = i + 1;
  }
  lm_buf_free(&out);
  free((void *)(uintptr_t)text.p);
}

/* --- previews ----------------------------------------------------------------------------------- */

static const struct {
  const char *text;
  size_t characters;
  const char *preview;
} previews[] = {
    {"", 10, ""},
    {"  a \r\n\r\n b\tc ", 10, "a b c"},
    {"\xC3\xBC\xC3\xBC\xC3\xBC", 2, "\xC3\xBC\xC3\xBC"}, /* no character is cut */
    {"a b", 2, "a"},
    {"a b", 3, "a b"},
    {"a\xE2\x80\x8C\xC2\xA0\xE2\x80\x8C\xC2\xA0z", 10, "a z"},
    {"a\xFF"
     "b\xC3",
     10,
     "a\xEF\xBF\xBD"
     "b\xEF\xBF\xBD"},
    {"abc", 0, ""},
};

static void test_previews(void) {
  size_t i;
  for (i = 0; i < sizeof previews / sizeof *previews; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    EXPECT(lm_preview(str(previews[i].text), previews[i].characters, &out));
    EXPECT_TEXT(lm_buf_str(&out), str(previews[i].preview), previews[i].text);
    lm_buf_free(&out);
  }
}

int main(void) {
  test_rows();
  test_limit();
  test_linear();
  test_entities();
  test_flowed();
  test_flowed_round_trip();
  test_flowed_width();
  test_previews();
  return check_end();
}
