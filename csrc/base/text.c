/*
** text.c: numbers, base64 and hex between bytes and text.
*/
#include "base/text.h"

#include "base/cursor.h"

bool lm_to_u32(struct lm_str s, uint32_t *n_out) {
  struct lm_cursor c = lm_cursor(s);
  return lm_take_u32(&c, n_out) && lm_at_end(&c);
}

bool lm_to_u64(struct lm_str s, uint64_t *n_out) {
  struct lm_cursor c = lm_cursor(s);
  return lm_take_u64(&c, n_out) && lm_at_end(&c);
}

bool lm_buf_put_u64(struct lm_buf *b, uint64_t n) {
  char digits[20];
  size_t i = sizeof digits;
  do {
    digits[--i] = (char)('0' + n % 10);
  } while (n /= 10);
  return lm_buf_put(b, digits + i, sizeof digits - i);
}

bool lm_buf_puts(struct lm_buf *b, struct lm_str s) {
  return lm_buf_put(b, s.p, s.n);
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool lm_base64_encode(struct lm_buf *b, struct lm_str s) {
  size_t i, n = (s.n + 2) / 3 * 4;
  char *q;
  if (s.n == 0) return true;
  if (s.n > SIZE_MAX / 2 || (q = lm_buf_room(b, n)) == NULL) return false;
  for (i = 0; i < s.n; i += 3) {
    unsigned a = (unsigned char)s.p[i];
    unsigned m = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
    unsigned z = i + 2 < s.n ? (unsigned char)s.p[i + 2] : 0;
    *q++ = alphabet[a >> 2];
    *q++ = alphabet[(a & 3) << 4 | m >> 4];
    *q++ = i + 1 < s.n ? alphabet[(m & 15) << 2 | z >> 6] : '=';
    *q++ = i + 2 < s.n ? alphabet[z & 63] : '=';
  }
  lm_buf_added(b, n);
  return true;
}

static unsigned sextet(char c) {
  if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
  if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 26;
  if (c >= '0' && c <= '9') return (unsigned)(c - '0') + 52;
  return c == '+' ? 62 : 63;
}

/* True where `s` is whole quads of the alphabet with nothing but padding at its end. */
static bool well_formed(struct lm_str s, size_t padding) {
  size_t i;
  if (s.n % 4 != 0) return false;
  for (i = 0; i < s.n - padding; i++) {
    if (!lm_is(s.p[i], LM_B64)) return false;
  }
  if (padding == 1) return (sextet(s.p[s.n - 2]) & 3) == 0;
  return padding == 0 || (sextet(s.p[s.n - 3]) & 15) == 0;
}

enum lm_base64 lm_base64_decode(struct lm_buf *b, struct lm_str s) {
  size_t i, padding = 0;
  char *q;
  if (s.n && s.p[s.n - 1] == '=') padding = s.n > 1 && s.p[s.n - 2] == '=' ? 2 : 1;
  if (!well_formed(s, padding)) return LM_BASE64_BAD;
  if (s.n == 0) return LM_BASE64_OK;
  if ((q = lm_buf_room(b, s.n / 4 * 3)) == NULL) return LM_BASE64_MEMORY;
  for (i = 0; i < s.n; i += 4) {
    unsigned bits = sextet(s.p[i]) << 18 | sextet(s.p[i + 1]) << 12 |
                    (s.p[i + 2] == '=' ? 0 : sextet(s.p[i + 2])) << 6 |
                    (s.p[i + 3] == '=' ? 0 : sextet(s.p[i + 3]));
    *q++ = (char)(bits >> 16);
    *q++ = (char)(bits >> 8 & 255);
    *q++ = (char)(bits & 255);
  }
  lm_buf_added(b, s.n / 4 * 3 - padding);
  return LM_BASE64_OK;
}

bool lm_hex_encode(struct lm_buf *b, struct lm_str s) {
  static const char hex[] = "0123456789abcdef";
  char *q;
  size_t i;
  if (s.n == 0) return true;
  if (s.n > SIZE_MAX / 2 || (q = lm_buf_room(b, s.n * 2)) == NULL) return false;
  for (i = 0; i < s.n; i++) {
    *q++ = hex[(unsigned char)s.p[i] >> 4];
    *q++ = hex[(unsigned char)s.p[i] & 15];
  }
  lm_buf_added(b, s.n * 2);
  return true;
}
