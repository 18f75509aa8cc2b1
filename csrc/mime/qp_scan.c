/*
** qp_scan.c: the inner loops of quoted-printable, in plain C and for vectors of 16 and 32 octets.
**
** A step copies its vector whole and asks afterwards how much of it was ordinary, so ordinary text
** goes at the speed of a copy. White space is looked at together with the octet behind it: only what
** may stand at the end of a line is of interest.
*/
#include "mime/qp.h"

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

static size_t safe_scalar(const char *p, size_t n, char *out) {
  size_t i;
  for (i = 0; i < n && lm_is(p[i], LM_PRINT | LM_SPACE) && p[i] != '='; i++) out[i] = p[i];
  return i;
}

/* The loop of every level: `step` copies `width` octets and gives a word that is 0 where all of them
** are ordinary; `place` turns it into how many at the front are. `more` octets beyond are read. */
#define COPY(name, level, step, place, width, more)                                                \
  level static size_t name(const char *p, size_t n, char *out) {                                   \
    size_t i;                                                                                      \
    for (i = 0; n - i >= (width) + (more); i += (width)) {                                         \
      uint64_t odd = step(p + i, out + i);                                                         \
      if (odd) return i + place(odd);                                                              \
    }                                                                                              \
    return i;                                                                                      \
  }

#if LM_X86

#define FIRST_BIT(odd) (size_t) __builtin_ctzll(odd)

/* A bit for each octet that ends a plain run. */
LM_SSSE3 static inline uint64_t plain_16(const char *p, char *out) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
  __m128i blank =
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')));
  __m128i line = _mm_or_si128(_mm_cmpeq_epi8(next, _mm_set1_epi8('\r')),
                              _mm_cmpeq_epi8(next, _mm_set1_epi8('\n')));
  __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_and_si128(blank, line));
  _mm_storeu_si128((__m128i *)(void *)out, v);
  return (unsigned)_mm_movemask_epi8(odd);
}

/* Signed octets: what is beyond 127 is below the space. */
LM_SSSE3 static inline uint64_t safe_16(const char *p, char *out) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')),
                                     _mm_cmpgt_epi8(_mm_set1_epi8(' '), v));
  __m128i other =
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('=')), _mm_cmpeq_epi8(v, _mm_set1_epi8(127)));
  _mm_storeu_si128((__m128i *)(void *)out, v);
  return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, other));
}

LM_AVX2 static inline uint64_t plain_32(const char *p, char *out) {
  __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i next = _mm256_loadu_si256((const __m256i *)(const void *)(p + 1));
  __m256i blank = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(' ')),
                                  _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t')));
  __m256i line = _mm256_or_si256(_mm256_cmpeq_epi8(next, _mm256_set1_epi8('\r')),
                                 _mm256_cmpeq_epi8(next, _mm256_set1_epi8('\n')));
  __m256i odd =
      _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('=')), _mm256_and_si256(blank, line));
  _mm256_storeu_si256((__m256i *)(void *)out, v);
  return (unsigned)_mm256_movemask_epi8(odd);
}

LM_AVX2 static inline uint64_t safe_32(const char *p, char *out) {
  __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i control = _mm256_andnot_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t')),
                                        _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), v));
  __m256i other = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('=')),
                                  _mm256_cmpeq_epi8(v, _mm256_set1_epi8(127)));
  _mm256_storeu_si256((__m256i *)(void *)out, v);
  return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(control, other));
}

COPY(plain_ssse3, LM_SSSE3, plain_16, FIRST_BIT, 16u, 1u)
COPY(safe_ssse3, LM_SSSE3, safe_16, FIRST_BIT, 16u, 0u)
COPY(plain_avx2, LM_AVX2, plain_32, FIRST_BIT, 32u, 1u)
COPY(safe_avx2, LM_AVX2, safe_32, FIRST_BIT, 32u, 0u)
#endif

#if LM_NEON

/* Four bits for each octet. */
#define FIRST_NIBBLE(odd) ((size_t)__builtin_ctzll(odd) >> 2)

static inline uint64_t nibbles(uint8x16_t v) {
  return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(v), 4)), 0);
}

static inline uint64_t plain_neon_16(const char *p, char *out) {
  uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)p);
  uint8x16_t next = vld1q_u8((const uint8_t *)(const void *)(p + 1));
  uint8x16_t blank = vorrq_u8(vceqq_u8(v, vdupq_n_u8(' ')), vceqq_u8(v, vdupq_n_u8('\t')));
  uint8x16_t line = vorrq_u8(vceqq_u8(next, vdupq_n_u8('\r')), vceqq_u8(next, vdupq_n_u8('\n')));
  vst1q_u8((uint8_t *)(void *)out, v);
  return nibbles(vorrq_u8(vceqq_u8(v, vdupq_n_u8('=')), vandq_u8(blank, line)));
}

static inline uint64_t safe_neon_16(const char *p, char *out) {
  uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)p);
  uint8x16_t control = vbicq_u8(vcltq_u8(v, vdupq_n_u8(' ')), vceqq_u8(v, vdupq_n_u8('\t')));
  uint8x16_t other = vorrq_u8(vceqq_u8(v, vdupq_n_u8('=')), vcgeq_u8(v, vdupq_n_u8(127)));
  vst1q_u8((uint8_t *)(void *)out, v);
  return nibbles(vorrq_u8(control, other));
}

COPY(plain_neon, , plain_neon_16, FIRST_NIBBLE, 16u, 1u)
COPY(safe_neon, , safe_neon_16, FIRST_NIBBLE, 16u, 0u)
#endif

/* --- levels ------------------------------------------------------------------------------------- */

/* Plain C goes on where the vectors stop, and finds the same end. */
size_t lm_qp_copy_plain(enum lm_vector level, const char *p, size_t n, char *out) {
  size_t i = 0;
#if LM_X86
  if (level == LM_VECTOR_AVX2) i = plain_avx2(p, n, out);
  if (level == LM_VECTOR_SSSE3) i = plain_ssse3(p, n, out);
#elif LM_NEON
  if (level == LM_VECTOR_NEON) i = plain_neon(p, n, out);
#else
  (void)level;
#endif
  return i + plain_scalar(p + i, n - i, out + i);
}

size_t lm_qp_copy_safe(enum lm_vector level, const char *p, size_t n, char *out) {
  size_t i = 0;
#if LM_X86
  if (level == LM_VECTOR_AVX2) i = safe_avx2(p, n, out);
  if (level == LM_VECTOR_SSSE3) i = safe_ssse3(p, n, out);
#elif LM_NEON
  if (level == LM_VECTOR_NEON) i = safe_neon(p, n, out);
#else
  (void)level;
#endif
  return i + safe_scalar(p + i, n - i, out + i);
}
