/*
** arena.h: memory for one answer, given back all at once.
**
** A session owns one arena and resets it at each `next`: trees and decoded text of an event live
** here. Nothing is freed singly. A reset keeps the newest block, so a stream of answers of like
** size allocates nothing.
*/
#ifndef LM_BASE_ARENA_H
#define LM_BASE_ARENA_H

#include "base/lm.h"

struct lm_arena_block;

struct lm_arena {
  struct lm_arena_block *block; /* newest first */
  size_t used;                  /* bytes used of the newest block */
};

/* `n` bytes aligned for any object, not cleared; NULL when memory is short. */
void *lm_arena_alloc(struct lm_arena *a, size_t n);

/* The same, cleared. */
void *lm_arena_zero(struct lm_arena *a, size_t n);

/* A copy of `s` in the arena; p is NULL when memory is short. */
struct lm_str lm_arena_copy(struct lm_arena *a, struct lm_str s);

/* Bytes that its objects take. */
size_t lm_arena_weight(const struct lm_arena *a);

/* Forgets all objects; keeps the newest block. */
void lm_arena_reset(struct lm_arena *a);

/* The same, and gives that memory back, too, where it is more than `most`. */
void lm_arena_trim(struct lm_arena *a, size_t most);

/* Gives all memory back. */
void lm_arena_free(struct lm_arena *a);

#endif
