/*
** scan.c: the searches over whole messages. SSE2 is part of every x86-64; AVX2 is asked for.
*/
#include "mime/scan.h"

/* --- plain C ------------------------------------------------------------------------------------ */

static const char *line_end_plain(const char *p, const char *end) {
  while (p < end && *p != '\r' && *p != '\n') p++;
  return p;
}

static const char *hyphens_plain(const char *p, const char *end) {
  for (p++; p < end - 1; p++) {
    if (*p == '-' && p[1] == '-' && (p[-1] == '\n' || p[-1] == '\r')) return p;
  }
  return end;
}

/* --- x86 ---------------------------------------------------------------------------------------- */

#if LM_X86
static __m256i LM_AVX2 load_32(const char *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static unsigned LM_AVX2 line_ends_32(__m256i v) {
  return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(
      _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\n')), _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\r'))));
}

/* Bit i: a hyphen at p[i] and p[i + 1]. Line ends are looked at only where there is one. */
static unsigned LM_AVX2 hyphens_32(const char *p) {
  const __m256i hyphen = _mm256_set1_epi8('-');
  __m256i first = _mm256_cmpeq_epi8(load_32(p), hyphen);
  __m256i second = _mm256_cmpeq_epi8(load_32(p + 1), hyphen);
  return (unsigned)_mm256_movemask_epi8(_mm256_and_si256(first, second));
}

LM_AVX2 static const char *line_end_avx2(const char *p, const char *end) {
  for (; end - p >= 32; p += 32) {
    unsigned found = line_ends_32(load_32(p));
    if (found) return p + __builtin_ctz(found);
  }
  return line_end_plain(p, end);
}

/* What is looked for among the 32 octets behind `p`; NULL where it is not there. */
LM_AVX2 static inline const char *hyphens_behind(const char *p) {
  unsigned found = hyphens_32(p + 1);
  if (found) found &= line_ends_32(load_32(p));
  return found ? p + 1 + __builtin_ctz(found) : NULL;
}

/* base64 has no hyphen at all, text few: four blocks are passed over with one question. */
LM_AVX2 static inline bool no_hyphen_128(const char *p) {
  const __m256i hyphen = _mm256_set1_epi8('-');
  __m256i a = _mm256_cmpeq_epi8(load_32(p), hyphen);
  __m256i b = _mm256_cmpeq_epi8(load_32(p + 32), hyphen);
  __m256i c = _mm256_cmpeq_epi8(load_32(p + 64), hyphen);
  __m256i d = _mm256_cmpeq_epi8(load_32(p + 96), hyphen);
  __m256i any = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
  return _mm256_testz_si256(any, any) != 0;
}

LM_AVX2 static const char *hyphens_avx2(const char *p, const char *end) {
  while (end - p >= 34) {
    const char *found;
    if (end - p >= 129 && no_hyphen_128(p + 1)) {
      p += 128;
      continue;
    }
    if ((found = hyphens_behind(p)) != NULL) return found;
    p += 32;
  }
  return hyphens_plain(p, end);
}

#if defined(__SSE2__)
static __m128i load_16(const char *p) {
  return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static unsigned line_ends_16(__m128i v) {
  return (unsigned)_mm_movemask_epi8(
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'))));
}

static const char *line_end_sse2(const char *p, const char *end) {
  for (; end - p >= 16; p += 16) {
    unsigned found = line_ends_16(load_16(p));
    if (found) return p + __builtin_ctz(found);
  }
  return line_end_plain(p, end);
}

static const char *hyphens_sse2(const char *p, const char *end) {
  const __m128i hyphen = _mm_set1_epi8('-');
  for (; end - p >= 18; p += 16) {
    __m128i both = _mm_and_si128(_mm_cmpeq_epi8(load_16(p + 1), hyphen),
                                 _mm_cmpeq_epi8(load_16(p + 2), hyphen));
    unsigned found = (unsigned)_mm_movemask_epi8(both);
    if (found) found &= line_ends_16(load_16(p));
    if (found) return p + 1 + __builtin_ctz(found);
  }
  return hyphens_plain(p, end);
}
#else
#define line_end_sse2 line_end_plain
#define hyphens_sse2 hyphens_plain
#endif
#endif

/* --- what is called ----------------------------------------------------------------------------- */

const char *lm_scan_line_end_with(enum lm_vector level, const char *p, const char *end) {
#if LM_X86
  if (level == LM_VECTOR_AVX2) return line_end_avx2(p, end);
  if (level == LM_VECTOR_SSSE3) return line_end_sse2(p, end);
#endif
  (void)level;
  return line_end_plain(p, end);
}

const char *lm_scan_hyphens_with(enum lm_vector level, const char *p, const char *end) {
  if (end - p < 3) return end;
#if LM_X86
  if (level == LM_VECTOR_AVX2) return hyphens_avx2(p, end);
  if (level == LM_VECTOR_SSSE3) return hyphens_sse2(p, end);
#endif
  (void)level;
  return hyphens_plain(p, end);
}

const char *lm_scan_line_end(const char *p, const char *end) {
  return lm_scan_line_end_with(lm_vector_best(), p, end);
}

const char *lm_scan_hyphens(const char *p, const char *end) {
  return lm_scan_hyphens_with(lm_vector_best(), p, end);
}
