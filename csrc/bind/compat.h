/*
** compat.h: one Lua API for 5.1, LuaJIT, 5.2, 5.3 and 5.4.
**
** The only file that knows that the versions differ. The names are those of 5.4; what older
** versions lack is made from what they have.
*/
#ifndef LM_BIND_COMPAT_H
#define LM_BIND_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#include "base/lm.h"

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen((L), (i))
#define lua_getuservalue(L, i) lua_getfenv((L), (i))
#define lua_setuservalue(L, i) lua_setfenv((L), (i))

static inline int lm_absindex(lua_State *L, int i) {
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}
#define lua_absindex(L, i) lm_absindex((L), (i))

static inline void lm_rawgetp(lua_State *L, int i, const void *p) {
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_rawget(L, i);
}
#define lua_rawgetp(L, i, p) lm_rawgetp((L), (i), (p))

static inline void lm_rawsetp(lua_State *L, int i, const void *p) {
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_insert(L, -2);
  lua_rawset(L, i);
}
#define lua_rawsetp(L, i, p) lm_rawsetp((L), (i), (p))

/* As luaL_setfuncs of 5.2: sets functions that share the `nup` upvalues on the top of the stack. */
static inline void lm_setfuncs(lua_State *L, const luaL_Reg *l, int nup) {
  for (; l->name; l++) {
    int i;
    for (i = 0; i < nup; i++) lua_pushvalue(L, -nup);
    lua_pushcclosure(L, l->func, nup);
    lua_setfield(L, -(nup + 2), l->name);
  }
  lua_pop(L, nup);
}
#define luaL_setfuncs(L, l, nup) lm_setfuncs((L), (l), (nup))
#endif

#if LUA_VERSION_NUM < 504
#define lua_newuserdatauv(L, size, n) lua_newuserdata((L), (size))
#else
#undef lua_getuservalue
#undef lua_setuservalue
#define lua_getuservalue(L, i) lua_getiuservalue((L), (i), 1)
#define lua_setuservalue(L, i) lua_setiuservalue((L), (i), 1)
#endif

static inline void lm_pushstr(lua_State *L, struct lm_str s) {
  lua_pushlstring(L, s.p ? s.p : "", s.n);
}

/* The string at `i`, or an argument error. */
static inline struct lm_str lm_checkstr(lua_State *L, int i) {
  struct lm_str s;
  s.p = luaL_checklstring(L, i, &s.n);
  return s;
}

/* The string at `i`, or LM_NOSTR where there is none. */
static inline struct lm_str lm_optstr(lua_State *L, int i) {
  return lua_isnoneornil(L, i) ? LM_NOSTR : lm_checkstr(L, i);
}

/* A number up to 2^53 exactly, as an integer where the version has integers. */
static inline void lm_push_u64(lua_State *L, uint64_t n) {
  if (sizeof(lua_Integer) >= 8 && n <= INT64_MAX) {
    lua_pushinteger(L, (lua_Integer)n);
  } else {
    lua_pushnumber(L, (lua_Number)n);
  }
}

#endif
