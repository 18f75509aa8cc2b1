/*
** dot.c: dot-stuffing both ways (RFC 5321 §4.5.2, RFC 1939 §3).
**
** Both directions look for one pattern in bulk and leave the rest to a small state machine. The
** bulk search compares 16 or 32 bytes with the same bytes one to the left, so that a pair of
** characters is found without looking back.
*/
#include "base/dot.h"

#include <string.h>

#include "base/vector.h"

#ifdef __SSE2__
#include <emmintrin.h>

enum { BLOCK = 16 };

static inline __m128i load(const char *p) {
  return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i equal(__m128i v, char c) {
  return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* Nonzero bytes where an LF follows no CR, a CR stands before no LF, or a dot starts a line. */
static inline __m128i unclean_block(const char *p) {
  __m128i here = load(p), left = load(p - 1), lf = equal(here, '\n');
  __m128i bare = _mm_xor_si128(lf, equal(left, '\r'));
  return _mm_or_si128(bare, _mm_and_si128(equal(here, '.'), equal(left, '\n')));
}

static inline bool is_clean_block(const char *p) {
  return _mm_movemask_epi8(unclean_block(p)) == 0;
}

/* Skips four blocks at a time while they are clean. */
static size_t skip_clean_4(const char *p, size_t i, size_t n) {
  for (; n - i >= BLOCK * 4; i += BLOCK * 4) {
    __m128i a = _mm_or_si128(unclean_block(p + i), unclean_block(p + i + BLOCK));
    __m128i b = _mm_or_si128(unclean_block(p + i + BLOCK * 2), unclean_block(p + i + BLOCK * 3));
    if (_mm_movemask_epi8(_mm_or_si128(a, b)) != 0) break;
  }
  return i;
}

#if LM_X86
enum { WIDE = 32 };

LM_AVX2 static inline __m256i equal_wide(const char *p, char c) {
  return _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(const void *)p),
                           _mm256_set1_epi8(c));
}

/* As unclean_block, of twice as many bytes. */
LM_AVX2 static inline __m256i unclean_wide(const char *p) {
  __m256i bare = _mm256_xor_si256(equal_wide(p, '\n'), equal_wide(p - 1, '\r'));
  __m256i dots = _mm256_and_si256(equal_wide(p, '.'), equal_wide(p - 1, '\n'));
  return _mm256_or_si256(bare, dots);
}

LM_AVX2 static size_t skip_clean_avx2(const char *p, size_t i, size_t n) {
  for (; n - i >= WIDE * 4; i += WIDE * 4) {
    __m256i a = _mm256_or_si256(unclean_wide(p + i), unclean_wide(p + i + WIDE));
    __m256i b = _mm256_or_si256(unclean_wide(p + i + WIDE * 2), unclean_wide(p + i + WIDE * 3));
    a = _mm256_or_si256(a, b);
    if (!_mm256_testz_si256(a, a)) break;
  }
  return i;
}
#endif

/* Skips whole blocks that are clean; the last one may overlap the one before it. */
static size_t skip_clean(const char *p, size_t i, size_t n) {
#if LM_X86
  if (n - i >= WIDE * 4 && lm_vector_best() == LM_VECTOR_AVX2) i = skip_clean_avx2(p, i, n);
#endif
  i = skip_clean_4(p, i, n);
  for (; n - i >= BLOCK; i += BLOCK) {
    if (!is_clean_block(p + i)) return i;
  }
  return n > BLOCK && is_clean_block(p + n - BLOCK) ? n : i;
}

/* Nonzero bytes where a dot follows an LF. */
static inline __m128i dotted_block(const char *p) {
  return _mm_and_si128(equal(load(p), '.'), equal(load(p - 1), '\n'));
}

/* Skips four blocks at a time in which no dot follows an LF: those in which there is no dot at all, as in
** most mail, without a look at what stands before. */
static size_t skip_undotted_4(const char *p, size_t i, size_t n) {
  for (; n - i >= BLOCK * 4; i += BLOCK * 4) {
    const char *q = p + i;
    __m128i a = _mm_or_si128(equal(load(q), '.'), equal(load(q + BLOCK), '.'));
    __m128i b = _mm_or_si128(equal(load(q + BLOCK * 2), '.'), equal(load(q + BLOCK * 3), '.'));
    if (_mm_movemask_epi8(_mm_or_si128(a, b)) == 0) continue;
    a = _mm_or_si128(dotted_block(q), dotted_block(q + BLOCK));
    b = _mm_or_si128(dotted_block(q + BLOCK * 2), dotted_block(q + BLOCK * 3));
    if (_mm_movemask_epi8(_mm_or_si128(a, b)) != 0) break;
  }
  return i;
}

#if LM_X86
/* As dotted_block, of twice as many bytes. */
LM_AVX2 static inline __m256i dotted_wide(const char *p) {
  return _mm256_and_si256(equal_wide(p, '.'), equal_wide(p - 1, '\n'));
}

LM_AVX2 static inline bool is_none_set(__m256i a, __m256i b, __m256i c, __m256i d) {
  a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
  return _mm256_testz_si256(a, a);
}

LM_AVX2 static size_t skip_undotted_avx2(const char *p, size_t i, size_t n) {
  for (; n - i >= WIDE * 4; i += WIDE * 4) {
    const char *q = p + i, *r = q + WIDE * 2;
    if (is_none_set(equal_wide(q, '.'), equal_wide(q + WIDE, '.'), equal_wide(r, '.'),
                    equal_wide(r + WIDE, '.'))) {
      continue;
    }
    if (!is_none_set(dotted_wide(q), dotted_wide(q + WIDE), dotted_wide(r),
                     dotted_wide(r + WIDE))) {
      break;
    }
  }
  return i;
}
#endif

/* Skips whole blocks in which no dot follows an LF. */
static size_t skip_undotted(const char *p, size_t i, size_t n) {
#if LM_X86
  if (n - i >= WIDE * 4 && lm_vector_best() == LM_VECTOR_AVX2) i = skip_undotted_avx2(p, i, n);
#endif
  i = skip_undotted_4(p, i, n);
  for (; n - i >= BLOCK; i += BLOCK) {
    if (_mm_movemask_epi8(dotted_block(p + i)) != 0) break;
  }
  return i;
}
#else
static size_t skip_clean(const char *p, size_t i, size_t n) {
  (void)p, (void)n;
  return i;
}

/* Skips to behind the next LF. */
static size_t skip_undotted(const char *p, size_t i, size_t n) {
  const char *lf = memchr(p + i - 1, '\n', n - i + 1);
  return lf ? (size_t)(lf - p) + 1 : n;
}
#endif

/* --- outward --------------------------------------------------------------------------------- */

/* True where the pair at i-1, i is no part of clean text. */
static bool unclean(const struct lm_dotout *d, const char *p, size_t i) {
  return (p[i] == '\n') != (p[i - 1] == '\r') || (p[i] == '.' && p[i - 1] == '\n' && !d->plain);
}

size_t lm_dotout_clean(const struct lm_dotout *d, struct lm_str s) {
  size_t i = 1;
  if (s.n == 0 || d->cr || s.p[0] == '\n') return 0;
  if (s.p[0] == '.' && !d->mid_line && !d->plain) return 0;
  while (i < s.n) {
    size_t stop;
    i = skip_clean(s.p, i, s.n);
    stop = s.n - i > 16 ? i + 16 : s.n;
    while (i < stop && !unclean(d, s.p, i)) i++;
    if (i < stop) break;
  }
  return s.p[i - 1] == '\r' ? i - 1 : i;
}

void lm_dotout_sent(struct lm_dotout *d, struct lm_str s, size_t n) {
  if (n) d->mid_line = s.p[n - 1] != '\n';
}

bool lm_dotout_is_bare(struct lm_dotout *d, struct lm_str s) {
  while (s.n) {
    size_t n = d->cr ? 0 : lm_dotout_clean(d, s);
    if (n) {
      lm_dotout_sent(d, s, n);
    } else if (d->cr != (s.p[0] == '\n') || (!d->cr && s.p[0] != '\r')) {
      return true;
    } else {
      d->cr = !d->cr;
      d->mid_line = d->cr;
      n = 1;
    }
    s = (struct lm_str){s.p + n, s.n - n};
  }
  return false;
}

static bool line_end(struct lm_dotout *d, struct lm_buf *out) {
  d->mid_line = d->cr = false;
  return lm_buf_put(out, "\r\n", 2);
}

/* Encodes the one byte that stopped the clean run: a dot at the start of a line, a bare LF, or a
** CR whose fate the next byte decides. */
static bool put_odd(struct lm_dotout *d, struct lm_buf *out, char c) {
  if (c == '\n') return line_end(d, out);
  if (c == '\r') {
    d->cr = true;
    return true;
  }
  d->mid_line = true;
  return lm_buf_put(out, "..", 2);
}

bool lm_dotout_put(struct lm_dotout *d, struct lm_buf *out, struct lm_str s) {
  while (s.n) {
    size_t n;
    if (d->cr) {
      n = s.p[0] == '\n';
      if (!line_end(d, out)) return false;
    } else if ((n = lm_dotout_clean(d, s)) != 0) {
      if (!lm_buf_put(out, s.p, n)) return false;
      lm_dotout_sent(d, s, n);
    } else {
      n = 1;
      if (!put_odd(d, out, s.p[0])) return false;
    }
    s = (struct lm_str){s.p + n, s.n - n};
  }
  return true;
}

bool lm_dotout_end(struct lm_dotout *d, struct lm_buf *out) {
  if ((d->cr || d->mid_line) && !line_end(d, out)) return false;
  return d->plain || lm_buf_put(out, ".\r\n", 3);
}

/* --- inward ---------------------------------------------------------------------------------- */

enum { LINE_START, MID_LINE, AFTER_CR, AFTER_DOT, AFTER_DOT_CR };

/* True where the LF before s[i] ends a line. */
static bool starts_line(const struct lm_dotin *d, struct lm_str s, size_t i) {
  if (s.p[i - 1] != '\n') return false;
  return d->lf || (i >= 2 ? s.p[i - 2] == '\r' : d->state == AFTER_CR);
}

/* The length of the text in front of the next dot that starts a line; sets the state behind it. */
static size_t run(struct lm_dotin *d, struct lm_str s) {
  size_t i = 1;
  while (i < s.n) {
    i = skip_undotted(s.p, i, s.n);
    while (i < s.n && !(s.p[i] == '.' && s.p[i - 1] == '\n')) i++;
    if (i < s.n && starts_line(d, s, i)) break;
    if (i < s.n) i++;
  }
  if (starts_line(d, s, i)) {
    d->state = LINE_START;
  } else {
    d->state = s.p[i - 1] == '\r' ? AFTER_CR : MID_LINE;
  }
  return i;
}

enum lm_dotin_more lm_dotin_next(struct lm_dotin *d, struct lm_str *s, struct lm_str *text_out) {
  *text_out = LM_NOSTR;
  while (s->n) {
    char c = s->p[0];
    bool used = true;
    if (d->state == LINE_START && c == '.') {
      d->state = AFTER_DOT;
    } else if (d->state == AFTER_DOT && c == '\r') {
      d->state = AFTER_DOT_CR;
    } else if (c == '\n' && (d->state == AFTER_DOT_CR || (d->state == AFTER_DOT && d->lf))) {
      *s = (struct lm_str){s->p + 1, s->n - 1};
      d->state = LINE_START;
      return LM_DOT_END;
    } else if (d->state == AFTER_DOT_CR) {
      *text_out = LM_STR("\r"); /* ".\r" and no LF: a stuffed line that goes on */
      d->state = AFTER_CR;
      return LM_DOT_TEXT;
    } else {
      used = false;
    }
    if (!used) {
      size_t n = run(d, *s);
      *text_out = (struct lm_str){s->p, n};
      *s = (struct lm_str){s->p + n, s->n - n};
      return LM_DOT_TEXT;
    }
    *s = (struct lm_str){s->p + 1, s->n - 1};
  }
  return LM_DOT_MORE;
}
