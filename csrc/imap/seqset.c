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

/* --- sets as sets ------------------------------------------------------------------------------- */

bool lm_seqset_is_open(const struct lm_seqset *set) {
  size_t i;
  for (i = 0; i < set->n; i++) {
    if (set->p[i].lo == LM_SEQ_STAR || set->p[i].hi == LM_SEQ_STAR) return true;
  }
  return false;
}

uint64_t lm_seqset_count(const struct lm_seqset *set) {
  uint64_t count = 0;
  size_t i;
  for (i = 0; i < set->n; i++) count += (uint64_t)set->p[i].hi - set->p[i].lo + 1;
  return count;
}

size_t lm_seqset_find(const struct lm_seqset *set, uint32_t n) {
  size_t lo = 0, hi = set->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (set->p[mid].hi < n) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

bool lm_seqset_has(const struct lm_seqset *set, uint32_t n) {
  size_t i = lm_seqset_find(set, n);
  return i < set->n && set->p[i].lo <= n;
}

/* Adds a range that starts no earlier than the last one; joins the two where they touch. */
static bool append(struct lm_seqset *set, struct lm_range r) {
  struct lm_range *last = set->n ? &set->p[set->n - 1] : NULL;
  if (last == NULL || !touches(*last, r)) return lm_seqset_add(set, r.lo, r.hi);
  if (r.hi > last->hi) last->hi = r.hi;
  return true;
}

bool lm_seqset_union(const struct lm_seqset *a, const struct lm_seqset *b, struct lm_seqset *out) {
  size_t i = 0, j = 0;
  while (i < a->n || j < b->n) {
    bool from_a = j == b->n || (i < a->n && a->p[i].lo <= b->p[j].lo);
    if (!append(out, from_a ? a->p[i++] : b->p[j++])) return false;
  }
  return true;
}

bool lm_seqset_intersection(const struct lm_seqset *a, const struct lm_seqset *b,
                            struct lm_seqset *out) {
  size_t i = 0, j = 0;
  while (i < a->n && j < b->n) {
    struct lm_range x = a->p[i], y = b->p[j];
    uint32_t lo = x.lo > y.lo ? x.lo : y.lo, hi = x.hi < y.hi ? x.hi : y.hi;
    if (lo <= hi && !lm_seqset_add(out, lo, hi)) return false;
    if (x.hi <= y.hi) i++;
    if (y.hi <= x.hi) j++;
  }
  return true;
}

/* Takes from one range of `a` what the ranges of `b` from *j on cover, and adds the rest. */
static bool subtract(struct lm_range x, const struct lm_seqset *b, size_t *j,
                     struct lm_seqset *out) {
  while (*j < b->n && b->p[*j].hi < x.lo) (*j)++;
  for (; *j < b->n && b->p[*j].lo <= x.hi; (*j)++) {
    struct lm_range y = b->p[*j];
    if (y.lo > x.lo && !lm_seqset_add(out, x.lo, y.lo - 1)) return false;
    if (y.hi >= x.hi) return true; /* the next range of `a` may lie in it too */
    x.lo = y.hi + 1;
  }
  return lm_seqset_add(out, x.lo, x.hi);
}

bool lm_seqset_difference(const struct lm_seqset *a, const struct lm_seqset *b,
                          struct lm_seqset *out) {
  size_t i, j = 0;
  for (i = 0; i < a->n; i++) {
    if (!subtract(a->p[i], b, &j, out)) return false;
  }
  return true;
}

/* --- text ---------------------------------------------------------------------------------------- */

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
