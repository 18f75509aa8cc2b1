/*
** tnef.c: what Outlook packs into winmail.dat.
**
** A row of attributes (MS-OXTNEF §2.1.3), two of which hold rows of MAPI properties (§2.1.3.4). All
** numbers are little-endian; every length is compared with what is left before it is believed.
*/
#include "mime/tnef.h"

#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/rtf.h"

enum { SIGNATURE = 0x223E9F78, GUID = 16 };

enum attribute {
  ATT_SUBJECT = 0x18004,
  ATT_BODY = 0x2800C,
  ATT_TITLE = 0x18010,
  ATT_DATA = 0x6800F,
  ATT_RENDER = 0x69002, /* a file begins */
  ATT_MESSAGE_PROPERTIES = 0x69003,
  ATT_FILE_PROPERTIES = 0x69005,
  ATT_CODEPAGE = 0x69007
};

enum property {
  PR_SUBJECT = 0x0037,
  PR_BODY = 0x1000,
  PR_RTF_COMPRESSED = 0x1009,
  PR_HTML = 0x1013,
  PR_DATA = 0x3701,
  PR_FILENAME = 0x3704,
  PR_LONG_FILENAME = 0x3707,
  PR_MIME_TAG = 0x370E,
  PR_CONTENT_ID = 0x3712
};

enum type { PT_OBJECT = 13, PT_STRING8 = 30, PT_UNICODE = 31, PT_BINARY = 258, MANY = 0x1000 };

struct reader {
  struct lm_arena *arena;
  const char *p;
  const char *end;
  struct lm_tnef *out;
  struct lm_tnef_file *file; /* that the attributes are about; NULL before the first */
  struct lm_tnef_file **tail;
  unsigned codepage;
};

/* --- numbers and stretches -------------------------------------------------------------------------- */

static bool take(struct reader *r, size_t n, struct lm_str *out) {
  if ((size_t)(r->end - r->p) < n) {
    r->out->broken = true;
    r->p = r->end;
    return false;
  }
  *out = (struct lm_str){r->p, n};
  r->p += n;
  return true;
}

static uint32_t number(struct lm_str s) {
  uint32_t n = 0;
  size_t i;
  for (i = s.n; i-- > 0;) n = n << 8 | (unsigned char)s.p[i];
  return n;
}

static bool take_number(struct reader *r, size_t octets, uint32_t *out) {
  struct lm_str s;
  if (!take(r, octets, &s)) return false;
  *out = number(s);
  return true;
}

/* --- text ------------------------------------------------------------------------------------------- */

static struct lm_str until_nul(struct lm_str s) {
  const char *nul = s.n ? memchr(s.p, '\0', s.n) : NULL;
  if (nul) s.n = (size_t)(nul - s.p);
  return s;
}

/* Text in the code page that the message names. */
static bool text8(struct reader *r, struct lm_str s, struct lm_str *out) {
  char name[16] = "cp";
  size_t n = sizeof name - 1;
  unsigned page = r->codepage;
  s = until_nul(s);
  if (page == 0) return lm_charset_guess(r->arena, s, out);
  for (; page; page /= 10) name[--n] = (char)('0' + page % 10);
  name[--n] = 'p';
  name[--n] = 'c';
  return lm_charset_to_utf8(r->arena, (struct lm_str){name + n, sizeof name - 1 - n}, s, out);
}

static bool text16(struct reader *r, struct lm_str s, struct lm_str *out) {
  size_t n = 0;
  while (n + 1 < s.n && (s.p[n] || s.p[n + 1])) n += 2;
  return lm_charset_to_utf8(r->arena, LM_STR("utf-16le"), (struct lm_str){s.p, n}, out);
}

/* --- properties ------------------------------------------------------------------------------------- */

/* `n` octets and what fills them up to four. Compared before they are rounded, which may overflow. */
static bool take_padded(struct reader *r, size_t n, struct lm_str *out) {
  size_t more = n <= (size_t)(r->end - r->p) ? (0 - n) & 3 : 0;
  if (!take(r, n + more, out)) return false;
  out->n = n;
  return true;
}

/* Octets of a value of fixed size, padding included; 0 for the others. */
static size_t fixed_size(unsigned type) {
  switch (type & ~(unsigned)MANY) {
  case 2:
  case 3:
  case 4:
  case 10:
  case 11: return 4;
  case 5:
  case 6:
  case 7:
  case 20:
  case 64: return 8;
  case 72: return 16;
  default: return 0;
  }
}

/* The name of a property from 0x8000 on is told in words; nobody here needs it. */
static bool skip_name(struct reader *r) {
  struct lm_str guid;
  uint32_t kind;
  uint32_t n;
  if (!take(r, GUID, &guid) || !take_number(r, 4, &kind) || !take_number(r, 4, &n)) return false;
  return kind != 1 || take_padded(r, n, &guid);
}

/* The value of a property; of several the first. */
static bool property_value(struct reader *r, unsigned type, struct lm_str *value) {
  size_t fixed = fixed_size(type);
  uint32_t count = 1;
  uint32_t i;
  *value = LM_NOSTR;
  if (fixed && !(type & MANY)) return take(r, fixed, value);
  if (!take_number(r, 4, &count)) return false;
  for (i = 0; i < count; i++) {
    struct lm_str one;
    uint32_t n = (uint32_t)fixed;
    if (!fixed && !take_number(r, 4, &n)) return false;
    if (!take_padded(r, n, &one)) return false;
    if (i == 0) *value = one;
  }
  return true;
}

static bool text_of(struct reader *r, unsigned type, struct lm_str value, struct lm_str *out) {
  if (value.n == 0) return true;
  if (type == PT_UNICODE) return text16(r, value, out);
  return text8(r, value, out);
}

/* A property that says something; false when memory is short. */
static bool use_property(struct reader *r, unsigned id, unsigned type, struct lm_str value) {
  struct lm_tnef_file *f = r->file;
  switch (id) {
  case PR_SUBJECT: return f || text_of(r, type, value, &r->out->subject);
  case PR_BODY: return f || text_of(r, type, value, &r->out->body);
  case PR_HTML: return f || text_of(r, type, value, &r->out->html);
  case PR_RTF_COMPRESSED: return f || lm_rtf_unpack(r->arena, value, &r->out->rtf);
  case PR_DATA:
    if (f && value.n > GUID && type == PT_OBJECT)
      f->data = (struct lm_str){value.p + GUID, value.n - GUID};
    else if (f && type == PT_BINARY)
      f->data = value;
    return true;
  case PR_FILENAME: return !f || f->name.n || text_of(r, type, value, &f->name);
  case PR_LONG_FILENAME: return !f || text_of(r, type, value, &f->name);
  case PR_MIME_TAG: return !f || text_of(r, type, value, &f->type);
  case PR_CONTENT_ID: return !f || text_of(r, type, value, &f->cid);
  default: return true;
  }
}

/* Properties to the end of their attribute; false when memory is short. */
static bool properties(struct reader *r, struct lm_str attribute) {
  struct reader inner = *r;
  uint32_t count;
  inner.p = attribute.p;
  inner.end = attribute.p + attribute.n;
  if (!take_number(&inner, 4, &count)) return true;
  while (count-- > 0) {
    struct lm_str value;
    uint32_t type;
    uint32_t id;
    if (!take_number(&inner, 2, &type) || !take_number(&inner, 2, &id)) return true;
    if (id >= 0x8000 && !skip_name(&inner)) return true;
    if (!property_value(&inner, type, &value)) return true;
    if (!use_property(&inner, id, type & ~(unsigned)MANY, value)) return false;
  }
  return true;
}

/* --- attributes ------------------------------------------------------------------------------------- */

static bool begin_file(struct reader *r) {
  if (r->out->count >= LM_TNEF_FILES) {
    r->out->broken = true;
    r->p = r->end;
    return true;
  }
  if ((r->file = lm_arena_zero(r->arena, sizeof *r->file)) == NULL) return false;
  *r->tail = r->file;
  r->tail = &r->file->next;
  r->out->count++;
  return true;
}

static bool use_attribute(struct reader *r, uint32_t tag, struct lm_str value) {
  switch (tag) {
  case ATT_CODEPAGE:
    r->codepage = value.n >= 4 ? number((struct lm_str){value.p, 4}) : 0;
    return true;
  case ATT_SUBJECT: return r->file || text8(r, value, &r->out->subject);
  case ATT_BODY: return r->file || text8(r, value, &r->out->body);
  case ATT_MESSAGE_PROPERTIES: return r->file || properties(r, value);
  case ATT_RENDER: return begin_file(r);
  case ATT_TITLE: return r->file == NULL || r->file->name.n || text8(r, value, &r->file->name);
  case ATT_DATA:
    if (r->file) r->file->data = value;
    return true;
  case ATT_FILE_PROPERTIES: return r->file == NULL || properties(r, value);
  default: return true;
  }
}

bool lm_tnef_is(struct lm_str bytes) {
  return bytes.n >= 6 && number((struct lm_str){bytes.p, 4}) == SIGNATURE;
}

bool lm_tnef_read(struct lm_arena *a, struct lm_str bytes, struct lm_tnef *out) {
  struct reader r = {a, bytes.p, bytes.p + bytes.n, out, NULL, NULL, 0};
  memset(out, 0, sizeof *out);
  r.tail = &out->first;
  out->broken = !lm_tnef_is(bytes);
  if (out->broken) return true;
  r.p += 6;
  while (r.p < r.end) {
    struct lm_str level;
    struct lm_str value;
    struct lm_str sum;
    uint32_t tag;
    uint32_t n;
    if (!take(&r, 1, &level) || !take_number(&r, 4, &tag) || !take_number(&r, 4, &n)) break;
    if (!take(&r, n, &value)) break;
    if (!use_attribute(&r, tag, value)) return false;
    if (r.p < r.end && !take(&r, 2, &sum)) break;
  }
  return true;
}
