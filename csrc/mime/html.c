/*
** html.c: the markup of HTML, octet by octet, as mail has it: tags, comments, character references.
**
** A machine of a dozen states; a piece may end in any of them. Names and values are kept up to a length
** and then only passed over, so memory is this struct whatever comes.
*/
#include "mime/html.h"

#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "mime/html_text.h"

enum state {
  TEXT,
  REFERENCE, /* behind `&` */
  OPEN,      /* behind `<` */
  NAME,      /* of a tag */
  INSIDE,    /* a tag, between attributes */
  ATTRIBUTE, /* its name */
  EQUALS,    /* behind its `=` */
  VALUE,
  BANG,    /* behind `<!` */
  COMMENT, /* up to `-->` */
  SKIP,    /* up to `>` */
  RAW      /* up to the end tag of h->raw */
};

/* Sorted by name. */
static const struct {
  char name[11];
  uint8_t element;
} elements[] = {
    {"a", LM_EL_A},
    {"address", LM_EL_BLOCK},
    {"article", LM_EL_BLOCK},
    {"aside", LM_EL_BLOCK},
    {"base", LM_EL_META},
    {"blockquote", LM_EL_QUOTE},
    {"body", LM_EL_BODY},
    {"br", LM_EL_BR},
    {"caption", LM_EL_BLOCK},
    {"center", LM_EL_BLOCK},
    {"dd", LM_EL_DD},
    {"dir", LM_EL_LIST},
    {"div", LM_EL_BLOCK},
    {"dl", LM_EL_PARAGRAPH},
    {"dt", LM_EL_BLOCK},
    {"fieldset", LM_EL_BLOCK},
    {"figcaption", LM_EL_BLOCK},
    {"figure", LM_EL_BLOCK},
    {"footer", LM_EL_BLOCK},
    {"form", LM_EL_BLOCK},
    {"h1", LM_EL_PARAGRAPH},
    {"h2", LM_EL_PARAGRAPH},
    {"h3", LM_EL_PARAGRAPH},
    {"h4", LM_EL_PARAGRAPH},
    {"h5", LM_EL_PARAGRAPH},
    {"h6", LM_EL_PARAGRAPH},
    {"head", LM_EL_HEAD},
    {"header", LM_EL_BLOCK},
    {"hr", LM_EL_HR},
    {"iframe", LM_EL_IFRAME},
    {"img", LM_EL_IMG},
    {"legend", LM_EL_BLOCK},
    {"li", LM_EL_ITEM},
    {"link", LM_EL_META},
    {"main", LM_EL_BLOCK},
    {"menu", LM_EL_LIST},
    {"meta", LM_EL_META},
    {"nav", LM_EL_BLOCK},
    {"ol", LM_EL_NUMBERED},
    {"option", LM_EL_BLOCK},
    {"p", LM_EL_PARAGRAPH},
    {"pre", LM_EL_PRE},
    {"script", LM_EL_SCRIPT},
    {"section", LM_EL_BLOCK},
    {"style", LM_EL_STYLE},
    {"svg", LM_EL_SVG},
    {"table", LM_EL_BLOCK},
    {"tbody", LM_EL_BLOCK},
    {"td", LM_EL_CELL},
    {"template", LM_EL_TEMPLATE},
    {"textarea", LM_EL_TEXTAREA},
    {"tfoot", LM_EL_BLOCK},
    {"th", LM_EL_CELL},
    {"thead", LM_EL_BLOCK},
    {"title", LM_EL_TITLE},
    {"tr", LM_EL_ROW},
    {"ul", LM_EL_LIST},
};

static enum lm_html_element find(struct lm_str name) {
  size_t low = 0, high = sizeof elements / sizeof *elements;
  while (low < high) {
    size_t middle = low + (high - low) / 2, n = strlen(elements[middle].name);
    int order = memcmp(name.p, elements[middle].name, name.n < n ? name.n : n);
    if (order == 0) order = name.n < n ? -1 : name.n > n;
    if (order == 0) return (enum lm_html_element)elements[middle].element;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return LM_EL_NONE;
}

static bool is_white(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

void lm_html_init(struct lm_html *h, bool links, size_t limit) {
  memset(h, 0, sizeof *h);
  h->links = links;
  h->limit = limit;
  h->at_start = true;
}

/* --- text --------------------------------------------------------------------------------------- */

/* Running text at the front of `s`; how much was used. */
static size_t text(struct lm_html *h, struct lm_buf *out, struct lm_str s, bool *ok) {
  size_t n = 0;
  char c = s.p[0];
  if (c == '<' || c == '&') {
    h->state = c == '<' ? OPEN : REFERENCE;
    h->entity_n = 0;
    return 1;
  }
  if ((unsigned char)c <= ' ') {
    *ok = is_white(c) ? lm_html_blank(h, out, c) : true;
    return 1;
  }
  while (n < s.n && s.p[n] != '<' && s.p[n] != '&' && (unsigned char)s.p[n] > ' ') n++;
  *ok = lm_html_word(h, out, (struct lm_str){s.p, n});
  return n;
}

/* "#8364", "#x20AC", "euro": its code point, 0 where it means nothing. */
static uint32_t referred(struct lm_str s) {
  uint32_t code = 0;
  size_t i = 1;
  bool hex = s.n > 1 && (s.p[1] == 'x' || s.p[1] == 'X');
  if (s.n == 0 || s.p[0] != '#') return lm_html_entity(s);
  if (hex) i = 2;
  if (i == s.n) return 0;
  for (; i < s.n; i++) {
    char c = lm_lower(s.p[i]);
    if (!(hex ? lm_is(c, LM_HEX) : lm_is(c, LM_DIGIT))) return 0;
    code = code * (hex ? 16 : 10) + (uint32_t)(lm_is(c, LM_DIGIT) ? c - '0' : c - 'a' + 10);
    if (code > 0x10FFFF) code = 0x110000;
  }
  return code ? code : 0xFFFD;
}

/* What stood behind `&`: a character, or itself. */
static bool reference_end(struct lm_html *h, struct lm_buf *out, bool semicolon) {
  struct lm_str name = {h->entity, h->entity_n};
  uint32_t code = referred(name);
  h->state = TEXT;
  if (code) return lm_html_character(h, out, code);
  return lm_html_word(h, out, LM_STR("&")) && (name.n == 0 || lm_html_word(h, out, name)) &&
         (!semicolon || lm_html_word(h, out, LM_STR(";")));
}

static size_t reference(struct lm_html *h, struct lm_buf *out, char c, bool *ok) {
  bool more = lm_is(c, LM_ALPHA | LM_DIGIT) || (c == '#' && h->entity_n == 0);
  if (more && h->entity_n < sizeof h->entity) {
    h->entity[h->entity_n++] = c;
    return 1;
  }
  *ok = reference_end(h, out, c == ';');
  return c == ';';
}

/* --- tags --------------------------------------------------------------------------------------- */

static void keep(char *to, uint8_t *n, char c) {
  if (*n < LM_HTML_NAME) to[(*n)++] = lm_lower(c);
}

/* Behind `<`: a tag, a comment, or a character that should have been written as a reference. */
static size_t open(struct lm_html *h, struct lm_buf *out, char c, bool *ok) {
  if (c == '/' && !h->closing) {
    h->closing = true;
    return 1;
  }
  if (lm_is(c, LM_ALPHA)) {
    h->state = NAME;
    h->name_n = h->attribute_n = 0;
    h->value_n = 0;
    return 0;
  }
  if (c == '!' || c == '?' || h->closing) {
    h->state = c == '!' && !h->closing ? BANG : SKIP;
    h->dashes = 0;
    h->closing = false;
    return c != '>';
  }
  h->state = TEXT;
  *ok = lm_html_word(h, out, LM_STR("<"));
  return 0;
}

static bool tag_end(struct lm_html *h, struct lm_buf *out) {
  enum lm_html_element element = find((struct lm_str){h->name, h->name_n});
  bool ok;
  h->state = TEXT;
  if (element >= LM_EL_SCRIPT && !h->closing) {
    h->raw = (uint8_t)element;
    h->raw_at = 0;
    h->state = RAW;
  }
  ok = lm_html_tag(h, out, element);
  h->closing = false;
  return ok;
}

static bool matters(const struct lm_html *h) {
  struct lm_str name = {h->name, h->name_n}, attribute = {h->attribute, h->attribute_n};
  return h->value_n == 0 && ((LM_IS(name, "a") && LM_IS(attribute, "href")) ||
                             (LM_IS(name, "img") && LM_IS(attribute, "alt")));
}

/* What of a tag is no value; an octet is used unless it belongs to the next state. */
static size_t inside(struct lm_html *h, struct lm_buf *out, char c, bool *ok) {
  if (c == '>') {
    *ok = tag_end(h, out);
  } else if (h->state == NAME) {
    if (is_white(c) || c == '/')
      h->state = INSIDE;
    else
      keep(h->name, &h->name_n, c);
  } else if (h->state == INSIDE) {
    if (is_white(c) || c == '/') return 1;
    h->attribute_n = 0;
    h->state = c == '=' ? EQUALS : ATTRIBUTE;
    return c == '=';
  } else if (h->state == ATTRIBUTE) {
    if (c == '=')
      h->state = EQUALS;
    else if (is_white(c) || c == '/')
      h->state = INSIDE;
    else
      keep(h->attribute, &h->attribute_n, c);
  } else if (!is_white(c)) { /* EQUALS */
    h->state = VALUE;
    h->quote = c == '"' || c == '\'' ? c : '\0';
    if (!matters(h)) h->attribute_n = 0;
    return h->quote != '\0';
  }
  return 1;
}

/* An attribute's value, kept where it matters. */
static size_t value(struct lm_html *h, char c) {
  bool ends = h->quote ? c == h->quote : is_white(c) || c == '>';
  if (ends) {
    h->state = INSIDE;
    return h->quote != '\0';
  }
  if (h->attribute_n && h->value_n < sizeof h->value) h->value[h->value_n++] = c;
  return 1;
}

/* --- what is passed over ------------------------------------------------------------------------ */

static void bang(struct lm_html *h, char c) {
  if (c == '-' && h->dashes < 2) {
    if (++h->dashes == 2) h->state = COMMENT; /* `<!-->` is a whole one */
  } else {
    h->state = c == '>' ? TEXT : SKIP;
  }
}

static void comment(struct lm_html *h, char c) {
  if (c == '>' && h->dashes >= 2)
    h->state = TEXT;
  else if (c != '-')
    h->dashes = 0;
  else if (h->dashes < 2)
    h->dashes++;
}

static const char *raw_end(uint8_t element) {
  switch (element) {
  case LM_EL_SCRIPT: return "</script";
  case LM_EL_STYLE: return "</style";
  case LM_EL_TITLE: return "</title";
  case LM_EL_IFRAME: return "</iframe";
  default: return "</textarea";
  }
}

/* Content that is no markup, all of it dropped; how much was used. */
static size_t raw(struct lm_html *h, struct lm_str s) {
  const char *end = raw_end(h->raw), *lt;
  char c = s.p[0];
  if (h->raw_at == 0) {
    lt = memchr(s.p, '<', s.n);
    h->raw_at = lt != NULL;
    return lt ? (size_t)(lt - s.p) + 1 : s.n;
  }
  if (end[h->raw_at] == '\0') {
    h->raw_at = 0;
    if (c != '>' && c != '/' && !is_white(c)) return 0;
    h->raw = 0;
    h->state = c == '>' ? TEXT : SKIP;
    return 1;
  }
  if (lm_lower(c) != end[h->raw_at]) {
    h->raw_at = 0;
    return 0;
  }
  h->raw_at++;
  return 1;
}

/* Up to the first `>`; how much was used. */
static size_t skip(struct lm_html *h, struct lm_str s) {
  const char *gt = memchr(s.p, '>', s.n);
  if (gt == NULL) return s.n;
  h->state = TEXT;
  return (size_t)(gt - s.p) + 1;
}

/* --- all of it ---------------------------------------------------------------------------------- */

static size_t step(struct lm_html *h, struct lm_buf *out, struct lm_str s, bool *ok) {
  switch (h->state) {
  case TEXT: return text(h, out, s, ok);
  case REFERENCE: return reference(h, out, s.p[0], ok);
  case OPEN: return open(h, out, s.p[0], ok);
  case VALUE: return value(h, s.p[0]);
  case BANG: bang(h, s.p[0]); return 1;
  case COMMENT: comment(h, s.p[0]); return 1;
  case SKIP: return skip(h, s);
  case RAW: return raw(h, s);
  default: return inside(h, out, s.p[0], ok);
  }
}

bool lm_html_put(struct lm_html *h, struct lm_buf *out, struct lm_str piece) {
  bool ok = true;
  while (ok && piece.n) {
    size_t n = step(h, out, piece, &ok);
    piece = (struct lm_str){piece.p + n, piece.n - n};
  }
  return ok;
}

bool lm_html_end(struct lm_html *h, struct lm_buf *out) {
  bool ok = true;
  if (h->state == REFERENCE) ok = reference_end(h, out, false);
  if (h->state == OPEN) ok = lm_html_word(h, out, h->closing ? LM_STR("</") : LM_STR("<"));
  h->state = TEXT;
  return ok && (!h->begun || lm_buf_putc(out, '\n'));
}
