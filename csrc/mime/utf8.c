/*
** utf8.c: UTF-8, and ASCII in it.
**
** Whether a text is well formed is told by vectors where there are any: each octet and the one before it are
** looked up by their halves, in three tables of what is wrong with such a pair (one bit for each kind), and
** the third and fourth octets of a character are compared with the lead two and three octets before them. Plain
** C goes from character to character, and says where a text breaks.
*/
#include "mime/utf8.h"

#include <string.h>

#include "base/vector.h"

/* --- ASCII ------------------------------------------------------------------------------------- */

#define HIGH UINT64_C(0x8080808080808080)

/* How many octets stand before the first from 0x80 on, of eight in which there is one. */
static inline size_t before_high(uint64_t high) {
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return (size_t)__builtin_ctzll(high) / 8;
#else
  const unsigned char *octets = (const unsigned char *)&high;
  size_t n = 0;
  while (octets[n] == 0) n++;
  return n;
#endif
}

size_t lm_ascii_span(struct lm_str s) {
  uint64_t w[4];
  size_t i = 0;
  while (s.n - i >= 32) {
    memcpy(w, s.p + i, 32);
    if ((w[0] | w[1] | w[2] | w[3]) & HIGH) break;
    i += 32;
  }
  for (; s.n - i >= 8; i += 8) {
    memcpy(w, s.p + i, 8);
    if (w[0] & HIGH) return i + before_high(w[0] & HIGH);
  }
  while (i < s.n && !(s.p[i] & 0x80)) i++;
  return i;
}

const char *lm_ascii_copy(const char *p, const char *end, char **out) {
  char *o = *out;
#if LM_X86 && defined(__SSE2__)
  for (; end - p >= 32; p += 32, o += 32) {
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
    unsigned high = (unsigned)_mm_movemask_epi8(a) | (unsigned)_mm_movemask_epi8(b) << 16;
    _mm_storeu_si128((__m128i *)(void *)o, a);
    _mm_storeu_si128((__m128i *)(void *)(o + 16), b);
    if (high == 0) continue;
    *out = o + __builtin_ctz(high);
    return p + __builtin_ctz(high);
  }
#endif
  for (; end - p >= 8; p += 8, o += 8) {
    uint64_t w;
    size_t n;
    memcpy(&w, p, 8);
    memcpy(o, &w, 8);
    if ((w & HIGH) == 0) continue;
    n = before_high(w & HIGH);
    *out = o + n;
    return p + n;
  }
  while (p < end && !(*p & 0x80)) *o++ = *p++;
  *out = o;
  return p;
}

/* --- characters -------------------------------------------------------------------------------- */

static bool is_tail(const char *p, const char *end) {
  return p < end && (*p & 0xC0) == 0x80;
}

/*
** UTF8-2 = %xC2-DF UTF8-tail
** UTF8-3 = %xE0 %xA0-BF tail / %xE1-EC 2tail / %xED %x80-9F tail / %xEE-EF 2tail
** UTF8-4 = %xF0 %x90-BF 2tail / %xF1-F3 3tail / %xF4 %x80-8F 2tail
** The length of the character at `p`, to *n_out that of its well-formed beginning; 0 where it is
** broken.
*/
static size_t utf8_char(const char *p, const char *end, size_t *n_out) {
  unsigned lead = (unsigned char)p[0];
  unsigned second = p + 1 < end ? (unsigned char)p[1] : 0;
  size_t need = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  size_t n = 2;
  *n_out = 1;
  if (need == 0 || (second & 0xC0) != 0x80) return 0;
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;
  while (n < need && is_tail(p + n, end)) n++;
  *n_out = n;
  return n == need ? n : 0;
}

size_t lm_utf8_span(struct lm_str s) {
  const char *p = s.p;
  const char *end;
  size_t n = 0;
  if (s.n == 0) return 0;
  end = p + s.n;
  while (p < end) {
    if (*p & 0x80) {
      if (!utf8_char(p, end, &n)) break;
      p += n;
    } else {
      p += lm_ascii_span((struct lm_str){p, (size_t)(end - p)});
    }
  }
  return (size_t)(p - s.p);
}

/* --- vectors ------------------------------------------------------------------------------------ */

#if LM_X86

/* What may be wrong with an octet and the one before it. */
enum {
  TOO_SHORT = 1,        /* a lead octet, and no tail behind it */
  TOO_LONG = 2,         /* ASCII, and a tail behind it */
  OVERLONG_3 = 4,       /* E0 80..9F */
  TOO_LARGE = 8,        /* F4 90.., F5.. */
  SURROGATE = 16,       /* ED A0..BF */
  OVERLONG_2 = 32,      /* C0, C1 */
  BEYOND_80 = 64,       /* F5.. 80..8F, and F0 80..8F */
  TWO_TAILS = (int)128, /* right where they are the third and fourth of a character */
  ALWAYS = TOO_SHORT | TOO_LONG | TWO_TAILS
};

#define BYTE(x) (char)(unsigned char)(x)
#define FOUR(x) BYTE(x), BYTE(x), BYTE(x), BYTE(x)
#define BY_LEAD_HIGH                                                                               \
  FOUR(TOO_LONG), FOUR(TOO_LONG), FOUR(TWO_TAILS), BYTE(TOO_SHORT | OVERLONG_2), BYTE(TOO_SHORT),  \
      BYTE(TOO_SHORT | OVERLONG_3 | SURROGATE), BYTE(TOO_SHORT | TOO_LARGE | BEYOND_80)
#define BY_LEAD_LOW                                                                                \
  BYTE(ALWAYS | OVERLONG_3 | OVERLONG_2 | BEYOND_80), BYTE(ALWAYS | OVERLONG_2), BYTE(ALWAYS),     \
      BYTE(ALWAYS), BYTE(ALWAYS | TOO_LARGE), FOUR(ALWAYS | TOO_LARGE | BEYOND_80),                \
      FOUR(ALWAYS | TOO_LARGE | BEYOND_80), BYTE(ALWAYS | TOO_LARGE | BEYOND_80 | SURROGATE),      \
      BYTE(ALWAYS | TOO_LARGE | BEYOND_80), BYTE(ALWAYS | TOO_LARGE | BEYOND_80)
#define BY_TAIL_HIGH                                                                               \
  FOUR(TOO_SHORT), FOUR(TOO_SHORT),                                                                \
      BYTE(TOO_LONG | OVERLONG_2 | TWO_TAILS | OVERLONG_3 | BEYOND_80),                            \
      BYTE(TOO_LONG | OVERLONG_2 | TWO_TAILS | OVERLONG_3 | TOO_LARGE),                            \
      BYTE(TOO_LONG | OVERLONG_2 | TWO_TAILS | SURROGATE | TOO_LARGE),                             \
      BYTE(TOO_LONG | OVERLONG_2 | TWO_TAILS | SURROGATE | TOO_LARGE), FOUR(TOO_SHORT)

struct checked {
  __m256i before; /* the block before */
  __m256i wrong;  /* not zero where anything was */
};

LM_AVX2 static inline __m256i high_half(__m256i v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0F));
}

/* Octets from 0xE0 on two before, from 0xF0 on three before: where a tail must be. */
LM_AVX2 static inline __m256i must_be_tails(__m256i two, __m256i three) {
  __m256i third = _mm256_subs_epu8(two, _mm256_set1_epi8(0xE0 - 0x80));
  __m256i fourth = _mm256_subs_epu8(three, _mm256_set1_epi8(0xF0 - 0x80));
  return _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(BYTE(0x80)));
}

LM_AVX2 static inline void check_32(struct checked *c, __m256i v) {
  __m256i over = _mm256_permute2x128_si256(c->before, v, 0x21);
  __m256i one = _mm256_alignr_epi8(v, over, 15);
  __m256i high = _mm256_shuffle_epi8(_mm256_setr_epi8(BY_LEAD_HIGH, BY_LEAD_HIGH), high_half(one));
  __m256i low = _mm256_shuffle_epi8(_mm256_setr_epi8(BY_LEAD_LOW, BY_LEAD_LOW),
                                    _mm256_and_si256(one, _mm256_set1_epi8(0x0F)));
  __m256i tail = _mm256_shuffle_epi8(_mm256_setr_epi8(BY_TAIL_HIGH, BY_TAIL_HIGH), high_half(v));
  __m256i wrong = _mm256_and_si256(_mm256_and_si256(high, low), tail);
  __m256i must = must_be_tails(_mm256_alignr_epi8(v, over, 14), _mm256_alignr_epi8(v, over, 13));
  c->wrong = _mm256_or_si256(c->wrong, _mm256_xor_si256(must, wrong));
  c->before = v;
}

/* The last block is filled up with NUL, and one of NUL alone ends what was cut. */
LM_AVX2 static bool valid_avx2(const char *p, size_t n) {
  struct checked c = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  char rest[64] = {0};
  size_t i;
  for (i = 0; n - i >= 32; i += 32) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
    if (_mm256_movemask_epi8(_mm256_or_si256(v, c.before)) != 0)
      check_32(&c, v);
    else
      c.before = v;
  }
  memcpy(rest, p + i, n - i);
  check_32(&c, _mm256_loadu_si256((const __m256i *)(const void *)rest));
  check_32(&c, _mm256_setzero_si256());
  return _mm256_testz_si256(c.wrong, c.wrong) != 0;
}
#endif

bool lm_utf8_valid(struct lm_str s) {
#if LM_X86
  if (s.n >= 32 && lm_vector_best() == LM_VECTOR_AVX2) return valid_avx2(s.p, s.n);
#endif
  return lm_utf8_span(s) == s.n;
}

/* --- repair ------------------------------------------------------------------------------------- */

/* Each longest beginning of a character that breaks off becomes one U+FFFD (Unicode §3.9). */
bool lm_utf8_repair(struct lm_arena *a, struct lm_str s, struct lm_str *utf8_out) {
  const char *p = s.p;
  const char *end = s.p + s.n;
  size_t good;
  size_t broken = 0;
  char *out;
  char *o;
  *utf8_out = s;
  if (lm_utf8_valid(s)) return true;
  if (s.n > SIZE_MAX / 3 || (out = lm_arena_alloc(a, s.n * 3)) == NULL) return false;
  o = out;
  good = lm_utf8_span(s);
  while (p < end) {
    memcpy(o, p, good);
    o += good;
    p += good;
    if (p == end) break;
    utf8_char(p, end, &broken);
    memcpy(o, LM_UTF8_REPLACEMENT, 3);
    o += 3;
    p += broken;
    good = lm_utf8_span((struct lm_str){p, (size_t)(end - p)});
  }
  *utf8_out = (struct lm_str){out, (size_t)(o - out)};
  return true;
}
