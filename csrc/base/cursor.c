/*
** cursor.c: a reader over one complete unit of text that cannot run past its end.
*/
#include "base/cursor.h"

#include <string.h>

bool lm_cursor_fail(struct lm_cursor *c, enum lm_code code, const char *expected) {
  if (c->code != LM_E_NONE) return false;
  c->code = code;
  c->expected = expected;
  c->where = c->p;
  return false;
}

bool lm_expect(struct lm_cursor *c, char ch, const char *expected) {
  return lm_accept(c, ch) || lm_cursor_fail(c, LM_E_PROTOCOL, expected);
}

struct lm_str lm_span(struct lm_cursor *c, unsigned cls) {
  const char *from = c->p;
  while (c->p < c->end && lm_is(*c->p, cls)) c->p++;
  return (struct lm_str){from, (size_t)(c->p - from)};
}

struct lm_str lm_until(struct lm_cursor *c, char ch) {
  const char *from = c->p;
  const char *hit = c->p < c->end ? memchr(c->p, ch, (size_t)(c->end - c->p)) : NULL;
  c->p = hit ? hit : c->end;
  return (struct lm_str){from, (size_t)(c->p - from)};
}

static bool take_number(struct lm_cursor *c, uint64_t max, uint64_t *n_out, const char *expected) {
  uint64_t n = 0;
  const char *from = c->p;
  for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
    unsigned digit = (unsigned)(*c->p - '0');
    if (n > (max - digit) / 10) return lm_cursor_fail(c, LM_E_PROTOCOL, expected);
    n = n * 10 + digit;
  }
  if (c->p == from) return lm_cursor_fail(c, LM_E_PROTOCOL, expected);
  *n_out = n;
  return true;
}

bool lm_take_u32(struct lm_cursor *c, uint32_t *n_out) {
  uint64_t n = 0;
  if (!take_number(c, UINT32_MAX, &n, "number up to 4294967295")) return false;
  *n_out = (uint32_t)n;
  return true;
}

bool lm_take_u64(struct lm_cursor *c, uint64_t *n_out) {
  return take_number(c, INT64_MAX, n_out, "number up to 9223372036854775807");
}
