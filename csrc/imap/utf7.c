/*
** utf7.c: mailbox names between UTF-8 and modified UTF-7.
*/
#include "imap/utf7.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool direct(char c) {
  return c >= 0x20 && c <= 0x7e;
}

/* --- UTF-8 ------------------------------------------------------------------------------------ */

/* The code point at the front of `s` (at least one byte), its length to *len_out; -1 where it is no
** shortest form of a scalar value. */
static int32_t code_point(struct lm_str s, size_t *len_out) {
  static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned char b = (unsigned char)s.p[0];
  size_t i, n = b < 0x80 ? 1 : b < 0xc0 ? 0 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : b < 0xf8 ? 4 : 0;
  int32_t cp;
  if (n == 0 || n > s.n) return -1;
  *len_out = n;
  if (n == 1) return b;
  cp = b & (0x7f >> n);
  for (i = 1; i < n; i++) {
    if ((s.p[i] & 0xc0) != 0x80) return -1;
    cp = cp << 6 | (s.p[i] & 0x3f);
  }
  if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) return -1;
  return cp;
}

static bool put_utf8(struct lm_buf *out, uint32_t cp) {
  char b[4];
  size_t n = 0;
  if (cp < 0x80) {
    b[n++] = (char)cp;
  } else if (cp < 0x800) {
    b[n++] = (char)(0xc0 | cp >> 6);
    b[n++] = (char)(0x80 | (cp & 0x3f));
  } else if (cp < 0x10000) {
    b[n++] = (char)(0xe0 | cp >> 12);
    b[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    b[n++] = (char)(0x80 | (cp & 0x3f));
  } else {
    b[n++] = (char)(0xf0 | cp >> 18);
    b[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
    b[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    b[n++] = (char)(0x80 | (cp & 0x3f));
  }
  return lm_buf_put(out, b, n);
}

/* --- encoding --------------------------------------------------------------------------------- */

struct bits {
  uint32_t held;
  unsigned n;
};

static bool put_unit(struct lm_buf *out, struct bits *b, uint32_t unit) {
  b->held = b->held << 16 | unit;
  for (b->n += 16; b->n >= 6;) {
    b->n -= 6;
    if (!lm_buf_putc(out, alphabet[b->held >> b->n & 63])) return false;
  }
  return true;
}

static bool put_utf16(struct lm_buf *out, struct bits *b, uint32_t cp) {
  if (cp < 0x10000) return put_unit(out, b, cp);
  cp -= 0x10000;
  return put_unit(out, b, 0xd800 | cp >> 10) && put_unit(out, b, 0xdc00 | (cp & 0x3ff));
}

/* One run of code points that need encoding, from "&" to "-". */
static enum lm_utf7 put_run(struct lm_buf *out, struct lm_str *s) {
  struct bits b = {0, 0};
  if (!lm_buf_putc(out, '&')) return LM_UTF7_MEMORY;
  while (s->n && !direct(s->p[0])) {
    size_t len = 0;
    int32_t cp = code_point(*s, &len);
    if (cp < 0 || cp == 0 || cp == '\r' || cp == '\n') return LM_UTF7_BAD;
    if (!put_utf16(out, &b, (uint32_t)cp)) return LM_UTF7_MEMORY;
    *s = (struct lm_str){s->p + len, s->n - len};
  }
  if (b.n && !lm_buf_putc(out, alphabet[b.held << (6 - b.n) & 63])) return LM_UTF7_MEMORY;
  return lm_buf_putc(out, '-') ? LM_UTF7_OK : LM_UTF7_MEMORY;
}

enum lm_utf7 lm_utf7_encode(struct lm_buf *out, struct lm_str s) {
  while (s.n) {
    if (direct(s.p[0])) {
      bool ok = s.p[0] == '&' ? lm_buf_put(out, "&-", 2) : lm_buf_putc(out, s.p[0]);
      if (!ok) return LM_UTF7_MEMORY;
      s = (struct lm_str){s.p + 1, s.n - 1};
    } else {
      enum lm_utf7 got = put_run(out, &s);
      if (got != LM_UTF7_OK) return got;
    }
  }
  return LM_UTF7_OK;
}

/* --- decoding --------------------------------------------------------------------------------- */

static int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == ',' ? 63 : -1;
}

/* One UTF-16 unit; `high` is the first half of a pair that waits, or 0. */
static enum lm_utf7 take_unit(struct lm_buf *out, uint32_t unit, uint32_t *high) {
  bool low = unit >= 0xdc00 && unit <= 0xdfff;
  if (low != (*high != 0)) return LM_UTF7_BAD;
  if (unit >= 0xd800 && unit <= 0xdbff) {
    *high = unit;
    return LM_UTF7_OK;
  }
  if (low) unit = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
  *high = 0;
  if (unit == 0 || unit == '\r' || unit == '\n' || (unit < 0x80 && direct((char)unit))) {
    return LM_UTF7_BAD; /* printable ASCII has one form only: itself */
  }
  return put_utf8(out, unit) ? LM_UTF7_OK : LM_UTF7_MEMORY;
}

/* The base64 behind "&", with its "-". */
static enum lm_utf7 take_run(struct lm_buf *out, struct lm_str *s) {
  struct bits b = {0, 0};
  uint32_t high = 0;
  size_t i;
  for (i = 0; i < s->n && s->p[i] != '-'; i++) {
    int v = sextet(s->p[i]);
    if (v < 0) return LM_UTF7_BAD;
    b.held = b.held << 6 | (uint32_t)v;
    b.n += 6;
    if (b.n >= 16) {
      enum lm_utf7 got;
      b.n -= 16;
      got = take_unit(out, b.held >> b.n & 0xffff, &high);
      if (got != LM_UTF7_OK) return got;
    }
  }
  if (i == s->n || high || b.n >= 6 || (b.held & ((1u << b.n) - 1)) != 0) return LM_UTF7_BAD;
  *s = (struct lm_str){s->p + i + 1, s->n - i - 1};
  return LM_UTF7_OK;
}

/* What follows an "&": a run, or the "-" that makes it an ampersand. */
static enum lm_utf7 take_shift(struct lm_buf *out, struct lm_str *s) {
  enum lm_utf7 got;
  if (s->n && s->p[0] == '-') {
    *s = (struct lm_str){s->p + 1, s->n - 1};
    return lm_buf_putc(out, '&') ? LM_UTF7_OK : LM_UTF7_MEMORY;
  }
  got = take_run(out, s);
  if (got == LM_UTF7_OK && s->n >= 2 && s->p[0] == '&' && s->p[1] != '-') return LM_UTF7_BAD;
  return got; /* two runs that touch should have been one */
}

enum lm_utf7 lm_utf7_decode(struct lm_buf *out, struct lm_str s) {
  while (s.n) {
    char c = s.p[0];
    s = (struct lm_str){s.p + 1, s.n - 1};
    if (!direct(c)) return LM_UTF7_BAD;
    if (c != '&') {
      if (!lm_buf_putc(out, c)) return LM_UTF7_MEMORY;
    } else {
      enum lm_utf7 got = take_shift(out, &s);
      if (got != LM_UTF7_OK) return got;
    }
  }
  return LM_UTF7_OK;
}
