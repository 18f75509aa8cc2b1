/*
** base64_neon.c: base64's inner loops for the vectors of 64-bit ARM.
**
** Loads and stores that take every third or fourth octet apart do the spreading and the joining; two
** tables of 64 characters each way do the rest. A line end inside a step ends the loop's work on that
** step; plain C takes the rest of the line.
*/
#include "mime/base64.h"

#if LM_NEON

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static inline uint8x16x4_t table_64(const void *p) {
  const uint8_t *t = p;
  return (uint8x16x4_t){{vld1q_u8(t), vld1q_u8(t + 16), vld1q_u8(t + 32), vld1q_u8(t + 48)}};
}

/* The values of 16 characters; 255 where one is no letter. */
static inline uint8x16_t values(uint8x16x4_t low, uint8x16x4_t high, uint8x16_t v) {
  uint8x16_t in_low = vqtbl4q_u8(low, v); /* 0 where v is beyond the table */
  uint8x16_t in_high = vqtbl4q_u8(high, veorq_u8(v, vdupq_n_u8(64)));
  uint8x16_t beyond = vcgeq_u8(v, vdupq_n_u8(128));
  return vorrq_u8(vorrq_u8(in_low, in_high), beyond);
}

/* 64 characters to 48 octets; false where one is no letter. */
static inline bool decode_64(uint8x16x4_t low, uint8x16x4_t high, const char *p, char *out) {
  uint8x16x4_t c = vld4q_u8((const uint8_t *)(const void *)p);
  uint8x16_t a = values(low, high, c.val[0]), b = values(low, high, c.val[1]);
  uint8x16_t d = values(low, high, c.val[2]), e = values(low, high, c.val[3]);
  uint8x16x3_t o;
  if (vmaxvq_u8(vorrq_u8(vorrq_u8(a, b), vorrq_u8(d, e))) > 63) return false;
  o.val[0] = vorrq_u8(vshlq_n_u8(a, 2), vshrq_n_u8(b, 4));
  o.val[1] = vorrq_u8(vshlq_n_u8(b, 4), vshrq_n_u8(d, 2));
  o.val[2] = vorrq_u8(vshlq_n_u8(d, 6), e);
  vst3q_u8((uint8_t *)(void *)out, o);
  return true;
}

/* The rest of a line in plain C: up to three steps of four; how many characters were used. */
static size_t decode_rest(const char *p, size_t n, char *out) {
  const unsigned char *s = (const unsigned char *)(const void *)p;
  size_t i;
  for (i = 0; i + 4 <= n && i < 64; i += 4) {
    unsigned a = lm_base64_values[s[i]], b = lm_base64_values[s[i + 1]];
    unsigned c = lm_base64_values[s[i + 2]], d = lm_base64_values[s[i + 3]];
    if ((a | b | c | d) > 63) break;
    *out++ = (char)(a << 2 | b >> 4);
    *out++ = (char)(b << 4 | c >> 2);
    *out++ = (char)(c << 6 | d);
  }
  return i;
}

size_t lm_base64_decode_neon(const char *p, size_t n, char *out, size_t *written_out) {
  uint8x16x4_t low = table_64(lm_base64_values), high = table_64(lm_base64_values + 64);
  size_t i = 0, written = 0;
  while (n - i >= 66) {
    size_t rest;
    if (decode_64(low, high, p + i, out + written)) {
      i += 64;
      written += 48;
      continue;
    }
    rest = decode_rest(p + i, n - i, out + written);
    i += rest;
    written += rest / 4 * 3;
    if (n - i >= 2 && p[i] == '\r' && p[i + 1] == '\n')
      i += 2;
    else if (p[i] == '\n')
      i++;
    else
      break;
  }
  *written_out = written;
  return i;
}

/* 48 octets to 64 characters. */
size_t lm_base64_encode_neon(const char *p, size_t n, char *out) {
  uint8x16x4_t table = table_64(letters);
  const uint8x16_t six = vdupq_n_u8(63);
  size_t i = 0;
  for (; n - i >= 48; i += 48, out += 64) {
    uint8x16x3_t v = vld3q_u8((const uint8_t *)(const void *)(p + i));
    uint8x16_t b = vorrq_u8(vshlq_n_u8(v.val[0], 4), vshrq_n_u8(v.val[1], 4));
    uint8x16_t c = vorrq_u8(vshlq_n_u8(v.val[1], 2), vshrq_n_u8(v.val[2], 6));
    uint8x16x4_t o;
    o.val[0] = vqtbl4q_u8(table, vshrq_n_u8(v.val[0], 2));
    o.val[1] = vqtbl4q_u8(table, vandq_u8(b, six));
    o.val[2] = vqtbl4q_u8(table, vandq_u8(c, six));
    o.val[3] = vqtbl4q_u8(table, vandq_u8(v.val[2], six));
    vst4q_u8((uint8_t *)(void *)out, o);
  }
  return i;
}

#else
/* No translation unit is empty. */
typedef int lm_base64_neon_unused;
#endif
