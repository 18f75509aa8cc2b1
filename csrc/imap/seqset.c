/*
** seqset.c: sets of message numbers and UIDs.
*/
#include "imap/seqset.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/text.h"

/* seq-number = nz-number / "*" */
static bool seq_number(struct lm_cursor *c, uint32_t *out) {
  if (lm_accept(c, '*')) {
    *out = LM_SEQ_STAR;
    return true;
  }
  return lm_take_u32(c, out) && *out != 0;
}

/* seq-range = seq-number ":" seq-number, or a single seq-number */
static bool range(struct lm_cursor *c, struct lm_range *out) {
  if (!seq_number(c, &out->lo)) return false;
  out->hi = out->lo;
  return !lm_accept(c, ':') || seq_number(c, &out->hi);
}

bool lm_seqset_next(struct lm_str *text, struct lm_range *out, bool *bad_out) {
  struct lm_cursor c = lm_cursor(*text);
  *bad_out = false;
  if (text->n == 0) return false;
  *bad_out = !range(&c, out) || (!lm_at_end(&c) && (!lm_accept(&c, ',') || lm_at_end(&c)));
  *text = lm_rest(&c);
  return !*bad_out;
}

bool lm_seqset_valid(struct lm_str text) {
  struct lm_range r;
  bool bad;
  if (text.n == 0) return false;
  while (lm_seqset_next(&text, &r, &bad)) continue;
  return !bad;
}

/* "*" is above every number. */
static uint64_t rank(uint32_t n) {
  return n == LM_SEQ_STAR ? (uint64_t)UINT32_MAX + 1 : n;
}

bool lm_seqset_add(struct lm_seqset *set, uint32_t lo, uint32_t hi) {
  if (set->n == set->cap) {
    size_t cap = set->cap ? set->cap * 2 : 16;
    struct lm_range *p = realloc(set->p, cap * sizeof *p);
    if (p == NULL) return false;
    set->p = p;
    set->cap = cap;
  }
  if (rank(lo) > rank(hi)) {
    uint32_t t = lo;
    lo = hi;
    hi = t;
  }
  set->p[set->n++] = (struct lm_range){lo, hi};
  return true;
}

enum lm_seqset_got lm_seqset_parse(struct lm_seqset *set, struct lm_str text) {
  struct lm_range r;
  bool bad = true;
  if (text.n == 0) return LM_SEQSET_BAD;
  while (lm_seqset_next(&text, &r, &bad)) {
    if (!lm_seqset_add(set, r.lo, r.hi)) return LM_SEQSET_MEMORY;
  }
  return bad ? LM_SEQSET_BAD : LM_SEQSET_OK;
}

static int by_start(const void *pa, const void *pb) {
  const struct lm_range *a = pa, *b = pb;
  uint64_t x = rank(a->lo), y = rank(b->lo);
  if (x == y) x = rank(a->hi), y = rank(b->hi);
  return x < y ? -1 : x > y;
}

static bool sorted(const struct lm_seqset *set) {
  size_t i;
  for (i = 1; i < set->n; i++) {
    if (by_start(&set->p[i - 1], &set->p[i]) > 0) return false;
  }
  return true;
}

/* True where `b`, which does not start before `a`, continues it without a gap. */
static bool touches(struct lm_range a, struct lm_range b) {
  if (a.hi == LM_SEQ_STAR || b.hi == LM_SEQ_STAR) return a.lo == b.lo && a.hi == b.hi;
  return b.lo <= a.hi || b.lo - a.hi == 1;
}

void lm_seqset_sort(struct lm_seqset *set) {
  size_t i, n = 0;
  if (set->n == 0) return;
  if (!sorted(set)) qsort(set->p, set->n, sizeof *set->p, by_start);
  for (i = 1; i < set->n; i++) {
    if (!touches(set->p[n], set->p[i])) {
      set->p[++n] = set->p[i];
    } else if (set->p[i].hi > set->p[n].hi) {
      set->p[n].hi = set->p[i].hi;
    }
  }
  set->n = n + 1;
}

static bool put_number(struct lm_buf *out, uint32_t n) {
  return n == LM_SEQ_STAR ? lm_buf_putc(out, '*') : lm_buf_put_u64(out, n);
}

bool lm_seqset_format(const struct lm_seqset *set, struct lm_buf *out) {
  size_t i;
  for (i = 0; i < set->n; i++) {
    struct lm_range r = set->p[i];
    if (i && !lm_buf_putc(out, ',')) return false;
    if (!put_number(out, r.lo)) return false;
    if (r.hi != r.lo && (!lm_buf_putc(out, ':') || !put_number(out, r.hi))) return false;
  }
  return true;
}

void lm_seqset_free(struct lm_seqset *set) {
  free(set->p);
  *set = (struct lm_seqset){NULL, 0, 0};
}
