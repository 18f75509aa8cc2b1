/*
** lex.c: the tokens of structured header fields.
*/
#include "mime/lex.h"

#include <string.h>

#include "base/chars.h"
#include "mime/word2047.h"

struct lm_lex lm_lex(struct lm_str text) {
  const char *from = text.n ? text.p : "";
  const char *end = from + text.n;
  return (struct lm_lex){from, end, end, end, end};
}

struct lm_lex lm_lex_part(const struct lm_lex *x, const char *from, const char *end) {
  struct lm_lex part = *x;
  part.p = from;
  part.end = end;
  return part;
}

static bool is_atext(char c) {
  return lm_is(c, LM_MIME_ATEXT) || (c & 0x80);
}

/* FWS = ([*WSP CRLF] 1*WSP) / obs-FWS, with bare CR and LF as line ends too. A line end that no white
** space follows does not belong to it, nor does a second one: each is looked at once. */
static const char *space_end(const char *p, const char *end) {
  while (p < end) {
    const char *q = p;
    if (q < end && *q == '\r') q++;
    if (q < end && *q == '\n') q++;
    if (q == end || !lm_is(*q, LM_SPACE)) return p;
    p = q + 1;
  }
  return p;
}

/* quoted-string = DQUOTE *([FWS] (qtext / quoted-pair)) [FWS] DQUOTE; the same for a literal. The
** byte behind `close`, or NULL. */
static const char *closed_by(const char *p, const char *end, char close) {
  for (p++; p < end; p++) {
    if (*p == close) return p + 1;
    if (*p == '\\' && ++p == end) break;
  }
  return NULL;
}

/* comment = "(" *([FWS] (ctext / quoted-pair / comment)) [FWS] ")" */
static const char *comment_end(const char *p, const char *end) {
  unsigned depth = 0;
  for (; p < end; p++) {
    if (*p == '(' && ++depth > LM_COMMENT_DEPTH) return NULL;
    if (*p == ')' && --depth == 0) return p + 1;
    if (*p == '\\' && ++p == end) break;
  }
  return NULL;
}

/* An encoded word whose text holds commas, parentheses or the like, which RFC 2047 §5 (3) forbids
** and mailers write. Those that change how an address is read do not pass. */
static const char *odd_word_end(const char *p, const char *end) {
  const char *stop = p + lm_word2047_span((struct lm_str){p, (size_t)(end - p)});
  bool odd = false;
  for (; p < stop; p++) {
    if (*p == '<' || *p == '>' || *p == '"' || (unsigned char)*p < ' ') return NULL;
    odd = odd || (!is_atext(*p) && *p != '.');
  }
  return odd ? stop : NULL;
}

/* Where the token that may open here ends; remembers where one never does. */
static const char *closed(const char *from, const char *stop, const char **open) {
  if (stop == NULL) *open = from;
  return stop;
}

static enum lm_lex_kind kind_at(struct lm_lex *x, const char **stop) {
  const char *p = x->p;
  const char *end = x->end;
  *stop = NULL;
  if ((*stop = space_end(p, end)) > p) return LM_LEX_SPACE;
  *stop = NULL;
  if (*p == '(' && p < x->open_comment) {
    *stop = closed(p, comment_end(p, end), &x->open_comment);
    return LM_LEX_COMMENT;
  }
  if (*p == '"' && p < x->open_quote) {
    *stop = closed(p, closed_by(p, end, '"'), &x->open_quote);
    return LM_LEX_QUOTED;
  }
  if (*p == '[' && p < x->open_literal) {
    *stop = closed(p, closed_by(p, end, ']'), &x->open_literal);
    return LM_LEX_LITERAL;
  }
  if (*p == '=' && (*stop = odd_word_end(p, end)) != NULL) return LM_LEX_WORD;
  while (p < end && is_atext(*p)) p++;
  *stop = p > x->p ? p : NULL;
  return LM_LEX_ATOM;
}

void lm_lex_next(struct lm_lex *x, struct lm_lex_token *out) {
  const char *from = x->p;
  const char *stop;
  out->text = (struct lm_str){from, 0};
  out->kind = LM_LEX_END;
  if (from == x->end) return;
  out->kind = kind_at(x, &stop);
  if (stop == NULL) {
    out->kind = LM_LEX_SPECIAL;
    stop = from + 1;
  }
  out->text.n = (size_t)(stop - from);
  x->p = stop;
}

size_t lm_lex_inside(struct lm_str text, char *out) {
  size_t n = 0;
  size_t i;
  for (i = 1; i + 1 < text.n; i++) {
    if (text.p[i] == '\\' && i + 2 < text.n) i++;
    if (text.p[i] != '\r' && text.p[i] != '\n') out[n++] = text.p[i];
  }
  return n;
}

bool lm_lex_is_plain(struct lm_str text) {
  return !memchr(text.p, '\\', text.n) && !memchr(text.p, '\r', text.n) &&
         !memchr(text.p, '\n', text.n);
}
