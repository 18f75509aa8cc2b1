/*
** line.c: the lines of POP3, one grammar each (RFC 1939, RFC 2449 §3).
*/
#include "pop3/line.h"

#include <string.h>

#include "base/cursor.h"

static struct lm_str without(struct lm_str s, size_t n) {
  return (struct lm_str){s.p + n, s.n - n};
}

static struct lm_str trimmed(struct lm_str s) {
  while (s.n && lm_is(s.p[0], LM_SPACE)) s = without(s, 1);
  while (s.n && lm_is(s.p[s.n - 1], LM_SPACE)) s.n--;
  return s;
}

/* rchar = %x21-2E / %x30-5C / %x5E-7F */
static bool rchar(char c) {
  return lm_is(c, LM_PRINT) && c != '/' && c != ']';
}

/* resp-code = "[" resp-level *("/" resp-level) "]"     resp-level = 1*rchar */
static bool resp_code(struct lm_cursor *c, struct lm_str *code_out) {
  const char *begin;
  if (!lm_accept(c, '[')) return false;
  begin = c->p;
  do {
    const char *level = c->p;
    while (c->p < c->end && rchar(*c->p)) c->p++;
    if (c->p == level) return false;
  } while (lm_accept(c, '/'));
  *code_out = (struct lm_str){begin, (size_t)(c->p - begin)};
  return lm_accept(c, ']');
}

/* text = *schar / resp-code *CHAR */
static void text(struct lm_str s, struct lm_pop3_reply *r) {
  struct lm_cursor c = lm_cursor(s);
  r->text = s;
  if (!resp_code(&c, &r->code)) {
    r->code = LM_STR("");
    return;
  }
  r->text = trimmed(lm_rest(&c));
}

/* single-line = status [SP text] CRLF     status = "+OK" / "-ERR"
** Lower case, and text that follows without a space, are met: spec/wire/pop3/quirk-status.wire */
struct lm_pop3_reply lm_pop3_reply(struct lm_str line) {
  struct lm_pop3_reply r = {LM_POP3_NONSENSE, LM_STR(""), LM_STR("")};
  if (lm_str_istarts(line, LM_STR("+OK"))) {
    r.word = LM_POP3_OK;
    text(trimmed(without(line, 3)), &r);
  } else if (lm_str_istarts(line, LM_STR("-ERR"))) {
    r.word = LM_POP3_ERR;
    text(trimmed(without(line, 4)), &r);
  } else if (line.n && line.p[0] == '+' && (line.n == 1 || line.p[1] == ' ')) {
    r.word = LM_POP3_CHALLENGE;
    r.text = trimmed(without(line, 1));
  }
  return r;
}

/* dot-atom-text = 1*atext *("." 1*atext), RFC 5322 §3.2.3 */
static bool dot_atom_text(struct lm_cursor *c) {
  do {
    if (lm_span(c, LM_MIME_ATEXT).n == 0) return false;
  } while (lm_accept(c, '.'));
  return true;
}

/* no-fold-literal = "[" *dtext "]", RFC 5322 §3.6.4 */
static bool no_fold_literal(struct lm_cursor *c) {
  if (!lm_accept(c, '[')) return false;
  while (c->p < c->end && lm_is(*c->p, LM_PRINT) && !strchr("[]\\<>", *c->p)) c->p++;
  return lm_accept(c, ']');
}

/* msg-id = "<" id-left "@" id-right ">"     id-left = dot-atom-text
** id-right = dot-atom-text / no-fold-literal */
static bool msg_id(struct lm_cursor *c) {
  if (!lm_accept(c, '<') || !dot_atom_text(c) || !lm_accept(c, '@')) return false;
  return (lm_peek(c) == '[' ? no_fold_literal(c) : dot_atom_text(c)) && lm_accept(c, '>');
}

struct lm_str lm_pop3_timestamp(struct lm_str s) {
  struct lm_cursor c = lm_cursor(s);
  while (lm_until(&c, '<'), !lm_at_end(&c)) {
    const char *begin = c.p;
    if (msg_id(&c)) return (struct lm_str){begin, (size_t)(c.p - begin)};
  }
  return LM_STR("");
}

/* The next word, and the white space in front of it. */
static struct lm_str word(struct lm_cursor *c) {
  const char *begin;
  lm_span(c, LM_SPACE);
  begin = c->p;
  while (c->p < c->end && !lm_is(*c->p, LM_SPACE)) c->p++;
  return (struct lm_str){begin, (size_t)(c->p - begin)};
}

static bool number(struct lm_cursor *c, uint32_t *n_out) {
  struct lm_str digits = word(c);
  struct lm_cursor inner = lm_cursor(digits);
  return lm_take_u32(&inner, n_out) && lm_at_end(&inner);
}

/* scan listing = message-number SP size, RFC 1939 §5; drop listing of STAT = count SP octets */
bool lm_pop3_scan(struct lm_str line, struct lm_pop3_item *item_out) {
  struct lm_cursor c = lm_cursor(line), size;
  *item_out = (struct lm_pop3_item){0, false, 0, LM_STR("")};
  if (!number(&c, &item_out->number)) return false;
  size = lm_cursor(word(&c));
  item_out->has_size = lm_take_u64(&size, &item_out->size) && lm_at_end(&size);
  return true;
}

/* unique-id listing = message-number SP 1*70(%x21-7E), RFC 1939 §7; longer are met and kept */
bool lm_pop3_unique(struct lm_str line, struct lm_pop3_item *item_out) {
  struct lm_cursor c = lm_cursor(line);
  *item_out = (struct lm_pop3_item){0, false, 0, LM_STR("")};
  if (!number(&c, &item_out->number)) return false;
  item_out->uid = word(&c);
  return item_out->number != 0;
}

/* capability = capa-tag *(SP param) CRLF */
bool lm_pop3_capability(struct lm_str line, struct lm_str *name_out, struct lm_str *rest_out) {
  struct lm_cursor c = lm_cursor(line);
  *name_out = word(&c);
  *rest_out = trimmed(lm_rest(&c));
  return name_out->n != 0;
}

bool lm_pop3_next_line(struct lm_str *rest, struct lm_str *line_out) {
  const char *lf;
  size_t n;
  if (rest->n == 0) return false;
  lf = memchr(rest->p, '\n', rest->n);
  n = lf ? (size_t)(lf - rest->p) : rest->n;
  *line_out = (struct lm_str){rest->p, n && rest->p[n - 1] == '\r' ? n - 1 : n};
  *rest = without(*rest, lf ? n + 1 : n);
  return true;
}
