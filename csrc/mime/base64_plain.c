/*
** base64_plain.c: decoding base64 without vectors.
**
** Each of the four characters of a quantum has a table of its own, which gives its bits where they belong in
** the three octets; so a quantum is four look-ups, joined. A character that is none of the alphabet sets a bit
** above the octets: a line of 76 characters is decided once, as one.
*/
#include <string.h>

#include "mime/base64.h"

#define BAD 0x1000000u

#define VALUE(c)                                                                                   \
  ((c) >= 'A' && (c) <= 'Z'   ? (c) - 'A'                                                          \
   : (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                                     \
   : (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                                     \
   : (c) == '+'               ? 62                                                                 \
   : (c) == '/'               ? 63                                                                 \
                              : 64)

/* The octets of a quantum lie in a word from its lowest octet on. */
#define FIRST(c) (VALUE(c) > 63 ? BAD : VALUE(c) << 2)
#define SECOND(c) (VALUE(c) > 63 ? BAD : VALUE(c) >> 4 | (VALUE(c) & 15) << 12)
#define THIRD(c) (VALUE(c) > 63 ? BAD : VALUE(c) >> 2 << 8 | (VALUE(c) & 3) << 22)
#define FOURTH(c) (VALUE(c) > 63 ? BAD : VALUE(c) << 16)

#define FOUR(f, c) f(c), f((c) + 1), f((c) + 2), f((c) + 3)
#define SIXTEEN(f, c) FOUR(f, c), FOUR(f, (c) + 4), FOUR(f, (c) + 8), FOUR(f, (c) + 12)
#define SIXTY_FOUR(f, c)                                                                           \
  SIXTEEN(f, c), SIXTEEN(f, (c) + 16), SIXTEEN(f, (c) + 32), SIXTEEN(f, (c) + 48)
#define ALL(f) SIXTY_FOUR(f, 0), SIXTY_FOUR(f, 64), SIXTY_FOUR(f, 128), SIXTY_FOUR(f, 192)

static const uint32_t first[256] = {ALL(FIRST)}, second[256] = {ALL(SECOND)};
static const uint32_t third[256] = {ALL(THIRD)}, fourth[256] = {ALL(FOURTH)};

/* Writes three octets, and perhaps one behind them. Returns the word: more than they take where a character
** was none. */
static inline uint32_t quantum(const unsigned char *s, char *out) {
  uint32_t word = first[s[0]] | second[s[1]] | third[s[2]] | fourth[s[3]];
#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__) &&                                 \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(out, &word, 4);
#else
  out[0] = (char)word;
  out[1] = (char)(word >> 8);
  out[2] = (char)(word >> 16);
#endif
  return word;
}

/* A usual line, 76 characters; false where one is none of the alphabet. */
static bool line(const unsigned char *s, char *out) {
  const unsigned char *end = s + 76;
  uint32_t all = quantum(s, out) | quantum(s + 4, out + 3) | quantum(s + 8, out + 6);
  for (s += 12, out += 9; s < end; s += 16, out += 12)
    all |= quantum(s, out) | quantum(s + 4, out + 3) | quantum(s + 8, out + 6) |
           quantum(s + 12, out + 9);
  return all < BAD;
}

size_t lm_base64_decode_plain(const char *p, size_t n, char *out, size_t *written_out) {
  const unsigned char *s = (const unsigned char *)p;
  const char *from = out;
  size_t i = 0;
  for (;;) {
    while (n - i >= 78 && s[i + 76] == '\r' && s[i + 77] == '\n' && line(s + i, out)) {
      i += 78;
      out += 57;
    }
    for (; n - i >= 4 && quantum(s + i, out) < BAD; i += 4) out += 3;
    if (n - i >= 2 && s[i] == '\r' && s[i + 1] == '\n')
      i += 2;
    else if (i < n && s[i] == '\n')
      i++;
    else
      break;
  }
  *written_out = (size_t)(out - from);
  return i;
}
