/*
** html_text.c: the text that HTML becomes: words, the white space between them, lines, marks of lists.
**
** White space and line ends are never written at once, only noted as due: what stands at the end of a
** block, or before one, is dropped.
*/
#include "mime/html_text.h"

#include <string.h>

#include "base/chars.h"
#include "base/text.h"

/* --- words and lines ---------------------------------------------------------------------------- */

static bool write(struct lm_html *h, struct lm_buf *out, struct lm_str s) {
  if (h->written >= h->limit) return true;
  h->written += s.n;
  return lm_buf_puts(out, s);
}

/* What stands before the first word of each line. */
static bool indent(struct lm_html *h, struct lm_buf *out) {
  size_t quotes = h->quotes < LM_HTML_QUOTES ? h->quotes : LM_HTML_QUOTES;
  size_t lists = h->lists < LM_HTML_LISTS ? h->lists : LM_HTML_LISTS;
  h->at_start = false;
  while (quotes-- > 0) {
    if (!write(h, out, LM_STR("> "))) return false;
  }
  while (lists-- > 1) {
    if (!write(h, out, LM_STR("  "))) return false;
  }
  return true;
}

/* Writes what is due before a word. */
static bool settle(struct lm_html *h, struct lm_buf *out) {
  if (h->lines && h->begun) {
    for (; h->lines > 0; h->lines--) {
      if (!write(h, out, LM_STR("\n"))) return false;
    }
    h->at_start = true;
  }
  h->lines = 0;
  if (h->at_start)
    h->space = 0;
  else if (h->space && !write(h, out, (struct lm_str){&h->space, 1}))
    return false;
  h->space = 0;
  h->begun = true;
  h->fresh = false;
  return !h->at_start || indent(h, out);
}

/* The text of a link is compared with its address as it is written. */
static void compare_link(struct lm_html *h, struct lm_str s) {
  if (h->link_n == 0 || h->link_differs) return;
  if (s.n > h->link_n - h->link_at || memcmp(h->link + h->link_at, s.p, s.n) != 0)
    h->link_differs = true;
  else
    h->link_at += s.n;
}

bool lm_html_word(struct lm_html *h, struct lm_buf *out, struct lm_str s) {
  if (h->dropped) return true;
  compare_link(h, s);
  return settle(h, out) && write(h, out, s);
}

bool lm_html_blank(struct lm_html *h, struct lm_buf *out, char c) {
  if (h->dropped || c == '\r') return true;
  if (h->pre == 0) {
    if (h->space == 0) h->space = ' ';
    return true;
  }
  if (c == '\n') {
    if (h->lines < 2) h->lines++;
    h->space = 0;
    return true;
  }
  return settle(h, out) && write(h, out, (struct lm_str){&c, 1});
}

static bool is_invisible(uint32_t code) {
  return code == 0xAD || code == 0x34F || (code >= 0x200B && code <= 0x200F) || code == 0xFEFF ||
         (code >= 0x2060 && code <= 0x2064);
}

/* What HTML 5 makes of the numbers of C1: they are those of windows-1252. */
static uint32_t meant(uint32_t code) {
  static const uint16_t western[32] = {
      0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
      0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD, 0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
      0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};
  if (code >= 0x80 && code < 0xA0) return western[code - 0x80];
  if (code == 0 || code == 0x7F || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
    return 0xFFFD;
  return code;
}

bool lm_html_character(struct lm_html *h, struct lm_buf *out, uint32_t code) {
  char s[4];
  size_t n = 0;
  code = meant(code);
  if (is_invisible(code)) return true;
  if (code <= ' ' || code == 0xA0) return lm_html_blank(h, out, code == '\n' ? '\n' : ' ');
  if (code < 0x80) {
    s[n++] = (char)code;
  } else if (code < 0x800) {
    s[n++] = (char)(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    s[n++] = (char)(0xE0 | code >> 12);
    s[n++] = (char)(0x80 | (code >> 6 & 0x3F));
  } else {
    s[n++] = (char)(0xF0 | code >> 18);
    s[n++] = (char)(0x80 | (code >> 12 & 0x3F));
    s[n++] = (char)(0x80 | (code >> 6 & 0x3F));
  }
  if (code >= 0x80) s[n++] = (char)(0x80 | (code & 0x3F));
  return lm_html_word(h, out, (struct lm_str){s, n});
}

/* --- elements ----------------------------------------------------------------------------------- */

/* `n` line ends are due before the next word; none behind the mark of an item. */
static void lines_due(struct lm_html *h, uint8_t n) {
  if (h->fresh) return;
  h->space = 0;
  if (h->lines < n) h->lines = n;
}

static void line_break(struct lm_html *h) {
  h->space = 0;
  h->fresh = false;
  if (h->lines < 2) h->lines++;
}

static bool mark(struct lm_html *h, struct lm_buf *out) {
  size_t at = h->lists ? (h->lists < LM_HTML_LISTS ? h->lists : LM_HTML_LISTS) - 1 : 0;
  uint32_t number = h->lists ? h->counter[at] : 0;
  h->fresh = false;
  lines_due(h, 1);
  if (!settle(h, out)) return false;
  if (number) {
    size_t before = lm_buf_len(out);
    h->counter[at]++;
    if (h->written < h->limit && !lm_buf_put_u64(out, number)) return false;
    h->written += lm_buf_len(out) - before;
    if (!write(h, out, LM_STR(". "))) return false;
  } else if (!write(h, out, LM_STR("* "))) {
    return false;
  }
  h->fresh = true;
  return true;
}

static void list(struct lm_html *h, bool numbered) {
  lines_due(h, h->lists ? 1 : 2);
  if (!h->closing) {
    size_t at = h->lists < LM_HTML_LISTS ? h->lists : LM_HTML_LISTS - 1;
    h->counter[at] = numbered;
    h->lists++;
  } else {
    if (h->lists) h->lists--;
    h->fresh = false;
    lines_due(h, h->lists ? 1 : 2);
  }
}

/* The address with the one character reference that stands in addresses. */
static bool put_address(struct lm_html *h, struct lm_buf *out) {
  static const struct lm_str amp = {"&amp;", 5};
  struct lm_str rest = {h->link, h->link_n};
  while (rest.n) {
    size_t n = 1, used = 1;
    if (rest.n >= amp.n && memcmp(rest.p, amp.p, amp.n) == 0)
      used = amp.n;
    else
      while (n < rest.n && rest.p[n] != '&') n++, used++;
    if (!write(h, out, (struct lm_str){rest.p, n})) return false;
    rest = (struct lm_str){rest.p + used, rest.n - used};
  }
  return true;
}

static bool is_worth_showing(struct lm_str address) {
  return lm_str_istarts(address, LM_STR("http:")) || lm_str_istarts(address, LM_STR("https:")) ||
         lm_str_istarts(address, LM_STR("mailto:"));
}

static bool link_end(struct lm_html *h, struct lm_buf *out) {
  bool shown = !h->link_differs && h->link_at == h->link_n;
  bool ok = true;
  if (h->links && h->link_n && !shown && h->begun) {
    if (h->lines == 0) h->space = ' ';
    ok = settle(h, out) && write(h, out, LM_STR("<")) && put_address(h, out) &&
         write(h, out, LM_STR(">"));
  }
  h->link_n = 0;
  return ok;
}

static bool link_tag(struct lm_html *h, struct lm_buf *out) {
  struct lm_str address = {h->value, h->value_n};
  if (!link_end(h, out)) return false;
  if (h->closing || !is_worth_showing(address)) return true;
  memcpy(h->link, h->value, h->value_n);
  h->link_n = h->value_n;
  h->link_at = 0;
  h->link_differs = false;
  return true;
}

static bool image(struct lm_html *h, struct lm_buf *out) {
  struct lm_str alt = {h->value, h->value_n};
  size_t i;
  while (alt.n && (unsigned char)alt.p[0] <= ' ') alt = (struct lm_str){alt.p + 1, alt.n - 1};
  if (h->closing || alt.n == 0) return true;
  if (!lm_html_word(h, out, LM_STR("["))) return false;
  for (i = 0; i < alt.n; i++) {
    char c = (unsigned char)alt.p[i] <= ' ' ? ' ' : alt.p[i];
    if (!write(h, out, (struct lm_str){&c, 1})) return false;
  }
  return write(h, out, LM_STR("]"));
}

static void cell(struct lm_html *h) {
  if (h->closing) return;
  if (h->cell && h->lines == 0 && !h->at_start) h->space = '\t';
  h->cell = true;
}

static void quote(struct lm_html *h) {
  lines_due(h, 2);
  if (!h->closing)
    h->quotes++;
  else if (h->quotes)
    h->quotes--;
}

static void preformatted(struct lm_html *h) {
  lines_due(h, 2);
  if (!h->closing)
    h->pre++;
  else if (h->pre)
    h->pre--;
}

/* Inside of what is dropped only its own tags count; a head ends where a body begins, tag or not. */
static bool is_dropped(struct lm_html *h, enum lm_html_element element) {
  if (h->dropped == 0) return false;
  if (element == h->dropped) {
    if (!h->closing)
      h->dropped_depth++;
    else if (--h->dropped_depth == 0)
      h->dropped = 0;
    return true;
  }
  if (h->dropped != LM_EL_HEAD || element == LM_EL_NONE || element == LM_EL_META ||
      element >= LM_EL_SVG)
    return true;
  h->dropped = 0;
  return false;
}

static void drop(struct lm_html *h, enum lm_html_element element) {
  if (h->closing) return;
  h->dropped = (uint8_t)element;
  h->dropped_depth = 1;
}

static bool rule(struct lm_html *h, struct lm_buf *out) {
  bool ok;
  lines_due(h, 1);
  ok = lm_html_word(h, out, LM_STR("----"));
  lines_due(h, 1);
  return ok;
}

bool lm_html_tag(struct lm_html *h, struct lm_buf *out, enum lm_html_element element) {
  if (is_dropped(h, element)) return true;
  switch (element) {
  case LM_EL_A: return link_tag(h, out);
  case LM_EL_IMG: return image(h, out);
  case LM_EL_HR: return rule(h, out);
  case LM_EL_ITEM: return h->closing || mark(h, out);
  case LM_EL_BR: line_break(h); break;
  case LM_EL_CELL: cell(h); break;
  case LM_EL_LIST: list(h, false); break;
  case LM_EL_NUMBERED: list(h, true); break;
  case LM_EL_PRE: preformatted(h); break;
  case LM_EL_QUOTE: quote(h); break;
  case LM_EL_PARAGRAPH: lines_due(h, 2); break;
  case LM_EL_ROW:
    h->cell = false;
    lines_due(h, 1);
    break;
  case LM_EL_BLOCK:
  case LM_EL_BODY:
  case LM_EL_DD: lines_due(h, 1); break;
  case LM_EL_HEAD:
  case LM_EL_SVG:
  case LM_EL_TEMPLATE: drop(h, element); break;
  default: break;
  }
  return true;
}
