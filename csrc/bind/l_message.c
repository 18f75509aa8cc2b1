/*
** l_message.c: class "mail.message.text": a message in memory and its parts; core.message_*.
**
** What lua/mail/message.lua stands on. The text is a Lua string (kept, not copied), a file, or pieces
** that were put together; a part is an index from 1 on, the message itself is 1. Structure is read at
** once, everything else when it is asked for.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/message.h"
#include "bind/open.h"
#include "bind/push_mime.h"

enum {
  BUF_KEPT = 1048576, /* octets of scratch memory that stay from call to call */
  PARTS_KEPT = 1000   /* ... and parts */
};

/* --- memory ----------------------------------------------------------------------------------------- */

static int scratch_gc(lua_State *L) {
  struct lm_scratch *s = lm_checkself(L);
  lm_parser_free(s->parser);
  s->parser = NULL;
  lm_tree_free(&s->tree);
  lm_arena_free(&s->arena);
  lm_buf_free(&s->buf);
  lm_buf_free(&s->flowed);
  lm_converters_free(&s->converters);
  return 0;
}

static int holding_gc(lua_State *L) {
  struct lm_holding *h = lm_checkself(L);
  lm_tree_free(&h->tree);
  lm_whole_free(&h->file);
  lm_buf_free(&h->pieces);
  h->gone = true;
  return 0;
}

static void tidy(struct lm_scratch *s) {
  lm_arena_trim(&s->arena, BUF_KEPT);
  if (s->buf.cap > BUF_KEPT) lm_buf_free(&s->buf);
  if (s->flowed.cap > BUF_KEPT) lm_buf_free(&s->flowed);
}

struct lm_message *lm_checkmessage(lua_State *L) {
  struct lm_message *m = lm_checkself(L);
  if (!m->ready) luaL_error(L, "the message is not there yet");
  if (m->own && m->own->gone) luaL_error(L, "the message is gone");
  return m;
}

struct lm_scratch *lm_take_scratch(lua_State *L) {
  struct lm_scratch *s = lm_take(L);
  s->converters.lasting = true;
  tidy(s);
  return s;
}

const struct lm_part *lm_checkpart(lua_State *L, const struct lm_message *m) {
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && (size_t)i <= m->tree.count, 2, "no such part");
  return &m->tree.parts[i - 1];
}

/* --- making ----------------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  size_t offset;
} limit_names[] = {{"depth", offsetof(struct lm_mime_limits, depth)},
                   {"parts", offsetof(struct lm_mime_limits, parts)},
                   {"header", offsetof(struct lm_mime_limits, header)},
                   {"headers", offsetof(struct lm_mime_limits, headers)},
                   {"line", offsetof(struct lm_mime_limits, line)},
                   {"parameters", offsetof(struct lm_mime_limits, parameters)}};

static size_t *find_limit(struct lm_mime_limits *l, const char *name) {
  size_t i;
  for (i = 0; i < sizeof limit_names / sizeof *limit_names; i++) {
    if (strcmp(limit_names[i].name, name) == 0)
      return (size_t *)(void *)((char *)l + limit_names[i].offset);
  }
  return NULL;
}

/* The table of limits at `i`; nil: the defaults. */
void lm_checkmimelimits(lua_State *L, int i, struct lm_mime_limits *out) {
  *out = (struct lm_mime_limits)LM_MIME_LIMITS_DEFAULT;
  if (lua_isnoneornil(L, i)) return;
  luaL_checktype(L, i, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    size_t *field = lua_type(L, -2) == LUA_TSTRING ? find_limit(out, lua_tostring(L, -2)) : NULL;
    lua_Number n = lua_tonumber(L, -1);
    luaL_argcheck(L, field != NULL, i, "unknown limit");
    luaL_argcheck(L, lua_isnumber(L, -1) && n >= 1 && n <= 4294967294.0, i,
                  "a limit must be a number of 1 or more");
    *field = (size_t)n;
  }
}

/* A message that is to hold its own text, empty, on the top of the stack. Upvalue 1 is its class, which has the
** scratch memory, 2 the class of what it holds. */
static struct lm_message *fresh(lua_State *L) {
  struct lm_holding *own = lm_newobject(L, sizeof *own, lua_upvalueindex(2));
  struct lm_message *m = lm_newobject(L, sizeof *m, lua_upvalueindex(1));
  m->own = own;
  lm_keepvalue(L, lua_gettop(L) - 1);
  return m;
}

static void read_tree(lua_State *L, struct lm_scratch *s, const struct lm_mime_limits *limits,
                      struct lm_str text, struct lm_tree *out) {
  if (s->parser == NULL && (s->parser = lm_parser_new(NULL)) == NULL) lm_no_memory(L);
  lm_parser_reset(s->parser, limits);
  if (!lm_tree_read_by(s->parser, out, text)) lm_no_memory(L);
}

static void read_own(lua_State *L, struct lm_scratch *s, struct lm_message *m, struct lm_str text) {
  read_tree(L, s, &m->limits, text, &m->own->tree);
  m->tree = m->own->tree;
  m->ready = true;
}

/* A message with a copy of the tree behind it. */
static struct lm_message *with_tree(lua_State *L, struct lm_scratch *s) {
  size_t parts = s->tree.count * sizeof *s->tree.parts;
  size_t defects = s->tree.defects_n * sizeof *s->tree.defects;
  struct lm_message *m = lm_newobject(L, sizeof *m + parts + defects, lua_upvalueindex(1));
  m->tree = s->tree;
  m->tree.parts = (struct lm_part *)(void *)(m + 1);
  m->tree.defects = (struct lm_mime_defect *)(void *)(m->tree.parts + s->tree.count);
  memcpy(m->tree.parts, s->tree.parts, parts);
  if (defects) memcpy(m->tree.defects, s->tree.defects, defects);
  if (s->tree.room > PARTS_KEPT) lm_tree_free(&s->tree);
  return m;
}

/* message_parse(text, limits or nil) -> message */
static int message_parse(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct lm_scratch *s;
  struct lm_mime_limits limits;
  struct lm_message *m;
  lm_checkmimelimits(L, 2, &limits);
  s = lm_take_scratch(L);
  read_tree(L, s, &limits, text, &s->tree);
  m = with_tree(L, s);
  m->limits = limits;
  m->ready = true;
  lm_keepvalue(L, 1);
  return lm_give(&s->shared, 1);
}

/* message_file(path, limits or nil) -> message; or nil, why */
static int message_file(lua_State *L) {
  const char *path = lm_checkpath(L, 1);
  struct lm_mime_limits limits;
  struct lm_scratch *s;
  struct lm_message *m;
  lm_checkmimelimits(L, 2, &limits);
  s = lm_take_scratch(L);
  m = fresh(L);
  m->limits = limits;
  if (lm_whole_read(&m->own->file, path)) {
    read_own(L, s, m, m->own->file.text);
    return lm_give(&s->shared, 1);
  }
  lm_give(&s->shared, 0);
  lua_pushnil(L);
  lua_pushstring(L, strerror(m->own->file.error));
  return 2;
}

/* message_new(limits or nil) -> an empty message, for put() and finish() */
static int message_new(lua_State *L) {
  struct lm_mime_limits limits;
  lm_checkmimelimits(L, 1, &limits);
  fresh(L)->limits = limits;
  return 1;
}

/* put(text): more of the message */
static int put(lua_State *L) {
  struct lm_message *m = lm_checkself(L);
  struct lm_str text = lm_checkstr(L, 2);
  luaL_argcheck(L, !m->ready, 1, "the message is whole");
  if (m->own->gone || !lm_buf_put(&m->own->pieces, text.p, text.n)) return lm_no_memory(L);
  return 0;
}

/* finish() -> the message: it is whole now */
static int finish(lua_State *L) {
  struct lm_message *m = lm_checkself(L);
  lua_settop(L, 1);
  if (!m->ready) {
    struct lm_scratch *s = lm_take_scratch(L);
    /* That may have collected, and a finalizer added to it, or called this. */
    if (!m->ready) read_own(L, s, m, lm_buf_str(&m->own->pieces));
    lm_give(&s->shared, 0);
  }
  lua_settop(L, 1);
  return 1;
}

/* limits() -> the table of limits that it was read with: for what lies in it encoded */
static int limits(lua_State *L) {
  struct lm_message *m = lm_checkself(L);
  size_t i;
  lua_createtable(L, 0, sizeof limit_names / sizeof *limit_names);
  for (i = 0; i < sizeof limit_names / sizeof *limit_names; i++) {
    lm_push_u64(L, *find_limit(&m->limits, limit_names[i].name));
    lua_setfield(L, -2, limit_names[i].name);
  }
  return 1;
}

/* --- structure -------------------------------------------------------------------------------------- */

static int push_index(lua_State *L, uint32_t index) {
  lua_pushinteger(L, (lua_Integer)index + 1);
  return 1;
}

/* children(i) -> array of indices; nil where the part holds none */
static int children(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  uint32_t at = lm_checkpart(L, m)->first;
  int n = 0;
  if (at == LM_NO_PART) return 0;
  lua_newtable(L);
  for (; at != LM_NO_PART; at = m->tree.parts[at].next) {
    push_index(L, at);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* True for a part that holds others in a form that has to be decoded first. */
static bool is_wrapped(const struct lm_part *part) {
  struct lm_media media;
  if (part->first != LM_NO_PART || part->transfer == LM_TRANSFER_IDENTITY) return false;
  if (part->shape == LM_MIME_MULTIPART) return true;
  lm_tree_media(part, &media);
  return lm_media_is(&media, "message", "rfc822") || lm_media_is(&media, "message", "global") ||
         lm_media_is(&media, "message", "news");
}

/* wrapped(i) -> whether the part holds others that no index names: what its body says, decoded, has to
** be parsed */
static int wrapped(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  lua_pushboolean(L, is_wrapped(lm_checkpart(L, m)));
  return 1;
}

/* leaves(i) -> array of indices of all parts in part `i`, itself included, that hold no others; whether
** one of them is wrapped */
static int leaves(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  const struct lm_part *end = lm_tree_behind(&m->tree, part);
  bool any = false;
  int n = 0;
  lua_newtable(L);
  for (; part < end; part++) {
    if (part->first != LM_NO_PART) continue;
    any = any || is_wrapped(part);
    push_index(L, (uint32_t)(part - m->tree.parts));
    lua_rawseti(L, -2, ++n);
  }
  lua_pushboolean(L, any);
  return 2;
}

static int parent(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  uint32_t at = lm_checkpart(L, m)->parent;
  return at == LM_NO_PART ? 0 : push_index(L, at);
}

static const char *const shapes[] = {"leaf", "multipart", "message"};
static const char *const transfers[] = {"identity", "base64", "quoted-printable", "uuencode"};

/* shape(i) -> "leaf", "multipart" or "message" */
static int shape(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  lua_pushstring(L, shapes[lm_checkpart(L, m)->shape]);
  return 1;
}

/* transfer(i) -> "identity" (7bit, 8bit, binary, unknown), "base64", "quoted-printable", "uuencode" */
static int transfer(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  lua_pushstring(L, transfers[lm_checkpart(L, m)->transfer]);
  return 1;
}

/* type(i) -> "text/plain": always a type, the default of its place where none is given */
static int type(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s = NULL;
  struct lm_media media;
  char usual[64], *p = usual;
  size_t i, n;
  lm_tree_media(part, &media);
  n = media.type.n + 1 + media.subtype.n;
  if (n > sizeof usual) {
    s = lm_take_scratch(L);
    if ((p = lm_arena_alloc(&s->arena, n)) == NULL) return lm_no_memory(L);
  }
  for (i = 0; i < media.type.n; i++) p[i] = lm_lower(media.type.p[i]);
  p[i++] = '/';
  for (; i < n; i++) p[i] = lm_lower(media.subtype.p[i - media.type.n - 1]);
  lua_pushlstring(L, p, n);
  return s ? lm_give(&s->shared, 1) : 1;
}

void lm_message_params(lua_State *L, struct lm_scratch *s, const struct lm_message *m,
                       struct lm_str raw, struct lm_params *out) {
  if (!lm_params_read(&s->arena, raw, m->limits.parameters, out)) lm_no_memory(L);
}

/* parameters(i) -> {charset=, ...}, empty where there are none */
static int parameters(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s = lm_take_scratch(L);
  struct lm_params params;
  lm_message_params(L, s, m, part->type, &params);
  lm_push_params(L, &params);
  return lm_give(&s->shared, 1);
}

/* token of a Content-Disposition: what follows it besides parameters is a comment or rubbish. */
static struct lm_str first_token(struct lm_str s) {
  size_t n = 0;
  while (n < s.n && lm_is(s.p[n], LM_MIME_TOKEN)) n++;
  return (struct lm_str){s.p, n};
}

/* disposition(i) -> "attachment", {filename=, ...}; nil where the field is missing */
static int disposition(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s;
  struct lm_params params;
  struct lm_str word;
  if (part->disposition.p == NULL) return 0;
  s = lm_take_scratch(L);
  lm_message_params(L, s, m, part->disposition, &params);
  word = first_token(params.main);
  lm_push_lower(L, word.n ? word : LM_STR("attachment"));
  lm_push_params(L, &params);
  return lm_give(&s->shared, 2);
}

/* filename(i) -> what the part is called, as the sender wrote it: no safe name for a file; nil */
static int filename(lua_State *L) {
  struct lm_message *m = lm_checkmessage(L);
  const struct lm_part *part = lm_checkpart(L, m);
  struct lm_scratch *s = lm_take_scratch(L);
  struct lm_params params;
  struct lm_str name = LM_NOSTR;
  if (part->disposition.p) {
    lm_message_params(L, s, m, part->disposition, &params);
    name = lm_params_get(&params, LM_STR("filename"));
    if (name.n == 0) name = lm_params_get(&params, LM_STR("name"));
  }
  if (name.n == 0 && part->type.p) {
    lm_message_params(L, s, m, part->type, &params);
    name = lm_params_get(&params, LM_STR("name"));
    if (name.n == 0) name = lm_params_get(&params, LM_STR("filename"));
  }
  if (name.n) lm_pushstr(L, name);
  return lm_give(&s->shared, name.n > 0);
}

/* --- opening ---------------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg scratch_meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};
static const luaL_Reg holding_meta[] = {{"__gc", holding_gc}, {NULL, NULL}};
static const luaL_Reg message_meta[] = {{NULL, NULL}};

static const luaL_Reg message_methods[] = {{"put", put},
                                           {"finish", finish},
                                           {"limits", limits},
                                           {"children", children},
                                           {"parent", parent},
                                           {"wrapped", wrapped},
                                           {"leaves", leaves},
                                           {"shape", shape},
                                           {"transfer", transfer},
                                           {"type", type},
                                           {"parameters", parameters},
                                           {"disposition", disposition},
                                           {"filename", filename},
                                           {"check", lm_message_check},

                                           {NULL, NULL}};

static const luaL_Reg makers[] = {{"message_parse", message_parse},
                                  {"message_file", message_file},
                                  {"message_new", message_new},
                                  {NULL, NULL}};

void lm_open_message(lua_State *L) {
  lm_newclass(L, "message_scratch_class", "mail.scratch", no_methods, scratch_meta);
  lm_newclass(L, "message_holding_class", "mail.holding", no_methods, holding_meta);
  lm_newclass(L, "message_class", "mail.message.text", message_methods, message_meta);
  lm_addmethods(L, "message_class", lm_content_methods);
  lm_addmethods(L, "message_class", lm_field_methods);
  lm_addmethods(L, "message_class", lm_inside_methods);
  luaL_setfuncs(L, lm_content_functions, 0);
  lua_getfield(L, -1, "message_scratch_class");
  lua_getfield(L, -2, "message_class");
  lm_share(L, sizeof(struct lm_scratch), -2);
  lua_remove(L, -2);
  lua_getfield(L, -2, "message_holding_class");
  luaL_setfuncs(L, makers, 2);
}
