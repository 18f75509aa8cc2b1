/*
** rtf.c: rich text as Outlook packs it.
**
** A header of four numbers, little-endian: octets that follow, octets unpacked, "LZFu" or "MELA", a sum. Then
** groups: an octet of eight flags, and for each a character, or two octets that name a stretch of the 4,096
** characters before. That ring begins with words that are in all RTF.
*/
#include "mime/rtf.h"

#include <string.h>

enum { HEADER = 16, RING = 4096, GROWTH = 8, PACKED = 0x75465A4C, PLAIN = 0x414C454D };

static const char begin[] =
    "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern "
    "\\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0"
    "\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

struct unpacker {
  const char *p;
  const char *end;
  char *out;
  size_t n;
  size_t room;
  size_t at; /* in the ring: where the next character goes */
  char ring[RING];
};

static uint32_t number(const char *p) {
  const unsigned char *u = (const unsigned char *)p;
  return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void put(struct unpacker *u, char c) {
  if (u->n < u->room) u->out[u->n++] = c;
  u->ring[u->at] = c;
  u->at = (u->at + 1) % RING;
}

/* Twelve bits of place, four of length; the place that is written next ends all. */
static bool stretch(struct unpacker *u) {
  unsigned both, length;
  size_t from;
  if (u->end - u->p < 2) return false;
  both = (unsigned)(unsigned char)u->p[0] << 8 | (unsigned char)u->p[1];
  u->p += 2;
  from = both >> 4;
  if (from == u->at) return false;
  for (length = (both & 15) + 2; length > 0; length--) {
    put(u, u->ring[from]);
    from = (from + 1) % RING;
  }
  return true;
}

static void unpack(struct unpacker *u) {
  while (u->p < u->end && u->n < u->room) {
    unsigned flags = (unsigned char)*u->p++, bit;
    for (bit = 0; bit < 8; bit++) {
      if (u->p == u->end) return;
      if (!(flags >> bit & 1))
        put(u, *u->p++);
      else if (!stretch(u))
        return;
    }
  }
}

bool lm_rtf_unpack(struct lm_arena *a, struct lm_str packed, struct lm_str *out) {
  struct unpacker u;
  uint32_t kind, claimed;
  *out = LM_NOSTR;
  if (packed.n < HEADER) return true;
  claimed = number(packed.p + 4);
  kind = number(packed.p + 8);
  packed = (struct lm_str){packed.p + HEADER, packed.n - HEADER};
  if (kind == PLAIN) *out = (struct lm_str){packed.p, claimed < packed.n ? claimed : packed.n};
  if (kind != PACKED) return true;
  u.p = packed.p;
  u.end = packed.p + packed.n;
  u.n = 0;
  u.room = claimed / GROWTH < packed.n ? claimed : packed.n * GROWTH;
  u.at = sizeof begin - 1;
  memset(u.ring, ' ', sizeof u.ring);
  memcpy(u.ring, begin, u.at);
  if ((u.out = lm_arena_alloc(a, u.room + 1)) == NULL) return false;
  unpack(&u);
  *out = (struct lm_str){u.out, u.n};
  return true;
}
