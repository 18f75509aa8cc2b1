/*
** txn.c: one mail transaction: its envelope as command lines, and what became of each recipient.
**
** Positions, not pointers, are kept of lines and replies, since both buffers grow.
*/
#include "smtp/txn.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"

struct rcpt {
  uint32_t line; /* where its command line begins in `lines` */
  uint32_t path; /* where its address begins, and its length */
  uint32_t path_n;
  uint32_t code;
  uint32_t text; /* where its refusal begins in `replies`, and its length */
  uint32_t text_n;
};

struct lm_smtp_txn *lm_smtp_txn_new(void) {
  return calloc(1, sizeof(struct lm_smtp_txn));
}

void lm_smtp_txn_free(struct lm_smtp_txn *t) {
  if (t == NULL) return;
  lm_buf_free(&t->lines);
  lm_buf_free(&t->rcpts);
  lm_buf_free(&t->replies);
  lm_arena_free(&t->arena);
  free(t);
}

void lm_smtp_txn_reset(struct lm_smtp_txn *t) {
  struct lm_buf lines = t->lines, rcpts = t->rcpts, replies = t->replies;
  struct lm_arena arena = t->arena;
  memset(t, 0, sizeof *t);
  t->lines = lines;
  t->rcpts = rcpts;
  t->replies = replies;
  t->arena = arena;
  lm_arena_reset(&t->arena);
  lm_buf_clear(&t->lines);
  lm_buf_clear(&t->rcpts);
  lm_buf_clear(&t->replies);
}

static struct rcpt *rcpt_at(const struct lm_smtp_txn *t, uint32_t i) {
  return (struct rcpt *)(void *)(t->rcpts.p + t->rcpts.start) + i;
}

/* A path must not end its own brackets, nor the line. Spaces stand in quoted local parts only, which
** the parser of addresses has checked (mime/addr.h). */
static bool path_check(struct lm_str path, struct lm_str params, const char **why_out) {
  if (lm_str_breaks_line(path) || lm_str_breaks_line(params)) {
    *why_out = "CR, LF or NUL in an address or a parameter";
    return false;
  }
  if (path.n > 1000) {
    *why_out = "address too long";
    return false;
  }
  return true;
}

static bool put_path(struct lm_smtp_txn *t, struct lm_str verb, struct lm_str path,
                     struct lm_str params, const char **why_out) {
  size_t n = verb.n + path.n + params.n + 3;
  char *p = lm_buf_room(&t->lines, n);
  *why_out = "out of memory";
  if (p == NULL) return false;
  p = lm_append(lm_append(p, verb), path);
  *p++ = '>';
  lm_append(lm_append(p, params), LM_STR("\r\n"));
  lm_buf_added(&t->lines, n);
  return true;
}

bool lm_smtp_txn_mail(struct lm_smtp_txn *t, struct lm_str path, struct lm_str params,
                      const char **why_out) {
  return path_check(path, params, why_out) &&
         put_path(t, LM_STR("MAIL FROM:<"), path, params, why_out);
}

bool lm_smtp_txn_rcpt(struct lm_smtp_txn *t, struct lm_str path, struct lm_str params,
                      const char **why_out) {
  static const struct lm_str verb = {"RCPT TO:<", 9};
  struct rcpt r = {0, 0, 0, 0, 0, 0};
  if (!path_check(path, params, why_out)) return false;
  r.line = (uint32_t)lm_buf_len(&t->lines);
  r.path = r.line + (uint32_t)verb.n;
  r.path_n = (uint32_t)path.n;
  *why_out = "out of memory";
  if (!lm_buf_put(&t->rcpts, (const char *)&r, sizeof r)) return false;
  t->nrcpt++;
  return put_path(t, verb, path, params, why_out);
}

bool lm_smtp_txn_data(struct lm_smtp_txn *t) {
  return lm_buf_puts(&t->lines, LM_STR("DATA\r\n"));
}

struct lm_str lm_smtp_txn_lines(const struct lm_smtp_txn *t) {
  return lm_buf_str(&t->lines);
}

/* Where command line `i` begins, or, behind the last one, where it ends. */
static size_t line_at(const struct lm_smtp_txn *t, uint32_t i) {
  if (i == 0) return 0;
  if (i <= t->nrcpt) return rcpt_at(t, i - 1)->line;
  return lm_buf_len(&t->lines) - (i == lm_smtp_txn_last(t) ? strlen("DATA\r\n") : 0);
}

struct lm_str lm_smtp_txn_line(const struct lm_smtp_txn *t, uint32_t i) {
  size_t from = line_at(t, i);
  return (struct lm_str){lm_buf_str(&t->lines).p + from, line_at(t, i + 1) - from};
}

/* Copies a reply's text behind those before; its place to *at_out. */
static bool keep_text(struct lm_smtp_txn *t, struct lm_str text, uint32_t *at_out) {
  *at_out = (uint32_t)lm_buf_len(&t->replies);
  return lm_buf_puts(&t->replies, text);
}

static struct lm_smtp_reply kept_reply(const struct lm_smtp_txn *t, uint32_t code, uint32_t at,
                                       uint32_t n) {
  struct lm_str text = {lm_buf_str(&t->replies).p + at, n};
  return (struct lm_smtp_reply){code, text};
}

bool lm_smtp_txn_refuse(struct lm_smtp_txn *t, enum lm_smtp_stage stage,
                        const struct lm_smtp_reply *reply) {
  if (t->refused) return true;
  t->refused = true;
  t->stage = stage;
  t->failure_code = reply->code;
  t->failure_n = (uint32_t)reply->text.n;
  return keep_text(t, reply->text, &t->failure_at);
}

struct lm_smtp_reply lm_smtp_txn_failure(const struct lm_smtp_txn *t) {
  return kept_reply(t, t->failure_code, t->failure_at, t->failure_n);
}

bool lm_smtp_txn_answer(struct lm_smtp_txn *t, uint32_t i, const struct lm_smtp_reply *reply) {
  if (i == 0) {
    return lm_smtp_positive(reply) || lm_smtp_txn_refuse(t, LM_SMTP_AT_MAIL, reply);
  }
  if (i <= t->nrcpt) {
    struct rcpt *r = rcpt_at(t, i - 1);
    r->code = reply->code;
    t->answered++;
    if (lm_smtp_positive(reply)) {
      t->accepted++;
      return true;
    }
    r->text_n = (uint32_t)reply->text.n;
    return keep_text(t, reply->text, &r->text);
  }
  /* Where no recipient is left DATA must be refused: the reason is theirs (RFC 2920 §3.1). */
  return reply->code == 354 || t->accepted == 0 || lm_smtp_txn_refuse(t, LM_SMTP_AT_DATA, reply);
}

static bool is_accepted(const struct lm_smtp_txn *t, uint32_t i) {
  uint32_t code = rcpt_at(t, i)->code;
  return code >= 200 && code < 300;
}

bool lm_smtp_txn_final(struct lm_smtp_txn *t, const struct lm_smtp_reply *reply, bool *more_out) {
  bool kept = true;
  while (t->final < t->nrcpt && !is_accepted(t, t->final)) t->final++;
  if (t->final < t->nrcpt) {
    struct rcpt *r = rcpt_at(t, t->final++);
    r->code = reply->code;
    if (!lm_smtp_positive(reply)) {
      t->accepted--;
      r->text_n = (uint32_t)reply->text.n;
      kept = keep_text(t, reply->text, &r->text);
    }
  }
  while (t->final < t->nrcpt && !is_accepted(t, t->final)) t->final++;
  *more_out = t->final < t->nrcpt;
  return kept;
}

struct lm_smtp_rcpt lm_smtp_txn_recipient(const struct lm_smtp_txn *t, uint32_t i) {
  const struct rcpt *r = rcpt_at(t, i);
  struct lm_smtp_rcpt out = {{lm_buf_str(&t->lines).p + r->path, r->path_n}, {r->code, LM_NOSTR}};
  if (r->text_n) out.reply = kept_reply(t, r->code, r->text, r->text_n);
  return out;
}
