/*
** addr_strict.c: one mailbox for an envelope, read strictly (RFC 5321 §4.1.2, RFC 6531 §3.3).
**
** No comments, no routes, no folds, no obsolete forms: what two readers could take for two different
** addresses is refused with words (address parser differentials). Nothing that passes holds CR, LF,
** NUL, another control, or an unquoted space or bracket.
*/
#include "mime/addr.h"

#include <string.h>

#include "base/cursor.h"
#include "mime/charset.h"
#include "mime/idn.h"

static bool no(struct lm_cursor *c, const char *why) {
  return lm_cursor_fail(c, LM_E_PROTOCOL, why);
}

static bool is_atext(int c) {
  return c >= 0 && (c >= 0x80 || lm_is((char)c, LM_MIME_ATEXT));
}

/* Dot-string = Atom *("." Atom) */
static bool dot_string(struct lm_cursor *c, struct lm_str *out) {
  const char *from = c->p;
  do {
    const char *word = c->p;
    while (is_atext(lm_peek(c))) c->p++;
    if (c->p == word)
      return no(c, c->p == from ? "no local part" : "a misplaced dot in the local part");
  } while (lm_accept(c, '.'));
  *out = (struct lm_str){from, (size_t)(c->p - from)};
  return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE; QcontentSMTP = qtextSMTP / quoted-pairSMTP. Controls
** were refused before. */
static bool quoted_string(struct lm_cursor *c, struct lm_str *out) {
  const char *from = ++c->p;
  char *content;
  size_t n = 0;
  while (c->p < c->end && *c->p != '"') {
    c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
  }
  if (lm_at_end(c)) return no(c, "a quote that is not closed");
  if ((content = lm_arena_alloc(c->arena, (size_t)(c->p - from) + 1)) == NULL) {
    return lm_cursor_fail(c, LM_E_MEMORY, NULL);
  }
  for (; from < c->p; from++) {
    if (*from == '\\') from++;
    content[n++] = *from;
  }
  c->p++;
  *out = (struct lm_str){content, n};
  return true;
}

/* What addresses of networks are written in. dcontent has more (RFC 5321 §4.1.3), ">" among it, which ends
** a path for some readers. */
static bool is_literal(char c) {
  return lm_is(c, LM_ALPHA | LM_DIGIT) || c == '.' || c == ':' || c == '-';
}

/* address-literal, loosely: "[" 1*dcontent "]" */
static bool literal(struct lm_cursor *c, struct lm_str *out) {
  const char *from = c->p++;
  while (c->p < c->end && is_literal(*c->p)) c->p++;
  if (c->p == from + 1 || !lm_accept(c, ']')) return no(c, "a bad address literal");
  *out = (struct lm_str){from, (size_t)(c->p - from)};
  return true;
}

/* Domain, with U-labels (RFC 6531 §3.3). It must come through the mapping whole. */
static bool domain(struct lm_cursor *c, struct lm_str *out) {
  const char *from = c->p;
  struct lm_str ascii;
  if (lm_peek(c) == '[') return literal(c, out);
  while (lm_peek(c) >= 0x80 || lm_peek(c) == '.' || lm_is((char)lm_peek(c), LM_MIME_ATEXT)) c->p++;
  *out = (struct lm_str){from, (size_t)(c->p - from)};
  if (!lm_idn_to_ascii(c->arena, *out, &ascii) && ascii.p == NULL) {
    return lm_cursor_fail(c, LM_E_MEMORY, NULL);
  }
  return lm_idn_is_hostname(ascii) || no(c, "a bad domain name");
}

/* Mailbox = Local-part "@" (Domain / address-literal) */
static bool mailbox(struct lm_cursor *c, struct lm_addr *out) {
  return (lm_peek(c) == '"' ? quoted_string(c, &out->local) : dot_string(c, &out->local)) &&
         lm_expect(c, '@', "no @ behind the local part") && domain(c, &out->domain);
}

/* display-name, as strictly: words and quoted strings, dots, spaces. An unquoted "@" may stand only
** where the name repeats the address, which the caller compares. */
static bool name(struct lm_cursor *c, struct lm_str *out) {
  const char *from = c->p;
  struct lm_str ignored;
  bool begun = false; /* obs-phrase = word *(word / "." / CFWS) */
  for (; c->p < c->end && *c->p != '<'; c->p++) {
    char ch = *c->p;
    if (ch == '"') {
      if (!quoted_string(c, &ignored)) return false;
      c->p--;
    } else if (!is_atext((unsigned char)ch) && ch != ' ' && !(begun && (ch == '.' || ch == '@'))) {
      return no(c, "unquoted special characters in the name");
    }
    begun = begun || ch != ' ';
  }
  *out = (struct lm_str){from, (size_t)(c->p - from)};
  while (out->n && out->p[out->n - 1] == ' ') out->n--;
  return true;
}

static bool has_unquoted_at(struct lm_str s) {
  size_t i;
  bool quoted = false;
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '\\')
      i++;
    else if (s.p[i] == '"')
      quoted = !quoted;
    else if (s.p[i] == '@' && !quoted)
      return true;
  }
  return false;
}

/* [display-name] "<" Mailbox ">" */
static bool in_brackets(struct lm_cursor *c, struct lm_addr *out) {
  struct lm_str shown;
  struct lm_str spec;
  if (!name(c, &shown) || !lm_expect(c, '<', "no < before the address")) return false;
  spec.p = c->p;
  if (!mailbox(c, out)) return false;
  spec.n = (size_t)(c->p - spec.p);
  if (has_unquoted_at(shown) && !lm_str_ieq(shown, spec)) return no(c, "an unquoted @ in the name");
  return lm_expect(c, '>', "no > behind the address");
}

/* What no address may hold, in whatever place. */
static const char *forbidden(struct lm_str text) {
  size_t i;
  for (i = 0; i < text.n; i++) {
    unsigned char ch = (unsigned char)text.p[i];
    if (ch == '\r' || ch == '\n' || ch == '\0') return "a line break or NUL in an address";
    if (ch < ' ' || ch == 127) return "a control character in an address";
    if (ch == 0xC2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xA0) {
      return "a control character in an address"; /* C1 */
    }
  }
  if (text.n > 4 * LM_MAILBOX + 1024) return "an address that is too long";
  return lm_utf8_valid(text) ? NULL : "an address that is not UTF-8";
}

static const char *too_long(const struct lm_addr *addr, size_t whole) {
  size_t local = whole - addr->domain.n - 1;
  if (local > LM_LOCAL_PART) return "a local part of more than 64 octets";
  if (addr->domain.n > LM_DOMAIN) return "a domain of more than 255 octets";
  return whole > LM_MAILBOX ? "an address of more than 254 octets" : NULL;
}

static bool refuse(const char *why, const char **why_out) {
  *why_out = why;
  return false;
}

/* Where "<" stands outside of quotes the text is a name and an address. */
static bool has_brackets(struct lm_str text) {
  size_t i;
  bool quoted = false;
  for (i = 0; i < text.n; i++) {
    if (text.p[i] == '\\' && quoted)
      i++;
    else if (text.p[i] == '"')
      quoted = !quoted;
    else if (text.p[i] == '<' && !quoted)
      return true;
  }
  return false;
}

static const char *words(const struct lm_cursor *c) {
  if (c->code == LM_E_MEMORY) return NULL;
  return c->expected ? c->expected : "text behind the address";
}

bool lm_addr_strict(struct lm_arena *a, struct lm_str text, struct lm_addr *out,
                    const char **why_out) {
  struct lm_cursor c = lm_cursor(text.n ? text : LM_STR(""));
  const char *why = forbidden(text);
  struct lm_str spec;
  memset(out, 0, sizeof *out);
  if (why) return refuse(why, why_out);
  if (text.n == 0) return refuse("an empty address", why_out);
  c.arena = a;
  if (!mailbox(&c, out) || !lm_at_end(&c)) return refuse(words(&c), why_out);
  if (!lm_addr_spec(a, out, &spec)) return refuse(NULL, why_out);
  why = too_long(out, spec.n);
  return why == NULL || refuse(why, why_out);
}

/* Dot-string "@" Domain */
bool lm_addr_is_plain(struct lm_str text) {
  const char *p = text.p, *end = p + text.n, *word = p;
  if (text.n > LM_MAILBOX) return false;
  for (; p < end && *p != '@'; p++) {
    if (lm_is(*p, LM_MIME_ATEXT)) continue;
    if (*p != '.' || p == word) return false;
    word = p + 1;
  }
  if (p == end || p == word || p - text.p > LM_LOCAL_PART) return false;
  p++;
  return lm_idn_is_hostname((struct lm_str){p, (size_t)(end - p)});
}

/* The domain in A-labels, and the lengths as they will be sent. */
static bool finish(struct lm_arena *a, struct lm_addr *out, const char **why_out) {
  struct lm_str spec;
  const char *why;
  if (out->domain.p[0] != '[' && !lm_idn_to_ascii(a, out->domain, &out->domain)) {
    return refuse(out->domain.p ? "a bad domain name" : NULL, why_out);
  }
  if (!lm_addr_spec(a, out, &spec)) return refuse(NULL, why_out);
  out->utf8 = !lm_str_is_ascii(out->local);
  why = too_long(out, spec.n);
  return why == NULL || refuse(why, why_out);
}

bool lm_addr_envelope(struct lm_arena *a, struct lm_str text, enum lm_addr_null null,
                      struct lm_addr *out, const char **why_out) {
  struct lm_cursor c = lm_cursor(text.n ? text : LM_STR(""));
  const char *why = forbidden(text);
  bool brackets = has_brackets(text);
  memset(out, 0, sizeof *out);
  if (why) return refuse(why, why_out);
  if (text.n == 0 || lm_str_eq(text, LM_STR("<>"))) {
    return null == LM_ADDR_NULL_TAKEN || refuse("an empty address", why_out);
  }
  c.arena = a;
  if (!(brackets ? in_brackets(&c, out) : mailbox(&c, out)) || !lm_at_end(&c)) {
    return refuse(words(&c), why_out);
  }
  return finish(a, out, why_out);
}
