/*
** mime_alloc_test.c: each allocation of each function fails once; the function says so and leaks
** nothing. The linker sends malloc and its kin here.
*/
#include "mime/addr.h"
#include "mime/charset.h"
#include "mime/flowed.h"
#include "mime/fold.h"
#include "mime/html.h"
#include "mime/idn.h"
#include "mime/recipients.h"
#include "mime/transfer.h"
#include "mime/word2047.h"
#include "check.h"
#include "fail.h"

#define WORDS "=?utf-8?Q?a=C3=BC?= =?iso-8859-1?Q?=FC?= x\xFC =?shift_jis?B?gqCCoA==?="

static bool decode(struct lm_arena *a) {
  struct lm_str out;
  return lm_word2047_decode(a, LM_STR(WORDS), &out);
}

static bool encode(struct lm_arena *a) {
  struct lm_str out;
  struct lm_str text = LM_STR("Gr\xC3\xBC\xC3\x9F"
                              "e an alle, die dieses lesen k\xC3\xB6nnen");
  return lm_word2047_encode(a, text, &out);
}

static bool charsets(struct lm_arena *a) {
  struct lm_str out;
  return lm_charset_to_utf8(a, LM_STR("utf-8"), LM_STR("\xFF"), &out) &&
         lm_charset_to_utf8(a, LM_STR("latin1"), LM_STR("\xFF"), &out) &&
         lm_charset_to_utf8(a, LM_STR("gb2312"), LM_STR("\xC4\xE3\xFF"), &out);
}

static bool list(struct lm_arena *a) {
  struct lm_addr_list out;
  return lm_addr_list(a,
                      LM_STR("\"a \\\" b\" <c@d>, \"e\\ f\" . g @ h . i (x \\y), T: j@k;, a b, c "
                             "<d@e>, " WORDS " <a@b>, \xFC@x, a@b@c, f"),
                      &out);
}

/* True where it worked; where it did not, NULL says that memory was short. */
static bool envelope(struct lm_arena *a) {
  struct lm_addr addr;
  struct lm_str out;
  const char *why = "";
  bool ok = lm_addr_envelope(a,
                             LM_STR("Ann <\"a \\b\"@b\xC3\xBC"
                                    "cher.de>"),
                             LM_ADDR_NULL_TAKEN, &addr, &why);
  EXPECT(ok || why == NULL);
  if (!ok) return false;
  addr.name = LM_STR("Smith, John");
  if (!lm_addr_format(a, &addr, &out, &why)) return !EXPECT(why == NULL);
  return true;
}

static bool recipients(struct lm_arena *a) {
  struct lm_recipients out;
  bool ok = lm_recipients(a, LM_STR("From: a@b\nTo: b@c, d\\e@f\nBcc: x@y\n\n"), &out);
  if (!ok && out.why) return lm_recipients(a, LM_STR("From: a@b\nTo: b@c\nBcc: x@y\n\n"), &out);
  EXPECT(ok || out.why == NULL);
  return ok;
}

/* One encoding there and back, in pieces that are held and joined. */
static bool transfer(enum lm_transfer how, struct lm_buf *coded, struct lm_buf *plain) {
  struct lm_encoder e;
  struct lm_decoder d;
  struct lm_str text =
      LM_STR("a = b \t\r\n\xC3\xBC, and so on until a line of base64 is full, at 57 ");
  unsigned i;
  lm_encoder_init(&e, how, true);
  lm_decoder_init(&d, how);
  for (i = 0; i < 40; i++) {
    if (!lm_encoder_put(&e, coded, text)) return false;
  }
  if (!lm_encoder_end(&e, coded)) return false;
  text = lm_buf_str(coded);
  return lm_decoder_put(&d, plain, (struct lm_str){text.p, 777}) &&
         lm_decoder_put(&d, plain, (struct lm_str){text.p + 777, text.n - 777}) &&
         lm_decoder_put(&d, plain, LM_STR("= ")) && lm_decoder_end(&d, plain);
}

static bool transfers(struct lm_arena *a) {
  static const enum lm_transfer all[] = {LM_TRANSFER_BASE64, LM_TRANSFER_QP, LM_TRANSFER_IDENTITY};
  struct lm_decoder uu;
  bool ok = true;
  size_t i;
  (void)a;
  for (i = 0; ok && i < 3; i++) {
    struct lm_buf coded = {NULL, 0, 0, 0}, plain = {NULL, 0, 0, 0};
    ok = transfer(all[i], &coded, &plain);
    lm_buf_free(&coded);
    lm_buf_free(&plain);
  }
  if (ok) {
    struct lm_buf plain = {NULL, 0, 0, 0};
    lm_decoder_init(&uu, LM_TRANSFER_UU);
    ok = lm_decoder_put(&uu, &plain, LM_STR("begin 644 f\n#0V%T\n`\nend\n")) &&
         lm_decoder_end(&uu, &plain);
    lm_buf_free(&plain);
  }
  return ok;
}

static bool field(struct lm_buf *out) {
  struct lm_fold f;
  struct lm_str words = LM_STR("Gr\xC3\xBC\xC3\x9F"
                               "e an alle, die dieses lesen k\xC3\xB6nnen");
  return lm_fold_begin(&f, out, LM_STR("Subject"), false) && lm_fold_text(&f, words) &&
         lm_fold_tokens(&f, LM_STR("a, \"b c\" <d@e>")) &&
         lm_fold_param(&f, LM_STR("filename"), words) &&
         lm_fold_param(&f, LM_STR("a"), LM_STR("b c")) && lm_fold_end(&f);
}

static bool flowed(struct lm_buf *out) {
  struct lm_str text = LM_STR(
      "> a long line that is to be wrapped since it has more than so many characters\n-- \n");
  return lm_flowed_write(text, out) && lm_flowed_read(text, true, out);
}

static bool html(struct lm_buf *out) {
  struct lm_html h;
  lm_html_init(&h, true, SIZE_MAX);
  return lm_html_put(
             &h, out,
             LM_STR("<blockquote><ol><li>a &lt; &foo; &euro;<hr><pre>\n x</pre><img alt=x><table>"
                    "<td>a<td>b</table><a href='http://x/?a&amp;b'>c</a>")) &&
         lm_html_end(&h, out) && lm_preview(LM_STR("a b \xFF"), 9, out);
}

/* Those that append to a buffer, which grows at each step from a small one. */
static bool texts(struct lm_arena *a) {
  static bool (*const all[])(struct lm_buf *) = {field, flowed, html};
  bool ok = true;
  size_t i;
  (void)a;
  for (i = 0; ok && i < 3; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    ok = all[i](&out);
    lm_buf_free(&out);
  }
  return ok;
}

/* Lets the first allocation fail, then the second, and so on, until all goes well. */
static void torture(bool (*run)(struct lm_arena *), const char *name) {
  long nth;
  for (nth = 0; nth < 1000; nth++) {
    struct lm_arena a = {NULL, 0};
    bool ok;
    fail_at(nth);
    ok = run(&a);
    fail_never();
    lm_arena_free(&a);
    if (refused == 0) {
      if (!EXPECT(ok && nth > 0)) fprintf(stderr, "  %s\n", name);
      return;
    }
    if (!EXPECT(!ok)) fprintf(stderr, "  %s: allocation %ld\n", name, nth);
  }
  EXPECT(!"ends");
}

int main(void) {
  torture(decode, "decode");
  torture(encode, "encode");
  torture(charsets, "charsets");
  torture(list, "list");
  torture(envelope, "envelope");
  torture(recipients, "recipients");
  torture(transfers, "transfers");
  torture(texts, "texts");
  return check_end();
}
