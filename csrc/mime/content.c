/*
** content.c: what the content of one part means.
*/
#include "mime/content.h"

#include <string.h>

#include "base/chars.h"

enum { META_WINDOW = 1024, CHARSET_NAME = 40 };

/* Lists put a footer behind base64 without a thought: where padding ends a line, and the next line with
** anything in it is none of base64, the content ends there. */
static struct lm_str without_footer(struct lm_str raw) {
  const char *end = raw.p + raw.n;
  const char *p = raw.n ? memchr(raw.p, '=', raw.n) : NULL;
  const char *stop;
  if (p == NULL) return raw;
  while (p < end && *p == '=') p++;
  stop = p;
  while (p < end && (lm_is(*p, LM_SPACE) || *p == '\r' || *p == '\n')) p++;
  if (p == stop || p == end) return raw;
  while (p < end && (lm_is(*p, LM_B64) || *p == '=')) p++;
  if (p == end || *p == '\r' || *p == '\n') return raw;
  return (struct lm_str){raw.p, (size_t)(stop - raw.p)};
}

bool lm_content_decode(enum lm_transfer how, struct lm_str raw, struct lm_buf *room,
                       struct lm_str *out, size_t *defects_out) {
  struct lm_decoder d;
  size_t whole = raw.n;
  *out = raw;
  *defects_out = 0;
  if (how == LM_TRANSFER_IDENTITY) return true;
  if (how == LM_TRANSFER_BASE64) raw = without_footer(raw);
  lm_buf_clear(room);
  lm_decoder_init(&d, how);
  if (!lm_decoder_put(&d, room, raw) || !lm_decoder_end(&d, room)) return false;
  *out = lm_buf_str(room);
  *defects_out = d.defects + (whole - raw.n);
  return true;
}

void lm_content_begin(struct lm_content_reader *r, enum lm_transfer how, struct lm_str raw) {
  lm_decoder_init(&r->decoder, how);
  r->rest = how == LM_TRANSFER_BASE64 ? without_footer(raw) : raw;
  r->ended = how == LM_TRANSFER_IDENTITY;
}

bool lm_content_next(struct lm_content_reader *r, struct lm_buf *room, struct lm_str *piece_out) {
  *piece_out = r->rest;
  lm_buf_clear(room);
  while (!r->ended && lm_buf_len(room) == 0) {
    struct lm_str piece = {r->rest.p, r->rest.n < LM_CONTENT_PIECE ? r->rest.n : LM_CONTENT_PIECE};
    r->rest = (struct lm_str){piece.p + piece.n, r->rest.n - piece.n};
    r->ended = piece.n == 0;
    if (r->ended ? !lm_decoder_end(&r->decoder, room) : !lm_decoder_put(&r->decoder, room, piece))
      return false;
  }
  if (r->decoder.how == LM_TRANSFER_IDENTITY) {
    r->rest.n = 0;
  } else {
    *piece_out = lm_buf_str(room);
  }
  return true;
}

/* --- charsets ------------------------------------------------------------------------------------- */

static bool is_name(char c) {
  return lm_is(c, LM_ALPHA | LM_DIGIT) || c == '-' || c == '_' || c == ':' || c == '.';
}

/* <meta charset=...> or <meta http-equiv=... content="text/html; charset=...">, where it must stand:
** within the first 1,024 octets (HTML §4.2.5.4). */
static struct lm_str meta_charset(struct lm_str html) {
  const char *p = html.p;
  const char *end = html.p + (html.n < META_WINDOW ? html.n : META_WINDOW);
  for (; p + 8 < end; p++) {
    struct lm_str name;
    if (lm_lower(*p) != 'c' ||
        !lm_str_istarts((struct lm_str){p, (size_t)(end - p)}, LM_STR("charset")))
      continue;
    p += 7;
    while (p < end && (lm_is(*p, LM_SPACE) || *p == '=' || *p == '"' || *p == '\'')) p++;
    name = (struct lm_str){p, 0};
    while (p < end && is_name(*p) && name.n < CHARSET_NAME) p++, name.n++;
    return name.n ? name : LM_NOSTR;
  }
  return LM_NOSTR;
}

bool lm_content_text(struct lm_arena *a, const struct lm_text_kind *kind, struct lm_str bytes,
                     struct lm_str *utf8_out) {
  struct lm_str charset = kind->charset;
  static const char mark[] = "\xEF\xBB\xBF";
  bool ok;
  if (bytes.n >= 3 && memcmp(bytes.p, mark, 3) == 0) charset = LM_STR("utf-8");
  if (charset.n == 0 && kind->html) charset = meta_charset(bytes);
  if (kind->html && lm_str_istarts(charset, LM_STR("utf-16")) && lm_str_is_ascii(bytes))
    charset = LM_NOSTR; /* a page that was converted and not told so */
  ok = charset.n ? lm_charset_convert(a, kind->kept, charset, bytes, utf8_out)
                 : lm_charset_guess(a, bytes, utf8_out);
  if (ok && utf8_out->n >= 3 && memcmp(utf8_out->p, mark, 3) == 0)
    *utf8_out = (struct lm_str){utf8_out->p + 3, utf8_out->n - 3};
  return ok;
}

/* --- what is wrong -------------------------------------------------------------------------------- */

/* Octets that ISO-8859-1 has no characters for: windows-1252 under its name. */
static bool has_c1(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if ((unsigned char)s.p[i] >= 0x80 && (unsigned char)s.p[i] < 0xA0) return true;
  }
  return false;
}

static bool holds(struct lm_str s, struct lm_str what) {
  const char *p = s.p;
  const char *end = s.p + s.n;
  while (p < end && (p = memchr(p, what.p[0], (size_t)(end - p))) != NULL) {
    if ((size_t)(end - p) >= what.n && memcmp(p, what.p, what.n) == 0) return true;
    p++;
  }
  return false;
}

static bool lies(struct lm_arena *a, const struct lm_text_kind *kind, struct lm_str bytes) {
  struct lm_str charset = kind->charset;
  struct lm_str utf8;
  if (LM_IS(charset, "us-ascii") || LM_IS(charset, "ascii")) return !lm_str_is_ascii(bytes);
  if (LM_IS(charset, "utf-8") || LM_IS(charset, "utf8")) return !lm_utf8_valid(bytes);
  if (LM_IS(charset, "iso-8859-1") || LM_IS(charset, "latin1")) return has_c1(bytes);
  if (!lm_charset_convert(a, kind->kept, charset, bytes, &utf8)) return false;
  return holds(utf8, LM_STR("\xEF\xBF\xBD"));
}

const char *lm_content_trouble(struct lm_arena *a, const struct lm_text_kind *kind,
                               struct lm_str bytes) {
  bool wide = lm_str_istarts(kind->charset, LM_STR("utf-16")) ||
              lm_str_istarts(kind->charset, LM_STR("utf-32"));
  if (kind->charset.n && !lm_charset_known(kind->charset)) return "a charset that is not known";
  if (kind->charset.n == 0) {
    if (!lm_str_is_ascii(bytes) && !(kind->html && meta_charset(bytes).n))
      return "8-bit text without a charset";
  } else if (lies(a, kind, bytes)) {
    return "text that is not in its charset";
  }
  return !wide && bytes.n && memchr(bytes.p, '\0', bytes.n) ? "a NUL in text" : NULL;
}

/* --- lines ---------------------------------------------------------------------------------------- */

/* Blocks are copied whole; where a CR stands in one, what is behind it is copied again in its place. */
#if LM_X86
LM_AVX2 static const char *lines_avx2(const char *p, const char *end, char **out) {
  const __m256i cr = _mm256_set1_epi8('\r');
  char *o = *out;
  while (end - p > 32) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    unsigned found = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, cr));
    unsigned n = found ? (unsigned)__builtin_ctz(found) : 32;
    _mm256_storeu_si256((__m256i *)(void *)o, v);
    o += n;
    p += n;
    if (found == 0) continue;
    *o++ = '\n';
    p += p[1] == '\n' ? 2 : 1;
  }
  *out = o;
  return p;
}
#endif

static char *lines_plain(const char *p, const char *end, char *o) {
  while (p < end) {
    const char *cr = memchr(p, '\r', (size_t)(end - p));
    size_t n = (size_t)((cr ? cr : end) - p);
    memcpy(o, p, n);
    o += n;
    if (cr == NULL) break;
    *o++ = '\n';
    p = cr + 1;
    if (p < end && *p == '\n') p++;
  }
  return o;
}

size_t lm_content_lines_with(enum lm_vector level, struct lm_str s, char *out) {
  const char *p = s.p;
  char *o = out;
#if LM_X86
  if (level == LM_VECTOR_AVX2) p = lines_avx2(p, s.p + s.n, &o);
#endif
  (void)level;
  return (size_t)(lines_plain(p, s.p + s.n, o) - out);
}

size_t lm_content_lines(struct lm_str s, char *out) {
  return lm_content_lines_with(lm_vector_best(), s, out);
}
