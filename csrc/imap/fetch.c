/*
** fetch.c: one FETCH answer.
**
** The loop over items is here; what an item is stands in the records of ext.h.
*/
#include "imap/fetch.h"

#include <string.h>

#include "imap/ext.h"
#include "imap/scan.h"

void lm_imap_fetch_init(struct lm_imap_fetch *f, uint32_t seq) {
  memset(f, 0, sizeof *f);
  f->seq = seq;
  f->flags.kind = LM_VALUE_SET;
  f->other.kind = f->raw.kind = LM_VALUE_LIST;
}

struct lm_imap_value *lm_imap_fetch_other(struct lm_cursor *c, struct lm_imap_fetch *f,
                                          struct lm_str key) {
  return lm_imap_child(c, &f->other, key);
}

bool lm_imap_fetch_defect(struct lm_arena *arena, struct lm_imap_fetch *f, struct lm_str item,
                          const char *expected) {
  struct lm_imap_defect *d = lm_arena_zero(arena, sizeof *d);
  if (d == NULL) return false;
  d->item = item;
  d->expected = expected;
  if (f->last_defect) {
    f->last_defect->next = d;
  } else {
    f->defects = d;
  }
  f->last_defect = d;
  return true;
}

/* --- bodies ----------------------------------------------------------------------------------- */

static struct lm_imap_section *new_section(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_section *s = lm_arena_zero(c->arena, sizeof *s);
  if (s == NULL) {
    lm_cursor_fail(c, LM_E_MEMORY, "room for a section");
    return NULL;
  }
  if (f->last_section) {
    f->last_section->next = s;
  } else {
    f->sections = s;
  }
  f->last_section = s;
  return s;
}

/* nstring, or a literal whose octets the session hands out: then the text ends here. */
static bool section_data(struct lm_cursor *c, struct lm_imap_section *s) {
  const char *from = c->p;
  int ch = lm_peek(c);
  if (ch == '{' || ch == '~') {
    if (!lm_imap_literal_head(c, &s->size)) return false;
    s->streamed = lm_at_end(c) && s->size > 0;
    if (s->streamed) return true;
    c->p = from;
  }
  if (!lm_imap_nstring(c, &s->data)) return false;
  s->size = s->data.n;
  return true;
}

/* Takes the text of a section up to its "]", strings in it unquoted, writing it to `to` unless that is
** NULL. Its length to *n_out. */
static bool section_words(struct lm_cursor *c, char *to, size_t *n_out) {
  size_t n = 0;
  while (c->p < c->end && *c->p != ']') {
    struct lm_str word = {c->p, 1};
    bool string = *c->p == '"' || *c->p == '{';
    if (string && !lm_imap_string(c, &word)) return false;
    if (!string) c->p++;
    if (to && word.n) memcpy(to + n, word.p, word.n);
    n += word.n;
  }
  *n_out = n;
  return true;
}

/* The section's text inside "[...]", in upper case. Names of header fields may come as strings: then
** it is put together anew. */
bool lm_imap_fetch_section_name(struct lm_cursor *c, struct lm_str *out) {
  const char *from;
  size_t n = 0;
  char *p;
  if (!lm_expect(c, '[', "section")) return false;
  from = c->p;
  while (c->p < c->end && *c->p != ']' && *c->p != '"' && *c->p != '{') c->p++;
  *out = (struct lm_str){from, (size_t)(c->p - from)};
  if (lm_peek(c) != ']') {
    c->p = from;
    if (!section_words(c, NULL, &n)) return false;
    if ((p = lm_arena_alloc(c->arena, n + 1)) == NULL) {
      return lm_cursor_fail(c, LM_E_MEMORY, "room for a section");
    }
    c->p = from;
    if (!section_words(c, p, &n)) return false;
    *out = (struct lm_str){p, n};
  }
  return lm_imap_upper(c, *out, out) && lm_expect(c, ']', "end of section");
}

/* Yandex: the name of a body, and no body (spec/wire/imap/quirk-yandex-body-missing.wire). */
static bool no_data(struct lm_cursor *c, struct lm_imap_fetch *f) {
  while (lm_accept(c, ' ')) continue;
  if (lm_peek(c) != ')') return false;
  if (!lm_imap_fetch_defect(c->arena, f, LM_STR("BODY"), "octets of a body")) {
    lm_cursor_fail(c, LM_E_MEMORY, "room for a defect");
  }
  return true;
}

/* section = "[" [section-spec] "]", then ["<" number ">"] SP nstring */
bool lm_imap_fetch_section(struct lm_cursor *c, struct lm_imap_fetch *f, bool binary) {
  struct lm_imap_section *s = new_section(c, f);
  if (s == NULL) return false;
  s->binary = binary;
  if (!lm_imap_fetch_section_name(c, &s->name)) return false;
  if (lm_accept(c, '<')) {
    s->partial = true;
    if (!lm_take_u32(c, &s->origin) || !lm_expect(c, '>', "end of origin")) return false;
  }
  if (no_data(c, f)) return c->code == LM_E_NONE;
  return section_data(c, s);
}

bool lm_imap_fetch_rfc822(struct lm_cursor *c, struct lm_imap_fetch *f, struct lm_str name) {
  struct lm_imap_section *s = new_section(c, f);
  if (s == NULL) return false;
  s->name = name;
  return lm_imap_sp(c) && section_data(c, s);
}

/* --- items ------------------------------------------------------------------------------------ */

/* The name of an item ends at a space, a bracket or a parenthesis. */
static struct lm_str item_name(struct lm_cursor *c) {
  const char *from = c->p;
  while (c->p < c->end && lm_is(*c->p, LM_IMAP_ATOM) && *c->p != '[') c->p++;
  while (c->p < c->end && *c->p != ' ' && *c->p != '[' && *c->p != ')' && *c->p != '(') c->p++;
  return (struct lm_str){from, (size_t)(c->p - from)};
}

/* What stands in brackets belongs to the name of an item that nobody knows. */
static struct lm_str unknown_name(struct lm_cursor *c, struct lm_str name) {
  if (lm_peek(c) == '[') {
    lm_until(c, ']');
    lm_accept(c, ']');
    if (lm_accept(c, '<')) {
      lm_until(c, '>');
      lm_accept(c, '>');
    }
  }
  return (struct lm_str){name.p, (size_t)(c->p - name.p)};
}

/* An item as a value tree under its name in lower case. */
static bool generic(struct lm_cursor *c, struct lm_str name, struct lm_imap_value *into) {
  struct lm_imap_value value = {.kind = LM_VALUE_NIL}, *v;
  struct lm_str key;
  name = unknown_name(c, name);
  if (name.n == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "name of an item");
  if (lm_peek(c) != ')' && (!lm_imap_sp(c) || !lm_imap_value(c, &value))) return false;
  if (lm_peek(c) != ' ' && lm_peek(c) != ')') {
    return lm_cursor_fail(c, LM_E_PROTOCOL, "space or end of FETCH items");
  }
  if (!lm_imap_lower(c, name, &key) || (v = lm_imap_child(c, into, key)) == NULL) return false;
  v->kind = value.kind;
  v->count = value.count;
  v->u = value.u;
  return true;
}

/* Nothing can be told apart any more: the rest of the line is one raw text. */
static bool give_up(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_str rest = lm_rest(c);
  while (rest.n && (rest.p[rest.n - 1] == '\n' || rest.p[rest.n - 1] == '\r')) rest.n--;
  c->p = c->end;
  return lm_imap_add_text(c, &f->raw, LM_STR("rest"), rest);
}

/* The item could not be read by its own rule: the value goes to `raw`, and parsing goes on. */
static bool salvage(struct lm_cursor *c, struct lm_imap_fetch *f, struct lm_str name) {
  const char *from = name.p + name.n;
  const char *expected = c->code ? c->expected : "space or end of FETCH items";
  struct lm_str item;
  if (!lm_imap_back(c, from) || !lm_imap_upper(c, name, &item)) return false;
  if (!lm_imap_fetch_defect(c->arena, f, item, expected)) {
    return lm_cursor_fail(c, LM_E_MEMORY, "room for a defect");
  }
  if (generic(c, name, &f->raw)) return true;
  return lm_imap_back(c, name.p) && give_up(c, f);
}

/* Takes the name of an item, and reads its value by the rule of that name. */
static bool parse_item(struct lm_cursor *c, struct lm_imap_fetch *f, struct lm_str *name_out) {
  const struct lm_imap_item *item = lm_imap_match_item(lm_rest(c));
  if (item) {
    *name_out = (struct lm_str){c->p, item->name.n};
    c->p += item->name.n;
    return item->parse(c, f);
  }
  *name_out = item_name(c);
  item = lm_imap_find_item(*name_out);
  return item ? item->parse(c, f) : generic(c, *name_out, &f->other);
}

/* What an item that failed half-way has left behind. */
static void drop_section(struct lm_imap_fetch *f, struct lm_imap_section *last) {
  if (last) last->next = NULL;
  if (last == NULL) f->sections = NULL;
  f->last_section = last;
}

/* msg-att item; false where the session must fail. */
static bool item(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_section *last = f->last_section;
  struct lm_str name;
  if (parse_item(c, f, &name) && (lm_at_end(c) || *c->p == ' ' || *c->p == ')')) {
    return true;
  }
  if (f->last_section != last) drop_section(f, last);
  return salvage(c, f, name);
}

/* Domino: parentheses round the name and the value of an item
** (spec/wire/imap/quirk-domino-parentheses.wire). */
static bool is_wrapped(const struct lm_cursor *c) {
  struct lm_cursor in = *c;
  return lm_accept(&in, '(') && lm_imap_find_item(item_name(&in)) != NULL;
}

/* msg-att = "(" msg-att-item *(SP msg-att-item) ")"; an item may be followed by two spaces, or by a
** space before the parenthesis. */
enum lm_fetch_got lm_imap_fetch_resume(struct lm_cursor *c, struct lm_imap_fetch *f) {
  for (;;) {
    struct lm_imap_section *last = f->last_section;
    while (lm_accept(c, ' ')) continue;
    if (lm_accept(c, ')')) {
      if (f->wrapped == 0) return LM_FETCH_WHOLE;
      f->wrapped--;
      continue;
    }
    if (lm_at_end(c)) break;
    if (is_wrapped(c)) {
      c->p++;
      f->wrapped++;
      continue;
    }
    if (!item(c, f)) return LM_FETCH_BAD;
    if (f->last_section != last && f->last_section->streamed) return LM_FETCH_CUT;
    if (lm_at_end(c) && f->defects) return LM_FETCH_WHOLE;
  }
  lm_cursor_fail(c, LM_E_PROTOCOL, "end of FETCH items");
  return LM_FETCH_BAD;
}

enum lm_fetch_got lm_imap_fetch(struct lm_cursor *c, struct lm_imap_fetch *f) {
  if (!lm_expect(c, '(', "FETCH items")) return LM_FETCH_BAD;
  return lm_imap_fetch_resume(c, f);
}
