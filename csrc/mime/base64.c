/*
** base64.c: base64 for transfer.h: the machine that forgives, and encoding in plain C.
**
** Whole quanta go through decode_run. Where it stops, single characters are looked at until
** a quantum begins again, so garbage costs time but never more than a step for each octet.
*/
#include "mime/base64.h"

#include <string.h>

#include "mime/codec.h"

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

/* --- levels ------------------------------------------------------------------------------------- */

static size_t decode_vectors(enum lm_vector level, struct lm_str s, char *out,
                             size_t *written_out) {
  *written_out = 0;
  switch (level) {
#if LM_X86
  case LM_VECTOR_AVX2: return lm_base64_decode_avx2(s.p, s.n, out, written_out);
  case LM_VECTOR_SSSE3: return lm_base64_decode_ssse3(s.p, s.n, out, written_out);
#endif
#if LM_NEON
  case LM_VECTOR_NEON: return lm_base64_decode_neon(s.p, s.n, out, written_out);
#endif
  default: return 0;
  }
}

/* As lm_base64_decode_plain, with vectors where there are some. */
static size_t decode_run(enum lm_vector level, struct lm_str s, char *out, size_t *written_out) {
  size_t more, written, i = decode_vectors(level, s, out, &written);
  i += lm_base64_decode_plain(s.p + i, s.n - i, out + written, &more);
  *written_out = written + more;
  return i;
}

static size_t encode_vectors(enum lm_vector level, const char *p, size_t n, char *out) {
  switch (level) {
#if LM_X86
  case LM_VECTOR_AVX2: return lm_base64_encode_avx2(p, n, out);
  case LM_VECTOR_SSSE3: return lm_base64_encode_ssse3(p, n, out);
#endif
#if LM_NEON
  case LM_VECTOR_NEON: return lm_base64_encode_neon(p, n, out);
#endif
  default: (void)p, (void)n, (void)out; return 0;
  }
}

/* Encodes `n` octets, a multiple of 3, to n / 3 * 4 characters without line ends; room for those and
** the slack. */
static void encode_run(enum lm_vector level, const char *p, size_t n, char *out) {
  size_t i = encode_vectors(level, p, n, out);
  encode_plain(p + i, n - i, out + i / 3 * 4);
}

static size_t line_vectors(enum lm_vector level, const char *p, size_t lines, char *out) {
#if LM_X86
  if (level == LM_VECTOR_AVX2) return lm_base64_lines_avx2(p, lines, out);
  if (level == LM_VECTOR_SSSE3) return lm_base64_lines_ssse3(p, lines, out);
#else
  (void)level, (void)p, (void)lines, (void)out;
#endif
  return 0;
}

/* Encodes `lines` times 57 octets to lines of 76 characters and CRLF; room for those and the slack. */
static void encode_lines(enum lm_vector level, const char *p, size_t lines, char *out) {
  size_t i = line_vectors(level, p, lines, out);
  for (; i < lines; i++) {
    char *line = out + i * 78;
    encode_run(level, p + i * LM_BASE64_LINE, LM_BASE64_LINE, line);
    line[76] = '\r';
    line[77] = '\n';
  }
}

/* --- decoding ----------------------------------------------------------------------------------- */

/* `state`: how many `=` are still due, and whether the last quantum was padded. */
enum { DUE = 3, PADDED = 4 };

/* The octets of a quantum of `n` characters, 2 to 4. */
static char *put_quantum(char *out, const char *values, unsigned n) {
  unsigned v = 0, i;
  for (i = 0; i < 4; i++) v = v << 6 | (i < n ? (unsigned char)values[i] : 0);
  *out++ = (char)(v >> 16);
  if (n > 2) *out++ = (char)(v >> 8);
  if (n > 3) *out++ = (char)v;
  return out;
}

static char *letter(struct lm_decoder *d, char *out, unsigned char value) {
  if (d->state) { /* text behind padding: two files in a row, or a mailer that pads each line */
    d->defects++;
    d->state = 0;
  }
  d->held[d->held_n++] = (char)value;
  if (d->held_n < 4) return out;
  d->held_n = 0;
  return put_quantum(out, d->held, 4);
}

static char *padding(struct lm_decoder *d, char *out) {
  if (d->held_n >= 2) {
    out = put_quantum(out, d->held, d->held_n);
    d->state = (uint8_t)(PADDED | (d->held_n == 2));
  } else if (d->held_n == 0 && (d->state & DUE)) {
    d->state--;
  } else {
    d->defects++;
    if (d->held_n) d->state = PADDED;
  }
  d->held_n = 0;
  return out;
}

bool lm_base64_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece) {
  size_t i = 0;
  char *from = lm_buf_room(out, piece.n / 4 * 3 + 3 + LM_BASE64_SLACK), *to = from;
  if (from == NULL) return false;
  while (i < piece.n) {
    unsigned char value;
    if (d->held_n == 0 && d->state == 0) {
      size_t written;
      i += decode_run(d->level, (struct lm_str){piece.p + i, piece.n - i}, to, &written);
      to += written;
      if (i == piece.n) break;
    }
    value = lm_base64_values[(unsigned char)piece.p[i]];
    if (value < 64)
      to = letter(d, to, value);
    else if (piece.p[i] == '=')
      to = padding(d, to);
    else if (piece.p[i] == '\0' || !strchr("\r\n \t", piece.p[i]))
      d->defects++;
    i++;
  }
  lm_buf_added(out, (size_t)(to - from));
  return true;
}

bool lm_base64_end(struct lm_decoder *d, struct lm_buf *out) {
  char tail[3];
  char *to = tail;
  if (d->held_n >= 2) to = put_quantum(tail, d->held, d->held_n);
  if (d->held_n || (d->state & DUE)) d->defects++;
  d->held_n = 0;
  d->state = 0;
  return lm_buf_put(out, tail, (size_t)(to - tail));
}

/* --- encoding ----------------------------------------------------------------------------------- */

/* A line is held until it is whole. */
static bool held_line(struct lm_encoder *e, struct lm_buf *out, struct lm_str *piece) {
  size_t n = LM_BASE64_LINE - (size_t)e->held_n;
  char *to;
  if (n > piece->n) n = piece->n;
  memcpy(e->held + e->held_n, piece->p, n);
  e->held_n = (uint8_t)(e->held_n + n);
  *piece = (struct lm_str){piece->p + n, piece->n - n};
  if (e->held_n < LM_BASE64_LINE) return true;
  to = lm_buf_room(out, 78 + LM_BASE64_SLACK);
  if (to == NULL) return false;
  encode_lines(e->level, e->held, 1, to);
  lm_buf_added(out, 78);
  e->held_n = 0;
  return true;
}

bool lm_base64_write(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece) {
  size_t lines;
  char *to;
  if (piece.n == 0) return true;
  if (e->held_n && !held_line(e, out, &piece)) return false;
  lines = piece.n / LM_BASE64_LINE;
  if (lines) {
    to = lm_buf_room(out, lines * 78 + LM_BASE64_SLACK);
    if (to == NULL) return false;
    encode_lines(e->level, piece.p, lines, to);
    lm_buf_added(out, lines * 78);
    piece = (struct lm_str){piece.p + lines * LM_BASE64_LINE, piece.n - lines * LM_BASE64_LINE};
  }
  return piece.n == 0 || held_line(e, out, &piece);
}

bool lm_base64_finish(struct lm_encoder *e, struct lm_buf *out) {
  size_t whole = e->held_n / 3u * 3u, rest = e->held_n - whole;
  char *from, *to;
  if (e->held_n == 0) return true;
  from = to = lm_buf_room(out, 78 + LM_BASE64_SLACK);
  if (from == NULL) return false;
  encode_plain(e->held, whole, to);
  to += whole / 3 * 4;
  if (rest) {
    char last[3] = {e->held[whole], rest > 1 ? e->held[whole + 1] : '\0', '\0'};
    encode_plain(last, 3, to);
    to[3] = '=';
    if (rest == 1) to[2] = '=';
    to += 4;
  }
  *to++ = '\r';
  *to++ = '\n';
  lm_buf_added(out, (size_t)(to - from));
  e->held_n = 0;
  return true;
}

uint64_t lm_base64_length(uint64_t n) {
  uint64_t characters = n / 3 * 4 + (n % 3 ? 4 : 0);
  return characters + (characters / 76 + (characters % 76 ? 1 : 0)) * 2;
}
