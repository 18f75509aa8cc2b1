/*
** preview.c: the beginning of a text on one line (as RFC 8970 shows it in lists of messages).
*/
#include "base/chars.h"
#include "base/text.h"
#include "mime/html.h"

/* One character of well-formed UTF-8; 0 octets where it is none. */
static size_t take(struct lm_str s, uint32_t *code) {
  unsigned char c = (unsigned char)s.p[0];
  size_t n = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 0, i;
  if (n == 0 || n > s.n) return 0;
  *code = n == 1 ? c : c & (0x7Fu >> n);
  for (i = 1; i < n; i++) *code = *code << 6 | ((unsigned char)s.p[i] & 0x3F);
  return n;
}

static bool is_blank(uint32_t code) {
  return code <= ' ' || code == 0x7F || code == 0xA0 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x3000;
}

/* What mailers fill the end of a preview with. */
static bool is_nothing(uint32_t code) {
  return code == 0xAD || code == 0x34F || (code >= 0x200B && code <= 0x200F) || code == 0xFEFF ||
         (code >= 0x2060 && code <= 0x2064);
}

bool lm_preview(struct lm_str text, size_t characters, struct lm_buf *out) {
  bool space = false, begun = false;
  while (text.n && characters) {
    uint32_t code = 0xFFFD;
    size_t n = take(text, &code), used = n ? n : 1;
    struct lm_str character = n ? (struct lm_str){text.p, n} : LM_STR("\xEF\xBF\xBD");
    text = (struct lm_str){text.p + used, text.n - used};
    if (is_nothing(code)) continue;
    if (is_blank(code)) {
      space = begun;
      continue;
    }
    if (space && (--characters == 0 || !lm_buf_putc(out, ' '))) return characters == 0;
    if (!lm_buf_puts(out, character)) return false;
    begun = true;
    space = false;
    characters--;
  }
  return true;
}
