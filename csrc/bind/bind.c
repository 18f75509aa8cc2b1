/*
** bind.c: classes, objects, and the words for a failure.
*/
#include "bind/bind.h"
#include "bind/open.h"

#include <string.h>

void lm_newclass(lua_State *L, const char *field, const char *name, const luaL_Reg *methods,
                 const luaL_Reg *meta) {
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  if (meta) {
    lua_pushvalue(L, -1);
    luaL_setfuncs(L, meta, 1);
  }
  lua_newtable(L);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, methods, 1);
  lua_setfield(L, -2, "__index");
  lua_setfield(L, -2, field);
}

void lm_addmethods(lua_State *L, const char *field, const luaL_Reg *methods) {
  lua_getfield(L, -1, field);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, methods, 1);
  lua_pop(L, 2);
}

void *lm_newobject(lua_State *L, size_t size, int mt) {
  void *p;
  mt = lua_absindex(L, mt);
  p = lua_newuserdatauv(L, size, 1);
  memset(p, 0, size);
  lua_pushvalue(L, mt);
  lua_setmetatable(L, -2);
  return p;
}

void lm_keepvalue(lua_State *L, int i) {
#if LUA_VERSION_NUM >= 503
  lua_pushvalue(L, i);
#else
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, i);
  lua_rawseti(L, -2, 1);
#endif
  lua_setuservalue(L, -2);
}

/* --- buffers --------------------------------------------------------------------------------- */

static char buffer_key; /* its address finds their class in the registry */

struct lm_buf *lm_newbuffer(lua_State *L) {
  struct lm_buf *b;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &buffer_key);
  b = lm_newobject(L, sizeof *b, -1);
  lua_remove(L, -2);
  return b;
}

int lm_push_buffer(lua_State *L, struct lm_buf *b, bool made) {
  if (!made) return luaL_error(L, "out of memory");
  lm_pushstr(L, lm_buf_str(b));
  lm_buf_wipe(b);
  return 1;
}

static int buffer_gc(lua_State *L) {
  lm_buf_wipe(lm_checkself(L));
  return 0;
}

void lm_open_buffer(lua_State *L) {
  static const luaL_Reg no_methods[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", buffer_gc}, {NULL, NULL}};
  lm_newclass(L, "buffer_class", "mail.buffer", no_methods, meta);
  lua_getfield(L, -1, "buffer_class");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &buffer_key);
}

bool lm_is_finalizing(lua_State *L) {
#if defined(LUA_GCISRUNNING)
  int running = lua_gc(L, LUA_GCISRUNNING, 0);
#if defined(LUA_VERSION_RELEASE_NUM)
  return LUA_VERSION_RELEASE_NUM < 50404 ? running <= 0 : running < 0;
#else
  return running <= 0;
#endif
#else
  (void)L;
  return false;
#endif
}

/* --- selves ---------------------------------------------------------------------------------- */

static int wrong_self(lua_State *L) {
  lua_getfield(L, lua_upvalueindex(1), "__name");
  return luaL_error(L, "bad self: %s expected, got %s (use a colon)", lua_tostring(L, -1),
                    luaL_typename(L, 1));
}

void *lm_checkself(lua_State *L) {
  void *p = lua_touserdata(L, 1);
  int same = 0;
  if (p && lua_getmetatable(L, 1)) {
    same = lua_topointer(L, -1) == lua_topointer(L, lua_upvalueindex(1));
    lua_pop(L, 1);
  }
  if (!same) wrong_self(L);
  return p;
}

const char *lm_checkpath(lua_State *L, int i) {
  struct lm_str s = lm_checkstr(L, i);
  luaL_argcheck(L, memchr(s.p, '\0', s.n) == NULL, i, "a path without NUL expected");
  return s.p;
}

/* --- scratch memory -------------------------------------------------------------------------- */

void lm_share(lua_State *L, size_t size, int mt) {
  lm_newobject(L, size, mt);
  lua_rawseti(L, -2, 1);
}

/* One more like that on the top of the stack, in its place. */
static struct lm_shared *take_another(lua_State *L) {
  struct lm_shared *s;
  lua_getmetatable(L, -1);
  s = lm_newobject(L, lua_rawlen(L, -2), -1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, lua_upvalueindex(1), 1);
  return s;
}

void *lm_take(lua_State *L) {
  struct lm_shared *s;
  lua_rawgeti(L, lua_upvalueindex(1), 1);
  s = lua_touserdata(L, -1);
  if (s->taken) s = take_another(L);
  s->taken = true;
  return s;
}

int lm_push_id(lua_State *L, uint32_t id, const char *why) {
  if (id) {
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why ? why : "out of memory");
  return 2;
}

/* --- limits ---------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  size_t offset;
} limit_names[] = {
    {"line", offsetof(struct lm_limits, line)},
    {"response", offsetof(struct lm_limits, response)},
    {"literal", offsetof(struct lm_limits, literal)},
    {"message", offsetof(struct lm_limits, message)},
    {"stream", offsetof(struct lm_limits, stream)},
    {"piece", offsetof(struct lm_limits, piece)},
    {"reply_lines", offsetof(struct lm_limits, reply_lines)},
    {"listing", offsetof(struct lm_limits, listing)},
    {"untagged", offsetof(struct lm_limits, untagged)},
    {"depth", offsetof(struct lm_limits, depth)},
    {"queue", offsetof(struct lm_limits, queue)},
    {"answer", offsetof(struct lm_limits, answer)},
    {"backlog", offsetof(struct lm_limits, backlog)},
    {"challenge", offsetof(struct lm_limits, challenge)},
    {"sasl_steps", offsetof(struct lm_limits, sasl_steps)},
};

static size_t *find_limit(struct lm_limits *l, const char *name) {
  size_t i;
  for (i = 0; i < sizeof limit_names / sizeof *limit_names; i++) {
    if (strcmp(limit_names[i].name, name) == 0) {
      return (size_t *)(void *)((char *)l + limit_names[i].offset);
    }
  }
  return NULL;
}

void lm_checklimits(lua_State *L, int i, struct lm_limits *out) {
  *out = (struct lm_limits)LM_LIMITS_DEFAULT;
  if (lua_isnoneornil(L, i)) return;
  luaL_checktype(L, i, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    size_t *field = lua_type(L, -2) == LUA_TSTRING ? find_limit(out, lua_tostring(L, -2)) : NULL;
    lua_Number n = lua_tonumber(L, -1);
    if (field == NULL) {
      luaL_error(L, "unknown limit '%s'",
                 lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?");
    }
    if (!lua_isnumber(L, -1) || !(n >= 0) || n > 9007199254740992.0) {
      luaL_error(L, "limit '%s' must be a number of 0 or more", lua_tostring(L, -2));
    }
    *field = (size_t)n;
  }
}

/* --- recorded bytes --------------------------------------------------------------------------- */

void lm_feed_recorded(lua_State *L, struct lm_wire *w, void *parser, int into,
                      enum lm_status (*take)(lua_State *L, void *parser, int into)) {
  struct lm_str bytes = lm_checkstr(L, 1);
  lua_Number chunk = luaL_optnumber(L, 2, 0);
  size_t step = chunk >= 1 && chunk < (lua_Number)bytes.n ? (size_t)chunk : bytes.n;
  enum lm_status status = LM_WAIT;
  luaL_argcheck(L, lua_isnoneornil(L, 2) || chunk >= 1, 2, "1 or more expected");
  while (bytes.n && status == LM_WAIT) {
    struct lm_str piece = {bytes.p, bytes.n < step ? bytes.n : step};
    if (!lm_wire_feed(w, piece)) return;
    bytes = (struct lm_str){bytes.p + piece.n, bytes.n - piece.n};
    do {
      status = take(L, parser, into);
    } while (status == LM_EVENT);
  }
}

/* --- failures -------------------------------------------------------------------------------- */

static const char *kind_of(enum lm_code code) {
  switch (code) {
  case LM_E_PROTOCOL: return "protocol";
  case LM_E_LIMIT: return "limit";
  case LM_E_TLS: return "tls";
  case LM_E_MEMORY: return "io";
  default: return "closed";
  }
}

/* Up to LM_SEEN_MAX bytes in quotes, with everything unprintable escaped. */
static void add_seen(luaL_Buffer *b, const struct lm_error *e) {
  static const char hex[] = "0123456789ABCDEF";
  uint8_t i;
  luaL_addlstring(b, ", got \"", 7);
  for (i = 0; i < e->seen_n; i++) {
    unsigned char c = (unsigned char)e->seen[i];
    if (c >= 32 && c < 127 && c != '"' && c != '\\') {
      luaL_addchar(b, (char)c);
    } else {
      char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
      luaL_addlstring(b, escape, 4);
    }
  }
  luaL_addchar(b, '"');
}

int lm_push_error(lua_State *L, const struct lm_error *error) {
  struct lm_error copy = *error, *e = &copy; /* a finalizer may free the session that has it */
  luaL_Buffer b;
  lua_pushstring(L, kind_of(e->code));
  luaL_buffinit(L, &b);
  switch (e->code) {
  case LM_E_LIMIT: luaL_addstring(&b, "limit passed: "); break;
  case LM_E_MEMORY: luaL_addstring(&b, "out of memory: "); break;
  case LM_E_CLOSED: luaL_addstring(&b, "connection closed by the peer: expected "); break;
  case LM_E_TLS: break;
  default: luaL_addstring(&b, "expected "); break;
  }
  luaL_addstring(&b, e->expected ? e->expected : "more");
  if (e->seen_n) add_seen(&b, e);
  luaL_pushresult(&b);
  return 2;
}

int lm_end_recorded(lua_State *L, const struct lm_wire *w, int into) {
  lua_settop(L, into);
  if (!lm_wire_failed(w)) return 1;
  lua_pushnil(L);
  return 1 + lm_push_error(L, lm_wire_error(w));
}
