/*
** l_child.c: core.child, a program as a transport, and core.unix, a Unix socket as one.
**
** The descriptors that come out are for core.conn, which owns them from then on. What the loop has to
** do with them is lua/mail/io/child.lua's business.
*/
#include <errno.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/open.h"
#include "os/child.h"
#include "os/net.h"

enum { ARGUMENTS = 256, WORDS = 4096 };

static int push_errno(lua_State *L) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(errno));
  return 2;
}

/* The strings of the table at 1. They stay on the stack: a finalizer may change the table. */
static void check_arguments(lua_State *L, char **argv) {
  size_t n, i;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = lua_rawlen(L, 1);
  luaL_argcheck(L, n > 0 && n < ARGUMENTS, 1, "1 to 255 words expected");
  luaL_checkstack(L, (int)n + 8, "words");
  for (i = 0; i < n; i++) {
    size_t length;
    lua_rawgeti(L, 1, (int)i + 1);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "an array of strings expected");
    argv[i] = (char *)(uintptr_t)lua_tolstring(L, -1, &length);
    luaL_argcheck(L, strlen(argv[i]) == length, 1, "a word with NUL");
  }
  argv[n] = NULL;
}

/* core.child(words) -> child, fd | nil, message: runs words[1], which is looked for in PATH */
static int new_child(lua_State *L) {
  char *argv[ARGUMENTS];
  struct lm_child *c;
  int fd;
  check_arguments(L, argv);
  c = lm_newobject(L, sizeof *c, lua_upvalueindex(1));
  memset(c, 0, sizeof *c);
  c->words = -1;
  fd = lm_child_start(c, argv);
  if (fd < 0) return push_errno(L);
  lua_pushinteger(L, fd);
  return 2;
}

/* words() -> octets that it wrote to its standard error since the last call | nil */
static int child_words(lua_State *L) {
  char buffer[WORDS];
  long n = lm_child_words(lm_checkself(L), buffer, sizeof buffer);
  if (n <= 0) return 0;
  lua_pushlstring(L, buffer, (size_t)n);
  return 1;
}

/* fate([ending]) -> "exit status 1" | "killed by signal 15" | nil while it runs; and its number. Of
** one that is `ending` it is waited for, some milliseconds. */
static int child_fate(lua_State *L) {
  struct lm_child *c = lm_checkself(L);
  char text[64];
  if (lua_toboolean(L, 2)) {
    lm_child_is_ending(c);
  } else {
    lm_child_has_ended(c);
  }
  if (lm_child_fate(c, text, sizeof text)) {
    lua_pushstring(L, text);
  } else {
    lua_pushnil(L);
  }
  lua_pushinteger(L, (lua_Integer)c->pid);
  return 2;
}

/* close(): ends it and waits for that, some milliseconds at most. Idempotent; also __gc */
static int child_close(lua_State *L) {
  lm_child_end(lm_checkself(L));
  return 0;
}

/* core.unix(path) -> fd | nil, "again" (its listener has no room) | message */
static int unix_socket(lua_State *L) {
  struct lm_str path = lm_checkstr(L, 1);
  int fd;
  luaL_argcheck(L, memchr(path.p, '\0', path.n) == NULL, 1, "a path with NUL");
  fd = lm_net_unix(path.p);
  if (fd >= 0) {
    lua_pushinteger(L, fd);
    return 1;
  }
  if (errno != EAGAIN) return push_errno(L);
  lua_pushnil(L);
  lua_pushliteral(L, "again");
  return 2;
}

/* core.address_octets(text) -> 4 or 16 octets | nil */
static int address_octets(lua_State *L) {
  unsigned char octets[16];
  size_t n = lm_net_octets(luaL_checkstring(L, 1), octets);
  if (n == 0) return 0;
  lua_pushlstring(L, (const char *)octets, n);
  return 1;
}

static const luaL_Reg methods[] = {
    {"words", child_words}, {"fate", child_fate}, {"close", child_close}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", child_close}, {NULL, NULL}};
static const luaL_Reg makers[] = {{"child", new_child}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"unix", unix_socket}, {"address_octets", address_octets}, {NULL, NULL}};

void lm_open_child(lua_State *L) {
  lm_newclass(L, "child_class", "mail.child", methods, meta);
  lua_getfield(L, -1, "child_class");
  luaL_setfuncs(L, makers, 1);
  luaL_setfuncs(L, functions, 0);
}
