/*
** qp_scan.c: the inner loops of quoted-printable, in plain C and for vectors of 16 and 32 octets.
**
** A block is copied whole, and where odd octets are in it, what stands behind them is copied again in
** its place, so ordinary text goes at the speed of a copy. In decoding, white space is looked at
** together with the octet behind it: only what may stand at the end of a line is of interest.
*/
#include "mime/qp.h"

#include <string.h>

#include "base/chars.h"

static size_t plain_scalar(const char *p, size_t n, char *out) {
  size_t i;
  for (i = 0; i < n; i++) {
    char c = p[i];
    if (c == '=') break;
    if ((c == ' ' || c == '\t') && (i + 1 == n || p[i + 1] == '\r' || p[i + 1] == '\n')) break;
    out[i] = c;
  }
  return i;
}

/* 255 where the octet is no hex digit. */
static const unsigned char digits[256] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0,   1,   2,   3,   4,   5,   6,   7,   8,
    9,   255, 255, 255, 255, 255, 255, 255, 10,  11,  12,  13,  14,  15,  255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 10,  11,  12,  13,  14,  15,  255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255,
};

/* The octet that two digits stand for; 256 and more where they are none. */
static inline unsigned octet(const char *p) {
  unsigned high = digits[(unsigned char)p[0]], low = digits[(unsigned char)p[1]];
  return (high | low) < 16 ? high << 4 | low : 256;
}

/* Decoding, at any level. Which octets of a block are odd is known before the first of them is looked
** at, so a block does not wait for the escapes of the one before it. `odd` gives a bit for each, or one
** of four. Escapes and soft line breaks are done here, the rest is left. */
#define DECODE_RUN(name, level, odd, width, shift)                                                 \
  level static size_t name(const char *p, size_t n, char *out, size_t *written_out) {              \
    size_t base = 0, from = 0;                                                                     \
    char *to = out;                                                                                \
    for (; n - base >= 2 * (width) + 3; base += (width)) {                                         \
      uint64_t bits = odd(p + base);                                                               \
      for (; bits; bits &= bits - 1) {                                                             \
        size_t at = base + ((size_t)__builtin_ctzll(bits) >> (shift));                             \
        unsigned c = octet(p + at + 1);                                                            \
        bool soft = p[at + 1] == '\r' && p[at + 2] == '\n';                                        \
        memcpy(to, p + from, (width));                                                             \
        to += at - from;                                                                           \
        from = at;                                                                                 \
        if (p[at] != '=' || (c > 255 && !soft)) {                                                  \
          *written_out = (size_t)(to - out);                                                       \
          return from;                                                                             \
        }                                                                                          \
        *to = (char)c;                                                                             \
        to += !soft;                                                                               \
        from = at + 3;                                                                             \
      }                                                                                            \
      if (from >= base + (width)) continue;                                                        \
      memcpy(to, p + from, (width));                                                               \
      to += base + (width)-from;                                                                   \
      from = base + (width);                                                                       \
    }                                                                                              \
    *written_out = (size_t)(to - out);                                                             \
    return from;                                                                                   \
  }

/* A line under construction. */
struct line {
  char *to;
  size_t column;
};

static inline void soft_break(struct line *l) {
  memcpy(l->to, "=\r\n", 3);
  l->to += 3;
  l->column = 0;
}

static inline void put_escape(struct line *l, char c) {
  static const char hex[] = "0123456789ABCDEF";
  if (l->column + 3 > LM_QP_WIDTH) soft_break(l);
  l->to[0] = '=';
  l->to[1] = hex[(unsigned char)c >> 4];
  l->to[2] = hex[(unsigned char)c & 15];
  l->to += 3;
  l->column += 3;
}

static inline void put_line_end(struct line *l) {
  memcpy(l->to, "\r\n", 2);
  l->to += 2;
  l->column = 0;
}

/* `n` octets as they stand, no more than a block of `width`, which is copied whole. */
static inline void put_safe(struct line *l, const char *p, size_t n, size_t width) {
  size_t fits = LM_QP_WIDTH - l->column;
  if (n > fits) {
    memcpy(l->to, p, width);
    l->to += fits;
    soft_break(l);
    p += fits;
    n -= fits;
  }
  memcpy(l->to, p, width);
  l->to += n;
  l->column += n;
}

static inline bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/* Text: how long the line end at `p` is; 0 where it is for the slower machine: a CR without LF, and
** one behind white space, which is escaped. */
static inline size_t line_end(const char *p, bool first) {
  if (!first && is_blank(p[-1])) return 0;
  return *p == '\n' ? 1 : p[1] == '\n' ? 2 : 0;
}

/* White space at the end may have to be escaped: it is given back. */
static inline size_t stop(struct line *l, const char *p, size_t from, bool text) {
  if (!text || from == 0 || !is_blank(p[from - 1])) return from;
  l->to--;
  l->column--;
  return from - 1;
}

/* Encoding, in the same manner. */
#define ENCODE_RUN(name, level, odd, width, shift)                                                 \
  level static size_t name(const char *p, size_t n, bool text, struct line *l) {                   \
    size_t base = 0, from = 0;                                                                     \
    for (; n - base >= 3 * (width); base += (width)) {                                             \
      uint64_t bits = odd(p + base);                                                               \
      for (; bits; bits &= bits - 1) {                                                             \
        size_t at = base + ((size_t)__builtin_ctzll(bits) >> (shift)), ends;                       \
        if (at < from) continue;                                                                   \
        put_safe(l, p + from, at - from, (width));                                                 \
        from = at;                                                                                 \
        if (!text || (p[at] != '\r' && p[at] != '\n')) {                                           \
          put_escape(l, p[at]);                                                                    \
          from++;                                                                                  \
          continue;                                                                                \
        }                                                                                          \
        ends = line_end(p + at, at == 0);                                                          \
        if (ends == 0) return stop(l, p, from, text);                                              \
        put_line_end(l);                                                                           \
        from += ends;                                                                              \
      }                                                                                            \
      if (from >= base + (width)) continue;                                                        \
      put_safe(l, p + from, base + (width)-from, (width));                                         \
      from = base + (width);                                                                       \
    }                                                                                              \
    return stop(l, p, from, text);                                                                 \
  }

#if LM_X86

/* A bit for each octet that is not copied as it stands. */
LM_SSSE3 static inline uint64_t odd_16(const char *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
  __m128i blank =
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')));
  __m128i line = _mm_or_si128(_mm_cmpeq_epi8(next, _mm_set1_epi8('\r')),
                              _mm_cmpeq_epi8(next, _mm_set1_epi8('\n')));
  __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_and_si128(blank, line));
  return (unsigned)_mm_movemask_epi8(odd);
}

/* Signed octets: what is beyond 127 is below the space. */
LM_SSSE3 static inline uint64_t unsafe_16(const char *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')),
                                     _mm_cmpgt_epi8(_mm_set1_epi8(' '), v));
  __m128i other =
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_cmpeq_epi8(v, _mm_set1_epi8(127)));
  return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, other));
}

LM_AVX2 static inline uint64_t odd_32(const char *p) {
  __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i next = _mm256_loadu_si256((const __m256i *)(const void *)(p + 1));
  __m256i blank = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(' ')),
                                  _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t')));
  __m256i line = _mm256_or_si256(_mm256_cmpeq_epi8(next, _mm256_set1_epi8('\r')),
                                 _mm256_cmpeq_epi8(next, _mm256_set1_epi8('\n')));
  __m256i odd =
      _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('=')), _mm256_and_si256(blank, line));
  return (unsigned)_mm256_movemask_epi8(odd);
}

LM_AVX2 static inline uint64_t unsafe_32(const char *p) {
  __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i control = _mm256_andnot_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t')),
                                        _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), v));
  __m256i other = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('=')),
                                  _mm256_cmpeq_epi8(v, _mm256_set1_epi8(127)));
  return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(control, other));
}

DECODE_RUN(decode_ssse3, LM_SSSE3, odd_16, 16u, 0)
DECODE_RUN(decode_avx2, LM_AVX2, odd_32, 32u, 0)
ENCODE_RUN(encode_ssse3, LM_SSSE3, unsafe_16, 16u, 0)
ENCODE_RUN(encode_avx2, LM_AVX2, unsafe_32, 32u, 0)
#endif

#if LM_NEON

/* One bit of four for each octet. */
static inline uint64_t nibbles(uint8x16_t v) {
  uint8x8_t four = vshrn_n_u16(vreinterpretq_u16_u8(v), 4);
  return vget_lane_u64(vreinterpret_u64_u8(four), 0) & 0x1111111111111111u;
}

static inline uint64_t odd_neon_16(const char *p) {
  uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)p);
  uint8x16_t next = vld1q_u8((const uint8_t *)(const void *)(p + 1));
  uint8x16_t blank = vorrq_u8(vceqq_u8(v, vdupq_n_u8(' ')), vceqq_u8(v, vdupq_n_u8('\t')));
  uint8x16_t line = vorrq_u8(vceqq_u8(next, vdupq_n_u8('\r')), vceqq_u8(next, vdupq_n_u8('\n')));
  return nibbles(vorrq_u8(vceqq_u8(v, vdupq_n_u8('=')), vandq_u8(blank, line)));
}

static inline uint64_t unsafe_neon_16(const char *p) {
  uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)p);
  uint8x16_t control = vbicq_u8(vcltq_u8(v, vdupq_n_u8(' ')), vceqq_u8(v, vdupq_n_u8('\t')));
  uint8x16_t other = vorrq_u8(vceqq_u8(v, vdupq_n_u8('=')), vcgeq_u8(v, vdupq_n_u8(127)));
  return nibbles(vorrq_u8(control, other));
}

DECODE_RUN(decode_neon, , odd_neon_16, 16u, 2)
ENCODE_RUN(encode_neon, , unsafe_neon_16, 16u, 2)
#endif

/* --- levels ------------------------------------------------------------------------------------- */

static size_t decode_vectors(enum lm_vector level, struct lm_str s, char *out,
                             size_t *written_out) {
  *written_out = 0;
  switch (level) {
#if LM_X86
  case LM_VECTOR_AVX2: return decode_avx2(s.p, s.n, out, written_out);
  case LM_VECTOR_SSSE3: return decode_ssse3(s.p, s.n, out, written_out);
#elif LM_NEON
  case LM_VECTOR_NEON: return decode_neon(s.p, s.n, out, written_out);
#endif
  default: return 0;
  }
}

/* Plain C goes on where the vectors stop, and finds the same end. */
size_t lm_qp_decode_run(enum lm_vector level, struct lm_str s, char *out, size_t *written_out) {
  size_t written, i = decode_vectors(level, s, out, &written);
  for (;;) {
    size_t n = plain_scalar(s.p + i, s.n - i, out + written);
    unsigned c;
    i += n;
    written += n;
    if (s.n - i < 3 || s.p[i] != '=') break;
    c = octet(s.p + i + 1);
    if (c < 256)
      out[written++] = (char)c;
    else if (s.p[i + 1] != '\r' || s.p[i + 2] != '\n')
      break;
    i += 3;
  }
  *written_out = written;
  return i;
}

static size_t encode_vectors(enum lm_vector level, struct lm_str s, bool text, struct line *l) {
  switch (level) {
#if LM_X86
  case LM_VECTOR_AVX2: return encode_avx2(s.p, s.n, text, l);
  case LM_VECTOR_SSSE3: return encode_ssse3(s.p, s.n, text, l);
#elif LM_NEON
  case LM_VECTOR_NEON: return encode_neon(s.p, s.n, text, l);
#endif
  default: return 0;
  }
}

/* Octets that stand for themselves, white space only where it ends neither a line nor the text. */
static size_t encode_plain(struct lm_str s, struct line *l) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (!lm_is(c, LM_PRINT | LM_SPACE) || c == '=') break;
    if (is_blank(c) && (i + 1 == s.n || s.p[i + 1] == '\r' || s.p[i + 1] == '\n')) break;
    if (l->column == LM_QP_WIDTH) soft_break(l);
    *l->to++ = c;
    l->column++;
  }
  return i;
}

size_t lm_qp_encode_run(enum lm_vector level, struct lm_str s, bool text, char **to,
                        size_t *column) {
  struct line l = {*to, *column};
  size_t used = encode_vectors(level, s, text, &l);
  used += encode_plain((struct lm_str){s.p + used, s.n - used}, &l);
  *to = l.to;
  *column = l.column;
  return used;
}
