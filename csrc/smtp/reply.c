/*
** reply.c: SMTP replies: three digits, an enhanced code, lines of text.
**
** A reply of one line, by far the most common, is never copied.
*/
#include "smtp/reply.h"

#include "base/cursor.h"

/* Reply-line = Reply-code [ SP textstring ] CRLF / Reply-code "-" [ textstring ] CRLF
** A tab after the code is taken for the space: some gateways write one. */
bool lm_smtp_reply_line(struct lm_str line, unsigned *code_out, bool *more_out,
                        struct lm_str *text_out) {
  const char *p = line.p;
  if (line.n < 3 || p[0] < '2' || p[0] > '5' || !lm_is(p[1], LM_DIGIT) || !lm_is(p[2], LM_DIGIT)) {
    return false;
  }
  if (line.n > 3 && p[3] != ' ' && p[3] != '-' && p[3] != '\t') return false;
  *code_out = (unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
  *more_out = line.n > 3 && p[3] == '-';
  *text_out = line.n > 4 ? (struct lm_str){p + 4, line.n - 4} : LM_STR("");
  return true;
}

/* status-code = class "." subject "." detail; class = "2" / "4" / "5"; 1*3digit each (RFC 2034 §3) */
struct lm_str lm_smtp_enhanced(const struct lm_smtp_reply *reply) {
  struct lm_str text = reply->text;
  struct lm_cursor c = lm_cursor(text);
  size_t subject, detail;
  if (text.n < 5 || text.p[0] != (char)('0' + reply->code / 100) || text.p[0] == '3')
    return LM_STR("");
  c.p++;
  if (!lm_accept(&c, '.')) return LM_STR("");
  subject = lm_span(&c, LM_DIGIT).n;
  if (!lm_accept(&c, '.')) return LM_STR("");
  detail = lm_span(&c, LM_DIGIT).n;
  if (subject < 1 || subject > 3 || detail < 1 || detail > 3) return LM_STR("");
  if (!lm_at_end(&c) && !lm_is(*c.p, LM_SPACE)) return LM_STR("");
  return (struct lm_str){text.p, (size_t)(c.p - text.p)};
}

void lm_smtp_reader_free(struct lm_smtp_reader *r) {
  lm_buf_free(&r->text);
}

/* Adds a line to what has come; false (and the wire has failed) where it cannot belong. */
static bool add_line(struct lm_smtp_reader *r, struct lm_wire *w, const struct lm_limits *limits,
                     struct lm_str text) {
  if (r->lines >= limits->reply_lines) {
    lm_wire_fail(w, LM_E_LIMIT, "reply_lines", text);
    return false;
  }
  if ((r->lines++ && !lm_buf_putc(&r->text, '\n')) || !lm_buf_put(&r->text, text.p, text.n)) {
    lm_wire_fail(w, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  return true;
}

/* What a server asks in the course of AUTH tells of the user (RFC 4954 §4). */
static bool is_challenge(struct lm_str line) {
  return line.n > 3 && memcmp(line.p, "334", 3) == 0;
}

enum lm_status lm_smtp_reply_next(struct lm_smtp_reader *r, struct lm_wire *w,
                                  const struct lm_limits *limits, struct lm_smtp_reply *reply_out) {
  struct lm_str line, text;
  unsigned code;
  bool more;
  if (r->code == 0) lm_buf_clear(&r->text);
  for (;;) {
    enum lm_status status = lm_wire_line(w, limits->line, &line);
    if (status != LM_EVENT) return status;
    lm_wire_trace(w, 'S', is_challenge(line) ? LM_STR("334 ***") : line);
    if (!lm_smtp_reply_line(line, &code, &more, &text)) {
      return lm_wire_fail(w, LM_E_PROTOCOL, "reply line: three digits and text", line);
    }
    if (r->code && code != r->code) {
      return lm_wire_fail(w, LM_E_PROTOCOL, "the same code in all lines of a reply", line);
    }
    if (!more && r->lines == 0) break;
    if (!add_line(r, w, limits, text)) return LM_FAIL;
    r->code = code;
    if (!more) {
      text = lm_buf_str(&r->text);
      break;
    }
  }
  r->code = 0;
  r->lines = 0;
  *reply_out = (struct lm_smtp_reply){code, text};
  return LM_EVENT;
}
