/*
** buf.h: a byte buffer that grows, with a cap.
**
** The owner of all bytes that live longer than one call. Appending at the end, consuming at the
** front; the free space at the front is reclaimed before memory grows. A failed append changes
** nothing.
*/
#ifndef LM_BASE_BUF_H
#define LM_BASE_BUF_H

#include <string.h>

#include "base/lm.h"

struct lm_buf {
  char *p;
  size_t start; /* first byte not yet consumed */
  size_t end;   /* one past the last byte */
  size_t cap;
};

/* The bytes held, valid until the next append or consume. */
static inline struct lm_str lm_buf_str(const struct lm_buf *b) {
  return (struct lm_str){b->p ? b->p + b->start : "", b->end - b->start};
}

static inline size_t lm_buf_len(const struct lm_buf *b) {
  return b->end - b->start;
}

/* At least `want` writable bytes behind the end, or NULL (memory). lm_buf_added says how many
** were used. */
char *lm_buf_room(struct lm_buf *b, size_t want);
void lm_buf_added(struct lm_buf *b, size_t n);

/* Writes `s` at `p`, where there is room for it; where the next byte goes. */
static inline char *lm_append(char *p, struct lm_str s) {
  if (s.n) memcpy(p, s.p, s.n);
  return p + s.n;
}

/* Appends; false when memory is short. */
bool lm_buf_put(struct lm_buf *b, const char *p, size_t n);
bool lm_buf_putc(struct lm_buf *b, char c);

/* Drops `n` bytes at the front; an empty buffer starts again at its beginning. */
void lm_buf_consume(struct lm_buf *b, size_t n);

/* Drops all bytes, keeps the memory. */
void lm_buf_clear(struct lm_buf *b);

/* Gives the memory back; with `wipe`, what was in it is overwritten first. */
void lm_buf_free(struct lm_buf *b);
void lm_buf_wipe(struct lm_buf *b);

/* Overwrites memory in a way that the compiler may not drop. */
void lm_wipe(void *p, size_t n);

#endif
