/*
** wire.c: the byte side of a session or a filter.
**
** Input is one contiguous buffer, so a grammar sees whole lines in place. Output is a buffer and,
** behind it, at most one borrowed span.
*/
#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

enum { GRAIN_MIN = LM_WIRE_LITTLE, GRAIN_MAX = 262144 };

void lm_wire_init(struct lm_wire *w) {
  memset(w, 0, sizeof *w);
  w->grain = GRAIN_MIN;
}

void lm_wire_free(struct lm_wire *w) {
  lm_buf_free(&w->in);
  if (w->secret) lm_buf_wipe(&w->out);
  lm_buf_free(&w->out);
  if (w->trace) lm_buf_free(w->trace);
  free(w->trace);
  w->trace = NULL;
}

struct lm_str lm_wire_output(const struct lm_wire *w) {
  if (lm_wire_failed(w)) return LM_STR("");
  return lm_buf_len(&w->out) ? lm_buf_str(&w->out) : w->lent;
}

static void forget_secret(struct lm_wire *w) {
  lm_buf_wipe(&w->out);
  w->secret = false;
}

void lm_wire_sent(struct lm_wire *w, size_t n) {
  w->gone += n;
  if (lm_buf_len(&w->out) == 0) {
    w->lent = (struct lm_str){w->lent.p + n, w->lent.n - n};
    return;
  }
  lm_buf_consume(&w->out, n);
  if (w->secret && lm_buf_len(&w->out) == 0) forget_secret(w);
}

char *lm_wire_room(struct lm_wire *w, size_t *got_out) {
  char *p = lm_buf_room(&w->in, w->grain);
  *got_out = p ? w->in.cap - w->in.end : 0;
  if (p == NULL) lm_wire_fail(w, LM_E_MEMORY, "room for input", LM_NOSTR);
  return p;
}

/* A read that filled its room promises more. */
static void widen(struct lm_wire *w, size_t n) {
  if (n >= w->grain && w->grain < GRAIN_MAX) w->grain *= 4;
}

void lm_wire_fed(struct lm_wire *w, size_t n) {
  lm_buf_added(&w->in, n);
  widen(w, n);
}

bool lm_wire_feed(struct lm_wire *w, struct lm_str s) {
  if (lm_wire_failed(w)) return false;
  widen(w, s.n);
  if (lm_buf_put(&w->in, s.p, s.n)) return true;
  lm_wire_fail(w, LM_E_MEMORY, "room for input", LM_NOSTR);
  return false;
}

void lm_wire_eof(struct lm_wire *w) {
  w->eof = true;
}

void lm_wire_relax(struct lm_wire *w) {
  if (lm_buf_len(&w->in) == 0) {
    lm_buf_free(&w->in);
    w->grain = GRAIN_MIN;
  }
  if (lm_buf_len(&w->out) == 0) lm_buf_free(&w->out);
}

void lm_wire_take(struct lm_wire *w, size_t n) {
  lm_buf_consume(&w->in, n);
  w->scanned = 0;
}

enum lm_status lm_wire_line(struct lm_wire *w, size_t max, struct lm_str *line_out) {
  struct lm_str in = lm_wire_input(w);
  const char *nl = NULL;
  size_t n;
  if (lm_wire_failed(w)) return LM_FAIL;
  if (in.n > w->scanned) nl = memchr(in.p + w->scanned, '\n', in.n - w->scanned);
  n = nl ? (size_t)(nl - in.p) : in.n;
  if (n > max) {
    return lm_wire_fail(w, LM_E_LIMIT, "line", (struct lm_str){in.p, max});
  }
  if (nl == NULL) {
    w->scanned = in.n;
    return lm_wire_more(w);
  }
  w->lf_line = n == 0 || in.p[n - 1] != '\r';
  *line_out = (struct lm_str){in.p, w->lf_line ? n : n - 1};
  lm_wire_take(w, n + 1);
  return LM_EVENT;
}

bool lm_wire_put(struct lm_wire *w, struct lm_str s) {
  if (lm_wire_failed(w)) return false;
  if (lm_buf_put(&w->out, s.p, s.n)) {
    w->queued += s.n;
    return true;
  }
  lm_wire_fail(w, LM_E_MEMORY, "room for output", LM_NOSTR);
  return false;
}

void lm_wire_lend(struct lm_wire *w, struct lm_str s) {
  w->lent = s;
  w->queued += s.n;
}

enum lm_status lm_wire_fail(struct lm_wire *w, enum lm_code code, const char *expected,
                            struct lm_str seen) {
  if (lm_wire_failed(w)) return LM_FAIL;
  w->error.code = code;
  w->error.expected = expected;
  w->error.seen_n = (uint8_t)(seen.n < LM_SEEN_MAX ? seen.n : LM_SEEN_MAX);
  if (w->error.seen_n) memcpy(w->error.seen, seen.p, w->error.seen_n);
  lm_buf_clear(&w->out);
  if (w->secret) forget_secret(w);
  w->lent = LM_NOSTR;
  return LM_FAIL;
}

enum lm_status lm_wire_more(struct lm_wire *w) {
  if (lm_wire_failed(w)) return LM_FAIL;
  if (!w->eof) return LM_WAIT;
  return lm_wire_fail(w, LM_E_CLOSED, w->truncated ? "more, or close_notify" : "more",
                      lm_wire_input(w));
}

bool lm_wire_trace_on(struct lm_wire *w) {
  if (w->trace == NULL) w->trace = calloc(1, sizeof *w->trace);
  return w->trace != NULL;
}

/* A trace that cannot grow loses the line, never the session. */
void lm_wire_trace(struct lm_wire *w, char who, struct lm_str text) {
  if (w->trace == NULL || lm_buf_room(w->trace, text.n + 2) == NULL) return;
  lm_buf_putc(w->trace, who);
  lm_buf_put(w->trace, text.p, text.n);
  lm_buf_putc(w->trace, '\n');
}
