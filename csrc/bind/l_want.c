/*
** l_want.c: checks option tables against what a call takes, fast.
**
** The words for what is wrong, and who is blamed, are lua/mail/want.lua; here is only whether all is
** well, since some calls are made for every message.
*/
#include <string.h>

#include "bind/bind.h"
#include "bind/open.h"

/* True where the value on the top of the stack is of one of the kinds: "string|table?", "any". */
static bool is_of_kind(lua_State *L, const char *kinds) {
  return strcmp(kinds, "any") == 0 || strstr(kinds, luaL_typename(L, -1)) != NULL;
}

/* core.fits(options, spec) -> boolean: every name in `options` is one of `spec`, and its value of a
** type that stands there. What is missing is not looked for. */
static int fits(lua_State *L) {
  bool good = true;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  for (lua_pushnil(L); good && lua_next(L, 1); lua_pop(L, 1)) {
    const char *kinds;
    lua_pushvalue(L, -2);
    lua_rawget(L, 2);
    kinds = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1);
    good = kinds != NULL && is_of_kind(L, kinds);
  }
  lua_pushboolean(L, good);
  return 1;
}

static const luaL_Reg functions[] = {{"fits", fits}, {NULL, NULL}};

void lm_open_want(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
}
