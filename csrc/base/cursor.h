/*
** cursor.h: a reader over one complete unit of text that cannot run past its end.
**
** Grammar functions take a cursor and return bool; the first failure is kept here, with what was
** expected and where. Nothing allocates, except from the arena that the cursor lends.
*/
#ifndef LM_BASE_CURSOR_H
#define LM_BASE_CURSOR_H

#include "base/arena.h"
#include "base/chars.h"

struct lm_cursor {
  const char *p; /* next byte */
  const char *end;
  const char *begin;
  struct lm_arena *arena;         /* for decoded text and trees; may be NULL */
  const struct lm_limits *limits; /* may be NULL where nothing nests */
  enum lm_code code;              /* first failure */
  const char *expected;
  const char *where;
};

static inline struct lm_cursor lm_cursor(struct lm_str s) {
  const char *end = s.n ? s.p + s.n : s.p; /* no text at all has no address to count from */
  struct lm_cursor c = {s.p, end, s.p, NULL, NULL, LM_E_NONE, NULL, NULL};
  return c;
}

static inline bool lm_at_end(const struct lm_cursor *c) {
  return c->p == c->end;
}

/* The next byte, or -1 at the end. */
static inline int lm_peek(const struct lm_cursor *c) {
  return c->p < c->end ? (unsigned char)*c->p : -1;
}

/* Takes the next byte if it is `ch`. No failure is recorded otherwise. */
static inline bool lm_accept(struct lm_cursor *c, char ch) {
  if (c->p == c->end || *c->p != ch) return false;
  c->p++;
  return true;
}

/* Records the first failure; always false, so that callers can return it. */
bool lm_cursor_fail(struct lm_cursor *c, enum lm_code code, const char *expected);

/* Takes `ch` or fails with LM_E_PROTOCOL. */
bool lm_expect(struct lm_cursor *c, char ch, const char *expected);

/* The longest run of bytes in any of the classes; may be empty. */
struct lm_str lm_span(struct lm_cursor *c, unsigned cls);

/* The run of bytes up to `ch` or the end. */
struct lm_str lm_until(struct lm_cursor *c, char ch);

/* 1*DIGIT; fails on overflow and where no digit stands. */
bool lm_take_u32(struct lm_cursor *c, uint32_t *n_out);
bool lm_take_u64(struct lm_cursor *c, uint64_t *n_out);

/* What is left, without taking it. */
static inline struct lm_str lm_rest(const struct lm_cursor *c) {
  return (struct lm_str){c->p, (size_t)(c->end - c->p)};
}

#endif
