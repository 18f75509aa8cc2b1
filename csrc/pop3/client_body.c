/*
** client_body.c: the lines behind a status line: messages, lists, capabilities (RFC 1939 §3).
**
** The dots come off in place, in the input buffer, so a body that fits in there is handed over as
** one view and never copied. What is larger moves to a buffer of its own in large pieces, or, when
** streamed, to the caller.
** Invariant: the input begins with `kept` octets of text, made of its first `mark` octets.
*/
#include "pop3/client_session.h"

#include <string.h>

enum {
  IN_PLACE = 262144, /* a body up to this size waits in the input buffer */
  SMALL = 65536,     /* a buffer up to this size is kept for the next body */
  LISTED = 96        /* octets of a list line on average: RFC 1939 §7 allows 83 */
};

void lm_pop3_body_begin(struct lm_pop3c *s) {
  s->in_body = true;
  s->ended = false;
  s->dot = (struct lm_dotin){0, s->wire.lf_line};
  s->mark = s->kept = s->lines = s->line_n = 0;
  s->total = 0;
}

void lm_pop3_body_release(struct lm_pop3c *s) {
  if (s->in_body || s->body.p == NULL) return;
  if (s->body.cap > SMALL) {
    lm_buf_free(&s->body);
  } else {
    lm_buf_clear(&s->body);
  }
}

static bool over(struct lm_pop3c *s, const char *limit) {
  lm_wire_fail(&s->wire, LM_E_LIMIT, limit, LM_NOSTR);
  return true;
}

static bool is_list(const struct lm_pop3_cmd *c) {
  return c->body == LM_POP3_LINES;
}

/* Counts the lines of a list; true when one is too long or there are too many. */
static bool list_over(struct lm_pop3c *s, struct lm_str text) {
  enum lm_pop3_verb verb = s->sent.first->verb;
  bool capa = verb == LM_POP3_CAPA || verb == LM_POP3_LANG;
  size_t max = capa ? s->limits.reply_lines : s->limits.listing;
  while (text.n) {
    const char *lf = memchr(text.p, '\n', text.n);
    size_t n = lf ? (size_t)(lf - text.p) + 1 : text.n;
    s->line_n += n;
    if (s->line_n > s->limits.line) return over(s, "line");
    if (lf) s->line_n = 0;
    if (lf && ++s->lines > max) return over(s, capa ? "reply_lines" : "listing");
    text = (struct lm_str){text.p + n, text.n - n};
  }
  if (!capa && s->total / LISTED > max && s->total > s->limits.line) return over(s, "listing");
  return false;
}

static bool body_over(struct lm_pop3c *s, struct lm_str text) {
  enum lm_pop3_body body = s->sent.first->body;
  s->total += text.n;
  if (is_list(s->sent.first)) return list_over(s, text);
  if (body == LM_POP3_WHOLE && s->total > s->limits.message) return over(s, "message");
  if (body == LM_POP3_STREAM && s->limits.stream && s->total > s->limits.stream) {
    return over(s, "stream");
  }
  return false;
}

/* Takes the dots off all the input there is. LM_DOT_TEXT where a limit was passed. */
static enum lm_dotin_more undot(struct lm_pop3c *s) {
  struct lm_buf *in = &s->wire.in;
  char *front = in->p + in->start;
  struct lm_str rest = {front + s->mark, lm_buf_len(in) - s->mark}, text;
  enum lm_dotin_more more;
  while ((more = lm_dotin_next(&s->dot, &rest, &text)) == LM_DOT_TEXT) {
    if (s->sent.first->dropped) continue;
    if (body_over(s, text)) return LM_DOT_TEXT;
    if (text.p != front + s->kept) memmove(front + s->kept, text.p, text.n);
    s->kept += text.n;
  }
  s->mark = (size_t)(rest.p - front);
  return more;
}

/* The text at the front of the input is used. A view of it stays valid until more is read. */
static struct lm_str take_kept(struct lm_pop3c *s) {
  struct lm_str text = {lm_wire_input(&s->wire).p, s->kept};
  lm_pop3_take(s, s->mark);
  s->mark = s->kept = 0;
  return text;
}

static bool collect(struct lm_pop3c *s) {
  struct lm_str text = take_kept(s);
  if (lm_buf_put(&s->body, text.p, text.n)) return true;
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a body", LM_NOSTR);
  return false;
}

static enum lm_status finish(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  if (lm_buf_len(&s->body) == 0) {
    ev->data = take_kept(s);
  } else if (collect(s)) {
    ev->data = lm_buf_str(&s->body);
  } else {
    return LM_FAIL;
  }
  s->in_body = false;
  ev->kind = LM_POP3C_DONE;
  return LM_EVENT;
}

/* All input was used and the end has not come. */
static enum lm_status wait(struct lm_pop3c *s) {
  if (s->sent.first->dropped) {
    take_kept(s);
  } else if (s->kept > IN_PLACE && !collect(s)) {
    return LM_FAIL;
  }
  return lm_wire_more(&s->wire);
}

enum lm_status lm_pop3_body_next(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  struct lm_pop3_cmd *c = s->sent.first;
  if (!s->ended && lm_wire_input(&s->wire).n > s->mark) {
    enum lm_dotin_more more = undot(s);
    if (more == LM_DOT_TEXT) return LM_FAIL;
    s->ended = more == LM_DOT_END;
  }
  if (c->body == LM_POP3_STREAM && s->kept && !c->dropped) {
    ev->kind = LM_POP3C_DATA;
    ev->id = c->id;
    ev->data = take_kept(s);
    return LM_EVENT;
  }
  return s->ended ? finish(s, ev) : wait(s);
}
