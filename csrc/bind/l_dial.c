/*
** l_dial.c: core.resolver and core.dial: names to addresses, addresses to a connected socket.
**
** Both are stepped: "wait", descriptor | nil, what, seconds | nil; or "done", result; or "fail",
** message. Nothing here waits; lua/mail/io/fd.lua does. The descriptor is the object's own: before
** close() the loop must have forgotten it (fd() tells it).
*/
#include <string.h>

#include "bind/bind.h"
#include "bind/open.h"
#include "os/dial.h"
#include "os/resolve.h"

struct resolver {
  struct lm_resolve *r;
  struct lm_resolve *parting; /* the same, where it was closed while its answer was told */
  bool telling;               /* that is so; still so later: it was lost when memory was short */
  const char *why;            /* why there is none: static words */
  int fd;                     /* the last that was to be waited for, or -1 */
};

enum { WORDS = 512 }; /* octets of why it failed */

struct dialer {
  struct lm_dial *d;
  const char *why;
  int fd;
};

/* "wait", fd | nil, what, seconds | nil */
static int push_wait(lua_State *L, int fd, const char *what, int ms) {
  lua_pushliteral(L, "wait");
  if (fd >= 0) {
    lua_pushinteger(L, fd);
  } else {
    lua_pushnil(L);
  }
  lua_pushstring(L, what);
  if (ms >= 0) {
    lua_pushnumber(L, ms / 1000.0);
  } else {
    lua_pushnil(L);
  }
  return 4;
}

static int push_fd(lua_State *L, int fd) {
  if (fd < 0) return 0;
  lua_pushinteger(L, fd);
  return 1;
}

/* It stays on the stack: a finalizer may change the table. */
static const char *string_field(lua_State *L, int i, const char *name) {
  const char *s;
  if (!lua_istable(L, i)) return NULL;
  lua_getfield(L, i, name);
  s = lua_tostring(L, -1);
  if (s == NULL && !lua_isnil(L, -1)) luaL_error(L, "option '%s' must be a string", name);
  return s;
}

static lua_Number number_field(lua_State *L, int i, const char *name) {
  lua_Number n;
  if (!lua_istable(L, i)) return 0;
  lua_getfield(L, i, name);
  n = lua_tonumber(L, -1);
  if (!lua_isnil(L, -1) && !(n > 0 && n < 1e6)) {
    luaL_error(L, "option '%s' must be a number above 0", name);
  }
  lua_pop(L, 1);
  return n;
}

/* --- resolver -------------------------------------------------------------------------------- */

static enum lm_record_type type_field(lua_State *L, int i) {
  static const char *const names[] = {"address", "MX", "SRV", "TXT", "PTR"};
  const char *name = string_field(L, i, "type");
  int type;
  for (type = 0; name && type < 5; type++) {
    if (strcmp(name, names[type]) == 0) return (enum lm_record_type)type;
  }
  if (name) luaL_error(L, "option 'type' must be address, MX, SRV, TXT or PTR");
  return LM_RECORD_ADDRESS;
}

/* core.resolver(name [, { servers=, timeout=, tries=, family=4|6, type="MX"|"SRV"|"TXT"|"PTR" }])
** -> resolver */
static int new_resolver(lua_State *L) {
  struct lm_str name = lm_checkstr(L, 1);
  struct lm_resolve_options o;
  struct resolver *u;
  luaL_argcheck(L, memchr(name.p, '\0', name.n) == NULL, 1, "a name without NUL expected");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
  o.servers = string_field(L, 2, "servers");
  o.timeout_ms = (int)(number_field(L, 2, "timeout") * 1000);
  o.tries = (int)number_field(L, 2, "tries");
  o.family = (int)number_field(L, 2, "family");
  o.type = type_field(L, 2);
  u = lm_newobject(L, sizeof *u, lua_upvalueindex(1));
  u->fd = -1;
  u->r = lm_resolve_new(name.p, &o, &u->why);
  return 1;
}

/* { text=, priority=, weight=, port= } */
static void push_record(lua_State *L, const struct lm_record *row) {
  lua_createtable(L, 0, 4);
  lua_pushlstring(L, row->text, row->n);
  lua_setfield(L, -2, "text");
  lua_pushinteger(L, row->priority);
  lua_setfield(L, -2, "priority");
  lua_pushinteger(L, row->weight);
  lua_setfield(L, -2, "weight");
  lua_pushinteger(L, row->port);
  lua_setfield(L, -2, "port");
}

static int push_found(lua_State *L, const struct lm_resolve *r) {
  const struct lm_record *row;
  const char *address;
  int i;
  lua_pushliteral(L, "done");
  lua_newtable(L);
  for (i = 0; (row = lm_resolve_record(r, (size_t)i)) != NULL; i++) {
    push_record(L, row);
    lua_rawseti(L, -2, i + 1);
  }
  for (i = 0; (address = lm_resolve_address(r, (size_t)i)) != NULL; i++) {
    lua_pushstring(L, address);
    lua_rawseti(L, -2, i + 1);
  }
  return 2;
}

/* The answer: nobody else is told it meanwhile, and a finalizer's close is made up for. */
static int tell_found(lua_State *L, struct resolver *u) {
  int n;
  u->telling = true;
  n = push_found(L, u->r);
  u->telling = false;
  lm_resolve_free(u->parting);
  u->parting = NULL;
  return n;
}

/* step() -> "wait", fd, "r" | "rw", seconds | "done", { address, ... } or { record, ... } |
** "fail", message, temporary, "name" | "record" | nil: what there is none of */
static int resolver_step(lua_State *L) {
  struct resolver *u = lm_checkself(L);
  bool write = false;
  const char *missing;
  bool temporary;
  int ms = -1;
  if (u->telling) return luaL_error(L, "the resolver is in use, or its answer was lost");
  if (u->r) {
    switch (lm_resolve_step(u->r, &u->fd, &write, &ms)) {
    case LM_RESOLVE_WAIT: return push_wait(L, u->fd, write ? "rw" : "r", ms);
    case LM_RESOLVE_DONE: return tell_found(L, u);
    case LM_RESOLVE_REFUSED: break;
    }
  }
  lua_pushliteral(L, "fail");
  temporary = u->r && lm_resolve_is_temporary(u->r);
  missing = u->r ? lm_resolve_missing(u->r) : NULL;
  lua_pushstring(L, u->r ? lm_resolve_why(u->r) : u->why ? u->why : "resolver is closed");
  lua_pushboolean(L, temporary);
  lua_pushstring(L, missing);
  return 4;
}

/* fd() -> the descriptor that the loop may know | nil */
static int resolver_fd(lua_State *L) {
  struct resolver *u = lm_checkself(L);
  return push_fd(L, u->fd);
}

/* close(): cancels; idempotent */
static int resolver_close(lua_State *L) {
  struct resolver *u = lm_checkself(L);
  if (u->telling && u->r) {
    u->parting = u->r;
  } else {
    lm_resolve_free(u->r);
  }
  u->r = NULL;
  u->fd = -1;
  return 0;
}

static int resolver_gc(lua_State *L) {
  struct resolver *u = lm_checkself(L);
  lm_resolve_free(u->r);
  lm_resolve_free(u->parting);
  u->r = u->parting = NULL;
  return 0;
}

/* --- dial ------------------------------------------------------------------------------------ */

/* The strings of the table at 1. They stay on the stack, behind the arguments. */
static size_t check_addresses(lua_State *L, const char **addresses) {
  size_t n, i;
  luaL_checktype(L, 1, LUA_TTABLE);
  n = lua_rawlen(L, 1);
  if (n > LM_DIAL_ADDRESSES) n = LM_DIAL_ADDRESSES;
  luaL_checkstack(L, LM_DIAL_ADDRESSES + 8, "addresses");
  for (i = 0; i < n; i++) {
    lua_rawgeti(L, 1, (int)i + 1);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "an array of addresses expected");
    addresses[i] = lua_tostring(L, -1);
  }
  return n;
}

/* core.dial(addresses, port [, { local_address= }]) -> dial */
static int new_dial(lua_State *L) {
  const char *addresses[LM_DIAL_ADDRESSES], *local;
  lua_Integer port = luaL_checkinteger(L, 2);
  struct dialer *u;
  size_t n;
  lua_settop(L, 3);
  n = check_addresses(L, addresses);
  luaL_argcheck(L, port > 0 && port < 65536, 2, "a port from 1 to 65535 expected");
  if (!lua_isnoneornil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  local = string_field(L, 3, "local_address");
  u = lm_newobject(L, sizeof *u, lua_upvalueindex(1));
  u->fd = -1;
  u->d = lm_dial_new(addresses, n, (unsigned)port, local, &u->why);
  return 1;
}

/* A copy of the words, as far as there is room: a finalizer may close the dial while they are pushed. */
static const char *copied(char *room, size_t size, const char *words) {
  size_t n = words ? strlen(words) : 0;
  if (n >= size) n = size - 1;
  if (n) memcpy(room, words, n);
  room[n] = '\0';
  return room;
}

/* step(now) -> "wait", fd, what, seconds | nil | "done", fd, address | "fail", message. The socket
** is the caller's. */
static int dial_step(lua_State *L) {
  struct dialer *u = lm_checkself(L);
  lua_Number now = luaL_checknumber(L, 2);
  const char *why;
  char words[WORDS];
  bool write = false;
  int fd, ms = -1;
  if (u->d) {
    switch (lm_dial_step(u->d, now, &u->fd, &write, &ms)) {
    case LM_DIAL_WAIT: return push_wait(L, u->fd, write ? "w" : "r", ms);
    case LM_DIAL_CONNECTED:
      copied(words, sizeof words, lm_dial_address(u->d));
      lua_pushliteral(L, "done");
      lua_pushstring(L, words);
      fd = u->d ? lm_dial_take(u->d) : -1;
      if (fd < 0) break; /* a finalizer closed it just now, or was given the socket */
      lua_pushinteger(L, fd);
      lua_insert(L, -2);
      return 3;
    case LM_DIAL_REFUSED: break;
    }
  }
  lua_pushliteral(L, "fail");
  why = u->d ? lm_dial_why(u->d) : u->why ? u->why : "dial is closed";
  lua_pushstring(L, copied(words, sizeof words, why));
  return 2;
}

static int dial_fd(lua_State *L) {
  struct dialer *u = lm_checkself(L);
  return push_fd(L, u->fd);
}

/* close(): drops what is under way; idempotent; also __gc */
static int dial_close(lua_State *L) {
  struct dialer *u = lm_checkself(L);
  lm_dial_free(u->d);
  u->d = NULL;
  u->fd = -1;
  return 0;
}

static const luaL_Reg resolver_methods[] = {
    {"step", resolver_step}, {"fd", resolver_fd}, {"close", resolver_close}, {NULL, NULL}};
static const luaL_Reg resolver_meta[] = {{"__gc", resolver_gc}, {NULL, NULL}};
static const luaL_Reg resolver_functions[] = {{"resolver", new_resolver}, {NULL, NULL}};
static const luaL_Reg dial_methods[] = {
    {"step", dial_step}, {"fd", dial_fd}, {"close", dial_close}, {NULL, NULL}};
static const luaL_Reg dial_meta[] = {{"__gc", dial_close}, {NULL, NULL}};
static const luaL_Reg dial_functions[] = {{"dial", new_dial}, {NULL, NULL}};

void lm_open_dial(lua_State *L) {
  lm_newclass(L, "resolver_class", "mail.resolver", resolver_methods, resolver_meta);
  lua_getfield(L, -1, "resolver_class");
  luaL_setfuncs(L, resolver_functions, 1);
  lm_newclass(L, "dial_class", "mail.dial", dial_methods, dial_meta);
  lua_getfield(L, -1, "dial_class");
  luaL_setfuncs(L, dial_functions, 1);
}
