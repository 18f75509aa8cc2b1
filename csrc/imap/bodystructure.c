/*
** bodystructure.c: BODY and BODYSTRUCTURE of a FETCH answer.
**
** The parts wait in a queue (`todo`) to be made sense of, so nesting costs no stack.
*/
#include "imap/bodystructure.h"

#include <string.h>

#include "imap/scan.h"
#include "mime/params.h"
#include "mime/word2047.h"

/* One part under way: the fields not yet taken, and the end of the queue. */
struct reader {
  struct lm_cursor *c;
  const struct lm_imap_value *v;
  struct lm_imap_part *last;
};

static bool no_room(struct lm_cursor *c) {
  return lm_cursor_fail(c, LM_E_MEMORY, "room for a body structure");
}

/* --- fields: each takes its place in the order, whatever stands there ----------------------------- */

static struct lm_str text(struct reader *r) {
  const struct lm_imap_value *here = r->v;
  if (here) r->v = here->next;
  return lm_imap_text(here);
}

static const struct lm_imap_value *list(struct reader *r) {
  const struct lm_imap_value *here = r->v;
  if (here) r->v = here->next;
  return here && here->kind == LM_VALUE_LIST ? here : NULL;
}

/* True where the name or the value of a parameter is coded: by RFC 2231, in encoded words, or in a
** charset that nobody names. */
static bool is_coded(struct lm_str name, struct lm_str value) {
  size_t i;
  if (name.n && memchr(name.p, '*', name.n)) return true;
  for (i = 0; i + 1 < value.n; i++) {
    if (value.p[i] == '=' && value.p[i + 1] == '?') return true;
  }
  return !lm_str_is_ascii(value);
}

/* The `count` words of a list of parameters, each in UTF-8 under its plain name: servers hand them on as
** they stand in the message. A list that holds other things than words is left alone. */
static bool decode_parameters(struct lm_cursor *c, const struct lm_imap_value **all) {
  struct lm_str *words = lm_arena_alloc(c->arena, (*all)->count * sizeof *words);
  struct lm_imap_value *plain = lm_arena_zero(c->arena, sizeof *plain);
  const struct lm_imap_value *v = (*all)->u.list.first;
  const struct lm_param *param;
  struct lm_params params;
  size_t n;
  if (words == NULL || plain == NULL) return no_room(c);
  for (n = 0; v; v = v->next) {
    words[n++] = lm_imap_text(v);
    if (v->kind != LM_VALUE_ATOM && v->kind != LM_VALUE_STRING) return true;
  }
  if (!lm_params_join(c->arena, words, n, &params)) return no_room(c);
  plain->kind = LM_VALUE_LIST;
  for (param = params.first; param; param = param->next) {
    if (!lm_imap_add_text(c, plain, LM_NOSTR, param->name)) return false;
    if (!lm_imap_add_text(c, plain, LM_NOSTR, param->value)) return false;
  }
  *all = plain;
  return true;
}

/* body-fld-param = "(" string SP string *(SP string SP string) ")" / nil; names in lower case */
static bool parameters(struct reader *r, const struct lm_imap_value **out) {
  const struct lm_imap_value *all = list(r);
  struct lm_imap_value *name = all ? all->u.list.first : NULL;
  bool coded = false;
  *out = all;
  for (; name; name = name->next ? name->next->next : NULL) {
    if (lm_imap_text(name).n && !lm_imap_lower(r->c, name->u.text, &name->u.text)) return false;
    coded = coded || is_coded(lm_imap_text(name), lm_imap_text(name->next));
  }
  return !coded || decode_parameters(r->c, out);
}

static bool lower_text(struct reader *r, struct lm_str *out) {
  *out = text(r);
  return out->n == 0 || lm_imap_lower(r->c, *out, out);
}

/* A size of -1 or NIL is no size: spec/wire/imap/quirk-bodystructure-sizes.wire */
static bool number(struct reader *r, uint64_t *out) {
  const struct lm_imap_value *here = r->v;
  bool exact;
  if (here) r->v = here->next;
  if (here && here->kind == LM_VALUE_ATOM) return lm_imap_to_size(here->u.text, out, &exact);
  if (here == NULL || here->kind != LM_VALUE_NUMBER) return false;
  *out = here->u.number;
  return true;
}

static bool next_is(const struct reader *r, enum lm_imap_kind kind) {
  return r->v && r->v->kind == kind;
}

/* --- names ------------------------------------------------------------------------------------ */

static char *lower_to(char *to, struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) to[i] = lm_lower(s.p[i]);
  return to + s.n;
}

/* "type/subtype" in lower case. */
static bool media_type(struct reader *r, struct lm_imap_part *part, struct lm_str type,
                       struct lm_str subtype) {
  char *p = lm_arena_alloc(r->c->arena, type.n + 1 + subtype.n), *q;
  if (p == NULL) return no_room(r->c);
  q = lower_to(p, type);
  *q++ = '/';
  q = lower_to(q, subtype);
  part->type = (struct lm_str){p, (size_t)(q - p)};
  return true;
}

/* `prefix` "." `n`, or `n` alone. */
static bool section(struct reader *r, struct lm_imap_part *part, struct lm_str prefix, uint32_t n) {
  char digits[10], *p = lm_arena_alloc(r->c->arena, prefix.n + 1 + sizeof digits), *q = p;
  size_t i = sizeof digits;
  if (p == NULL) return no_room(r->c);
  if (prefix.n) {
    memcpy(q, prefix.p, prefix.n);
    q += prefix.n;
    *q++ = '.';
  }
  do {
    digits[--i] = (char)('0' + n % 10);
  } while (n /= 10);
  memcpy(q, digits + i, sizeof digits - i);
  part->section = (struct lm_str){p, (size_t)(q - p) + sizeof digits - i};
  return true;
}

/* What the sections of a multipart's children begin with: a multipart that is a whole message
** has no number of its own (RFC 9051 §6.4.5.1). */
static struct lm_str prefix_of(const struct lm_imap_part *part) {
  if (part->parent == NULL) return LM_STR("");
  return part->parent->multipart ? part->section : part->parent->section;
}

/* --- the tree ---------------------------------------------------------------------------------- */

static struct lm_imap_part *new_part(struct reader *r, const struct lm_imap_value *raw,
                                     struct lm_imap_part *parent) {
  struct lm_imap_part *part = lm_arena_zero(r->c->arena, sizeof *part);
  if (part == NULL) {
    no_room(r->c);
    return NULL;
  }
  part->raw = raw;
  part->parent = parent;
  if (r->last) r->last->todo = part;
  r->last = part;
  return part;
}

static const struct lm_imap_value *nth(const struct lm_imap_value *v, int n) {
  while (v && n-- > 0) v = v->next;
  return v;
}

static bool is_number_at(const struct lm_imap_value *first, int n) {
  const struct lm_imap_value *v = nth(first, n);
  return v && v->kind == LM_VALUE_NUMBER;
}

static bool names_multipart(struct lm_str s) {
  return LM_IS(s, "alternative") || LM_IS(s, "mixed") || LM_IS(s, "related") ||
         LM_IS(s, "report") || LM_IS(s, "digest") || LM_IS(s, "signed");
}

/* True for "(" body ... subtype, and for multiparts that have lost their parts: "(" subtype "("
** parameters, without the size of a single part, and "(" subtype alone or before NIL, "(" NIL
** subtype: spec/wire/imap/quirk-multipart-empty.wire, quirk-gmail-multipart.wire */
static bool is_multipart(const struct lm_imap_value *first) {
  const struct lm_imap_value *second = first ? first->next : NULL;
  if (first == NULL) return false;
  if (first->kind == LM_VALUE_LIST) return true;
  if (first->kind == LM_VALUE_NIL) return second && names_multipart(lm_imap_text(second));
  if (second && second->kind == LM_VALUE_LIST) return !is_number_at(first, 5);
  return (!second || second->kind == LM_VALUE_NIL) && names_multipart(lm_imap_text(first));
}

/* True for the kind of list that a disposition is. */
static bool is_disposition(const struct lm_imap_value *v) {
  const struct lm_imap_value *in = v && v->kind == LM_VALUE_LIST ? v->u.list.first : NULL;
  return in && in->next && in->next->kind == LM_VALUE_LIST;
}

/* body-fld-dsp = "(" string SP body-fld-param ")" / nil; a text in its place is the type alone, or
** a description; a type of NIL is an attachment: spec/wire/imap/quirk-exchange-disposition.wire */
static bool disposition(struct reader *r, struct lm_imap_part *part) {
  struct lm_str bare = lm_imap_text(r->v);
  const struct lm_imap_value *dsp = list(r);
  struct reader in = {r->c, dsp ? dsp->u.list.first : NULL, NULL};
  if (bare.n && (LM_IS(bare, "inline") || LM_IS(bare, "attachment"))) {
    return lm_imap_lower(r->c, bare, &part->disposition);
  }
  if (bare.n && part->description.p == NULL) part->description = bare;
  if (!lower_text(&in, &part->disposition)) return false;
  if (part->disposition.p == NULL && is_disposition(dsp)) part->disposition = LM_STR("attachment");
  return parameters(&in, &part->disposition_parameters);
}

/* body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]] */
static bool extension_data(struct reader *r, struct lm_imap_part *part) {
  if (!disposition(r, part)) return false;
  if (part->disposition.p == NULL && is_disposition(r->v) && !disposition(r, part)) return false;
  if (r->v && r->v->kind != LM_VALUE_NIL) part->language = r->v;
  if (r->v) r->v = r->v->next;
  part->location = text(r);
  return true;
}

/* body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart] */
static bool multipart(struct reader *r, struct lm_imap_part *part) {
  struct lm_str prefix = prefix_of(part), subtype;
  struct lm_imap_part **tail = &part->child;
  for (; next_is(r, LM_VALUE_LIST); r->v = r->v->next) {
    struct lm_imap_part *child = new_part(r, r->v, part);
    if (child == NULL || !section(r, child, prefix, ++part->children)) return false;
    *tail = child;
    tail = &child->next;
  }
  if (next_is(r, LM_VALUE_NIL) && part->child == NULL) r->v = r->v->next;
  subtype = text(r);
  if (!media_type(r, part, LM_STR("multipart"), subtype.n ? subtype : LM_STR("mixed"))) {
    return false;
  }
  return parameters(r, &part->parameters) && extension_data(r, part);
}

/* body-type-msg: envelope SP body SP body-fld-lines; left out where the server left it out. */
static bool message(struct reader *r, struct lm_imap_part *part) {
  const struct lm_imap_value *envelope = list(r), *body = list(r);
  if (envelope) {
    part->envelope = lm_arena_alloc(r->c->arena, sizeof *part->envelope);
    if (part->envelope == NULL) return no_room(r->c);
    if (!lm_imap_envelope_of(r->c, envelope, part->envelope)) return false;
  }
  if (body && (part->child = new_part(r, body, part)) == NULL) return false;
  part->children = body != NULL;
  part->has_lines = number(r, &part->lines);
  return true;
}

static bool is_top_level(struct lm_str s) {
  return LM_IS(s, "text") || LM_IS(s, "application") || LM_IS(s, "image") || LM_IS(s, "audio") ||
         LM_IS(s, "video") || LM_IS(s, "message") || LM_IS(s, "model") || LM_IS(s, "font");
}

/* media-type SP media-subtype; one word of the two is read as what it is:
** spec/wire/imap/quirk-bodystructure-quotes.wire */
static bool media(struct reader *r, struct lm_imap_part *part, struct lm_str *type) {
  const struct lm_imap_value *first = r->v;
  struct lm_str subtype = LM_NOSTR;
  bool alone = lm_imap_text(first ? first->next : NULL).p == NULL && is_number_at(first, 5);
  *type = text(r);
  if (!alone) subtype = text(r);
  if (alone && type->n && !is_top_level(*type)) {
    subtype = *type;
    *type = LM_STR("application");
  }
  if (type->n == 0) *type = LM_STR("application");
  if (subtype.n == 0) subtype = LM_IS(*type, "text") ? LM_STR("plain") : LM_STR("octet-stream");
  return media_type(r, part, *type, subtype);
}

/* True where the fields of a message stand, even if the first of them is NIL. */
static bool at_message(const struct reader *r) {
  if (!next_is(r, LM_VALUE_NIL)) return next_is(r, LM_VALUE_LIST);
  return r->v->next && r->v->next->kind == LM_VALUE_LIST && is_number_at(r->v, 2);
}

/* body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part] */
static bool single(struct reader *r, struct lm_imap_part *part) {
  struct lm_str type;
  if (!media(r, part, &type)) return false;
  if (!parameters(r, &part->parameters)) return false;
  part->id = text(r);
  part->description = text(r);
  if (part->description.n &&
      !lm_word2047_decode(r->c->arena, part->description, &part->description))
    return no_room(r->c);
  if (!lower_text(r, &part->encoding)) return false;
  part->has_size = number(r, &part->size);
  if (LM_IS(type, "message") && at_message(r)) {
    if (!message(r, part)) return false;
  } else if (LM_IS(type, "text") && !next_is(r, LM_VALUE_STRING)) {
    part->has_lines = number(r, &part->lines);
  }
  part->md5 = text(r);
  return extension_data(r, part);
}

/* The section of a body that is a whole message: the root, or the message in a message/rfc822. */
static bool whole_section(struct reader *r, struct lm_imap_part *part) {
  struct lm_str around = part->parent ? part->parent->section : LM_STR("");
  char *p;
  if (!part->multipart) return section(r, part, around, 1);
  part->section = LM_STR("TEXT");
  if (around.n == 0) return true;
  if ((p = lm_arena_alloc(r->c->arena, around.n + 5)) == NULL) return no_room(r->c);
  memcpy(p, around.p, around.n);
  memcpy(p + around.n, ".TEXT", 5);
  part->section = (struct lm_str){p, around.n + 5};
  return true;
}

static bool make_sense(struct reader *r, struct lm_imap_part *part) {
  r->v = part->raw->u.list.first;
  part->multipart = is_multipart(r->v);
  if (part->section.p == NULL && !whole_section(r, part)) return false;
  return part->multipart ? multipart(r, part) : single(r, part);
}

bool lm_imap_bodystructure(struct lm_cursor *c, struct lm_imap_part **out) {
  struct lm_imap_value *raw = lm_arena_zero(c->arena, sizeof *raw);
  struct reader r = {c, NULL, NULL};
  struct lm_imap_part *part;
  if (raw == NULL) return no_room(c);
  if (lm_peek(c) != '(') return lm_cursor_fail(c, LM_E_PROTOCOL, "body structure");
  if (!lm_imap_value(c, raw)) return false;
  if ((*out = new_part(&r, raw, NULL)) == NULL) return false;
  for (part = *out; part; part = part->todo) {
    if (!make_sense(&r, part)) return false;
  }
  return true;
}
