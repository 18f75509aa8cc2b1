/*
** frame.c: bytes -> whole IMAP responses.
**
** One memchr for the line end per piece; what was searched is never searched again. Only a line
** that ends in "}" costs more.
*/
#include "imap/frame.h"

#include <string.h>

#include "base/chars.h"

enum { DIGITS_MAX = 19 };

/* The last bytes before the line end at `nl`, without its CR. */
static struct lm_str line_of(struct lm_str in, size_t from, size_t nl) {
  size_t end = nl > from && in.p[nl - 1] == '\r' ? nl - 1 : nl;
  return (struct lm_str){in.p + from, end - from};
}

/* The "{" of an announcement at the end of `line`, or NULL. Never looks in front of the line: what
** stands there is an earlier literal's content. An atom never touches an announcement. */
static const char *brace(struct lm_str line) {
  const char *q = line.p + line.n - 1;
  if (line.n < 3 || *q != '}') return NULL;
  do q--;
  while (q > line.p && lm_is(*q, LM_DIGIT));
  if (*q != '{' || q == line.p + line.n - 2) return NULL;
  return q > line.p && lm_is(q[-1], LM_DIGIT | LM_ALPHA) ? NULL : q;
}

static bool digits(const char *p, const char *end, uint64_t *n_out) {
  uint64_t n = 0;
  if (end - p > DIGITS_MAX) return false;
  for (; p < end; p++) n = n * 10 + (uint64_t)(*p - '0');
  *n_out = n;
  return n <= INT64_MAX;
}

bool lm_imap_announced(struct lm_str rest, uint64_t *n_out, size_t *len_out) {
  size_t i = 1;
  if (rest.n == 0 || rest.p[0] != '{') return false;
  while (i < rest.n && lm_is(rest.p[i], LM_DIGIT)) i++;
  if (i == 1 || i == rest.n || rest.p[i] != '}' || !digits(rest.p + 1, rest.p + i, n_out)) {
    return false;
  }
  i++;
  if (i < rest.n && rest.p[i] == '\r') i++;
  if (i == rest.n || rest.p[i] != '\n') return false;
  *len_out = i + 1;
  return true;
}

/* --- what kind of response it is ------------------------------------------------------------- */

static struct lm_str word(struct lm_str *s) {
  const char *sp = s->n ? memchr(s->p, ' ', s->n) : NULL;
  struct lm_str w = {s->p, sp ? (size_t)(sp - s->p) : s->n};
  size_t used = sp ? w.n + 1 : w.n;
  *s = (struct lm_str){s->p + used, s->n - used};
  return w;
}

/* resp-cond-state and its kin: "OK" / "NO" / "BAD" / "PREAUTH" / "BYE" SP resp-text. */
static bool is_status(struct lm_str w) {
  return LM_IS(w, "OK") || LM_IS(w, "NO") || LM_IS(w, "BAD") || LM_IS(w, "BYE") ||
         LM_IS(w, "PREAUTH");
}

static bool is_number(struct lm_str w) {
  size_t i;
  for (i = 0; i < w.n; i++) {
    if (!lm_is(w.p[i], LM_DIGIT)) return false;
  }
  return w.n > 0;
}

static bool is_fetch(struct lm_str w) {
  return LM_IS(w, "FETCH") || LM_IS(w, "UIDFETCH");
}

static enum lm_frame_state classify(struct lm_str line) {
  struct lm_str tag = word(&line), w = word(&line);
  bool untagged = tag.n == 1 && tag.p[0] == '*';
  bool code = line.n && line.p[0] == '[';
  if (is_status(w)) return code ? LM_FRAME_CODE : LM_FRAME_TEXT;
  if (!untagged) return LM_FRAME_TEXT;            /* "+" resp-text, or no response at all */
  if (w.n && w.p[0] == '[') return LM_FRAME_CODE; /* Exchange: "* [COPYUID ...]" */
  if (is_number(w) && is_fetch(word(&line))) return LM_FRAME_FETCH;
  return LM_FRAME_DATA;
}

/* True where the "]" of the response code stands in this piece, outside of quotes. */
static bool code_closed(struct lm_str line) {
  bool quoted = false;
  size_t i;
  for (i = 0; i < line.n; i++) {
    if (line.p[i] == '"') quoted = !quoted;
    if (quoted && line.p[i] == '\\') i++;
    if (!quoted && line.p[i] == ']') return true;
  }
  return false;
}

/* --- literals -------------------------------------------------------------------------------- */

static bool ends_in(struct lm_str s, struct lm_str tail) {
  if (s.n < tail.n) return false;
  return lm_str_ieq((struct lm_str){s.p + s.n - tail.n, tail.n}, tail);
}

/* True where what stands before the announcement is the name of a body: BODY[...], BODY[...]<0>,
** BINARY[...], RFC822, RFC822.HEADER, RFC822.TEXT. */
static bool names_body(struct lm_str before) {
  if (before.n && before.p[before.n - 1] == '~') before.n--;
  while (before.n && before.p[before.n - 1] == ' ') before.n--;
  if (before.n == 0) return false;
  return before.p[before.n - 1] == ']' || before.p[before.n - 1] == '>' ||
         ends_in(before, LM_STR("RFC822")) || ends_in(before, LM_STR("RFC822.HEADER")) ||
         ends_in(before, LM_STR("RFC822.TEXT"));
}

static enum lm_frame_got refuse(struct lm_imap_frame *f, enum lm_frame_got got, const char *why) {
  f->why = why;
  return got;
}

/* True where the piece that ended may announce a literal at all. */
static bool may_announce(struct lm_imap_frame *f, struct lm_str line) {
  if (f->state == LM_FRAME_FRESH) f->state = classify(line);
  if (f->state == LM_FRAME_CODE && code_closed(line)) f->state = LM_FRAME_TEXT;
  return f->state != LM_FRAME_TEXT;
}

/* True where the octets are not worth to be handed out in pieces. */
static bool is_small(const struct lm_imap_frame *f, const struct lm_limits *limits) {
  if (limits->stream && f->literal > limits->stream) return false;
  return f->held + f->literal <= limits->piece;
}

/* A literal is announced at the end of the piece that ends at `nl`: LM_FRAME_MORE where it is held
** in place, or LM_FRAME_BODY. */
static enum lm_frame_got on_literal(struct lm_imap_frame *f, struct lm_str line, const char *open,
                                    const struct lm_limits *limits) {
  bool body =
      f->state == LM_FRAME_FETCH && names_body((struct lm_str){line.p, (size_t)(open - line.p)});
  if (!digits(open + 1, line.p + line.n - 1, &f->literal)) {
    return refuse(f, LM_FRAME_BAD, "literal size of 63 bits");
  }
  if (body && f->cut && f->literal && !is_small(f, limits)) return LM_FRAME_BODY;
  f->held += f->literal;
  if (!body && f->literal > limits->literal) return refuse(f, LM_FRAME_LIMIT, "literal");
  if (f->held > limits->message) return refuse(f, LM_FRAME_LIMIT, "message");
  return LM_FRAME_MORE;
}

static void next_piece(struct lm_imap_frame *f, size_t at) {
  f->at = f->piece = at;
}

static enum lm_frame_got on_line(struct lm_imap_frame *f, struct lm_str in, size_t nl,
                                 const struct lm_limits *limits, size_t *size_out) {
  struct lm_str line = line_of(in, f->piece, nl);
  const char *open = brace(line);
  enum lm_frame_got got = LM_FRAME_WHOLE;
  f->text += nl + 1 - f->piece;
  if (f->text > limits->response) return refuse(f, LM_FRAME_LIMIT, "response");
  *size_out = nl + 1;
  if (open && may_announce(f, line)) got = on_literal(f, line, open, limits);
  if (got == LM_FRAME_BODY) {
    next_piece(f, 0);
  } else if (got == LM_FRAME_WHOLE) {
    *f = (struct lm_imap_frame){.cut = f->cut};
  } else if (got == LM_FRAME_MORE) {
    next_piece(f, nl + 1 + (size_t)f->literal);
  }
  return got;
}

enum lm_frame_got lm_imap_frame(struct lm_imap_frame *f, struct lm_str in,
                                const struct lm_limits *limits, size_t *size_out) {
  while (in.n > f->at) {
    const char *nl = memchr(in.p + f->at, '\n', in.n - f->at);
    enum lm_frame_got got;
    if (nl == NULL) {
      f->at = in.n;
      break;
    }
    got = on_line(f, in, (size_t)(nl - in.p), limits, size_out);
    if (got != LM_FRAME_MORE) return got;
  }
  if (in.n > f->piece && f->text + (in.n - f->piece) > limits->response) {
    return refuse(f, LM_FRAME_LIMIT, "response");
  }
  return LM_FRAME_MORE;
}
