/*
** base64_x86.c: base64's inner loops for vectors of 16 and 32 octets (SSSE3, AVX2).
**
** Decoding checks characters against the sets that their two halves allow, moves each to its value by
** an offset that its upper half tells, and joins four values of six bits to three octets. A line of 76
** characters and CRLF, of which nearly all mail consists, is decided as one; others step by step: what
** stands before a line end is kept, and the next step begins behind it.
** Encoding spreads three octets to four values by two multiplications, and adds the offset of the
** range that the value is in.
*/
#include "mime/base64.h"

#if LM_X86

/* By the lower half of a character: one bit for each kind of upper half with which it is no letter. */
#define LOW                                                                                        \
  0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a
/* By the upper half: its kind. */
#define HIGH                                                                                       \
  0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10
/* By the upper half, less one for the slash: what makes the value of the character. */
#define MOVE 0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0
/* Three octets of each four, the last one first. */
#define JOIN 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1
/* Three octets so that each of four values lies in one word. */
#define SPREAD 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10
/* By the range of a value (A-Z counts as 0 and is taken last): what makes the character. */
#define RANGES 65, 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0

/* Steps over lines while there are 32 characters; stops where neither a letter nor a line end is.
** `line` decides the 78 octets of a usual line, `step` a part of any other. */
#define DECODE_LINES(name, level, line, step, width)                                               \
  level size_t name(const char *p, size_t n, char *out, size_t *written_out) {                     \
    size_t i = 0;                                                                                  \
    char *from = out;                                                                              \
    while (n - i >= 34) {                                                                          \
      unsigned good;                                                                               \
      if (n - i >= 96 && p[i + 76] == '\r' && p[i + 77] == '\n' && line(p + i, out)) {             \
        i += 78;                                                                                   \
        out += 57;                                                                                 \
        continue;                                                                                  \
      }                                                                                            \
      good = step(p + i, out);                                                                     \
      i += good & ~3u;                                                                             \
      out += (good >> 2) * 3;                                                                      \
      if (good == width) continue;                                                                 \
      if (good & 3) break;                                                                         \
      if (p[i] == '\r' && p[i + 1] == '\n')                                                        \
        i += 2;                                                                                    \
      else if (p[i] == '\n')                                                                       \
        i++;                                                                                       \
      else                                                                                         \
        break;                                                                                     \
    }                                                                                              \
    *written_out = (size_t)(out - from);                                                           \
    return i;                                                                                      \
  }

/* --- 16 octets ---------------------------------------------------------------------------------- */

/* 16 characters: 12 octets to `out` (16 are written); a bit for each that is no letter. */
LM_SSSE3 static inline unsigned bad_16(const char *p, char *out) {
  const __m128i half = _mm_set1_epi8(0x0f);
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i high = _mm_and_si128(_mm_srli_epi32(v, 4), half), low = _mm_and_si128(v, half);
  __m128i bad = _mm_and_si128(_mm_shuffle_epi8(_mm_setr_epi8(LOW), low),
                              _mm_shuffle_epi8(_mm_setr_epi8(HIGH), high));
  __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));
  __m128i value = _mm_add_epi8(v, _mm_shuffle_epi8(_mm_setr_epi8(MOVE), _mm_add_epi8(high, slash)));
  __m128i pairs = _mm_maddubs_epi16(value, _mm_set1_epi32(0x01400140));
  __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
  _mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(fours, _mm_setr_epi8(JOIN)));
  return 0xffffu ^ (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128()));
}

/* How many characters at the front are letters. */
LM_SSSE3 static inline unsigned step_16(const char *p, char *out) {
  return (unsigned)__builtin_ctz(bad_16(p, out) | 0x10000u);
}

LM_SSSE3 static inline bool line_16(const char *p, char *out) {
  unsigned bad = bad_16(p, out);
  bad |= bad_16(p + 16, out + 12);
  bad |= bad_16(p + 32, out + 24);
  bad |= bad_16(p + 48, out + 36);
  return (bad | (bad_16(p + 64, out + 48) & 0xfffu)) == 0;
}

DECODE_LINES(lm_base64_decode_ssse3, LM_SSSE3, line_16, step_16, 16)

/* 12 octets to 16 characters; 16 octets are read. */
LM_SSSE3 static inline void encode_12(const char *p, char *out) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p), a, b, value, range;
  v = _mm_shuffle_epi8(v, _mm_setr_epi8(SPREAD));
  a = _mm_mulhi_epu16(_mm_and_si128(v, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
  b = _mm_mullo_epi16(_mm_and_si128(v, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
  value = _mm_or_si128(a, b);
  range = _mm_subs_epu8(value, _mm_set1_epi8(51));
  range = _mm_sub_epi8(range, _mm_cmpgt_epi8(value, _mm_set1_epi8(25)));
  range = _mm_shuffle_epi8(_mm_setr_epi8(RANGES), range);
  _mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi8(value, range));
}

LM_SSSE3 size_t lm_base64_encode_ssse3(const char *p, size_t n, char *out) {
  size_t i = 0;
  for (; n - i >= 16; i += 12, out += 16) encode_12(p + i, out);
  return i;
}

/* The last step of a line reads 7 octets of the next, and writes 4 characters beyond it. */
LM_SSSE3 size_t lm_base64_lines_ssse3(const char *p, size_t lines, char *out) {
  size_t i;
  for (i = 0; i + 1 < lines; i++, p += 57, out += 78) {
    unsigned k;
    for (k = 0; k < 5; k++) encode_12(p + k * 12, out + k * 16);
    out[76] = '\r';
    out[77] = '\n';
  }
  return i;
}

/* --- 32 octets ---------------------------------------------------------------------------------- */

/* 32 characters: 24 octets to `out` (28 are written); a bit for each that is no letter. */
LM_AVX2 static inline unsigned bad_32(const char *p, char *out) {
  const __m256i half = _mm256_set1_epi8(0x0f);
  __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i high = _mm256_and_si256(_mm256_srli_epi32(v, 4), half), low = _mm256_and_si256(v, half);
  __m256i bad = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_setr_epi8(LOW, LOW), low),
                                 _mm256_shuffle_epi8(_mm256_setr_epi8(HIGH, HIGH), high));
  __m256i slash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('/'));
  __m256i value = _mm256_add_epi8(
      v, _mm256_shuffle_epi8(_mm256_setr_epi8(MOVE, MOVE), _mm256_add_epi8(high, slash)));
  __m256i pairs = _mm256_maddubs_epi16(value, _mm256_set1_epi32(0x01400140));
  __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
  fours = _mm256_shuffle_epi8(fours, _mm256_setr_epi8(JOIN, JOIN));
  _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(fours));
  _mm_storeu_si128((__m128i *)(void *)(out + 12), _mm256_extracti128_si256(fours, 1));
  return ~(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bad, _mm256_setzero_si256()));
}

LM_AVX2 static inline unsigned step_32(const char *p, char *out) {
  unsigned bad = bad_32(p, out);
  return bad ? (unsigned)__builtin_ctz(bad) : 32;
}

LM_AVX2 static inline bool line_32(const char *p, char *out) {
  unsigned bad = bad_32(p, out);
  bad |= bad_32(p + 32, out + 24);
  return (bad | (bad_32(p + 64, out + 48) & 0xfffu)) == 0;
}

DECODE_LINES(lm_base64_decode_avx2, LM_AVX2, line_32, step_32, 32)

/* 24 octets to 32 characters; 28 octets are read. */
LM_AVX2 static inline void encode_24(const char *p, char *out) {
  __m128i left = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i right = _mm_loadu_si128((const __m128i *)(const void *)(p + 12));
  __m256i v = _mm256_set_m128i(right, left), a, b, value, range;
  v = _mm256_shuffle_epi8(v, _mm256_setr_epi8(SPREAD, SPREAD));
  a = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)),
                         _mm256_set1_epi32(0x04000040));
  b = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)),
                         _mm256_set1_epi32(0x01000010));
  value = _mm256_or_si256(a, b);
  range = _mm256_subs_epu8(value, _mm256_set1_epi8(51));
  range = _mm256_sub_epi8(range, _mm256_cmpgt_epi8(value, _mm256_set1_epi8(25)));
  range = _mm256_shuffle_epi8(_mm256_setr_epi8(RANGES, RANGES), range);
  _mm256_storeu_si256((__m256i *)(void *)out, _mm256_add_epi8(value, range));
}

LM_AVX2 size_t lm_base64_encode_avx2(const char *p, size_t n, char *out) {
  size_t i = 0;
  for (; n - i >= 28; i += 24, out += 32) encode_24(p + i, out);
  return i;
}

/* The last step of a line reads 19 octets of the next, and writes 20 characters beyond it. */
LM_AVX2 size_t lm_base64_lines_avx2(const char *p, size_t lines, char *out) {
  size_t i;
  for (i = 0; i + 1 < lines; i++, p += 57, out += 78) {
    encode_24(p, out);
    encode_24(p + 24, out + 32);
    encode_24(p + 48, out + 64);
    out[76] = '\r';
    out[77] = '\n';
  }
  return i;
}

#else
/* No translation unit is empty. */
typedef int lm_base64_x86_unused;
#endif
