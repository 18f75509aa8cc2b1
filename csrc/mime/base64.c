/*
** base64.c: the inner loops of base64, in plain C and for vectors of 16 and 32 octets.
**
** Decoding looks at 32 characters at a time: each is checked against the sets that its two halves
** allow, moved to its value by an offset that its upper half tells, and four values of six bits are
** joined to three octets. A line end inside of them costs nothing: what stands before it is kept, and
** the next step begins behind it. Lines of 76 columns take three steps.
*/
#include "mime/base64.h"

#include "mime/vector.h"

const unsigned char lm_base64_values[256] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 62,  255, 255, 255, 63,  52,  53,  54,  55,  56,  57,  58,  59,  60,
    61,  255, 255, 255, 255, 255, 255, 255, 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,
    11,  12,  13,  14,  15,  16,  17,  18,  19,  20,  21,  22,  23,  24,  25,  255, 255, 255, 255,
    255, 255, 26,  27,  28,  29,  30,  31,  32,  33,  34,  35,  36,  37,  38,  39,  40,  41,  42,
    43,  44,  45,  46,  47,  48,  49,  50,  51,  255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255,
};

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* --- plain C ------------------------------------------------------------------------------------ */

/* Decodes quanta up to the first character that is none of the alphabet. */
static size_t decode_plain(const char *p, size_t n, char *out) {
  const unsigned char *s = (const unsigned char *)p;
  size_t i;
  for (i = 0; i + 4 <= n; i += 4) {
    unsigned a = lm_base64_values[s[i]], b = lm_base64_values[s[i + 1]];
    unsigned c = lm_base64_values[s[i + 2]], d = lm_base64_values[s[i + 3]];
    if ((a | b | c | d) > 63) break;
    *out++ = (char)(a << 2 | b >> 4);
    *out++ = (char)(b << 4 | c >> 2);
    *out++ = (char)(c << 6 | d);
  }
  return i;
}

static void encode_plain(const char *p, size_t n, char *out) {
  const unsigned char *s = (const unsigned char *)p;
  size_t i;
  for (i = 0; i + 3 <= n; i += 3) {
    unsigned v = (unsigned)s[i] << 16 | (unsigned)s[i + 1] << 8 | s[i + 2];
    *out++ = letters[v >> 18];
    *out++ = letters[v >> 12 & 63];
    *out++ = letters[v >> 6 & 63];
    *out++ = letters[v & 63];
  }
}

/* --- vectors ------------------------------------------------------------------------------------ */

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

/* One step of 16 characters: 12 octets to `out` (16 are written); how many characters at the front
** are letters. */
LM_SSSE3 static unsigned decode_16(const char *p, char *out) {
  const __m128i half = _mm_set1_epi8(0x0f);
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i high = _mm_and_si128(_mm_srli_epi32(v, 4), half), low = _mm_and_si128(v, half);
  __m128i bad = _mm_and_si128(_mm_shuffle_epi8(_mm_setr_epi8(LOW), low),
                              _mm_shuffle_epi8(_mm_setr_epi8(HIGH), high));
  __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));
  __m128i value = _mm_add_epi8(v, _mm_shuffle_epi8(_mm_setr_epi8(MOVE), _mm_add_epi8(high, slash)));
  __m128i pairs = _mm_maddubs_epi16(value, _mm_set1_epi32(0x01400140));
  __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
  unsigned good = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128()));
  _mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(fours, _mm_setr_epi8(JOIN)));
  return (unsigned)__builtin_ctz(~good | 0x10000u);
}

LM_AVX2 static unsigned decode_32(const char *p, char *out) {
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
  unsigned bad_bits =
      ~(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bad, _mm256_setzero_si256()));
  fours = _mm256_shuffle_epi8(fours, _mm256_setr_epi8(JOIN, JOIN));
  fours = _mm256_permutevar8x32_epi32(fours, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
  _mm256_storeu_si256((__m256i *)(void *)out, fours);
  return bad_bits ? (unsigned)__builtin_ctz(bad_bits) : 32;
}

/* Steps over lines while there are 32 characters; stops where neither a letter nor a line end is. */
#define DECODE_LINES(name, level, step, width)                                                     \
  level static size_t name(const char *p, size_t n, char *out, size_t *written_out) {              \
    size_t i = 0;                                                                                  \
    char *from = out;                                                                              \
    while (n - i >= 34) {                                                                          \
      unsigned good = step(p + i, out);                                                            \
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

DECODE_LINES(decode_ssse3, LM_SSSE3, decode_16, 16)
DECODE_LINES(decode_avx2, LM_AVX2, decode_32, 32)

/* 24 octets to 32 characters: six bits each, then the offset of the range that the value is in. */
LM_AVX2 static void encode_24(const char *p, char *out) {
  __m128i left = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i right = _mm_loadu_si128((const __m128i *)(const void *)(p + 12));
  __m256i v = _mm256_set_m128i(right, left), a, b, value, range;
  v = _mm256_shuffle_epi8(v, _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, 1,
                                              0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
  a = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)),
                         _mm256_set1_epi32(0x04000040));
  b = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)),
                         _mm256_set1_epi32(0x01000010));
  value = _mm256_or_si256(a, b);
  range = _mm256_subs_epu8(value, _mm256_set1_epi8(51));
  range = _mm256_sub_epi8(range, _mm256_cmpgt_epi8(value, _mm256_set1_epi8(25)));
  range = _mm256_shuffle_epi8(_mm256_setr_epi8(65, 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19,
                                               -16, 0, 0, 65, 71, -4, -4, -4, -4, -4, -4, -4, -4,
                                               -4, -4, -19, -16, 0, 0),
                              range);
  _mm256_storeu_si256((__m256i *)(void *)out, _mm256_add_epi8(value, range));
}

/* The last read of a step reaches four octets beyond it. */
LM_AVX2 static size_t encode_avx2(const char *p, size_t n, char *out) {
  size_t i = 0;
  for (; n - i >= 28; i += 24, out += 32) encode_24(p + i, out);
  return i;
}
#endif

/* --- what is called ----------------------------------------------------------------------------- */

static size_t decode_vectors(const char *p, size_t n, char *out, size_t *written_out) {
  *written_out = 0;
#if LM_X86
  if (n >= 34 && LM_HAS_AVX2()) return decode_avx2(p, n, out, written_out);
  if (n >= 34 && LM_HAS_SSSE3()) return decode_ssse3(p, n, out, written_out);
#else
  (void)p, (void)n, (void)out;
#endif
  return 0;
}

size_t lm_base64_decode_run(struct lm_str s, char *out, size_t *written_out) {
  size_t written, i = decode_vectors(s.p, s.n, out, &written);
  for (;;) {
    size_t n = decode_plain(s.p + i, s.n - i, out + written);
    i += n;
    written += n / 4 * 3;
    if (s.n - i >= 2 && s.p[i] == '\r' && s.p[i + 1] == '\n')
      i += 2;
    else if (i < s.n && s.p[i] == '\n')
      i++;
    else
      break;
  }
  *written_out = written;
  return i;
}

void lm_base64_encode_run(const char *p, size_t n, char *out) {
  size_t i = 0;
#if LM_X86
  if (n >= 28 && LM_HAS_AVX2()) i = encode_avx2(p, n, out);
#endif
  encode_plain(p + i, n - i, out + i / 3 * 4);
}
