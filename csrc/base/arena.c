/*
** arena.c: memory for one answer, given back all at once.
**
** Blocks grow twofold from nearly 1 KiB, so a large tree costs few allocations and an idle session holds
** little.
*/
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

/* The first block and its header are what malloc still keeps at hand for each thread. */
enum { BLOCK_MIN = 1008, BLOCK_MAX = 65536, ALIGN = 16 };

struct lm_arena_block {
  struct lm_arena_block *older;
  size_t size;
};

/* The header takes whole ALIGN units, so that what follows it is aligned too. */
enum { HEADER = (sizeof(struct lm_arena_block) + ALIGN - 1) / ALIGN * ALIGN };

static bool grow(struct lm_arena *a, size_t n) {
  size_t size = a->block ? a->block->size * 2 : BLOCK_MIN;
  struct lm_arena_block *b;
  if (size > BLOCK_MAX) size = BLOCK_MAX;
  if (size < n) size = n;
  if ((b = malloc(HEADER + size)) == NULL) return false;
  b->older = a->block;
  b->size = size;
  a->block = b;
  a->used = 0;
  return true;
}

void *lm_arena_alloc(struct lm_arena *a, size_t n) {
  char *p;
  if (n > SIZE_MAX / 4) return NULL;
  n = (n + ALIGN - 1) / ALIGN * ALIGN;
  if ((a->block == NULL || a->block->size - a->used < n) && !grow(a, n)) return NULL;
  p = (char *)a->block + HEADER + a->used;
  a->used += n;
  return p;
}

void *lm_arena_zero(struct lm_arena *a, size_t n) {
  void *p = lm_arena_alloc(a, n);
  if (p) memset(p, 0, n);
  return p;
}

struct lm_str lm_arena_copy(struct lm_arena *a, struct lm_str s) {
  char *p = lm_arena_alloc(a, s.n ? s.n : 1);
  if (p && s.n) memcpy(p, s.p, s.n);
  return (struct lm_str){p, p ? s.n : 0};
}

size_t lm_arena_weight(const struct lm_arena *a) {
  const struct lm_arena_block *b = a->block ? a->block->older : NULL;
  size_t n = a->used;
  for (; b; b = b->older) n += b->size;
  return n;
}

static void free_older(struct lm_arena_block *b) {
  while (b) {
    struct lm_arena_block *older = b->older;
    free(b);
    b = older;
  }
}

void lm_arena_reset(struct lm_arena *a) {
  if (a->block) {
    free_older(a->block->older);
    a->block->older = NULL;
  }
  a->used = 0;
}

void lm_arena_trim(struct lm_arena *a, size_t most) {
  if (a->block && a->block->size > most)
    lm_arena_free(a);
  else
    lm_arena_reset(a);
}

void lm_arena_free(struct lm_arena *a) {
  free_older(a->block);
  *a = (struct lm_arena){NULL, 0};
}
