/*
** buf.c: a byte buffer that grows, with a cap.
**
** Growth doubles, so that appending n bytes costs O(n) in all. The bytes move to the front only
** when that makes room without growing and less than half of the memory is in use, so that no
** byte moves more often than it was paid for.
*/
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { BUF_MIN = 256 };

void lm_wipe(void *p, size_t n) {
  volatile unsigned char *v = p;
  while (n--) *v++ = 0;
}

static void to_front(struct lm_buf *b) {
  if (b->start == 0) return;
  memmove(b->p, b->p + b->start, b->end - b->start);
  b->end -= b->start;
  b->start = 0;
}

char *lm_buf_room(struct lm_buf *b, size_t want) {
  size_t held = b->end - b->start, cap = b->cap;
  char *p;
  if (b->cap - b->end >= want) return b->p + b->end;
  if (want > SIZE_MAX / 4 - held) return NULL;
  if (b->start >= held && b->cap - held >= want) {
    to_front(b);
    return b->p + b->end;
  }
  if (cap < BUF_MIN) cap = BUF_MIN;
  while (cap - held < want) cap *= 2;
  to_front(b);
  if ((p = realloc(b->p, cap)) == NULL) return NULL;
  b->p = p;
  b->cap = cap;
  return b->p + b->end;
}

void lm_buf_added(struct lm_buf *b, size_t n) {
  b->end += n;
}

bool lm_buf_put(struct lm_buf *b, const char *p, size_t n) {
  char *room;
  if (n == 0) return true;
  if ((room = lm_buf_room(b, n)) == NULL) return false;
  memcpy(room, p, n);
  b->end += n;
  return true;
}

bool lm_buf_putc(struct lm_buf *b, char c) {
  return lm_buf_put(b, &c, 1);
}

void lm_buf_consume(struct lm_buf *b, size_t n) {
  b->start += n;
  if (b->start == b->end) b->start = b->end = 0;
}

void lm_buf_clear(struct lm_buf *b) {
  b->start = b->end = 0;
}

void lm_buf_free(struct lm_buf *b) {
  free(b->p);
  *b = (struct lm_buf){NULL, 0, 0, 0};
}

void lm_buf_wipe(struct lm_buf *b) {
  if (b->p) lm_wipe(b->p, b->cap);
  lm_buf_free(b);
}
