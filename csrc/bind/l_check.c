/*
** l_check.c: what is wrong with a message: its structure, its header fields, its encoded contents.
**
** Reads all of it, so it is done only when asked for. Of each kind of trouble the first place is told:
** a field of a thousand bad addresses is one defect.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/message.h"
#include "bind/push_mime.h"
#include "mime/charset.h"
#include "mime/content.h"
#include "mime/date.h"

struct check {
  lua_State *L; /* the list is on the top of its stack */
  struct lm_message *m;
  size_t count;
};

static void add(struct check *c, const char *why, size_t offset, struct lm_str field) {
  lua_State *L = c->L;
  if (c->count++ >= LM_DEFECTS) return;
  lua_createtable(L, 0, 3);
  lua_pushstring(L, why);
  lua_setfield(L, -2, "what");
  lm_push_u64(L, offset + 1);
  lua_setfield(L, -2, "offset");
  if (field.n) {
    lm_pushstr(L, field);
    lua_setfield(L, -2, "field");
  }
  lua_rawseti(L, -2, (int)c->count);
}

enum grammar { ADDRESSES, DATE, PARAMETERS, OTHER };

static enum grammar grammar_of(struct lm_str name) {
  static const struct {
    const char *name;
    enum grammar grammar;
  } known[] = {{"from", ADDRESSES},
               {"to", ADDRESSES},
               {"cc", ADDRESSES},
               {"bcc", ADDRESSES},
               {"sender", ADDRESSES},
               {"reply-to", ADDRESSES},
               {"resent-to", ADDRESSES},
               {"resent-from", ADDRESSES},
               {"date", DATE},
               {"resent-date", DATE},
               {"content-type", PARAMETERS},
               {"content-disposition", PARAMETERS}};
  size_t i;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    if (lm_str_ieq(name, (struct lm_str){known[i].name, strlen(known[i].name)}))
      return known[i].grammar;
  }
  return OTHER;
}

static void check_grammar(struct check *c, const struct lm_header_field *f, size_t at) {
  struct lm_arena *a = &c->m->scratch->arena;
  struct lm_addr_list list;
  struct lm_params params;
  int64_t epoch;
  switch (grammar_of(f->name)) {
  case ADDRESSES:
    if (!lm_addr_list(a, f->value, &list)) lm_no_memory(c->L);
    if (list.defects) add(c, list.why, at + list.offset, f->name);
    break;
  case DATE:
    if (!lm_date_parse(f->value, &epoch, NULL)) add(c, "no date", at, f->name);
    break;
  case PARAMETERS:
    if (!lm_params_read(a, f->value, c->m->limits.parameters, &params)) lm_no_memory(c->L);
    if (params.defects) add(c, params.why, at + params.offset, f->name);
    break;
  default: break;
  }
  lm_arena_reset(a);
}

static void check_field(struct check *c, const struct lm_header_field *f) {
  size_t at = (size_t)(f->value.p - c->m->tree.text.p);
  const char *nul = f->value.n ? memchr(f->value.p, '\0', f->value.n) : NULL;
  size_t good = lm_utf8_span(f->value);
  if (f->name.n == 0) return;
  if (nul) add(c, "a NUL in a header field", at + (size_t)(nul - f->value.p), f->name);
  if (good < f->value.n) add(c, "octets in a header field that are not UTF-8", at + good, f->name);
  check_grammar(c, f, at);
}

static void check_part(struct check *c, const struct lm_part *part) {
  struct lm_header_walk w = lm_header_walk(lm_message_sub(c->m, part->start, part->body));
  struct lm_header_field f;
  struct lm_str out;
  size_t defects;
  while (lm_header_next(&w, &f)) check_field(c, &f);
  if (part->first != LM_NO_PART) return;
  if (!lm_content_decode(part->transfer, lm_message_sub(c->m, part->body, part->end),
                         &c->m->scratch->buf, &out, &defects))
    lm_no_memory(c->L);
  if (defects) add(c, "content that breaks its transfer encoding", part->body, LM_NOSTR);
}

int lm_message_check(lua_State *L) {
  struct check c = {L, lm_checkmessage(L), 0};
  const struct lm_tree *t = &c.m->tree;
  size_t i;
  lua_settop(L, 1);
  lua_newtable(L);
  for (i = 0; i < t->defects_n; i++) add(&c, t->defects[i].why, t->defects[i].offset, LM_NOSTR);
  c.count += t->defects_all - t->defects_n;
  for (i = 0; i < t->count; i++) check_part(&c, &t->parts[i]);
  lm_push_u64(L, c.count);
  return 2;
}
