/*
** l_fields.c: header fields of a part, decoded when they are asked for.
**
** Each call walks over the header of its part; nothing is kept. Arguments: the message, the part's
** index from 1 on, and mostly a field's name in any case.
*/
#include "base/chars.h"
#include "bind/message.h"
#include "bind/push_mime.h"
#include "mime/date.h"
#include "mime/msgid.h"

static struct lm_header_walk walk(const struct lm_message *m, const struct lm_part *part) {
  return lm_header_walk(lm_message_sub(m, part->start, part->body));
}

/* The next field named `name`. */
static bool next_named(struct lm_header_walk *w, struct lm_str name, struct lm_header_field *f) {
  while (lm_header_next(w, f)) {
    if (f->name.n == name.n && lm_str_ieq(f->name, name)) return true;
  }
  return false;
}

static bool find(lua_State *L, struct lm_header_field *f) {
  const struct lm_message *m = lm_checkmessage(L);
  struct lm_header_walk w = walk(m, lm_checkpart(L, m));
  return next_named(&w, lm_checkstr(L, 3), f);
}

/* header(i, name) -> UTF-8 on one line; nil where there is no such field */
static int header(lua_State *L) {
  struct lm_header_field f;
  struct lm_scratch *s;
  if (!find(L, &f)) return 0;
  s = lm_take_scratch(L);
  lm_push_decoded(L, &s->arena, f.value);
  return lm_give(&s->shared, 1);
}

/* raw_header(i, name) -> the value as it stands, folds and all, without white space around it; nil */
static int raw_header(lua_State *L) {
  struct lm_header_field f;
  if (!find(L, &f)) return 0;
  lm_pushstr(L, lm_trimmed(f.value));
  return 1;
}

/* header_all(i, name) -> array of values in order */
static int header_all(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  struct lm_header_walk w = walk(m, lm_checkpart(L, m));
  struct lm_str name = lm_checkstr(L, 3);
  struct lm_scratch *s = lm_take_scratch(L);
  struct lm_header_field f;
  int n = 0;
  lua_newtable(L);
  while (next_named(&w, name, &f)) {
    lm_push_decoded(L, &s->arena, f.value);
    lua_rawseti(L, -2, ++n);
  }
  return lm_give(&s->shared, 1);
}

enum { FIELDS_AHEAD = 1000 }; /* that an array is made for at once */

/* Where the keys of the tables of an array stand in the stack: two strings that are not looked up again for
** each field. */
enum { FIRST_KEY = 4, SECOND_KEY };

/* The keys, and on top of them the array, with room for all fields of the part. */
static void push_list(lua_State *L, const struct lm_part *part, const char *second) {
  lua_pushliteral(L, "name");
  lua_pushstring(L, second);
  lua_createtable(L, part->fields < FIELDS_AHEAD ? (int)part->fields : FIELDS_AHEAD, 0);
}

/* {name=}, with room for one more. */
static void push_name(lua_State *L, struct lm_str name) {
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, FIRST_KEY);
  lm_pushstr(L, name);
  lua_rawset(L, -3);
}

/* Pushes what a field's table holds besides its name. */
typedef void push_fn(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                     const struct lm_part *part, const struct lm_header_field *f);

static void push_value(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                       const struct lm_part *part, const struct lm_header_field *f) {
  (void)m, (void)part;
  lm_push_decoded(L, &s->arena, f->value);
}

static void push_whole(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                       const struct lm_part *part, const struct lm_header_field *f) {
  (void)s;
  lm_pushstr(L, lm_message_sub(m, part->start + f->start, part->start + f->end));
}

/* An array of {name=, key=} in order; stray lines are left out. */
static int list_fields(lua_State *L, const char *key, push_fn *push) {
  const struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_header_walk w = walk(m, part);
  struct lm_header_field f;
  struct lm_scratch *s;
  int n = 0;
  lua_settop(L, FIRST_KEY - 2); /* the scratch memory is on top of the arguments */
  s = lm_take_scratch(L);
  push_list(L, part, key);
  while (lm_header_next(&w, &f)) {
    if (f.name.n == 0) continue;
    push_name(L, f.name);
    lua_pushvalue(L, SECOND_KEY);
    push(L, s, m, part, &f);
    lua_rawset(L, -3);
    lua_rawseti(L, -2, ++n);
  }
  return lm_give(&s->shared, 1);
}

/* headers(i) -> array of {name=, value=} in order; stray lines are left out */
static int headers(lua_State *L) {
  return list_fields(L, "value", push_value);
}

/* raw_headers(i) -> array of {name=, raw= the whole field with its line ends} in order */
static int raw_headers(lua_State *L) {
  return list_fields(L, "raw", push_whole);
}

/* addresses(i, name) -> array of mailboxes and groups, those of repeated fields one after another; nil
** where there is no such field. What is no address is left out, or a name without an address. */
static int addresses(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  struct lm_header_walk w = walk(m, lm_checkpart(L, m));
  struct lm_str name = lm_checkstr(L, 3);
  struct lm_header_field f;
  struct lm_addr_list all = {NULL, 0, 0, NULL, 0};
  struct lm_addr **tail = &all.first;
  struct lm_scratch *s = lm_take_scratch(L);
  bool found = false;
  while (all.count < LM_ADDRESSES && next_named(&w, name, &f)) {
    struct lm_addr_list list;
    if (!lm_addr_list(&s->arena, f.value, &list)) return lm_no_memory(L);
    *tail = list.first;
    while (*tail) tail = &(*tail)->next;
    all.count += list.count;
    found = true;
  }
  if (found) lm_push_addresses(L, &s->arena, &all);
  return lm_give(&s->shared, found);
}

/* date(i, name) -> seconds since 1970, zone in minutes; nil where the field is missing or no date */
static int date(lua_State *L) {
  struct lm_header_field f;
  int64_t epoch;
  int zone;
  if (!find(L, &f) || !lm_date_parse(f.value, &epoch, &zone)) return 0;
  lm_push_epoch(L, epoch);
  lua_pushinteger(L, zone);
  return 2;
}

static char *room(lua_State *L, struct lm_scratch *s, size_t n) {
  char *p = lm_arena_alloc(&s->arena, n ? n : 1);
  if (p == NULL) lm_no_memory(L);
  return p;
}

/* id(i, name) -> "<id>" of a field that holds one; nil */
static int id(lua_State *L) {
  struct lm_header_field f;
  struct lm_scratch *s;
  size_t n;
  char *p;
  if (!find(L, &f)) return 0;
  s = lm_take_scratch(L);
  p = room(L, s, f.value.n);
  if ((n = lm_msgid_only(f.value, p)) != 0) lua_pushlstring(L, p, n);
  return lm_give(&s->shared, n != 0);
}

/* ids(i, name) -> array of "<id>", those of repeated fields one after another; nil where there is no
** such field */
static int ids(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  struct lm_header_walk w = walk(m, lm_checkpart(L, m));
  struct lm_str name = lm_checkstr(L, 3);
  struct lm_header_field f;
  struct lm_scratch *s = lm_take_scratch(L);
  int count = 0, top = lua_gettop(L);
  while (next_named(&w, name, &f)) {
    struct lm_lex x = lm_lex(f.value);
    char *p = room(L, s, f.value.n);
    size_t n;
    if (lua_gettop(L) == top) lua_newtable(L);
    while ((n = lm_msgid_next(&x, p)) != 0) {
      lua_pushlstring(L, p, n);
      lua_rawseti(L, -2, ++count);
    }
  }
  return lm_give(&s->shared, lua_gettop(L) > top);
}

/* params(i, name) -> main value in lower case, {name = value}; nil where there is no such field */
static int params(lua_State *L) {
  const struct lm_message *m = lm_checkmessage(L);
  struct lm_header_field f;
  struct lm_scratch *s;
  struct lm_params p;
  if (!find(L, &f)) return 0;
  s = lm_take_scratch(L);
  if (!lm_params_read(&s->arena, f.value, m->limits.parameters, &p)) return lm_no_memory(L);
  lm_push_lower(L, p.main);
  lm_push_params(L, &p);
  return lm_give(&s->shared, 2);
}

const luaL_Reg lm_field_methods[] = {{"header", header},
                                     {"raw_header", raw_header},
                                     {"header_all", header_all},
                                     {"headers", headers},
                                     {"raw_headers", raw_headers},
                                     {"addresses", addresses},
                                     {"date", date},
                                     {"id", id},
                                     {"ids", ids},
                                     {"params", params},
                                     {NULL, NULL}};
