/*
** head.c: a header in pieces, and the fields that a signature covers (RFC 6376 §5.4).
*/
#include "sign/head.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"

enum place { LINE_START, MID_LINE, BEHIND_CR, EMPTY_CR, WHOLE };

struct lm_head {
  struct lm_buf text;
  enum place place; /* of the next byte */
  bool is_clean;
  struct lm_header_field *field;
  size_t n;
  size_t *order; /* indices by name, then by place */
};

struct lm_head *lm_head_new(void) {
  return calloc(1, sizeof(struct lm_head));
}

void lm_head_free(struct lm_head *h) {
  if (h == NULL) return;
  lm_buf_free(&h->text);
  free(h->field);
  free(h->order);
  free(h);
}

/* --- up to the empty line ------------------------------------------------------------------------ */

/* Where the place is after `c`; a line ends in CRLF, LF or CR. EMPTY_CR: the header has ended, an LF
** may follow. */
static enum place step(enum place at, char c) {
  if (at == BEHIND_CR && c == '\n') return LINE_START;
  if (at == MID_LINE) return c == '\r' ? BEHIND_CR : c == '\n' ? LINE_START : MID_LINE;
  if (c == '\n') return WHOLE;
  return c == '\r' ? EMPTY_CR : MID_LINE;
}

/* How many bytes of the piece belong to the header. */
static size_t scan(struct lm_head *h, struct lm_str piece) {
  size_t i = 0;
  while (i < piece.n && h->place != WHOLE) {
    if (h->place == EMPTY_CR) {
      h->place = WHOLE;
      return piece.p[i] == '\n' ? i + 1 : i;
    }
    h->place = step(h->place, piece.p[i++]);
  }
  return i;
}

/* --- the fields ---------------------------------------------------------------------------------- */

static int compare_names(struct lm_str a, struct lm_str b) {
  size_t i, n = a.n < b.n ? a.n : b.n;
  for (i = 0; i < n; i++) {
    int d = (unsigned char)lm_lower(a.p[i]) - (unsigned char)lm_lower(b.p[i]);
    if (d) return d;
  }
  return a.n < b.n ? -1 : a.n > b.n;
}

/* By name, then by place in the message; the elements point at fields, which lie in that order. */
static int by_name(const void *a, const void *b) {
  const struct lm_header_field *x = *(const struct lm_header_field *const *)a;
  const struct lm_header_field *y = *(const struct lm_header_field *const *)b;
  int d = compare_names(x->name, y->name);
  return d ? d : x->start < y->start ? -1 : x->start > y->start;
}

static bool sort(struct lm_head *h) {
  const struct lm_header_field **list = malloc((h->n + 1) * sizeof *list);
  size_t i;
  h->order = malloc((h->n + 1) * sizeof *h->order);
  if (list && h->order) {
    for (i = 0; i < h->n; i++) list[i] = &h->field[i];
    qsort(list, h->n, sizeof *list, by_name);
    for (i = 0; i < h->n; i++) h->order[i] = (size_t)(list[i] - h->field);
  }
  free(list);
  return list && h->order;
}

static bool grow(struct lm_head *h, size_t *cap) {
  struct lm_header_field *p;
  if (h->n < *cap) return true;
  *cap = *cap ? *cap * 2 : 32;
  p = realloc(h->field, *cap * sizeof *p);
  if (p) h->field = p;
  return p != NULL;
}

static enum lm_head_state parse(struct lm_head *h) {
  struct lm_header_walk w = lm_header_walk(lm_buf_str(&h->text));
  struct lm_header_field f;
  size_t cap = 0, allowed = 0;
  while (lm_header_next(&w, &f)) {
    if (h->n == 0) allowed = f.start > 0; /* the line of an mbox was passed over */
    if (h->n == LM_SIGN_FIELDS) return LM_HEAD_LIMIT;
    if (!grow(h, &cap)) return LM_HEAD_MEMORY;
    h->field[h->n++] = f;
  }
  h->is_clean = w.defects == allowed;
  return sort(h) ? LM_HEAD_WHOLE : LM_HEAD_MEMORY;
}

enum lm_head_state lm_head_add(struct lm_head *h, struct lm_str piece, size_t *used_out) {
  struct lm_str mine = {piece.p, scan(h, piece)};
  *used_out = mine.n;
  if (mine.n > LM_SIGN_HEADER - lm_buf_len(&h->text)) return LM_HEAD_LIMIT;
  if (!lm_buf_put(&h->text, mine.p, mine.n)) return LM_HEAD_MEMORY;
  return h->place == WHOLE ? parse(h) : LM_HEAD_MORE;
}

enum lm_head_state lm_head_end(struct lm_head *h) {
  h->place = WHOLE;
  return parse(h);
}

size_t lm_head_count(const struct lm_head *h) {
  return h->n;
}

const struct lm_header_field *lm_head_field(const struct lm_head *h, size_t i) {
  return &h->field[i];
}

bool lm_head_is_clean(const struct lm_head *h) {
  return h->is_clean;
}

/* --- what is covered ----------------------------------------------------------------------------- */

static const struct lm_header_field *at(const struct lm_head *h, size_t rank) {
  return &h->field[h->order[rank]];
}

/* The first rank whose name is not below `name`. */
static size_t first(const struct lm_head *h, struct lm_str name) {
  size_t lo = 0, hi = h->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (compare_names(at(h, mid)->name, name) < 0) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

/* The first rank whose name is above `name`. */
static size_t behind(const struct lm_head *h, struct lm_str name) {
  size_t lo = 0, hi = h->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (compare_names(at(h, mid)->name, name) <= 0) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

size_t lm_head_has(const struct lm_head *h, struct lm_str name) {
  return behind(h, name) - first(h, name);
}

/* The next name of the list, without white space around it; false at the end. */
static bool next_name(struct lm_str *list, struct lm_str *out) {
  size_t end = 0;
  if (list->p == NULL) return false;
  while (end < list->n && list->p[end] != ':') end++;
  *out = (struct lm_str){list->p, end};
  if (end == list->n) {
    *list = LM_NOSTR;
  } else {
    list->p += end + 1;
    list->n -= end + 1;
  }
  while (out->n && (unsigned char)out->p[0] <= ' ') out->p++, out->n--;
  while (out->n && (unsigned char)out->p[out->n - 1] <= ' ') out->n--;
  return true;
}

bool lm_head_cover(const struct lm_head *h, struct lm_str names, enum lm_canon kind,
                   struct lm_buf *out) {
  size_t *used = calloc(h->n + 1, sizeof *used); /* by the first rank of a name */
  struct lm_str name;
  bool good = used != NULL;
  while (good && next_name(&names, &name)) {
    size_t lo = first(h, name), hi = behind(h, name);
    if (name.n == 0 || hi - lo <= used[lo]) continue;
    good = lm_canon_field(out, at(h, hi - 1 - used[lo]++), kind) && lm_buf_put(out, "\r\n", 2);
  }
  free(used);
  return good;
}
