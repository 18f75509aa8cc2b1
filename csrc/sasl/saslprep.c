/*
** saslprep.c: SASLprep (RFC 4013), so that a name or a password typed in two ways is the same one.
**
** The tables of RFC 3454 that it names, as ranges; normalization and directions are libunistring's.
*/
#include <stdlib.h>
#include <uninorm.h>
#include <unictype.h>
#include <unistr.h>

#include "base/chars.h"
#include "sasl/mech.h"

struct range {
  uint32_t from, to;
};

/* C.1.2: other spaces, which become a space. */
static const struct range spaces[] = {
    {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200b}, {0x202f, 0x202f},
    {0x205f, 0x205f}, {0x3000, 0x3000}, {0, 0},
};

/* B.1: what becomes nothing. */
static const struct range nothing[] = {
    {0xad, 0xad},     {0x34f, 0x34f},   {0x1806, 0x1806}, {0x180b, 0x180d}, {0x200c, 0x200d},
    {0x2060, 0x2060}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0, 0},
};

/* C.2.1 to C.9: what is forbidden. */
static const struct range forbidden[] = {
    {0x00, 0x1f},
    {0x7f, 0x9f},
    {0x340, 0x341},
    {0x6dd, 0x6dd},
    {0x70f, 0x70f},
    {0x180e, 0x180e},
    {0x200e, 0x200f},
    {0x2028, 0x202e},
    {0x2061, 0x2063},
    {0x206a, 0x206f},
    {0x2ff0, 0x2ffb},
    {0xd800, 0xf8ff},
    {0xfdd0, 0xfdef},
    {0xfff9, 0xffff},
    {0x1d173, 0x1d17a},
    {0xe0001, 0xe0001},
    {0xe0020, 0xe007f},
    {0xf0000, 0x10ffff},
    {0, 0},
};

static bool in(const struct range *r, uint32_t c) {
  for (; r->to; r++) {
    if (c >= r->from && c <= r->to) return true;
  }
  return false;
}

/* RFC 3454 §6: text that holds letters written from the right holds none written from the left, and
** begins and ends with one of them. */
static bool is_one_way(const uint32_t *c, size_t n) {
  size_t i;
  bool right = false, left = false;
  for (i = 0; i < n; i++) {
    int kind = uc_bidi_category(c[i]);
    right = right || kind == UC_BIDI_R || kind == UC_BIDI_AL;
    left = left || kind == UC_BIDI_L;
  }
  if (!right) return true;
  for (i = 0; i < 2; i++) {
    int kind = uc_bidi_category(c[i ? n - 1 : 0]);
    if (kind != UC_BIDI_R && kind != UC_BIDI_AL) return false;
  }
  return !left;
}

/* Maps in place; the new length. */
static size_t map(uint32_t *c, size_t n) {
  size_t i, kept = 0;
  for (i = 0; i < n; i++) {
    if (in(nothing, c[i])) continue;
    c[kept++] = in(spaces, c[i]) ? ' ' : c[i];
  }
  return kept;
}

static bool is_allowed(const uint32_t *c, size_t n) {
  size_t i;
  for (i = 0; i < n; i++) {
    if (in(forbidden, c[i]) || (c[i] & 0xfffe) == 0xfffe) return false;
  }
  return n == 0 || is_one_way(c, n);
}

static void forget(void *p, size_t n) {
  if (p) lm_wipe(p, n);
  free(p);
}

static bool prepare(const uint8_t *text, size_t size, struct lm_buf *out) {
  size_t n = 0, normal_n = 0, utf8_n = 0;
  uint32_t *wide = u8_to_u32(text, size, NULL, &n), *normal = NULL;
  uint8_t *utf8 = NULL;
  bool good = wide != NULL;
  if (good) {
    size_t mapped = map(wide, n);
    normal = u32_normalize(UNINORM_NFKC, wide, mapped, NULL, &normal_n);
  }
  if (normal && is_allowed(normal, normal_n)) utf8 = u32_to_u8(normal, normal_n, NULL, &utf8_n);
  good = utf8 && lm_buf_put(out, (const char *)utf8, utf8_n);
  forget(wide, n * sizeof *wide);
  forget(normal, normal_n * sizeof *normal);
  forget(utf8, utf8_n);
  return good;
}

bool lm_saslprep(struct lm_str text, struct lm_buf *out) {
  const uint8_t *p = (const uint8_t *)text.p;
  size_t i;
  if (lm_buf_room(out, text.n + 1) == NULL) return false;
  if (lm_str_is_ascii(text)) {
    for (i = 0; i < text.n; i++) {
      if (in(forbidden, p[i])) return false;
    }
    return lm_buf_put(out, text.p, text.n);
  }
  if (u8_check(p, text.n) != NULL) return lm_buf_put(out, text.p, text.n);
  return prepare(p, text.n, out);
}
