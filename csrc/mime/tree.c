/*
** tree.c: the parts of a message that lies in memory.
*/
#include "mime/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/params.h"

enum { PARTS_MIN = 8, DEFECTS_MIN = 4 };

/* Room for one more of `size` octets; the array stays where memory is short. */
static void *grow(void *array, size_t count, size_t *room, size_t size) {
  size_t more = *room ? *room * 2 : (size == sizeof(struct lm_part) ? PARTS_MIN : DEFECTS_MIN);
  void *p;
  if (count < *room) return array;
  if ((p = realloc(array, more * size)) != NULL) *room = more;
  return p;
}

static bool add_part(struct lm_tree *t, uint32_t parent, size_t start) {
  struct lm_part *parts = grow(t->parts, t->count, &t->room, sizeof *parts);
  uint32_t index = (uint32_t)t->count;
  struct lm_part *part;
  if (parts == NULL) return false;
  t->parts = parts;
  part = &parts[t->count++];
  memset(part, 0, sizeof *part);
  part->start = part->body = part->end = start;
  part->parent = parent;
  part->first = part->last = part->next = LM_NO_PART;
  if (parent == LM_NO_PART) return true;
  if (parts[parent].last != LM_NO_PART)
    parts[parts[parent].last].next = index;
  else
    parts[parent].first = index;
  parts[parent].last = index;
  return true;
}

static bool add_defect(struct lm_tree *t, const struct lm_mime_event *ev) {
  struct lm_mime_defect *list;
  if (t->defects_all++ >= LM_DEFECTS) return true;
  list = grow(t->defects, t->defects_n, &t->defects_room, sizeof *list);
  if (list == NULL) return false;
  t->defects = list;
  list[t->defects_n].why = ev->why;
  list[t->defects_n++].offset = (size_t)ev->offset;
  return true;
}

/* The first field of each name counts. */
static void note(struct lm_part *part, const struct lm_header_field *f) {
  struct lm_str *to = NULL;
  if (f->name.n < 10 || lm_lower(f->name.p[0]) != 'c' || f->name.p[7] != '-') return;
  if (LM_IS(f->name, "Content-Type"))
    to = &part->type;
  else if (LM_IS(f->name, "Content-Disposition"))
    to = &part->disposition;
  else if (LM_IS(f->name, "Content-ID"))
    to = &part->id;
  if (to && to->p == NULL) *to = f->value;
}

/* One event; `*at` is the part that is open. */
static bool take(struct lm_tree *t, uint32_t *at, const struct lm_mime_event *ev) {
  struct lm_part *part = *at == LM_NO_PART ? NULL : &t->parts[*at];
  size_t offset = (size_t)ev->offset;
  switch (ev->kind) {
  case LM_MIME_PART:
    if (!add_part(t, *at, offset)) return false;
    *at = (uint32_t)t->count - 1;
    return true;
  case LM_MIME_FIELD:
    part->fields++;
    note(part, &ev->field);
    return true;
  case LM_MIME_CONTENT:
    part->body = part->preamble = offset;
    part->shape = ev->shape;
    part->transfer = ev->transfer;
    part->digest = ev->digest;
    return true;
  case LM_MIME_PREAMBLE: part->preamble = offset + ev->text.n; return true;
  case LM_MIME_EPILOGUE:
    if (part->epilogue == 0) part->epilogue = offset;
    return true;
  case LM_MIME_PART_END:
    part->end = offset > part->body ? offset : part->body;
    if (part->epilogue == 0) part->epilogue = part->end;
    *at = part->parent;
    return true;
  case LM_MIME_DEFECT: return add_defect(t, ev);
  default: return true;
  }
}

bool lm_tree_read_by(struct lm_parser *p, struct lm_tree *t, struct lm_str text) {
  struct lm_mime_event ev;
  enum lm_status status = LM_FAIL;
  uint32_t at = LM_NO_PART;
  t->text = text;
  t->count = t->defects_n = t->defects_all = 0;
  if (lm_parser_feed(p, text)) {
    lm_parser_eof(p);
    do {
      status = lm_parser_next(p, &ev);
    } while (status == LM_EVENT && take(t, &at, &ev));
  }
  if (status == LM_WAIT) return true;
  lm_tree_free(t);
  return false;
}

bool lm_tree_read(struct lm_tree *t, struct lm_str text, const struct lm_mime_limits *limits) {
  struct lm_parser *p = lm_parser_new(limits);
  bool ok;
  memset(t, 0, sizeof *t);
  ok = p && lm_tree_read_by(p, t, text);
  lm_parser_free(p);
  return ok;
}

void lm_tree_free(struct lm_tree *t) {
  free(t->parts);
  free(t->defects);
  memset(t, 0, sizeof *t);
}

void lm_tree_media(const struct lm_part *part, struct lm_media *out) {
  if (part->type.p)
    lm_media_read(part->type, out);
  else if (part->digest)
    *out = (struct lm_media){LM_STR("message"), LM_STR("rfc822")};
  else
    *out = (struct lm_media){LM_STR("text"), LM_STR("plain")};
}

const struct lm_part *lm_tree_behind(const struct lm_tree *t, const struct lm_part *part) {
  while (part->next == LM_NO_PART && part->parent != LM_NO_PART) part = &t->parts[part->parent];
  return part->next == LM_NO_PART ? t->parts + t->count : &t->parts[part->next];
}
